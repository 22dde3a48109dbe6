import { expect } from 'chai'
import * as fc from 'fast-check'
import { createStopMatcher } from '../../../../providers/embedded/stop-matcher.ts'

function runOver(pieces: readonly string[], stops: readonly string[]): { text: string; stopped: boolean } {
  const matcher = createStopMatcher(stops)
  let text = ''
  for (const piece of pieces) {
    const result = matcher.push(piece)
    text += result.text
    if (result.stopped) return { text, stopped: true }
  }
  return { text: text + matcher.rest(), stopped: false }
}

describe('providers/embedded/stop-matcher', () => {
  it('gives everything out at once without stop strings', () => {
    expect(createStopMatcher([]).push('abc')).to.deep.equal({ text: 'abc', stopped: false })
  })

  it('holds back the beginning of a stop string and gives it out when it was none', () => {
    const matcher = createStopMatcher(['STOP'])
    expect(matcher.push('a ST')).to.deep.equal({ text: 'a ', stopped: false })
    expect(matcher.push('ST')).to.deep.equal({ text: 'ST', stopped: false })
    expect(matcher.push('x')).to.deep.equal({ text: 'STx', stopped: false })
  })

  it('ends at the stop string that comes first, whatever their order', () => {
    expect(runOver(['one two three'], ['three', 'two'])).to.deep.equal({ text: 'one ', stopped: true })
  })

  it('gives the same text however the answer is cut into pieces', () => {
    // A small alphabet, so that stop strings and their beginnings are met often.
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 40 })
    const stop = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 5 })
    fc.assert(fc.property(fc.array(text, { maxLength: 10 }), fc.array(stop, { minLength: 1, maxLength: 4 }), (pieces, stops) => {
      const whole = pieces.join('')
      const ends = stops.map((one) => whole.indexOf(one)).filter((at) => at !== -1)
      const { text: given, stopped } = runOver(pieces, stops)
      expect(stopped).to.equal(ends.length > 0)
      // Piece by piece, a longer stop string that began earlier is met when it is complete, a shorter one inside it before.
      if (!stopped) expect(given).to.equal(whole)
      else expect(stops.some((one) => whole.startsWith(given + one))).to.equal(true)
      for (const one of stops) expect(given).to.not.include(one)
    }))
  })
})
