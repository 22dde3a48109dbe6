import { expect } from 'chai'
import * as fc from 'fast-check'
import { createAnswerCollector } from '../../../../node/bridge/collected-answer.ts'
import type { AnswerDelta } from '../../../../protocol/completion.ts'
import { toTriforceError } from '../../../../protocol/errors.ts'
import { SEED } from '../../../support/seed.ts'

function collect(deltas: readonly AnswerDelta[], charsMax = 1_000) {
  const collector = createAnswerCollector({ charsMax })
  for (const delta of deltas) collector.add(delta)
  return collector.answer
}

function failure(deltas: readonly AnswerDelta[], charsMax?: number): string {
  try {
    collect(deltas, charsMax)
  } catch (error) {
    return toTriforceError(error).code
  }
  return 'none'
}

describe('node/bridge/collected-answer', () => {
  it('puts text, thoughts, calls and log probabilities together again', () => {
    const a = { token: 'a', logprob: -1, top: [] }
    const b = { token: 'b', logprob: -2, top: [] }
    expect({
      ...collect([
        { type: 'reasoning', text: 'h', tokens: 1 }, { type: 'reasoning', text: 'm', tokens: 2 }, { type: 'reasoning', text: '', tokens: 2, signature: 's' },
        { type: 'reasoning', text: 'next', tokens: 3 }, { type: 'reasoning', text: 'c1', tokens: 3, redacted: true },
        { type: 'text', text: 'a', tokens: 4, logprobs: [a] }, { type: 'text', text: 'b', tokens: 5, logprobs: [b] },
        { type: 'toolCall', index: 0, id: 'c0', name: 'f', arguments: '', tokens: 6 }, { type: 'toolCall', index: 1, id: 'c1', name: 'g', arguments: '[', tokens: 7 },
        { type: 'toolCall', index: 0, arguments: '{}', tokens: 8 }, { type: 'toolCall', index: 1, arguments: ']', tokens: 9 },
      ]),
    }).to.deep.equal({
      text: 'ab', logprobs: [a, b],
      reasoning: [{ text: 'hm', signature: 's' }, { text: 'next' }, { text: 'c1', redacted: true }],
      toolCalls: [{ id: 'c0', name: 'f', arguments: '{}' }, { id: 'c1', name: 'g', arguments: '[]' }],
    })
  })

  it('gives the same text however it was cut', () => {
    const seed = SEED
    console.log(`      seed ${seed}`)
    fc.assert(fc.property(fc.array(fc.string()), (pieces) => {
      const texts = pieces.map((text, index): AnswerDelta => ({ type: 'text', text, tokens: index + 1 }))
      expect(collect(texts, 100_000).text).to.equal(pieces.join(''))
    }), { seed, numRuns: 100 })
  })

  it('refuses a call without its beginning, or out of order', () => {
    expect(failure([{ type: 'toolCall', index: 0, arguments: '{', tokens: 1 }])).to.equal('ENGINE_FAILED')
    expect(failure([{ type: 'toolCall', index: 0, id: 'c', arguments: '{', tokens: 1 }])).to.equal('ENGINE_FAILED')
    expect(failure([{ type: 'toolCall', index: 1, id: 'c', name: 'f', arguments: '{', tokens: 1 }])).to.equal('ENGINE_FAILED')
  })

  it('counts every kind of text against the bound: at it, and one above', () => {
    const pieces: readonly AnswerDelta[] = [
      { type: 'text', text: 'xx', tokens: 1 }, { type: 'reasoning', text: 'xx', tokens: 2 }, { type: 'toolCall', index: 0, id: 'c', name: 'f', arguments: 'xx', tokens: 3 },
    ]
    expect(failure(pieces, 6)).to.equal('none')
    expect(failure(pieces, 5)).to.equal('ENGINE_FAILED')
    const block = { type: 'reasoning', text: '', tokens: 0, signature: '' } as const
    expect(failure(Array.from({ length: 1_025 }, () => block))).to.equal('none')
    expect(failure(Array.from({ length: 1_026 }, () => block)), 'blocks without text').to.equal('ENGINE_FAILED')
  })
})
