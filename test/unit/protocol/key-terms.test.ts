import { expect } from 'chai'
import * as fc from 'fast-check'
import { decode, encode } from '../../../protocol/codec.ts'
import { hasBudget, keyTermsSchema, mayUseModel } from '../../../protocol/key-terms.ts'

describe('protocol/key-terms', () => {
  it('allows every model where none is named', () => {
    expect(mayUseModel({}, 'openai/gpt-4o')).to.equal(true)
  })

  it('takes * for any characters, and everything else as it is', () => {
    const fits = (pattern: string, model: string) => mayUseModel({ models: [pattern] }, model)
    expect(fits('openai/*', 'openai/gpt-4o')).to.equal(true)
    expect(fits('*mini*', 'openai/gpt-4o-mini-2024')).to.equal(true)
    expect(fits('a*b*c', 'aXbYc')).to.equal(true)
    expect(fits('*', '')).to.equal(true)
    expect(fits('openai/*', 'anthropic/claude')).to.equal(false)
    expect(fits('gpt-4o', 'gpt-4o-mini')).to.equal(false)
    expect(fits('gpt.4o', 'gpt-4o')).to.equal(false)
    expect(fits('ab*bc', 'abc')).to.equal(false)
  })

  it('agrees with a regular expression for any pattern', () => {
    const letters = fc.array(fc.constantFrom('a', 'b', '*'), { maxLength: 8 }).map((parts) => parts.join(''))
    fc.assert(fc.property(letters, fc.array(fc.constantFrom('a', 'b'), { maxLength: 10 }).map((parts) => parts.join('')), (pattern, model) => {
      const expected = new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(model)
      expect(mayUseModel({ models: [pattern === '' ? 'x' : pattern] }, model)).to.equal(pattern === '' ? false : expected)
    }), { numRuns: 300 })
  })

  it('comes back from the wire as it was, budgets of every size too', () => {
    for (const terms of [{}, { dayBudget: 0n, totalBudget: 2n ** 63n - 1n, scopes: ['account' as const], expiresAt: 5, models: ['a*'], privacy: 'own' as const }]) {
      expect(decode(keyTermsSchema, encode(terms))).to.deep.equal(terms)
    }
    expect([hasBudget({}), hasBudget({ dayBudget: 0n }), hasBudget({ totalBudget: 1n })]).to.deep.equal([false, true, true])
  })
})
