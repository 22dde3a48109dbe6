import { expect } from 'chai'
import type { CompletionRequest } from '../../protocol/completion.ts'
import type { ProviderEvent } from '../../providers/interface.ts'
import { createOllamaProvider, type OllamaProvider, type OllamaProviderOptions } from '../../providers/ollama.ts'
import { fakeClock, settled } from '../support/fake-clock.ts'
import { startOllamaServer, type OllamaServer } from '../support/ollama-server.ts'
import { chatRequest, codeOf, collect, fixedRandom, realClock } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'

const MODEL = 'llama3.2:latest'

describe('providers/ollama against its native wire format', () => {
  let server: OllamaServer
  let provider: OllamaProvider
  const start = async (options: OllamaProviderOptions = {}, clock = realClock()): Promise<void> => {
    provider = createOllamaProvider({ clock, random: fixedRandom(), log: quietLog('ollama') }, { host: server.host, ...options })
    await provider.start()
  }

  beforeEach(async () => { server = await startOllamaServer() })
  afterEach(async () => {
    await provider.close()
    await server.stop()
  })

  it('describes models with what Ollama says they can do, and leaves out cloud models', async () => {
    server.models = [
      { name: MODEL, contextLength: 131_072 },
      { name: 'short:1b', contextLength: 2_048, digest: `sha256:${'1'.repeat(64)}` },
      { name: 'deep:8b', capabilities: ['completion', 'thinking', 'tools'], digest: '2'.repeat(64) },
      { name: 'nomic-embed-text:latest', capabilities: ['embedding'], digest: '3'.repeat(64), contextLength: 2_048 },
      { name: 'see:4b', capabilities: ['completion', 'vision'], digest: '6'.repeat(64) },
      { name: 'insert-only:1b', capabilities: ['insert'], digest: '7'.repeat(64) },
      { name: 'gpt-oss:120b-cloud', digest: '4'.repeat(64) },
      { name: 'rented:latest', remoteHost: 'https://ollama.com:443', digest: '5'.repeat(64) },
    ]
    server.loaded.add('short:1b')
    await start()
    expect(provider.models()).to.deep.equal([
      { id: MODEL, digest: 'a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72', quantization: 'Q4_K_M', contextTokens: 8_192, parameters: 3_212_749_888, capabilities: ['chat', 'json', 'continue', 'logprobs'], tokensPerSecond: 0, loaded: false, demo: false },
      { id: 'short:1b', digest: '1'.repeat(64), quantization: 'Q4_K_M', contextTokens: 2_048, parameters: 3_212_749_888, capabilities: ['chat', 'json', 'continue', 'logprobs'], tokensPerSecond: 0, loaded: true, demo: false },
      { id: 'deep:8b', digest: '2'.repeat(64), quantization: 'Q4_K_M', contextTokens: 8_192, parameters: 3_212_749_888, capabilities: ['chat', 'json', 'tools', 'reasoning', 'logprobs'], tokensPerSecond: 0, loaded: false, demo: false },
      { id: 'nomic-embed-text:latest', digest: '3'.repeat(64), quantization: 'Q4_K_M', contextTokens: 2_048, parameters: 3_212_749_888, capabilities: ['embedding'], tokensPerSecond: 0, loaded: false, demo: false },
      { id: 'see:4b', digest: '6'.repeat(64), quantization: 'Q4_K_M', contextTokens: 8_192, parameters: 3_212_749_888, capabilities: ['chat', 'json', 'vision', 'continue', 'logprobs'], tokensPerSecond: 0, loaded: false, demo: false },
    ])
  })

  it('offers log probabilities from the version of Ollama on that has them, also after an update', async () => {
    const offers = (): boolean => provider.models()[0]?.capabilities.includes('logprobs') ?? false
    server.version = '0.12.10'
    await start()
    expect(offers()).to.equal(false)
    for (const [version, has] of [['0.12.11', true], ['0.9.99', false], ['1.0.0', true], ['0.12.11-rc1', true], ['0.0.0', false]] as const) {
      server.version = version
      await provider.refresh()
      expect(offers(), version).to.equal(has)
    }
  })

  it('hands over tools, their calls and results, images and thoughts as Ollama has them', async () => {
    server.models = [{ name: MODEL, capabilities: ['completion', 'tools', 'vision', 'thinking'] }]
    await start()
    await collect(provider, chatRequest(MODEL, {
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'what is this?' }, { type: 'image', mediaType: 'image/png', data: new Uint8Array([1, 2, 3]) }] },
        {
          role: 'assistant', content: 'let me look', reasoning: [{ text: 'hm', signature: 'sig' }, { text: 'cipher', redacted: true }],
          toolCalls: [{ id: 'call_a', name: 'weather', arguments: '{"city":"Bonn"}' }, { id: 'call_b', name: 'clock', arguments: '' }],
        },
        { role: 'tool', toolCallId: 'call_b', content: 'no clock', toolFailed: true },
        { role: 'tool', toolCallId: 'call_a', content: 'rain' },
      ],
      tools: [{ name: 'weather', description: 'of a city', parameters: '{"type":"object"}', strict: true }], topK: 40, frequencyPenalty: 0.5, presencePenalty: -0.5, logprobs: 3,
      reasoning: { effort: 'low' },
    }))
    expect(server.chats[0]).to.deep.include({
      messages: [
        { role: 'user', content: 'what is this?', images: ['AQID'] },
        {
          role: 'assistant', content: 'let me look', thinking: 'hm',
          tool_calls: [{ id: 'call_a', function: { name: 'weather', arguments: { city: 'Bonn' } } }, { id: 'call_b', function: { name: 'clock', arguments: {} } }],
        },
        { role: 'tool', content: 'Error: no clock', tool_call_id: 'call_b', tool_name: 'clock' },
        { role: 'tool', content: 'rain', tool_call_id: 'call_a', tool_name: 'weather' },
      ],
      tools: [{ type: 'function', function: { name: 'weather', description: 'of a city', parameters: { type: 'object' } } }],
      logprobs: true, top_logprobs: 3, think: true,
    })
    expect(server.chats[0]?.['options']).to.include({ top_k: 40, frequency_penalty: 0.5, presence_penalty: -0.5 })
  })

  it('gives calls out whole, with ids of their own, and the server\'s count', async () => {
    server.models = [{ name: MODEL, capabilities: ['completion', 'tools'] }]
    await start()
    const tools = ['weather', 'clock'].map((name) => ({ name, parameters: '{"type":"object"}' }))
    const calls = (events: readonly ProviderEvent[]) => events.flatMap((event) => event.type === 'toolCall' ? [event] : [])
    const both = await collect(provider, chatRequest(MODEL, { tools }))
    expect(calls(both.events).map(({ index, name, arguments: json }) => [index, name, json])).to.deep.equal([[0, 'weather', '{"city":"Bonn"}'], [1, 'clock', '{"city":"Bonn"}']])
    expect(calls(both.events)[0]?.id).to.match(/^call_[0-9a-f]{24}$/)
    expect(both.end).to.deep.equal({ type: 'end', finish: 'toolCalls', usage: { promptTokens: 26, completionTokens: 36 } })
    const one = await collect(provider, chatRequest(MODEL, { tools, parallelToolCalls: false }))
    expect(calls(one.events).map(({ name }) => name)).to.deep.equal(['weather'])
    const none = await collect(provider, chatRequest(MODEL, { tools, toolChoice: { type: 'none' }, maxTokens: 2 }))
    expect(none.text).to.equal('w0 w1 ')
  })

  it('forces a call by the schema of its arguments, and refuses to force one of several', async () => {
    await start()
    const [weather, clock] = [{ name: 'weather', description: 'of a city', parameters: '{"type":"object","required":["city"]}' }, { name: 'clock', parameters: '{}' }]
    for (const fields of [{ tools: [weather, clock], toolChoice: { type: 'tool' as const, name: 'weather' } }, { tools: [weather], toolChoice: { type: 'required' as const } }]) {
      const { events, text, end } = await collect(provider, chatRequest(MODEL, fields))
      const calls = events.flatMap((event) => event.type === 'toolCall' ? [event] : [])
      expect(calls[0]).to.include({ index: 0, name: 'weather' })
      expect(calls.map(({ arguments: json }) => json).join('')).to.equal('{"ok":true}')
      expect({ text, finish: end.finish }).to.deep.equal({ text: '', finish: 'toolCalls' })
      const sent = server.chats.at(-1)!
      expect(sent).to.deep.include({ format: { type: 'object', required: ['city'] } }).and.not.have.property('tools')
      expect((sent['messages'] as { role: string; content: string }[]).at(-1)).to.deep.equal({
        role: 'system', content: 'Call the tool "weather" now: reply with its arguments as one JSON object and nothing else. What the tool does: of a city',
      })
    }
    expect(await codeOf(collect(provider, chatRequest(MODEL, { tools: [weather, clock], toolChoice: { type: 'required' } })))).to.equal('CAPABILITY_MISSING')
    expect(await codeOf(collect(provider, chatRequest(MODEL, { tools: [weather], toolChoice: { type: 'tool', name: 'clock' } })))).to.equal('BAD_REQUEST')
  })

  it('gives thoughts and text out apart, and each counts', async () => {
    server.models = [{ name: MODEL, capabilities: ['completion', 'thinking'] }]
    server.behaviour.words = 3
    await start()
    const { events, text, end } = await collect(provider, chatRequest(MODEL))
    expect(events.flatMap((event) => event.type === 'reasoning' ? [event.text] : []).join('')).to.equal('Let me think.')
    expect(text).to.equal('w0 w1 w2 ')
    expect(end.usage.completionTokens).to.equal(5)
    const cut = await collect(provider, chatRequest(MODEL, { maxTokens: 3 }))
    expect({ text: cut.text, finish: cut.end.finish, tokens: cut.end.usage.completionTokens }).to.deep.equal({ text: 'w0 ', finish: 'length', tokens: 3 })
  })

  it('asks a model to think in the words that it knows', async () => {
    server.models = [
      { name: MODEL }, { name: 'deep:8b', capabilities: ['completion', 'thinking'], digest: '2'.repeat(64) },
      { name: 'gpt-oss:20b', capabilities: ['completion', 'thinking'], architecture: 'gptoss', digest: '3'.repeat(64) },
    ]
    await start()
    const thinkOf = async (model: string, reasoning: CompletionRequest['reasoning']): Promise<unknown> => {
      await collect(provider, chatRequest(model, { maxTokens: 1, ...(reasoning === undefined ? {} : { reasoning }) }))
      return server.chats.at(-1)?.['think']
    }
    expect(await thinkOf('deep:8b', undefined)).to.equal(undefined)
    expect(await thinkOf('deep:8b', {})).to.equal(true)
    expect(await thinkOf('deep:8b', { effort: 'high', tokensMax: 1_000 })).to.equal(true)
    expect(await thinkOf('deep:8b', { effort: 'none' })).to.equal(false)
    expect(await thinkOf('gpt-oss:20b', { effort: 'minimal' })).to.equal('low')
    expect(await thinkOf('gpt-oss:20b', { adaptive: true, effort: 'medium' })).to.equal('medium')
    expect(await thinkOf(MODEL, { adaptive: true, effort: 'high' })).to.equal(undefined)
    expect(await thinkOf(MODEL, { effort: 'none' })).to.equal(undefined)
    expect(await codeOf(thinkOf(MODEL, { effort: 'low' }))).to.equal('CAPABILITY_MISSING')
  })

  it('makes embeddings, of the length that was asked for', async () => {
    server.models = [{ name: MODEL }, { name: 'embed:latest', capabilities: ['embedding'], digest: '2'.repeat(64) }]
    await start()
    const options = { signal: new AbortController().signal }
    const { vectors, usage } = await provider.embed({ kind: 'embedding', model: 'embed:latest', inputs: ['ab', 'abcd'], dimensions: 2 }, options)
    expect(vectors).to.deep.equal([Float32Array.of(2, 1), Float32Array.of(4, 2)])
    expect(usage).to.deep.equal({ promptTokens: 4, completionTokens: 0 })
    expect(server.embeds[0]).to.deep.include({ model: 'embed:latest', input: ['ab', 'abcd'], truncate: false, dimensions: 2 })
    // A body of over 1 MiB, more than a frame of a chat may have.
    const many = await provider.embed({ kind: 'embedding', model: 'embed:latest', inputs: Array.from({ length: 100 }, () => 'abc'), dimensions: 1_024 }, options)
    expect(many.vectors).to.have.length(100)
    expect(await codeOf(provider.embed({ kind: 'embedding', model: MODEL, inputs: ['ab'] }, options))).to.equal('CAPABILITY_MISSING')
    expect(await codeOf(provider.embed({ kind: 'embedding', model: 'nowhere', inputs: ['ab'] }, options))).to.equal('MODEL_NOT_FOUND')
    expect(await codeOf(provider.embed({ kind: 'embedding', model: 'embed:latest', inputs: ['ab'] }, { signal: AbortSignal.abort() }))).to.equal('CANCELLED')
  })

  it('asks for what the request says, and for OpenAI\'s defaults where it says nothing', async () => {
    await start()
    await collect(provider, chatRequest(MODEL))
    await collect(provider, chatRequest(MODEL, { maxTokens: 9, temperature: 0.5, topP: 0.9, seed: 42, stop: ['END'], responseFormat: { type: 'json_schema', schema: '{"type":"object"}' } }))
    await collect(provider, chatRequest(MODEL, { responseFormat: { type: 'json_object' } }))
    expect(server.chats.map(({ options, format }) => ({ options, format }))).to.deep.equal([
      { options: { num_ctx: 8_192, temperature: 1, top_p: 1, seed: 2 ** 29 }, format: undefined },
      { options: { num_ctx: 8_192, temperature: 0.5, top_p: 0.9, seed: 42, num_predict: 9, stop: ['END'] }, format: { type: 'object' } },
      { options: { num_ctx: 8_192, temperature: 1, top_p: 1, seed: 2 ** 29 }, format: 'json' },
    ])
    expect(server.chats[0]).to.include({ stream: true, truncate: false })
  })

  it('takes usage and finish from the last frame, without the end token', async () => {
    server.behaviour.words = 20
    await start()
    const whole = await collect(provider, chatRequest(MODEL))
    expect(whole.end).to.deep.equal({ type: 'end', finish: 'stop', usage: { promptTokens: 26, completionTokens: 20 } })
    const cut = await collect(provider, chatRequest(MODEL, { maxTokens: 7 }))
    expect(cut.end).to.deep.equal({ type: 'end', finish: 'length', usage: { promptTokens: 26, completionTokens: 7 } })
    expect(provider.models()[0]?.tokensPerSecond).to.be.greaterThan(0)
  })

  it('goes on from the assistant\'s message', async () => {
    server.behaviour.words = 6
    await start()
    const messages = [{ role: 'user' as const, content: 'count' }, { role: 'assistant' as const, content: 'w0 w1 w2 ' }]
    expect((await collect(provider, chatRequest(MODEL, { messages, continueLast: true }))).text).to.equal('w3 w4 w5 ')
  })

  it('says that the model loads until the first frame, and knows it is loaded then', async () => {
    server.behaviour.loadMs = 30
    await start()
    const { events } = await collect(provider, chatRequest(MODEL, { maxTokens: 2 }))
    expect(events.slice(0, 2)).to.deep.equal([{ type: 'state', state: { state: 'loading' } }, { type: 'state', state: { state: 'running' } }])
    expect(provider.models()[0]?.loaded).to.equal(true)
  })

  for (const [what, field] of [['an error line', 'failAfter'], ['a cut connection', 'cutAfter'], ['an end without a last frame', 'stopAfter']] as const) {
    it(`fails after ${what} in mid-answer, gives out what came before, and serves the next`, async () => {
      server.behaviour[field] = 3
      await start()
      let text = ''
      const failed = collect(provider, chatRequest(MODEL), { onEvent: (event) => { if (event.type === 'text') text += event.text } })
      expect(await codeOf(failed)).to.equal('ENGINE_FAILED')
      expect(text).to.equal('w0 w1 w2 ')
      server.behaviour[field] = undefined
      await until('the model is offered', () => provider.models().length > 0)
      expect((await collect(provider, chatRequest(MODEL, { maxTokens: 5 }))).text).to.equal('w0 w1 w2 w3 w4 ')
    })
  }

  it('takes a job up again after Ollama was stopped in mid-answer and came back', async () => {
    server.behaviour.gapMs = 5
    await start()
    let stopping: Promise<void> | undefined
    const failed = collect(provider, chatRequest(MODEL), { onEvent: (event) => { if (event.type === 'text') stopping ??= server.stop() } })
    expect(await codeOf(failed)).to.equal('ENGINE_FAILED')
    await stopping
    await until('it is seen to be gone', () => !provider.health().ok)
    expect(provider.models()).to.deep.equal([])
    expect(provider.health().text).to.equal(`there is no Ollama at http://${server.host}; start it, or set OLLAMA_HOST`)
    expect(await codeOf(collect(provider, chatRequest(MODEL)))).to.equal('MODEL_NOT_FOUND')
    await server.listen()
    await provider.refresh()
    server.behaviour.gapMs = 0
    expect((await collect(provider, chatRequest(MODEL, { maxTokens: 2 }))).text).to.equal('w0 w1 ')
  })

  it('maps Ollama\'s refusals', async () => {
    await start()
    const refusals = [
      [404, `model '${MODEL}' not found`, 'MODEL_NOT_FOUND'], [400, 'the input length exceeds the context length', 'CONTEXT_LENGTH_EXCEEDED'],
      [400, 'invalid options', 'BAD_REQUEST'], [400, '"x" does not support tools', 'CAPABILITY_MISSING'], [503, 'server busy, please try again', 'QUEUE_FULL'], [500, 'llama runner process has terminated', 'ENGINE_FAILED'],
    ] as const
    for (const [status, error, code] of refusals) {
      await provider.refresh()
      // The lists answer, the chat is refused.
      const run = collect(provider, chatRequest(MODEL))
      server.behaviour.refuse = { status, error }
      expect(await codeOf(run), error).to.equal(code)
      server.behaviour.refuse = undefined
      await provider.refresh()
    }
    expect(await codeOf(collect(provider, chatRequest(MODEL, { responseFormat: { type: 'json_schema', schema: '[' } })))).to.equal('BAD_REQUEST')
  })

  it('cancels the request at Ollama, also before the first frame', async () => {
    server.behaviour.gapMs = 5
    await start()
    const controller = new AbortController()
    await collect(provider, chatRequest(MODEL), { signal: controller.signal, onEvent: (event) => { if (event.type === 'text') controller.abort() } })
    await until('Ollama sees it', () => server.abandoned === 1, 1_000)

    server.behaviour.loadMs = 60_000
    const early = new AbortController()
    const run = collect(provider, chatRequest(MODEL), { signal: early.signal })
    await until('the request is there', () => server.chats.length === 2)
    early.abort()
    expect((await run).end.usage.completionTokens).to.equal(0)
    await until('Ollama sees it', () => server.abandoned === 2, 1_000)
  })

  it('does not read on while nobody takes the text', async () => {
    // 40 MB of answer, more than all buffers between the two sockets hold.
    server.behaviour.words = 20_000
    server.behaviour.wordChars = 2_000
    await start()
    const controller = new AbortController()
    const iterator = provider.run(chatRequest(MODEL), { signal: controller.signal })[Symbol.asyncIterator]()
    for (let event = await iterator.next(); event.value.type !== 'text';) event = await iterator.next()
    let before = -1
    await until('Ollama waits', async () => {
      const same = server.framesWritten === before
      before = server.framesWritten
      await new Promise((resolve) => { setTimeout(resolve, 50) })
      return same
    })
    expect(server.framesWritten).to.be.lessThan(10_000)
    controller.abort()
    await iterator.return?.()
  })

  it('finds an Ollama that is started later, at the next look, without a word in the log before', async () => {
    await server.stop()
    const clock = fakeClock()
    const lines: string[] = []
    const log = { ...quietLog(), info: (text: string) => { lines.push(text) } }
    provider = createOllamaProvider({ clock, random: fixedRandom(), log }, { host: server.host })
    await provider.start()
    expect(provider.health().ok).to.equal(false)
    let changes = 0
    provider.onChange(() => { changes += 1 })
    clock.advance(30_000)
    await provider.refresh()
    await settled()
    expect({ lines, changes }).to.deep.equal({ lines: [], changes: 0 })
    await server.listen()
    clock.advance(30_000)
    await provider.refresh()
    expect(provider.models()).to.have.length(1)
    expect({ lines, changes }).to.deep.equal({ lines: ['Ollama found'], changes: 1 })
  })

  it('asks for the details of a model once', async () => {
    await start()
    await provider.refresh()
    await provider.refresh()
    expect(server.requests).to.deep.include({ '/api/tags': 3, '/api/show': 1 })
  })
})
