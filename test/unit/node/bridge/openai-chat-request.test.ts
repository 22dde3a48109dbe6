import { expect } from 'chai'
import * as fc from 'fast-check'
import { readOpenAIChatRequest } from '../../../../node/bridge/openai-chat-request.ts'
import { completionRequestSchema } from '../../../../protocol/completion.ts'
import { toTriforceError, type TriforceError } from '../../../../protocol/errors.ts'

const least = { model: 'demo', messages: [{ role: 'user', content: 'hi' }] }

function refusal(body: unknown): TriforceError {
  try {
    readOpenAIChatRequest(body)
  } catch (error) {
    return toTriforceError(error)
  }
  throw new Error('was not refused')
}

describe('node/bridge/openai-chat-request', () => {
  it('reads the least body', () => {
    expect(readOpenAIChatRequest(least)).to.deep.equal({
      completion: {
        model: 'demo', messages: [{ role: 'user', content: 'hi' }], continueLast: false, stop: [], responseFormat: { type: 'text' },
      },
      stream: false,
      includeUsage: false,
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
        seed: 42, stop: ['END'], responseFormat: { type: 'json_schema', schema: JSON.stringify(schema) },
      },
      stream: true,
      includeUsage: true,
    })
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
    const tool = { type: 'function', function: { name: 'f' } }
    const asking: Record<string, unknown> = {
      tools: [tool], tool_choice: 'auto', functions: [{ name: 'f' }], function_call: 'auto', n: 2, logprobs: true, top_logprobs: 3,
      logit_bias: { 50: 1 }, frequency_penalty: 0.5, presence_penalty: -1, modalities: ['text', 'audio'], audio: { voice: 'x' },
      web_search_options: {},
    }
    for (const [field, value] of Object.entries(asking)) {
      const error = refusal({ ...least, [field]: value })
      expect(error.code, field).to.equal('BAD_REQUEST')
      expect(error.context, field).to.include({ param: field, unsupported: true })
    }
    const idle = {
      tools: [], tool_choice: 'none', functions: [], function_call: 'none', n: 1, logprobs: false, top_logprobs: 0, logit_bias: {},
      frequency_penalty: 0, presence_penalty: 0, modalities: ['text'],
      user: 'u', metadata: { a: 'b' }, store: true, service_tier: 'auto', prediction: {}, an_unknown_field: { deep: [1] },
    }
    expect(readOpenAIChatRequest({ ...least, ...idle })).to.deep.equal(readOpenAIChatRequest(least))
  })

  it('names the field that is wrong', () => {
    const message = (more: object) => ({ ...least, messages: [{ role: 'user', content: 'hi', ...more }] })
    const cases: readonly (readonly [body: unknown, param: string])[] = [
      [{ ...least, model: undefined }, 'model'],
      [{ ...least, model: 'with space' }, 'model'],
      [{ ...least, messages: [] }, 'messages'],
      [{ ...least, messages: 'hi' }, 'messages'],
      [message({ role: 'tool', tool_call_id: 'x' }), 'messages[0].role'],
      [message({ role: 'king' }), 'messages[0].role'],
      [message({ content: null }), 'messages[0].content'],
      [message({ content: 5 }), 'messages[0].content'],
      [message({ content: [{ type: 'image_url', image_url: { url: 'data:' } }] }), 'messages[0].content[0].type'],
      [message({ content: [{ type: 'text' }] }), 'messages[0].content[0].text'],
      [message({ tool_calls: [{}] }), 'messages[0].tool_calls'],
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
    const seed = Date.now()
    console.log(`      seed ${seed}`)
    const mostly = (good: fc.Arbitrary<unknown>) => fc.oneof({ weight: 9, arbitrary: good }, { weight: 1, arbitrary: fc.jsonValue() })
    const maybe = (good: fc.Arbitrary<unknown>) => fc.option(mostly(good), { nil: undefined })
    const messages = fc.array(fc.record({
      role: fc.constantFrom('system', 'developer', 'user', 'assistant'),
      content: fc.oneof(fc.string({ unit: 'binary' }), fc.array(fc.record({ type: fc.constant('text'), text: fc.string() }), { maxLength: 3 })),
    }), { minLength: 1, maxLength: 4 })
    const body = fc.record({
      model: fc.constantFrom('demo', 'a/b:c', 'ü'), messages: mostly(messages),
      stream: maybe(fc.boolean()), max_tokens: maybe(fc.integer()), max_completion_tokens: maybe(fc.integer({ min: 1 })),
      temperature: maybe(fc.double({ min: 0, max: 2.5 })), top_p: maybe(fc.double({ min: 0, max: 1 })), seed: maybe(fc.maxSafeInteger()),
      stop: maybe(fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 5 }))),
      response_format: maybe(fc.record({
        type: fc.constantFrom('text', 'json_object', 'json_schema', 'x'), json_schema: fc.record({ schema: fc.object() }),
      })),
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
