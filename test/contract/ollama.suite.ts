/**
 * What a run at an Ollama must show, from the loading of a model to its unloading: over the server of the tests in
 * ollama.test.ts, and over a real one in test/ollama (`npm run test:ollama`).
 */
import { expect } from 'chai'
import { Ollama } from 'ollama'
import type { CompletionRequest, Tool } from '../../protocol/completion.ts'
import type { ModelCapability } from '../../protocol/messages/capacity.ts'
import { createOllamaProvider, type OllamaProvider } from '../../providers/ollama.ts'
import { chatRequest, codeOf, collect, realClock } from '../support/provider-world.ts'
import { createRandom } from '../../bootstrap/system.ts'
import { quietLog } from '../support/quiet-log.ts'

export interface OllamaSubject {
  readonly host: string
  /** One that chats. */
  readonly model: string
  /** One for each of these; a case without its model is skipped. */
  readonly able: Partial<Record<ModelCapability, string>>
  /** Makes the next answer break in the middle; absent where a server cannot be made to. */
  readonly breakNext?: () => () => void
  /** The longest that a model may take to load and answer. */
  readonly answerMsMax: number
  close(): Promise<void>
}

const weather: Tool = {
  name: 'get_weather', description: 'Current weather of a city', parameters: '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
}
const ask = (content: string): Pick<CompletionRequest, 'messages'> => ({ messages: [{ role: 'user', content }] })

export function describeOllama(name: string, setup: () => Promise<OllamaSubject>): void {
  describe(`ollama: ${name}`, () => {
    let subject: OllamaSubject
    let provider: OllamaProvider
    let client: Ollama

    before(async function () {
      this.timeout(30_000)
      subject = await setup()
      client = new Ollama({ host: `http://${subject.host.replace(/^https?:\/\//, '')}` })
      provider = createOllamaProvider({ clock: realClock(), random: createRandom(), log: quietLog('ollama') }, { host: subject.host })
      await provider.start()
    })
    after(async () => {
      await provider?.close()
      await subject?.close()
    })
    beforeEach(function () { this.timeout(subject.answerMsMax) })

    const isLoaded = async (): Promise<boolean | undefined> => {
      await provider.refresh()
      return provider.models().find(({ id }) => id === subject.model)?.loaded
    }

    it('loads a model, chats, and counts', async function () {
      this.timeout(subject.answerMsMax)
      await client.generate({ model: subject.model, prompt: '', keep_alive: 0 })
      expect(await isLoaded()).to.equal(false)
      const { events, text, end } = await collect(provider, chatRequest(subject.model, { ...ask('Say hello.'), maxTokens: 16, temperature: 0 }))
      expect(events[0]).to.deep.equal({ type: 'state', state: { state: 'loading' } })
      expect(text).to.not.equal('')
      expect(end.finish).to.be.oneOf(['stop', 'length'])
      expect(end.usage.completionTokens).to.be.greaterThan(0).and.at.most(16)
      expect(end.usage.promptTokens).to.be.greaterThan(0)
      expect(await isLoaded()).to.equal(true)
    })

    it('fails where the server breaks in the middle of an answer, and serves the next', async function () {
      if (subject.breakNext === undefined) return this.skip()
      const mend = subject.breakNext()
      expect(await codeOf(collect(provider, chatRequest(subject.model)))).to.equal('ENGINE_FAILED')
      mend()
      await provider.refresh()
      expect((await collect(provider, chatRequest(subject.model, { maxTokens: 2 }))).end.finish).to.equal('length')
    })

    it('refuses a model that is not there', async () => {
      expect(await codeOf(collect(provider, chatRequest('triforce-no-such-model:latest')))).to.equal('MODEL_NOT_FOUND')
    })

    it('ends a run that is aborted, and serves the next', async function () {
      this.timeout(subject.answerMsMax)
      const controller = new AbortController()
      const { end } = await collect(provider, chatRequest(subject.model, { ...ask('Count to one thousand in words.'), maxTokens: 400 }), {
        signal: controller.signal, onEvent: (event) => { if (event.type === 'text') controller.abort() },
      })
      expect(end.finish).to.equal('cancelled')
      expect(end.usage.completionTokens).to.be.greaterThan(0).and.below(400)
      expect((await collect(provider, chatRequest(subject.model, { maxTokens: 2 }))).end.usage.completionTokens).to.be.at.most(2)
    })

    it('answers in JSON where a schema says so', async function () {
      this.timeout(subject.answerMsMax)
      const schema = '{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"]}'
      const { text } = await collect(provider, chatRequest(subject.model, { ...ask('Answer with ok.'), temperature: 0, maxTokens: 64, responseFormat: { type: 'json_schema', schema } }))
      expect(JSON.parse(text)).to.have.property('ok').that.is.a('boolean')
    })

    it('calls a tool and answers from its result', async function () {
      const model = subject.able.tools
      if (model === undefined) return this.skip()
      this.timeout(subject.answerMsMax)
      const question = { role: 'user' as const, content: 'What is the weather in Bonn? Use the tool.' }
      const first = await collect(provider, chatRequest(model, { messages: [question], tools: [weather], temperature: 0, maxTokens: 256 }))
      const call = first.events.find((event) => event.type === 'toolCall')
      expect(first.end.finish).to.equal('toolCalls')
      expect(call).to.include({ index: 0, name: 'get_weather' })
      expect(JSON.parse(call!.arguments)).to.have.property('city')
      const second = await collect(provider, chatRequest(model, {
        messages: [
          question, { role: 'assistant', content: '', toolCalls: [{ id: call!.id!, name: call!.name!, arguments: call!.arguments }] },
          { role: 'tool', toolCallId: call!.id!, content: '12 °C, rain' },
        ],
        tools: [weather], temperature: 0, maxTokens: 256,
      }))
      expect(second.text).to.not.equal('')
    })

    it('calls the tool that it must call', async function () {
      const model = subject.able.tools
      if (model === undefined) return this.skip()
      this.timeout(subject.answerMsMax)
      const { events, end, text } = await collect(provider, chatRequest(model, { ...ask('Hello, this is Bonn.'), tools: [weather], toolChoice: { type: 'tool', name: 'get_weather' }, temperature: 0, maxTokens: 128 }))
      expect(end.finish).to.equal('toolCalls')
      expect(text).to.equal('')
      const calls = events.filter((event) => event.type === 'toolCall')
      expect(calls[0]).to.include({ index: 0, name: 'get_weather' })
      expect(JSON.parse(calls.map(({ arguments: json }) => json).join(''))).to.be.an('object')
    })

    it('thinks where it shall, and does not where it shall not', async function () {
      const model = subject.able.reasoning
      if (model === undefined) return this.skip()
      this.timeout(subject.answerMsMax)
      const thoughtsOf = async (reasoning: CompletionRequest['reasoning']): Promise<number> => {
        const { events } = await collect(provider, chatRequest(model, { ...ask('What is 2 + 2?'), temperature: 0, maxTokens: 512, ...(reasoning === undefined ? {} : { reasoning }) }))
        return events.filter((event) => event.type === 'reasoning').length
      }
      expect(await thoughtsOf({})).to.be.greaterThan(0)
      expect(await thoughtsOf({ effort: 'none' })).to.equal(0)
    })

    it('tells log probabilities', async function () {
      const model = subject.able.logprobs
      if (model === undefined) return this.skip()
      this.timeout(subject.answerMsMax)
      const { events } = await collect(provider, chatRequest(model, { ...ask('Say hello.'), maxTokens: 4, logprobs: 2 }))
      const logprobs = events.flatMap((event) => event.type === 'text' ? event.logprobs ?? [] : [])
      expect(logprobs).to.not.have.length(0)
      for (const { logprob, top } of logprobs) {
        expect(logprob).to.be.at.most(0)
        expect(top).to.have.length(2)
      }
    })

    it('makes embeddings, equal for equal texts', async function () {
      const model = subject.able.embedding
      if (model === undefined) return this.skip()
      this.timeout(subject.answerMsMax)
      const { vectors, usage } = await provider.embed({ kind: 'embedding', model, inputs: ['a cat', 'a much longer text', 'a cat'] }, { signal: new AbortController().signal })
      expect(vectors).to.have.length(3)
      expect(vectors[0]).to.deep.equal(vectors[2]).and.not.deep.equal(vectors[1])
      expect(usage).to.include({ completionTokens: 0 })
      expect(usage.promptTokens).to.be.greaterThan(0)
    })

    it('sees a model that was unloaded', async () => {
      await client.generate({ model: subject.model, prompt: '', keep_alive: 0 })
      expect(await isLoaded()).to.equal(false)
    })
  })
}
