import { expect } from 'chai'
import * as fc from 'fast-check'
import { readAnthropicPrompt, readAnthropicRequest } from '../../../../../node/bridge/anthropic/request.ts'
import { completionRequestSchema } from '../../../../../protocol/completion.ts'
import { toTriforceError, type TriforceError } from '../../../../../protocol/errors.ts'
import { PNG } from '../../../../support/bridge-sdk.ts'
import { SEED } from '../../../../support/seed.ts'

const least = { model: 'demo', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] }

function refusal(body: unknown): TriforceError {
  try {
    readAnthropicRequest(body)
  } catch (error) {
    return toTriforceError(error)
  }
  throw new Error('was not refused')
}

describe('node/bridge/anthropic/request', () => {
  it('reads the least body', () => {
    expect(readAnthropicRequest(least)).to.deep.equal({
      completion: { model: 'demo', messages: [{ role: 'user', content: 'hi' }], continueLast: false, maxTokens: 9, stop: [], responseFormat: { type: 'text' } },
      stream: false, thinkingShown: true,
    })
  })

  it('reads what Claude Code sends', () => {
    const { completion, stream } = readAnthropicRequest({
      model: 'claude-sonnet-4-5', max_tokens: 32_000, stream: true, temperature: 1,
      system: [
        { type: 'text', text: 'x-anthropic-billing-header: cc_version=2.1.0; cc_entrypoint=cli;' },
        { type: 'text', text: 'You are Claude Code.', cache_control: { type: 'ephemeral' } },
      ],
      messages: [
        { role: 'user', content: [{ type: 'text', text: '<system-reminder>…</system-reminder>' }, { type: 'text', text: 'list files', cache_control: { type: 'ephemeral' } }] },
        { role: 'assistant', content: [{ type: 'thinking', thinking: 'ls', signature: 's' }, { type: 'tool_use', id: 'toolu_01', name: 'Bash', input: { command: 'ls' }, caller: { type: 'direct' } }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_01', content: 'a.txt', is_error: false, cache_control: { type: 'ephemeral' } }] },
      ],
      tools: [{ name: 'Bash', description: 'runs', input_schema: { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object', properties: { command: { type: 'string' } } }, eager_input_streaming: true }],
      metadata: { user_id: 'user_1' }, thinking: { type: 'adaptive' }, output_config: { effort: 'high' },
      context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
    })
    expect(stream).to.equal(true)
    expect(completion.messages.map(({ role }) => role)).to.deep.equal(['system', 'user', 'assistant', 'tool'])
    expect(completion.messages[3]).to.deep.equal({ role: 'tool', toolCallId: 'toolu_01', content: 'a.txt' })
    expect(completion.reasoning).to.deep.equal({ adaptive: true, effort: 'high' })
  })

  it('reads a wish to think in all its words', () => {
    const wishOf = (fields: object) => readAnthropicRequest({ ...least, ...fields }).completion.reasoning
    expect(wishOf({ thinking: { type: 'disabled' }, output_config: { effort: 'low' } })).to.deep.equal({ effort: 'none' })
    expect(wishOf({ thinking: { type: 'enabled', budget_tokens: 100_000 } })).to.deep.equal({ tokensMax: 32_768 })
    expect(wishOf({ thinking: { type: 'between_tools' } })).to.deep.equal({ adaptive: true })
    expect(wishOf({ output_config: { effort: 'xhigh' } })).to.deep.equal({ adaptive: true, effort: 'high' })
    expect(wishOf({ output_config: {} })).to.equal(undefined)
  })

  it('keeps text before a later thought in its place, as a message of its own', () => {
    const content = [
      { type: 'text', text: 'a' }, { type: 'thinking', thinking: 'b', signature: 's' }, { type: 'text', text: 'c' },
      { type: 'tool_use', id: 't', name: 'x', input: {} }, { type: 'redacted_thinking', data: 'd' },
    ]
    expect(readAnthropicRequest({ ...least, messages: [{ role: 'assistant', content }] }).completion).to.deep.include({
      continueLast: false,
      messages: [
        { role: 'assistant', content: 'a' },
        { role: 'assistant', content: 'c', reasoning: [{ text: 'b', signature: 's' }, { text: 'd', redacted: true }], toolCalls: [{ id: 't', name: 'x', arguments: '{}' }] },
      ],
    })
  })

  it('reads documents that are text, and wishes of the choice of a host', () => {
    const { completion, routing } = readAnthropicRequest({
      ...least, models: ['other'], triforce: { privacy: 'own' },
      messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'long' }, title: 'x' }] }],
    }, { 'x-triforce-privacy': 'any' })
    expect(completion.messages[0]?.content).to.equal('long')
    expect(routing).to.deep.equal({ fallbackModels: ['other'], privacy: 'own' })
  })

  it('replaces half surrogate pairs, and takes lone tools without their choice', () => {
    expect(readAnthropicRequest({ ...least, messages: [{ role: 'user', content: 'a\ud800' }], tool_choice: { type: 'none' } }).completion).to.deep.include({ messages: [{ role: 'user', content: 'a�' }] })
  })

  it('counts a prompt without a bound of tokens', () => {
    expect(readAnthropicPrompt({ model: 'demo', messages: least.messages })).to.not.have.property('maxTokens')
  })

  const refusals: readonly (readonly [object, string])[] = [
    [{ messages: [] }, 'messages'], [{ messages: [{ role: 'user', content: [] }] }, 'messages[0].content'], [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].role'],
    [{ system: [{ type: 'image', source: {} }] }, 'system[0].type'], [{ tool_choice: { type: 'any' } }, 'tool_choice.type'], [{ temperature: 1.5 }, 'temperature'],
    [{ messages: [{ role: 'assistant', content: [{ type: 'tool_use', id: 'x', name: 'y', input: 'z' }] }] }, 'messages[0].content[0].input'],
    [{ messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'base64', data: 'x' } }] }] }, 'messages[0].content[0].source.type'],
    [{ stop_sequences: ['a', 'b', 'c', 'd', 'e'] }, 'stop_sequences'], [{ container: 'x' }, 'container'], [{ provider: { zdr: true } }, 'provider.zdr'],
  ]
  it('names the field that it refuses', () => {
    for (const [fields, param] of refusals) expect(refusal({ ...least, ...fields }).context, param).to.include({ param })
  })

  it('refuses more text or more images than a request may have', () => {
    expect(refusal({ ...least, messages: [{ role: 'user', content: 'x'.repeat(1_000_001) }] }).code).to.equal('CONTEXT_LENGTH_EXCEEDED')
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }
    expect(refusal({ ...least, messages: [{ role: 'user', content: Array.from({ length: 33 }, () => image) }] }).message).to.equal('messages: may have 32 images together')
  })

  it('gives a valid request or a clear error for whatever is sent', () => {
    const seed = SEED
    console.log(`      seed ${seed}`)
    const mostly = (good: fc.Arbitrary<unknown>) => fc.oneof({ weight: 40, arbitrary: good }, { weight: 1, arbitrary: fc.jsonValue() })
    const maybe = (good: fc.Arbitrary<unknown>) => fc.option(mostly(good), { nil: undefined })
    const json = fc.object({ maxDepth: 1, maxKeys: 3 })
    const text = fc.record({ type: fc.constant('text'), text: fc.string({ unit: 'binary' }) })
    const image = fc.record({ type: fc.constant('image'), source: fc.record({ type: fc.constant('base64'), data: fc.constantFrom(PNG, 'aGk=') }) })
    const result = fc.record({ type: fc.constant('tool_result'), tool_use_id: fc.string(), content: maybe(fc.oneof(fc.string(), fc.array(fc.oneof(text, image), { maxLength: 2 }))) })
    const thought = fc.oneof(fc.record({ type: fc.constant('thinking'), thinking: fc.string(), signature: fc.string() }), fc.record({ type: fc.constant('redacted_thinking'), data: fc.string() }))
    const call = fc.record({ type: fc.constant('tool_use'), id: fc.string({ minLength: 1 }), name: fc.string({ minLength: 1 }), input: json })
    const message = fc.oneof(
      fc.record({ role: fc.constantFrom('user', 'system', 'assistant'), content: fc.string({ unit: 'binary' }) }),
      fc.record({ role: fc.constant('user'), content: fc.array(fc.oneof(text, image, result), { maxLength: 4 }) }),
      fc.record({ role: fc.constant('assistant'), content: fc.array(fc.oneof(text, thought, call), { maxLength: 4 }) }),
    )
    const body = fc.record({
      model: fc.constantFrom('demo', 'a/b:c', 'ü'), max_tokens: mostly(fc.integer({ min: 1 })), messages: mostly(fc.array(message, { minLength: 1, maxLength: 4 })),
      system: maybe(fc.oneof(fc.string(), fc.array(text, { maxLength: 2 }))), stop_sequences: maybe(fc.array(fc.string(), { maxLength: 5 })), top_k: maybe(fc.nat()),
      temperature: maybe(fc.double({ min: 0, max: 1, noNaN: true })), thinking: maybe(fc.record({ type: fc.constantFrom('enabled', 'adaptive', 'x'), budget_tokens: fc.nat() })),
      tools: maybe(fc.array(fc.record({ name: fc.string(), input_schema: json }), { maxLength: 2 })), tool_choice: maybe(fc.record({ type: fc.constantFrom('auto', 'any', 'none') })),
      output_config: maybe(fc.record({ format: fc.record({ type: fc.constant('json_schema'), schema: json }) })),
    })
    let accepted = 0
    fc.assert(fc.property(body, (value) => {
      try {
        completionRequestSchema.parse(readAnthropicRequest(value).completion)
        accepted += 1
      } catch (error) {
        expect(toTriforceError(error).code).to.equal('BAD_REQUEST')
      }
    }), { seed, numRuns: 200 })
    expect(accepted).to.be.greaterThan(20)
  })
})
