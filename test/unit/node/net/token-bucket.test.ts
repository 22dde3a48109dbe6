import { expect } from 'chai'
import * as fc from 'fast-check'
import { createTokenBucket } from '../../../../node/net/token-bucket.ts'
import { fakeClock } from '../../../support/fake-clock.ts'

describe('node/net/token-bucket', () => {
  it('gives a burst, then the rate, and says how long what was taken too much takes', () => {
    const clock = fakeClock()
    const bucket = createTokenBucket(clock, { perSecond: 100, burst: 200 })
    expect(bucket.take(200)).to.equal(0)
    expect(bucket.take(50)).to.equal(500)
    clock.advance(500)
    expect(bucket.take(0)).to.equal(0)
    expect(bucket.tryTake(1)).to.equal(false)
    clock.advance(10)
    expect(bucket.tryTake(1)).to.equal(true)
    clock.advance(60_000)
    expect(bucket.take(200), 'a pause saves no more than the burst').to.equal(0)
    expect(bucket.tryTake(1)).to.equal(false)
  })

  it('never lets more through than burst and rate, for one who waits as told', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 200 }), fc.integer({ min: 1, max: 1_000 }), (amounts, perSecond) => {
      const clock = fakeClock()
      const burst = 300
      const bucket = createTokenBucket(clock, { perSecond, burst })
      let passed = 0
      for (const amount of amounts) {
        clock.advance(bucket.take(amount))
        passed += amount
        expect(passed).to.be.at.most(burst + perSecond * clock.monotonicMs() / 1_000 + 1e-6)
      }
    }))
  })
})
