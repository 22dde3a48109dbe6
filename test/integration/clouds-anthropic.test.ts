import { expect } from 'chai'
import { createClouds, type Clouds } from '../../providers/cloud/clouds.ts'
import { errorOf } from '../support/error-of.ts'
import { chatRequest, collect, fixedRandom, realClock } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { startAnthropicVendor, type AnthropicAnswer, type AnthropicVendorServer } from '../support/vendors/anthropic-vendor.ts'
import { anthropicErrorCases } from '../support/vendors/error-cases.ts'

const MODEL = 'anthropic/claude-sonnet-4-5-20250929'
const weather = { name: 'weather', description: 'Weather of a city', parameters: '{"type":"object","properties":{"city":{"type":"string"}}}' }

describe('providers/cloud, anthropic', () => {
  let server: AnthropicVendorServer
  let clouds: Clouds

  before(async () => {
    server = await startAnthropicVendor()
    clouds = createClouds({ clock: realClock(), random: fixedRandom(), log: quietLog('clouds') }, { access: [{ vendor: 'anthropic', key: 'key-of-hub', baseUrl: server.origin }] })
    await clouds.start()
  })
  after(async () => {
    await clouds.close()
    await server.stop()
  })

  const play = (answer: AnthropicAnswer, fields: Parameters<typeof chatRequest>[1] = {}, model = MODEL) => {
    server.script.push(server.reply(answer))
    return collect(clouds.vendor('anthropic')!, chatRequest(model, fields))
  }
  const ask = async (fields: Parameters<typeof chatRequest>[1], model = MODEL) => {
    await play({ text: ['x'], finish: 'stop', usage: { prompt: 5, completion: 1 } }, fields, model)
    return server.requests.at(-1)!.body
  }

  it('streams text; the prompt is what was sent fresh, read from and written to the cache', async () => {
    const result = await play({ text: ['Hel', 'lo'], finish: 'stop', usage: { prompt: 1_000, completion: 12, cached: 700 }, cacheWritten: 200 })
    expect(result.text).to.equal('Hello')
    expect(result.end).to.deep.equal({ type: 'end', finish: 'stop', usage: { promptTokens: 1_000, completionTokens: 12, cachedPromptTokens: 700, cacheWriteTokens: 200 } })
  })

  it('keeps thoughts with their signature, and ciphered ones, apart from the text', async () => {
    const result = await play({ reasoning: ['Let me', ' see'], signature: 'SIG', redacted: 'CIPHER', text: ['42'], finish: 'stop', usage: { prompt: 10, completion: 30, reasoning: 25 } })
    const thoughts = result.events.filter((event) => event.type === 'reasoning')
    // What came in one read is one piece.
    expect(thoughts.filter(({ signature, redacted }) => signature === undefined && redacted === undefined).map(({ text }) => text).join('')).to.equal('Let me see')
    expect(thoughts.slice(-2).map(({ text, signature, redacted }) => [text, signature, redacted])).to.deep.equal([['', 'SIG', undefined], ['CIPHER', undefined, true]])
    expect(result.end.usage).to.deep.equal({ promptTokens: 10, completionTokens: 30, reasoningTokens: 25 })
  })

  it('numbers tool calls from 0 though text stands before them, and keeps ids and arguments', async () => {
    const result = await play({
      text: ['I ask.'], toolCalls: [{ id: 'toolu_1', name: 'weather', arguments: ['{"city":', '"Paris"}'] }, { id: 'toolu_2', name: 'weather', arguments: ['{}'] }],
      finish: 'tool_calls', usage: { prompt: 50, completion: 20 },
    }, { tools: [weather] })
    const calls = result.events.filter((event) => event.type === 'toolCall')
    expect(calls.filter(({ id }) => id !== undefined).map(({ index, id, name }) => [index, id, name])).to.deep.equal([[0, 'toolu_1', 'weather'], [1, 'toolu_2', 'weather']])
    expect(calls.filter(({ index }) => index === 0).map((call) => call.arguments).join('')).to.equal('{"city":"Paris"}')
    expect(result.end.finish).to.equal('toolCalls')
  })

  for (const [word, finish] of [
    ['end_turn', 'stop'], ['stop_sequence', 'stop'], ['pause_turn', 'stop'], ['max_tokens', 'length'], ['model_context_window_exceeded', 'length'], ['tool_use', 'toolCalls'], ['refusal', 'filtered'],
  ] as const) {
    it(`says ${finish} of ${word}`, async () => {
      expect((await play({ text: ['x'], finish: 'stop', stopReason: word, usage: { prompt: 5, completion: 1 } })).end.finish).to.equal(finish)
    })
  }

  it('takes a word that it does not know for a failure', async () => {
    expect((await errorOf(play({ text: ['x'], finish: 'stop', stopReason: 'exploded', usage: { prompt: 5, completion: 1 } }))).code).to.equal('VENDOR_FAILED')
  })

  for (const error of anthropicErrorCases) {
    it(`makes ${error.code} of ${error.name} (${error.status}), after one attempt`, async () => {
      const asked = server.requests.length
      server.script.push({ status: error.status, headers: error.headers ?? {}, parts: [JSON.stringify(error.body)] })
      const thrown = await errorOf(collect(clouds.vendor('anthropic')!, chatRequest(MODEL)))
      expect(thrown.code, thrown.message).to.equal(error.code)
      if (error.retryAfterMs !== undefined) expect(thrown.retryAfterMs).to.equal(error.retryAfterMs)
      if (error.says !== undefined) expect(thrown.message).to.include(error.says)
      expect(server.requests.length - asked).to.equal(1)
    })
  }

  it('sends key and version, and nothing of the SDK', async () => {
    await ask({})
    const { headers, path } = server.requests.at(-1)!
    expect(path).to.equal('/v1/messages')
    expect(headers['x-api-key']).to.equal('key-of-hub')
    expect(headers['anthropic-version']).to.equal('2023-06-01')
    expect(Object.keys(headers).filter((name) => name.startsWith('x-stainless') || name === 'authorization')).to.deep.equal([])
  })

  it('uses the account\'s own key in place of the hub\'s', async () => {
    server.script.push(server.reply({ text: ['x'], finish: 'stop', usage: { prompt: 5, completion: 1 } }))
    for await (const _ of clouds.vendor('anthropic')!.run(chatRequest(MODEL), { signal: new AbortController().signal, ownKey: 'own-key' })) { /* to the end */ }
    expect(server.requests.at(-1)!.headers['x-api-key']).to.equal('own-key')
  })

  it('maps a conversation with system, images, tools, their results and thoughts', async () => {
    const body = await ask({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: [{ type: 'text', text: 'What is it?' }, { type: 'image', mediaType: 'image/png', data: Uint8Array.of(1, 2, 3) }] },
        { role: 'assistant', content: 'I look.', reasoning: [{ text: 'Hm', signature: 'SIG' }, { text: 'CIPHER', redacted: true }, { text: 'of another model' }], toolCalls: [{ id: 'call_1', name: 'weather', arguments: '{"city":"Paris"}' }, { id: 'odd id!', name: 'weather', arguments: 'broken' }] },
        { role: 'tool', content: 'sunny', toolCallId: 'call_1' },
        { role: 'tool', content: 'no such city', toolCallId: 'odd id!', toolFailed: true },
        { role: 'user', content: 'So?' },
      ],
      tools: [weather], toolChoice: { type: 'required' }, parallelToolCalls: false, maxTokens: 100, temperature: 0.3, topK: 5, stop: ['END'],
    })
    const [, second, third] = body['messages'] as { role: string; content: Record<string, unknown>[] }[]
    expect(body).to.include({ system: 'Be brief.', max_tokens: 100, temperature: 0.3, top_k: 5, stream: true })
    expect(body['stop_sequences']).to.deep.equal(['END'])
    expect(body['tool_choice']).to.deep.equal({ type: 'any', disable_parallel_tool_use: true })
    expect(body['tools']).to.deep.equal([{ name: 'weather', description: 'Weather of a city', input_schema: { type: 'object', properties: { city: { type: 'string' } } } }])
    expect((body['messages'] as { content: unknown[] }[])[0]!.content[1]).to.deep.equal({ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AQID' } })
    expect(second!.content.map(({ type }) => type)).to.deep.equal(['thinking', 'redacted_thinking', 'text', 'tool_use', 'tool_use'])
    expect(second!.content[3]).to.deep.equal({ type: 'tool_use', id: 'call_1', name: 'weather', input: { city: 'Paris' } })
    const oddId = second!.content[4]!['id'] as string
    expect(oddId).to.match(/^[a-zA-Z0-9_-]+$/)
    expect(second!.content[4]!['input']).to.deep.equal({ arguments: 'broken' })
    // Both results and what the user says next are one message of the user.
    expect(third!.role).to.equal('user')
    expect(third!.content).to.deep.equal([
      { type: 'tool_result', tool_use_id: 'call_1', content: [{ type: 'text', text: 'sunny' }] },
      { type: 'tool_result', tool_use_id: oddId, content: [{ type: 'text', text: 'no such city' }], is_error: true },
      { type: 'text', text: 'So?' },
    ])
  })

  it('gives as many tokens as the model can write where the client names no bound, and never above ours', async () => {
    expect((await ask({}))['max_tokens']).to.equal(32_768)
    expect((await ask({}, 'anthropic/claude-3-5-haiku-20241022'))['max_tokens']).to.equal(8_192)
    expect((await ask({}, 'anthropic/claude-of-tomorrow'))['max_tokens']).to.equal(4_096)
  })

  it('asks for thoughts by budget, and newer models by effort', async () => {
    expect((await ask({ reasoning: { effort: 'low' } }))['thinking']).to.deep.equal({ type: 'enabled', budget_tokens: 2_048 })
    expect((await ask({ reasoning: { tokensMax: 5_000 }, maxTokens: 3_000 }))['thinking']).to.deep.equal({ type: 'enabled', budget_tokens: 2_999 })
    expect(await ask({ reasoning: { effort: 'none' } })).not.to.have.property('thinking')
    const newer = await ask({ reasoning: { effort: 'minimal' } }, 'anthropic/claude-opus-4-6')
    expect(newer['thinking']).to.deep.equal({ type: 'adaptive', display: 'summarized' })
    expect(newer['output_config']).to.deep.equal({ effort: 'low' })
    expect((await errorOf(collect(clouds.vendor('anthropic')!, chatRequest(MODEL, { reasoning: { effort: 'high' }, maxTokens: 500 })))).code).to.equal('BAD_REQUEST')
  })

  const schema = '{"type":"object","properties":{"a":{"type":"number"}},"required":["a"],"additionalProperties":false}'

  it('asks for strict JSON by the model\'s own means', async () => {
    const body = await ask({ responseFormat: { type: 'json_schema', schema, strict: true } })
    expect(body['output_config']).to.deep.equal({ format: { type: 'json_schema', schema: JSON.parse(schema) as unknown } })
    expect(body).not.to.have.property('tools')
  })

  for (const [name, responseFormat] of [['any JSON', { type: 'json_object' }], ['JSON of a schema that is not strict', { type: 'json_schema', schema }]] as const) {
    it(`gets ${name} as the input of a tool and gives it as text that ends with stop`, async () => {
      const result = await play({ toolCalls: [{ id: 'toolu_1', name: 'json_answer', arguments: ['{"a"', ':1}'] }], finish: 'tool_calls', usage: { prompt: 5, completion: 9 } }, { responseFormat })
      expect(result.text).to.equal('{"a":1}')
      expect(result.events.some(({ type }) => type === 'toolCall')).to.equal(false)
      expect(result.end.finish).to.equal('stop')
      expect(server.requests.at(-1)!.body['tool_choice']).to.deep.equal({ type: 'tool', name: 'json_answer', disable_parallel_tool_use: true })
    })
  }

  for (const [name, fields] of [
    ['a seed', { seed: 1 }], ['log probabilities', { logprobs: 0 }], ['a penalty', { frequencyPenalty: 0.5 }], ['a temperature above 1', { temperature: 1.5 }],
    ['any JSON beside tools', { responseFormat: { type: 'json_object' as const }, tools: [weather] }],
  ] satisfies [string, Parameters<typeof chatRequest>[1]][]) {
    it(`refuses ${name} before it asks`, async () => {
      const asked = server.requests.length
      expect((await errorOf(collect(clouds.vendor('anthropic')!, chatRequest(MODEL, fields)))).code).to.equal('CAPABILITY_MISSING')
      expect(server.requests.length).to.equal(asked)
    })
  }
})
