import { expect } from 'chai'
import * as fc from 'fast-check'
import { formatCredits, MICRO_CREDITS_PER_CREDIT, parseCredits } from '../../../protocol/units.ts'

describe('protocol/units', () => {
  it('writes microcredits without loss', () => {
    for (const [amount, text] of [[0n, '0'], [1n, '0.000001'], [-1n, '-0.000001'], [1_500_000n, '1.5'], [-2_000_000n, '-2'], [123n * MICRO_CREDITS_PER_CREDIT, '123']] as const) {
      expect(formatCredits(amount)).to.equal(text)
    }
  })

  it('reads back every amount that it writes', () => {
    fc.assert(fc.property(fc.bigInt({ min: -(10n ** 17n), max: 10n ** 17n }), (amount) => {
      expect(parseCredits(formatCredits(amount))).to.equal(amount)
    }))
  })

  it('refuses what is no amount', () => {
    for (const text of ['', ' 1', '1 ', '+1', '1.', '.5', '1.0000001', '1e3', '0x1', '--1', '1,5', 'NaN', '1'.repeat(13), '١']) {
      expect(parseCredits(text), JSON.stringify(text)).to.equal(undefined)
    }
  })
})
