import { expect } from 'chai'
import * as fc from 'fast-check'
import { createOpenAiAnswer } from '../../../../providers/cloud/openai-answer.ts'
import { vendorNamed } from '../../../../providers/cloud/vendors.ts'

const reader = () => createOpenAiAnswer({ vendor: vendorNamed('openai')!, onSignature: () => {}, newCallId: () => 'call_1' })
const read = (chunk: unknown) => {
  try {
    return reader().read(chunk)
  } catch {
    return 'refused'
  }
}

const text = fc.oneof(fc.string(), fc.constant(''))
const nothing = fc.constantFrom(undefined, null)
const odd = fc.oneof(fc.string(), fc.integer(), fc.constant([]), fc.constant({}))
/** Mostly nothing, so that plain chunks are frequent. */
const perhaps = (value: fc.Arbitrary<unknown>) => fc.oneof({ weight: 4, arbitrary: nothing }, { weight: 1, arbitrary: value })

const choice = fc.record({
  index: fc.constant(0),
  delta: fc.oneof({ weight: 8, arbitrary: fc.record({
    role: perhaps(fc.constant('assistant')), content: fc.oneof({ weight: 4, arbitrary: text }, perhaps(odd)), refusal: perhaps(text), reasoning: perhaps(text),
    reasoning_content: perhaps(text), tool_calls: perhaps(fc.constant([{ index: 0, id: 'call_2', function: { name: 'f', arguments: '{}' } }])),
  }) }, { weight: 1, arbitrary: perhaps(odd) }),
  finish_reason: perhaps(fc.constantFrom('stop', '', 'length')),
  logprobs: perhaps(fc.constant({ content: [{ token: 'a', logprob: -1 }] })),
})

describe('providers/cloud/openai-answer', () => {
  it('reads a chunk of plain text as it reads one that its schema has to look at', () => {
    fc.assert(fc.property(fc.array(choice, { maxLength: 2 }), perhaps(fc.constant({ prompt_tokens: 1, completion_tokens: 2 })), (choices, usage) => {
      // An empty object says nothing, and only the schema knows that.
      const looked = { choices, usage, x_groq: {} }
      expect(read({ choices, usage })).to.deep.equal(read(looked))
    }), { numRuns: 3_000 })
  })

  it('gives the text and nothing for an empty one', () => {
    const chunk = (content: string) => ({ choices: [{ index: 0, delta: { content }, finish_reason: null, logprobs: null }], usage: null })
    expect(read(chunk('a'))).to.deep.equal([{ type: 'text', text: 'a' }])
    expect(read(chunk(''))).to.deep.equal([])
  })

  it('refuses what has not the form', () => {
    const chunks = [null, 1, 'a', [], { choices: 1 }, { choices: [null] }, { choices: [{ delta: 1 }] }, { choices: [{ delta: { content: 1 } }] }]
    for (const chunk of chunks) expect(read(chunk), JSON.stringify(chunk)).to.equal('refused')
  })
})
