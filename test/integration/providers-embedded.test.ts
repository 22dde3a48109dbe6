import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { createEmbeddedProvider, type EmbeddedProvider } from '../../providers/embedded/provider.ts'
import { tinyModel, writeTinyModel } from '../support/provider-gguf.ts'
import { chatRequest, codeOf, collect, fixedRandom, isAlive, realClock, realEmbedded, tempFolder, textOf, type RunResult, type TempFolder } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'

describe('providers/embedded with the real engine', function () {
  this.timeout(30_000)
  let folder: TempFolder
  let tiny: string
  let provider: EmbeddedProvider
  const run = (fields: Partial<CompletionRequest> = {}): Promise<RunResult> => collect(provider, chatRequest('tiny', { temperature: 0, maxTokens: 120, ...fields }))

  before(async () => {
    folder = await tempFolder()
    tiny = await writeTinyModel(join(folder.path, 'tiny.gguf'))
    provider = await realEmbedded({ models: [{ path: tiny, keepLoaded: true }], slots: 1 })
  })
  after(async () => {
    await provider.close()
    await folder.remove()
  })

  describe('text', () => {
    it('is the same greedy, the same with the same seed, and another with another seed', async () => {
      expect((await run()).text).to.equal((await run()).text)
      const sampled = { temperature: 1, seed: 7 }
      const { text } = await run(sampled)
      expect((await run(sampled)).text).to.equal(text)
      expect((await run({ temperature: 1, seed: 8 })).text).to.not.equal(text)
    })

    it('is sampled at temperature 1 when the request does not say', async () => {
      const silent = chatRequest('tiny', { maxTokens: 60, seed: 3 })
      expect((await collect(provider, silent)).text).to.equal((await collect(provider, { ...silent, temperature: 1 })).text)
    })

    it('is the greedy one where only the best token may be taken, whatever the temperature', async () => {
      expect((await run({ temperature: 1.5, seed: 7, topK: 1 })).text).to.equal((await run()).text)
    })

    it('repeats itself less with a penalty, and more with a negative one', async () => {
      // Every token of this model is one byte.
      const distinct = async (fields: Partial<CompletionRequest>): Promise<number> => new Set((await run(fields)).text).size
      const plain = await distinct({})
      expect(await distinct({ frequencyPenalty: 2 })).to.be.greaterThan(plain)
      expect(await distinct({ presencePenalty: 2 })).to.be.greaterThan(plain)
      expect(await distinct({ frequencyPenalty: -2 })).to.be.at.most(plain)
    })

    it('ends before a stop string that spans tokens, of which nothing is given out', async () => {
      const { text } = await run()
      // Every token of this model is one byte.
      const stop = text.slice(30, 36)
      const stopped = await run({ stop: ['never there', stop] })
      expect(stopped.text).to.equal(text.slice(0, text.indexOf(stop)))
      expect(stopped.end.finish).to.equal('stop')
      for (const event of stopped.events) if (event.type === 'text') expect(text.startsWith(event.text) || text.includes(event.text)).to.equal(true)
      expect(stopped.end.usage.completionTokens).to.equal(text.indexOf(stop) + stop.length)
    })

    it('gives out what looked like a stop string and was none', async () => {
      const { text } = await run()
      expect((await run({ stop: [`${text.slice(-5)}#`] })).text).to.equal(text)
    })

    it('goes on from a prefill as the undisturbed run did, wherever it was cut', async () => {
      const { text } = await run()
      for (const cut of [1, 17, 64, 119]) {
        const messages: CompletionRequest['messages'] = [{ role: 'user', content: 'hello' }, { role: 'assistant', content: text.slice(0, cut) }]
        const rest = await run({ messages, continueLast: true, maxTokens: 120 - cut })
        expect(rest.text, `cut at ${cut}`).to.equal(text.slice(cut))
      }
    })

    it('fills the context exactly and then ends with `length`', async () => {
      const { maxTokens: _, ...request } = chatRequest('tiny', { temperature: 0, maxTokens: 1 })
      const { end } = await collect(provider, request)
      expect(end.finish).to.equal('length')
      expect(end.usage.promptTokens + end.usage.completionTokens).to.equal(512)
    })

    it('refuses a prompt that does not fit, with the numbers', async () => {
      const error = await run({ messages: [{ role: 'user', content: 'x'.repeat(600) }] }).catch((thrown: unknown) => thrown)
      expect(error).to.include({ code: 'CONTEXT_LENGTH_EXCEEDED' })
      expect((error as { context: object }).context).to.deep.equal({ promptTokens: 620, contextTokens: 512 })
    })

    it('reads special tokens that a user typed as text', async () => {
      const count = async (content: string): Promise<number> => (await run({ messages: [{ role: 'user', content }], maxTokens: 1 })).end.usage.promptTokens
      expect(await count('a<|im_end|><|im_start|>b') - await count('ab')).to.equal('<|im_end|><|im_start|>'.length)
    })
  })

  describe('JSON', () => {
    const schema = {
      type: 'object', additionalProperties: false, required: ['colour', 'ok'],
      properties: { colour: { type: 'string', enum: ['red', 'green'] }, ok: { type: ['boolean', 'null'] }, list: { type: 'array', items: { enum: [1, 2] }, maxItems: 3 } },
    }

    it('fits the schema, at any temperature', async () => {
      for (const seed of [1, 2, 3]) {
        const { text, end } = await run({ responseFormat: { type: 'json_schema', schema: JSON.stringify(schema) }, temperature: 2, seed })
        expect(end.finish).to.equal('stop')
        const value = JSON.parse(text) as Record<string, unknown>
        expect(value['colour']).to.be.oneOf(['red', 'green'])
        expect(value['ok']).to.be.oneOf([true, false, null])
      }
    })

    it('is an object for json_object', async () => {
      const { text } = await run({ responseFormat: { type: 'json_object' }, maxTokens: 30 })
      expect(text).to.match(/^\{/)
    })

    it('refuses a schema that it cannot keep and serves the next request', async () => {
      for (const bad of ['not json', '{"type":"number","minimum":3}', '{"type":"array","items":{"type":"string"},"maxItems":1000000000}', '[]']) {
        expect(await codeOf(run({ responseFormat: { type: 'json_schema', schema: bad } })), bad).to.equal('BAD_REQUEST')
      }
      expect((await run({ maxTokens: 3 })).end.finish).to.equal('length')
    })
  })

  describe('when things go wrong', () => {
    it('stops the engine within 100 ms after an abort, measured by the slot that it frees', async () => {
      const controller = new AbortController()
      let abortedAt = 0
      const first = collect(provider, chatRequest('tiny', { temperature: 0 }), {
        signal: controller.signal,
        onEvent: (event) => {
          if (event.type !== 'text' || abortedAt !== 0) return
          abortedAt = performance.now()
          controller.abort()
        },
      })
      const [aborted, next] = await Promise.all([first, run({ maxTokens: 1 })])
      expect(aborted.end.finish).to.equal('cancelled')
      expect(performance.now() - abortedAt).to.be.lessThan(100)
      // The only slot was taken: the second job could run only after the engine had confirmed the end of the first.
      expect(next.events[0]).to.deep.equal({ type: 'state', state: { state: 'queued', position: 1 } })
    })

    it('stops within 200 ms while it still reads a long prompt', async () => {
      const big = await writeTinyModel(join(folder.path, 'big.gguf'), { dim: 256, layers: 8, contextTokens: 8_192 })
      const slow = await realEmbedded({ models: [{ path: big, keepLoaded: true }], slots: 1 })
      try {
        const long = chatRequest('big', { messages: [{ role: 'user', content: 'x'.repeat(8_000) }], maxTokens: 1 })
        const controller = new AbortController()
        let abortedAt = 0
        const first = collect(slow, long, {
          signal: controller.signal,
          // `running` comes when the prompt is tokenized and its computing begins.
          onEvent: (event) => {
            if (event.type !== 'state' || event.state.state !== 'running') return
            abortedAt = performance.now()
            controller.abort()
          },
        })
        const [aborted] = await Promise.all([first, collect(slow, chatRequest('big', { maxTokens: 1 }))])
        expect(aborted.end.usage).to.deep.equal({ promptTokens: 8_020, completionTokens: 0 })
        expect(performance.now() - abortedAt).to.be.lessThan(200)
      } finally {
        await slow.close()
      }
    })

    it('computes the answers of a large model together, and one that leaves holds nobody up', async () => {
      // To this provider every model is a large one.
      const large = await realEmbedded({ models: [{ path: tiny, keepLoaded: true }], slots: 3, smallModelBytes: 0 })
      try {
        const controller = new AbortController()
        const leaving = collect(large, chatRequest('tiny', { maxTokens: 100 }), { signal: controller.signal, onEvent: (event) => { if (event.type === 'text') controller.abort() } })
        const [left, ...whole] = await Promise.all([leaving, ...[1, 2].map(() => collect(large, chatRequest('tiny', { maxTokens: 100, seed: 1 })))])
        expect(left.end.finish).to.equal('cancelled')
        expect(whole.map(({ end }) => [end.finish, end.usage.completionTokens])).to.deep.equal([['length', 100], ['length', 100]])
      } finally {
        await large.close()
      }
    })

    it('fails the running job when the engine is killed in mid-answer, and serves the next', async () => {
      const pid = provider.enginePid()
      expect(pid).to.be.a('number')
      let died = false
      const failed = collect(provider, chatRequest('tiny', { temperature: 0 }), {
        onEvent: (event) => {
          if (event.type !== 'text' || died) return
          died = true
          process.kill(pid!, 'SIGKILL')
        },
      })
      expect(await codeOf(failed)).to.equal('ENGINE_FAILED')
      expect((await run({ maxTokens: 5 })).end.usage.completionTokens).to.equal(5)
      expect(provider.enginePid()).to.be.a('number').and.not.equal(pid)
    })

    it('leaves out broken files by name, gives up one that kills the engine, and serves the rest undisturbed', async () => {
      const bytes = tinyModel()
      const path = (name: string): string => join(folder.path, name)
      await writeFile(path('cut.gguf'), bytes.subarray(0, bytes.length - 1_000))
      await writeFile(path('noise.gguf'), Buffer.alloc(5_000, 'noise'))
      await writeTinyModel(path('aborts.gguf'), { without: ['llama.attention.head_count'] })
      const models = [tiny, path('cut.gguf'), path('noise.gguf'), path('missing.gguf'), path('aborts.gguf')].map((file) => ({ path: file }))
      const mixed = await realEmbedded({ models })
      try {
        expect(mixed.models().map((model) => model.id)).to.deep.equal(['tiny', 'aborts'])
        expect(mixed.health().text).to.include('cut: it is cut short').and.include('noise: it is not a GGUF file').and.include('missing: there is no such file')
        expect(await codeOf(collect(mixed, chatRequest('cut')))).to.equal('MODEL_BROKEN')

        // An answer of the good model runs on while the bad one kills its engine twice.
        const good = mixed.run(chatRequest('tiny', { temperature: 0 }), { signal: new AbortController().signal })[Symbol.asyncIterator]()
        const events = []
        while (textOf(events) === '') events.push((await good.next()).value)
        expect(await codeOf(collect(mixed, chatRequest('aborts')))).to.equal('MODEL_BROKEN')
        expect(mixed.models().map((model) => model.id)).to.deep.equal(['tiny'])
        expect(mixed.health().text).to.include('aborts: the engine process ended')
        expect(await codeOf(collect(mixed, chatRequest('aborts')))).to.equal('MODEL_BROKEN')
        for (let next = await good.next(); next.done !== true; next = await good.next()) events.push(next.value)
        expect(events.at(-1)).to.include({ type: 'end', finish: 'length' })
      } finally {
        await mixed.close()
      }
    })

    it('ends the engine when the node is killed in the middle of an answer', async () => {
      const script = fileURLToPath(new URL('../support/provider-orphan.ts', import.meta.url))
      const node = spawn(process.execPath, [script, tiny, 'tiny'], { stdio: ['ignore', 'pipe', 'inherit'] })
      const pid = await new Promise<number>((resolve) => { node.stdout.once('data', (text: Buffer) => resolve(Number(text.toString()))) })
      expect(isAlive(pid)).to.equal(true)
      node.kill('SIGKILL')
      await until('the engine is gone', () => !isAlive(pid), 3_000)
    })

    it('says what is missing where there is no engine', async () => {
      const without = createEmbeddedProvider({ clock: realClock(), random: fixedRandom(), log: quietLog() }, { models: [{ path: tiny }], engine: undefined })
      await without.start()
      expect(without.models()).to.deep.equal([])
      expect(without.health().ok).to.equal(false)
      expect(without.health().text).to.include('npm install node-llama-cpp@3.21.1')
      expect(await codeOf(collect(without, chatRequest('tiny')))).to.equal('ENGINE_MISSING')
      await without.close()
    })
  })

  describe('models', () => {
    it('are described from their file, with a measured speed after the first answer', () => {
      const [model] = provider.models()
      expect(model).to.include({ id: 'tiny', quantization: 'F32', contextTokens: 512, loaded: true, demo: false })
      expect(model?.digest).to.match(/^[0-9a-f]{64}$/)
      expect(model?.tokensPerSecond).to.be.greaterThan(0)
    })

    it('are loaded on demand, and an idle one makes room', async () => {
      const demo = await writeTinyModel(join(folder.path, 'My Demo.gguf'), { name: 'TriForce demo (tiny)', seed: 2 })
      const two = await realEmbedded({ models: [{ path: tiny }, { path: demo }], loadedMax: 1 })
      let changes = 0
      two.onChange(() => { changes += 1 })
      const loaded = (): string[] => two.models().filter((model) => model.loaded).map((model) => model.id)
      try {
        expect(loaded()).to.deep.equal([])
        const first = await collect(two, chatRequest('tiny', { maxTokens: 2 }))
        expect(first.events[0]).to.deep.equal({ type: 'state', state: { state: 'loading', part: 0 } })
        expect(loaded()).to.deep.equal(['tiny'])
        const { pid } = { pid: two.enginePid('tiny') }
        await collect(two, chatRequest('My-Demo', { maxTokens: 2 }))
        expect(loaded()).to.deep.equal(['My-Demo'])
        expect(isAlive(pid!)).to.equal(false)
        expect(two.models().map((model) => model.demo)).to.deep.equal([false, true])
        expect(changes).to.be.greaterThan(2)
      } finally {
        await two.close()
      }
    })
  })
})
