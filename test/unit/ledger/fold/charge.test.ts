import { expect } from 'chai'
import * as fc from 'fast-check'
import { chargeOf } from '../../../../ledger/fold/charge.ts'

const tokens = fc.nat(2 ** 40)
const use = fc.record({ promptTokens: tokens, completionTokens: tokens })
const price = fc.record({ promptMicroCredits: fc.bigInt(0n, 10n ** 12n), completionMicroCredits: fc.bigInt(0n, 10n ** 12n) })

describe('ledger/fold: a charge', () => {
  it('is at least what the tokens cost exactly, and less than one microcredit more', () => {
    fc.assert(fc.property(use, price, ({ promptTokens, completionTokens }, row) => {
      const thousandths = BigInt(promptTokens) * row.promptMicroCredits + BigInt(completionTokens) * row.completionMicroCredits
      const above = chargeOf({ promptTokens, completionTokens }, 0, row).charge * 1_000n - thousandths
      expect(above >= 0n && above < 1_000n, String(above)).to.equal(true)
    }), { numRuns: 1_000 })
  })

  it('grows with use, and a quota covers the first tokens, those of the prompt before the others', () => {
    fc.assert(fc.property(use, use, tokens, price, (before, more, quota, row) => {
      const after = { promptTokens: before.promptTokens + more.promptTokens, completionTokens: before.completionTokens + more.completionTokens }
      const [first, second] = [chargeOf(before, quota, row), chargeOf(after, quota, row)]
      expect(second.quotaTokens >= first.quotaTokens).to.equal(true)
      expect(second.quotaTokens).to.equal(Math.min(quota, after.promptTokens + after.completionTokens))
      const prompt = Math.min(second.quotaTokens, after.promptTokens)
      const rest = { promptTokens: after.promptTokens - prompt, completionTokens: after.completionTokens - (second.quotaTokens - prompt) }
      expect(second.charge).to.equal(chargeOf(rest, 0, row).charge)
    }), { numRuns: 1_000 })
  })
})
