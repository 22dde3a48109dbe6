import { expect } from 'chai'
import * as fc from 'fast-check'
import { readOpenAIChatRequest } from '../../../../../node/bridge/openai/chat-request.ts'
import { completionRequestSchema } from '../../../../../protocol/completion.ts'
import { toTriforceError, type TriforceError } from '../../../../../protocol/errors.ts'
import { routingWishesSchema } from '../../../../../protocol/routing.ts'
import { SEED } from '../../../../support/seed.ts'

const least = { model: 'demo', messages: [{ role: 'user', content: 'hi' }] }

function refusal(body: unknown): TriforceError {
  try {
    readOpenAIChatRequest(body)
  } catch (error) {
    return toTriforceError(error)
  }
  throw new Error('was not refused')
}

const PIXEL = `data:image/png;base64,${Buffer.from('\x89PNG', 'latin1').toString('base64')}`

function codeAndParam(read: () => unknown): unknown[] {
  try {
    read()
  } catch (error) {
    const { code, context } = toTriforceError(error)
    return [code, context['param']]
  }
  return []
}

describe('node/bridge/openai/chat-request', () => {
  it('reads the least body', () => {
    expect(readOpenAIChatRequest(least)).to.deep.equal({
      completion: {
        model: 'demo', messages: [{ role: 'user', content: 'hi' }], continueLast: false, stop: [], responseFormat: { type: 'text' },
      },
      stream: false,
      includeUsage: false,
      showReasoning: true,
    })
  })

  it('reads every field that is supported', () => {
    const schema = { type: 'object', properties: { z: { type: 'string' }, a: { type: 'number' } } }
    expect(readOpenAIChatRequest({
      ...least, stream: true, stream_options: { include_usage: true }, max_tokens: 5, temperature: 0.5, top_p: 0.9, seed: 42,
      stop: 'END',
      response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } },
    })).to.deep.equal({
      completion: {
        model: 'demo', messages: [{ role: 'user', content: 'hi' }], continueLast: false, maxTokens: 5, temperature: 0.5, topP: 0.9,
        seed: 42, stop: ['END'], responseFormat: { type: 'json_schema', schema: JSON.stringify(schema), name: 'x', strict: true },
      },
      stream: true,
      includeUsage: true,
      showReasoning: true,
    })
    expect(readOpenAIChatRequest({
      ...least, top_k: 40, frequency_penalty: 0.5, presence_penalty: -2, logprobs: true, top_logprobs: 3, parallel_tool_calls: false,
      reasoning: { effort: 'xhigh', max_tokens: 1_000_000, exclude: true }, reasoning_effort: 'low',
    })).to.deep.equal({
      completion: {
        model: 'demo', messages: [{ role: 'user', content: 'hi' }], continueLast: false, stop: [], responseFormat: { type: 'text' },
        topK: 40, frequencyPenalty: 0.5, presencePenalty: -2, logprobs: 3, reasoning: { effort: 'high', tokensMax: 32_768 },
      },
      stream: false, includeUsage: false, showReasoning: false,
    })
  })

  it('reads tools, and which of them shall be called', () => {
    const tools = [
      { type: 'function', function: { name: 'weather', description: 'how it is', parameters: { type: 'object', properties: { city: { type: 'string' } } }, strict: true } },
      { type: 'function', function: { name: 'now' } },
    ]
    const read = (more: object) => readOpenAIChatRequest({ ...least, tools, ...more }).completion
    expect(read({ parallel_tool_calls: false })).to.deep.include({
      tools: [
        { name: 'weather', description: 'how it is', parameters: '{"type":"object","properties":{"city":{"type":"string"}}}', strict: true },
        { name: 'now', parameters: '{"type":"object","properties":{}}' },
      ],
      parallelToolCalls: false,
    })
    expect(read({ tool_choice: 'auto', parallel_tool_calls: true })).to.not.have.any.keys('toolChoice', 'parallelToolCalls')
    expect(read({ tool_choice: 'none' }).toolChoice).to.deep.equal({ type: 'none' })
    expect(read({ tool_choice: 'required' }).toolChoice).to.deep.equal({ type: 'required' })
    expect(read({ tool_choice: { type: 'function', function: { name: 'now' } } }).toolChoice).to.deep.equal({ type: 'tool', name: 'now' })
    const allowed = (mode: string, ...names: string[]) => read({ tool_choice: { type: 'allowed_tools', allowed_tools: { mode, tools: names.map((name) => ({ type: 'function', function: { name } })) } } })
    expect(allowed('auto', 'now')).to.deep.include({ tools: [{ name: 'now', parameters: '{"type":"object","properties":{}}' }] }).and.to.not.have.property('toolChoice')
    const both = allowed('required', 'now', 'weather')
    expect([both.tools!.map(({ name }) => name), both.toolChoice]).to.deep.equal([['weather', 'now'], { type: 'required' }])
    for (const [names, param] of [[['later'], 'tool_choice.allowed_tools.tools[0]'], [['now', 'later'], 'tool_choice.allowed_tools.tools[1]'], [[], 'tool_choice.allowed_tools.tools']] as const) {
      expect(() => allowed('auto', ...names)).to.throw(param)
    }
    expect(() => read({ tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'none', tools: [] } } })).to.throw('tool_choice')
  })

  it('reads a conversation with calls, their results, thoughts and images', () => {
    const png = Buffer.from('\x89PNG and so on', 'latin1')
    const { completion } = readOpenAIChatRequest({
      model: 'demo',
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'what is this?' }, { type: 'image_url', image_url: { url: `data:image/png;base64,${png.toString('base64')}`, detail: 'low' } }] },
        { role: 'assistant', content: null, reasoning_content: 'hm', tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'look', arguments: '{"at":' } }] },
        { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'text', text: 'a cat' }] },
        {
          role: 'assistant', content: 'A cat.', reasoning_content: 'not read beside details',
          reasoning_details: [{ type: 'reasoning.text', text: 'so', signature: 'sig', index: 0 }, { type: 'reasoning.encrypted', data: 'c1pher' }],
        },
        { role: 'assistant', tool_calls: [{ id: 'call_2', function: { name: 'look', arguments: '' } }] },
      ],
    })
    expect(completion.messages).to.deep.equal([
      { role: 'user', content: [{ type: 'text', text: 'what is this?' }, { type: 'image', mediaType: 'image/png', data: new Uint8Array(png) }] },
      { role: 'assistant', content: '', reasoning: [{ text: 'hm' }], toolCalls: [{ id: 'call_1', name: 'look', arguments: '{"at":' }] },
      { role: 'tool', toolCallId: 'call_1', content: 'a cat' },
      { role: 'assistant', content: 'A cat.', reasoning: [{ text: 'so', signature: 'sig' }, { text: 'c1pher', redacted: true }] },
      { role: 'assistant', content: '', toolCalls: [{ id: 'call_2', name: 'look', arguments: '' }] },
    ])
    expect(completion.continueLast, 'a call is no beginning of a text').to.equal(false)
    expect(completionRequestSchema.parse(completion)).to.deep.equal(completion)
  })

  it('reads the wishes for a host, and refuses those that it does not know', () => {
    const wishes = (more: object, headers = {}) => readOpenAIChatRequest({ ...least, ...more }, headers).routing
    expect(wishes({})).to.equal(undefined)
    const all = wishes({
      models: ['b', 'c'], route: 'fallback',
      provider: {
        order: ['openai'], only: ['openai', 'groq'], ignore: ['xai'], allow_fallbacks: false, sort: 'price', max_price: { prompt: 0.5, completion: 2.000001 },
        data_collection: 'deny', quantizations: ['Q8_0'], require_parameters: true,
      },
      triforce: { privacy: 'any', continuation: false },
    })
    expect(all).to.deep.equal({
      fallbackModels: ['b', 'c'], order: ['openai'], only: ['openai', 'groq'], ignore: ['xai'], allowFallbacks: false, sort: 'price',
      maxPrice: { promptMicroCredits: 500_000, completionMicroCredits: 2_000_001 }, dataCollection: 'deny', quantizations: ['Q8_0'], privacy: 'any',
      continuation: false,
    })
    expect(routingWishesSchema.parse(all)).to.deep.equal(all)
    expect(wishes({}, { 'x-triforce-privacy': 'own' })).to.deep.equal({ privacy: 'own' })
    // The stricter one holds, wherever it stands.
    expect(wishes({ triforce: { privacy: 'verified' } }, { 'x-triforce-privacy': 'cloud' })).to.deep.equal({ privacy: 'verified' })
    expect(wishes({ triforce: { privacy: 'cloud' } }, { 'x-triforce-privacy': 'friends' })).to.deep.equal({ privacy: 'friends' })
    const cases: readonly (readonly [more: object, headers: Record<string, string>, param: string])[] = [
      [{ provider: { zdr: true } }, {}, 'provider.zdr'],
      [{ provider: { max_price: { request: 1 } } }, {}, 'provider.max_price.request'],
      [{ provider: { sort: 'beauty' } }, {}, 'provider.sort'],
      [{ provider: { max_price: { prompt: -1 } } }, {}, 'provider.max_price.prompt'],
      [{ triforce: { secret: true } }, {}, 'triforce.secret'],
      [{ triforce: { privacy: 'none' } }, {}, 'triforce.privacy'],
      [{ models: Array.from({ length: 9 }, () => 'm') }, {}, 'models'],
      [{ route: 'scenic' }, {}, 'route'],
      [{}, { 'x-triforce-privacy': 'everyone' }, 'x-triforce-privacy'],
    ]
    for (const [more, headers, param] of cases) {
      expect(codeAndParam(() => readOpenAIChatRequest({ ...least, ...more }, headers)), param).to.deep.equal(['BAD_REQUEST', param])
    }
  })

  it('takes null for what is left out, as clients of OpenAI send it', () => {
    const fields = ['stream', 'stream_options', 'max_tokens', 'max_completion_tokens', 'temperature', 'top_p', 'seed', 'stop',
      'response_format', 'tools', 'tool_choice', 'n', 'logprobs', 'audio']
    const nulls = Object.fromEntries(fields.map((field) => [field, null]))
    expect(readOpenAIChatRequest({ ...least, ...nulls })).to.deep.equal(readOpenAIChatRequest(least))
  })

  it('joins text parts, maps developer to system, and goes on from a last message of the assistant', () => {
    const { completion } = readOpenAIChatRequest({
      model: 'demo',
      messages: [
        { role: 'developer', content: 'be brief' },
        { role: 'user', content: [{ type: 'text', text: 'one' }, { type: 'text', text: 'two' }], name: 'ann' },
        { role: 'assistant', content: 'The answer', tool_calls: [], refusal: null },
      ],
    })
    expect(completion.messages).to.deep.equal([
      { role: 'system', content: 'be brief' }, { role: 'user', content: 'one\ntwo' }, { role: 'assistant', content: 'The answer' },
    ])
    expect(completion.continueLast).to.equal(true)
  })

  it('prefers max_completion_tokens, caps at the limit, folds seeds to 32 bits', () => {
    const read = (more: object) => readOpenAIChatRequest({ ...least, ...more }).completion
    expect(read({ max_tokens: 5, max_completion_tokens: 6 }).maxTokens).to.equal(6)
    expect(read({ max_tokens: 10_000_000 }).maxTokens).to.equal(32_768)
    expect(read({ seed: -1 }).seed).to.equal(0xffff_ffff)
    expect(read({ seed: 2 ** 40 + 3 }).seed).to.equal(3)
    expect(read({ stop: ['a', 'b'] }).stop).to.deep.equal(['a', 'b'])
    expect(read({ response_format: { type: 'json_object' } }).responseFormat).to.deep.equal({ type: 'json_object' })
    expect(read({ response_format: { type: 'json_schema', schema: { type: 'object' } } }).responseFormat)
      .to.deep.equal({ type: 'json_schema', schema: '{"type":"object"}' })
  })

  it('replaces lone surrogates, which have no UTF-8 form', () => {
    const { completion } = readOpenAIChatRequest({ ...least, messages: [{ role: 'user', content: 'a\ud800b' }] })
    expect(completion.messages[0]?.content).to.equal('a\ufffdb')
  })

  it('refuses by name what it cannot do, and takes the values that ask for nothing', () => {
    const asking: Record<string, unknown> = {
      functions: [{ name: 'f' }], function_call: 'auto', n: 2, logit_bias: { 50: 1 }, modalities: ['text', 'audio'], audio: { voice: 'x' },
      web_search_options: {}, plugins: [{ id: 'web' }], transforms: ['middle-out'], min_p: 0.1, repetition_penalty: 1.1, best_of: 2, grammar: 'root ::= x',
      guided_json: {},
    }
    for (const [field, value] of Object.entries(asking)) {
      const error = refusal({ ...least, [field]: value })
      expect(error.code, field).to.equal('BAD_REQUEST')
      expect(error.context, field).to.include({ param: field, unsupported: true })
    }
    const idle = {
      tools: [], tool_choice: 'none', functions: [], function_call: 'none', n: 1, logprobs: false, top_logprobs: 0, logit_bias: {},
      frequency_penalty: 0, presence_penalty: 0, modalities: ['text'], plugins: [], transforms: [], min_p: 0, repetition_penalty: 1,
      user: 'u', metadata: { a: 'b' }, store: true, service_tier: 'auto', prediction: {}, an_unknown_field: { deep: [1] },
    }
    expect(readOpenAIChatRequest({ ...least, ...idle })).to.deep.equal(readOpenAIChatRequest(least))
  })

  it('names the field that is wrong', () => {
    const message = (more: object) => ({ ...least, messages: [{ role: 'user', content: 'hi', ...more }] })
    const image = (url: string) => message({ content: [{ type: 'image_url', image_url: { url } }] })
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }
    const cases: readonly (readonly [body: unknown, param: string])[] = [
      [{ ...least, model: undefined }, 'model'],
      [{ ...least, model: 'with space' }, 'model'],
      [{ ...least, messages: [] }, 'messages'],
      [{ ...least, messages: 'hi' }, 'messages'],
      [message({ role: 'tool' }), 'messages[0].tool_call_id'],
      [message({ role: 'function' }), 'messages[0].role'],
      [message({ tool_calls: [call] }), 'messages[0].tool_calls'],
      [message({ role: 'assistant', tool_calls: [{ ...call, type: 'custom' }] }), 'messages[0].tool_calls[0].type'],
      [message({ role: 'assistant', tool_calls: [{ ...call, id: '' }] }), 'messages[0].tool_calls[0].id'],
      [message({ role: 'assistant', function_call: {} }), 'messages[0].function_call'],
      [message({ role: 'assistant', reasoning_details: [{ type: 'reasoning.summary' }] }), 'messages[0].reasoning_details[0].type'],
      [image('https://example.com/cat.png'), 'messages[0].content[0].image_url.url'],
      [image('data:image/png,plain'), 'messages[0].content[0].image_url.url'],
      [image('data:image/svg+xml;base64,AAAA'), 'messages[0].content[0].image_url.url'],
      [image('data:image/png;base64,AA*A'), 'messages[0].content[0].image_url.url'],
      [image(`data:image/png;base64,${'A'.repeat(2_000_004)}`), 'messages[0].content[0].image_url.url'],
      [{ ...least, messages: [{ role: 'user', content: Array.from({ length: 33 }, () => ({ type: 'image_url', image_url: { url: PIXEL } })) }] }, 'messages'],
      [message({ role: 'system', content: [{ type: 'image_url', image_url: { url: PIXEL } }] }), 'messages[0].content[0].type'],
      [message({ content: [{ type: 'input_audio' }] }), 'messages[0].content[0].type'],
      [message({ content: [{ type: 'image_url' }] }), 'messages[0].content[0].image_url'],
      [{ ...least, tools: [{ type: 'custom' }] }, 'tools[0].type'],
      [{ ...least, tools: [{ type: 'function' }] }, 'tools[0].function'],
      [{ ...least, tools: [{ type: 'function', function: {} }] }, 'tools[0].function.name'],
      [{ ...least, tools: [{ type: 'function', function: { name: 'f', parameters: { $comment: 'x'.repeat(65_536) } } }] }, 'tools[0].function.parameters'],
      [{ ...least, tools: Array.from({ length: 129 }, () => ({ type: 'function', function: { name: 'f' } })) }, 'tools'],
      [{ ...least, tool_choice: 'required' }, 'tool_choice'],
      [{ ...least, tool_choice: 'sometimes' }, 'tool_choice'],
      [{ ...least, tool_choice: { type: 'function', function: { name: 'g' } } }, 'tool_choice.function.name'],
      [{ ...least, tool_choice: { type: 'allowed_tools' } }, 'tool_choice.allowed_tools'], [{ ...least, tool_choice: { type: 'custom' } }, 'tool_choice.type'],
      [{ ...least, top_logprobs: 2 }, 'top_logprobs'],
      [{ ...least, logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
      [{ ...least, frequency_penalty: 3 }, 'frequency_penalty'],
      [{ ...least, reasoning_effort: 'huge' }, 'reasoning_effort'],
      [message({ role: 'king' }), 'messages[0].role'],
      [message({ content: null }), 'messages[0].content'],
      [message({ content: 5 }), 'messages[0].content'],
      [message({ content: [{ type: 'text' }] }), 'messages[0].content[0].text'],
      [{ ...least, stream: 'yes' }, 'stream'],
      [{ ...least, max_tokens: 0 }, 'max_tokens'],
      [{ ...least, temperature: 2.1 }, 'temperature'],
      [{ ...least, top_p: -0.1 }, 'top_p'],
      [{ ...least, seed: 1.5 }, 'seed'],
      [{ ...least, stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
      [{ ...least, stop: '' }, 'stop'],
      [{ ...least, stop: 'x'.repeat(257) }, 'stop'],
      [{ ...least, response_format: { type: 'xml' } }, 'response_format.type'],
      [{ ...least, response_format: { type: 'json_schema' } }, 'response_format.json_schema.schema'],
      [{ ...least, response_format: { type: 'json_schema', json_schema: { schema: [] } } }, 'response_format.json_schema.schema'],
      [{ ...least, response_format: { type: 'json_schema', schema: { $comment: 'x'.repeat(65_536) } } }, 'response_format.schema'],
    ]
    for (const [body, param] of cases) {
      const error = refusal(body)
      expect(error.code, param).to.equal('BAD_REQUEST')
      expect(error.context['param'], JSON.stringify(body).slice(0, 200)).to.equal(param)
    }
    for (const body of [null, undefined, 5, 'text', []]) expect(refusal(body).message).to.equal('the body must be a JSON object')
  })

  it('refuses a schema that is nested deeper than the stack', () => {
    const schema = JSON.parse(`${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}`) as object
    expect(refusal({ ...least, response_format: { type: 'json_schema', json_schema: { schema } } }).context['param'])
      .to.equal('response_format.json_schema.schema')
  })

  it('says that a prompt is too long, in the words that clients know', () => {
    const messages = [{ role: 'user', content: 'x'.repeat(600_000) }, { role: 'user', content: 'x'.repeat(400_001) }]
    expect(refusal({ ...least, messages }).code).to.equal('CONTEXT_LENGTH_EXCEEDED')
  })

  it('gives a valid internal request or BAD_REQUEST, whatever comes', () => {
    const seed = SEED
    console.log(`      seed ${seed}`)
    const mostly = (good: fc.Arbitrary<unknown>) => fc.oneof({ weight: 40, arbitrary: good }, { weight: 1, arbitrary: fc.jsonValue() })
    const maybe = (good: fc.Arbitrary<unknown>) => fc.option(mostly(good), { nil: undefined })
    const name = fc.string({ minLength: 1, maxLength: 20 })
    const content = fc.oneof(fc.string({ unit: 'binary' }), fc.array(fc.oneof(
      fc.record({ type: fc.constant('text'), text: fc.string() }), fc.record({ type: fc.constant('image_url'), image_url: fc.record({ url: fc.constant(PIXEL) }) }),
    ), { maxLength: 3 }))
    const messages = fc.array(fc.oneof(
      fc.record({ role: fc.constantFrom('system', 'developer', 'assistant'), content: fc.string({ unit: 'binary' }) }),
      fc.record({ role: fc.constant('user'), content }),
      fc.record({ role: fc.constant('tool'), content, tool_call_id: name }),
      fc.record({
        role: fc.constant('assistant'), reasoning_content: maybe(fc.string({ unit: 'binary' })),
        tool_calls: fc.array(fc.record({ id: name, function: fc.record({ name, arguments: fc.string({ unit: 'binary' }) }) }), { minLength: 1, maxLength: 2 }),
      }),
    ), { minLength: 1, maxLength: 4 })
    const body = fc.record({
      model: fc.constantFrom('demo', 'a/b:c', 'ü'), messages: mostly(messages),
      stream: maybe(fc.boolean()), max_tokens: maybe(fc.integer()), max_completion_tokens: maybe(fc.integer({ min: 1 })),
      temperature: maybe(fc.double({ min: 0, max: 2.5 })), top_p: maybe(fc.double({ min: 0, max: 1 })), seed: maybe(fc.maxSafeInteger()),
      stop: maybe(fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 5 }))),
      response_format: maybe(fc.record({
        type: fc.constantFrom('text', 'json_object', 'json_schema', 'x'), json_schema: fc.record({ schema: fc.object() }),
      })),
      tools: maybe(fc.array(fc.record({ type: fc.constant('function'), function: fc.record({ name, parameters: maybe(fc.object()) }) }), { maxLength: 3 })),
      tool_choice: maybe(fc.constantFrom('none', 'auto')), logprobs: fc.constant(true), top_logprobs: maybe(fc.nat(25)),
      reasoning_effort: maybe(fc.constantFrom('none', 'low', 'xhigh')), presence_penalty: maybe(fc.double({ min: -2, max: 2, noNaN: true })),
    })
    let accepted = 0
    fc.assert(fc.property(body, (value) => {
      try {
        completionRequestSchema.parse(readOpenAIChatRequest(value).completion)
        accepted += 1
      } catch (error) {
        expect(toTriforceError(error).code).to.equal('BAD_REQUEST')
      }
    }), { seed, numRuns: 500 })
    expect(accepted).to.be.greaterThan(50)
  })
})
