import { expect } from 'chai'
import { createCloudProvider, type CloudProviderOptions, type StartedCloudProvider } from '../../providers/cloud/cloud-provider.ts'
import { vendorNamed } from '../../providers/cloud/vendors.ts'
import type { ProviderEvent } from '../../providers/interface.ts'
import { errorOf } from '../support/error-of.ts'
import { chatRequest, collect, fixedRandom, realClock, textOf } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'
import { startAnthropicVendor } from '../support/vendors/anthropic-vendor.ts'
import { startOpenAiVendor } from '../support/vendors/openai-vendor.ts'
import type { Part } from '../support/vendors/vendor-server.ts'
import type { PlayedAnswer } from '../support/vendors/answers.ts'

const answer: PlayedAnswer = { text: ['aaaa', 'bbbb', 'cccc', 'dddd', 'eeee'], finish: 'stop', usage: { prompt: 7, completion: 5 } }
const TEN_MIB = 10 * 1024 * 1024

const families = [
  { vendor: 'openai', start: () => startOpenAiVendor('openai'), model: 'openai/gpt-4o', path: '/v1', textFrom: 1 },
  { vendor: 'anthropic', start: startAnthropicVendor, model: 'anthropic/claude-sonnet-4-5-20250929', path: '', textFrom: 3 },
] as const

for (const { vendor, start, model, path, textFrom } of families) {
  describe(`providers/cloud failures, ${vendor} family`, () => {
    let server: Awaited<ReturnType<typeof start>>
    const providers: StartedCloudProvider[] = []

    function provider(options: Partial<CloudProviderOptions> = {}): StartedCloudProvider {
      const made = createCloudProvider({ clock: realClock(), random: fixedRandom(), log: quietLog('cloud') }, { vendor: vendorNamed(vendor)!, key: 'key', baseUrl: server.origin + path, ...options })
      providers.push(made)
      return made
    }

    before(async () => { server = await start() })
    afterEach(async () => {
      server.script.length = 0
      server.behaviour.words = 20
      server.behaviour.gapMs = 0
      await Promise.all(providers.splice(0).map((one) => one.close()))
    })
    after(async () => server.stop())

    const headers = { 'content-type': 'text/event-stream' }
    /** The stream up to the third text and what comes then. */
    const afterThree = (...parts: Part[]): Part[] => [...server.events(answer).slice(0, textFrom + 3), ...parts]

    /** What was delivered before the error. */
    async function failing(parts: Part[], options: Partial<CloudProviderOptions> = {}): Promise<{ text: string; code: string }> {
      server.script.push({ headers, parts })
      const events: ProviderEvent[] = []
      const error = await errorOf((async () => {
        for await (const event of provider(options).run(chatRequest(model), { signal: new AbortController().signal })) events.push(event)
      })())
      expect(events.some(({ type }) => type === 'end'), 'no clean end').to.equal(false)
      return { text: textOf(events), code: error.code }
    }

    it('cut before the headers: VENDOR_FAILED', async () => {
      server.script.push({ cut: true })
      expect((await errorOf(collect(provider(), chatRequest(model)))).code).to.equal('VENDOR_FAILED')
    })

    it('cut after the headers: VENDOR_FAILED', async () => {
      expect(await failing([server.events(answer)[0]!, { cut: true }])).to.deep.equal({ text: '', code: 'VENDOR_FAILED' })
    })

    it('cut after three pieces: they are delivered, then VENDOR_FAILED', async () => {
      expect(await failing(afterThree({ cut: true }))).to.deep.equal({ text: 'aaaabbbbcccc', code: 'VENDOR_FAILED' })
    })

    it('a body that ends well after three pieces, without a finish: VENDOR_FAILED', async () => {
      expect(await failing(afterThree())).to.deep.equal({ text: 'aaaabbbbcccc', code: 'VENDOR_FAILED' })
    })

    it('cut before the usage: VENDOR_FAILED', async () => {
      const events = server.events(answer)
      // OpenAI: the usage chunk and [DONE] are missing; Anthropic tells usage and finish together.
      expect((await failing([...events.slice(0, -2), { cut: true }])).code).to.equal('VENDOR_FAILED')
    })

    it('malformed JSON: VENDOR_FAILED', async () => {
      const [name] = server.events(answer)[textFrom]!.split('data: ')
      expect(await failing(afterThree(`${name}data: {"broken\n\n`))).to.deep.equal({ text: 'aaaabbbbcccc', code: 'VENDOR_FAILED' })
    })

    it('JSON of another form: VENDOR_FAILED', async () => {
      const bad = vendor === 'openai' ? 'data: {"choices":7}\n\n' : 'event: content_block_delta\ndata: {"type":"content_block_delta","index":"x"}\n\n'
      expect((await failing(afterThree(bad))).code).to.equal('VENDOR_FAILED')
    })

    it('an error inside the stream: its own code, its words', async () => {
      const event = vendor === 'openai' ? 'data: {"error":{"message":"Provider disconnected","code":502}}\n\n' : 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
      expect(await failing(afterThree(event))).to.deep.equal({ text: 'aaaabbbbcccc', code: vendor === 'openai' ? 'VENDOR_FAILED' : 'VENDOR_BUSY' })
    })

    it('an event without an end: VENDOR_FAILED at the bound, and the connection is closed', async () => {
      const endless = (function* (): Generator<Part> {
        yield* afterThree('data: {"x":"')
        for (;;) yield 'y'.repeat(16_384)
      })()
      server.script.push({ headers, parts: endless })
      const before = server.abandoned.length
      const error = await errorOf(collect(provider({ transport: { eventBytesMax: 256 * 1024 } }), chatRequest(model)))
      expect(error.code).to.equal('VENDOR_FAILED')
      expect(error.message).to.include('262144 bytes')
      await until('the connection is closed', () => server.abandoned.length > before)
    })

    it('an event of 10 MiB: VENDOR_FAILED', async () => {
      expect((await failing(afterThree(`data: ${'z'.repeat(TEN_MIB)}\n\n`))).code).to.equal('VENDOR_FAILED')
    })

    it('10 MiB of small events in one write are no large event', async () => {
      const comment = `: ${'k'.repeat(1_000)}\n\n`
      server.script.push({ headers, parts: [comment.repeat(Math.ceil(TEN_MIB / comment.length)), ...server.events(answer)] })
      expect((await collect(provider(), chatRequest(model))).text).to.equal('aaaabbbbccccddddeeee')
    })

    it('events cut at every byte arrive whole', async () => {
      const bytes = Buffer.from(server.events({ ...answer, text: ['aé', '😀', '漢'] }).join(''))
      server.script.push({ headers, parts: Array.from(bytes, (byte) => Buffer.of(byte)) })
      const result = await collect(provider(), chatRequest(model))
      expect(result.text).to.equal('aé😀漢')
      expect(result.end.usage).to.deep.equal({ promptTokens: 7, completionTokens: 5 })
    })

    it('no first byte in time: VENDOR_FAILED, and the connection is closed', async () => {
      const before = server.abandoned.length
      server.script.push({ hang: true })
      // Long enough that the request is surely there on a busy machine.
      const error = await errorOf(collect(provider({ transport: { firstByteMsMax: 1_000 } }), chatRequest(model)))
      expect([error.code, error.message.includes('no answer after 1 s')]).to.deep.equal(['VENDOR_FAILED', true])
      await until('the connection is closed', () => server.abandoned.length > before)
    })

    it('silence in the middle: VENDOR_FAILED', async () => {
      expect(await failing(afterThree({ hang: true }), { transport: { idleMsMax: 50 } })).to.deep.equal({ text: 'aaaabbbbcccc', code: 'VENDOR_FAILED' })
    })

    it('an empty answer costs nothing, whatever is counted for its prompt', async () => {
      server.script.push(server.reply({ finish: 'stop', usage: { prompt: 7, completion: 0 } }))
      expect((await collect(provider(), chatRequest(model))).end).to.deep.equal({ type: 'end', finish: 'stop', usage: { promptTokens: 0, completionTokens: 0 } })
    })

    it('a page of a proxy in place of an error: its status, none of its HTML', async () => {
      server.script.push({ status: 502, headers: { 'content-type': 'text/html' }, parts: ['<html><body>Bad gateway sk-live-1234567890</body></html>'] })
      const error = await errorOf(collect(provider(), chatRequest(model)))
      expect([error.code, error.message.includes('502'), error.message.includes('<'), error.message.includes('sk-')]).to.deep.equal(['VENDOR_FAILED', true, false, false])
    })

    it('a redirect is not followed, so that the key goes nowhere else', async () => {
      const asked = server.requests.length
      server.script.push({ status: 307, headers: { location: `${server.origin}/elsewhere` }, parts: [] })
      expect((await errorOf(collect(provider(), chatRequest(model)))).code).to.equal('VENDOR_FAILED')
      expect(server.requests.length - asked).to.equal(1)
    })

    it('a server that does not listen: VENDOR_FAILED', async () => {
      expect((await errorOf(collect(provider({ baseUrl: 'http://127.0.0.1:9' }), chatRequest(model)))).code).to.equal('VENDOR_FAILED')
    })

    it('an abort in the middle closes the connection within 100 ms and counts what was taken', async () => {
      server.behaviour.words = 500
      server.behaviour.gapMs = 5
      const leaving = new AbortController()
      const before = server.abandoned.length
      let abortedAt = 0
      const result = await collect(provider(), chatRequest(model), {
        signal: leaving.signal,
        onEvent: (event) => {
          if (event.type !== 'text' || event.tokens < 3 || leaving.signal.aborted) return
          abortedAt = performance.now()
          leaving.abort()
        },
      })
      expect(result.end).to.deep.equal({ type: 'end', finish: 'cancelled', usage: { promptTokens: 6, completionTokens: 3 } })
      await until('the connection is closed', () => server.abandoned.length > before)
      expect(server.abandoned.at(-1)! - abortedAt).to.be.below(100)
    })

    it('an abort before the headers closes the connection within 100 ms and costs nothing', async () => {
      const before = server.abandoned.length
      const asked = server.requests.length
      server.script.push({ hang: true })
      const leaving = new AbortController()
      const running = collect(provider(), chatRequest(model), { signal: leaving.signal })
      await until('the vendor is asked', () => server.requests.length > asked)
      const abortedAt = performance.now()
      leaving.abort()
      expect((await running).end).to.deep.equal({ type: 'end', finish: 'cancelled', usage: { promptTokens: 0, completionTokens: 0 } })
      await until('the connection is closed', () => server.abandoned.length > before)
      expect(server.abandoned.at(-1)! - abortedAt).to.be.below(100)
    })

    it('an abort before it began asks nothing', async () => {
      const asked = server.requests.length
      const result = await collect(provider(), chatRequest(model), { signal: AbortSignal.abort() })
      expect(result.end.finish).to.equal('cancelled')
      expect(server.requests.length).to.equal(asked)
    })

    it('a consumer that just stops taking closes the connection', async () => {
      server.behaviour.words = 500
      server.behaviour.gapMs = 5
      const before = server.abandoned.length
      for await (const event of provider().run(chatRequest(model), { signal: new AbortController().signal })) if (event.type === 'text') break
      await until('the connection is closed', () => server.abandoned.length > before)
    })

    it('ten answers one after the other use few connections', async () => {
      const one = provider()
      const before = server.connections
      for (let round = 0; round < 10; round++) await collect(one, chatRequest(model))
      expect(server.connections - before).to.be.at.most(2)
    })

    it('a failed answer does not harm the next one', async () => {
      const one = provider()
      server.script.push({ headers, parts: afterThree({ cut: true }) })
      await errorOf(collect(one, chatRequest(model)))
      expect((await collect(one, chatRequest(model))).end.usage.completionTokens).to.equal(20)
    })

    it('after close everything that runs ends and nothing more is asked', async () => {
      server.behaviour.words = 500
      server.behaviour.gapMs = 5
      const one = provider()
      const ended: ProviderEvent[] = []
      for await (const event of one.run(chatRequest(model), { signal: new AbortController().signal })) {
        ended.push(event)
        if (event.type === 'text' && event.tokens === 2) await one.close()
      }
      expect(ended.at(-1)).to.deep.include({ type: 'end', finish: 'cancelled' })
    })
  })
}

describe('providers/cloud, vendors that bill an answer to its end', () => {
  it('reads on after an abort, and the usage of the end is what the vendor bills', async () => {
    const server = await startOpenAiVendor('groq')
    const provider = createCloudProvider({ clock: realClock(), random: fixedRandom(), log: quietLog('cloud') }, { vendor: vendorNamed('groq')!, key: 'key', baseUrl: server.origin })
    server.behaviour.words = 60
    server.behaviour.gapMs = 2
    const leaving = new AbortController()
    const events: ProviderEvent[] = []
    const result = await collect(provider, chatRequest('groq/llama-3.3-70b-versatile'), {
      signal: leaving.signal,
      onEvent: (event) => {
        events.push(event)
        if (event.type === 'text' && event.tokens === 3) leaving.abort()
      },
    })
    expect(textOf(events)).to.equal('000 001 002 ')
    expect(result.end).to.deep.equal({ type: 'end', finish: 'stop', usage: { promptTokens: 6, completionTokens: 60 } })
    await until('the vendor bills', () => server.bills.length > 0)
    expect(server.bills).to.deep.equal([{ model: 'llama-3.3-70b-versatile', aborted: false, promptTokens: 6, completionTokens: 60 }])
    await provider.close()
    await server.stop()
  })

  it('reads no longer than the bound, and counts what came until then', async () => {
    const server = await startOpenAiVendor('groq')
    const provider = createCloudProvider({ clock: realClock(), random: fixedRandom(), log: quietLog('cloud') }, { vendor: vendorNamed('groq')!, key: 'key', baseUrl: server.origin, drainMsMax: 40 })
    server.script.push({ headers: { 'content-type': 'text/event-stream' }, parts: [...server.events(answer).slice(0, 6), { hang: true }] })
    const leaving = new AbortController()
    const result = await collect(provider, chatRequest('groq/llama-3.3-70b-versatile'), { signal: leaving.signal, onEvent: (event) => { if (event.type === 'text') leaving.abort() } })
    expect(result.end).to.deep.equal({ type: 'end', finish: 'cancelled', usage: { promptTokens: 6, completionTokens: 5 } })
    await until('the connection is closed', () => server.abandoned.length === 1)
    await provider.close()
    await server.stop()
  })

  it('closes at once where the account pays its own key', async () => {
    const server = await startOpenAiVendor('groq')
    const provider = createCloudProvider({ clock: realClock(), random: fixedRandom(), log: quietLog('cloud') }, { vendor: vendorNamed('groq')!, baseUrl: server.origin })
    server.behaviour.words = 500
    server.behaviour.gapMs = 5
    const leaving = new AbortController()
    for await (const event of provider.run(chatRequest('groq/llama-3.3-70b-versatile'), { signal: leaving.signal, ownKey: 'own' })) if (event.type === 'text') leaving.abort()
    await until('the connection is closed', () => server.abandoned.length === 1)
    await provider.close()
    await server.stop()
  })
})
