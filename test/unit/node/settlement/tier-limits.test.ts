import { expect } from 'chai'
import { createTierLimits } from '../../../../node/settlement/tier-limits.ts'
import type { TriforceError } from '../../../../protocol/errors.ts'
import { fakeClock } from '../../../support/fake-clock.ts'

const account = (id: number) => new Uint8Array(16).fill(id)

function setUp(requestsPerMinute: number | null, concurrentMax = 100) {
  const clock = fakeClock()
  const limits = createTierLimits({ clock, tierOf: () => ({ priority: 1, requestsPerMinute, concurrentMax }) }, { accountsMax: 2 })
  const refused = (id = 1): TriforceError | undefined => {
    try {
      limits.enter(account(id), 'free')()
      return undefined
    } catch (error) {
      return error as TriforceError
    }
  }
  return { clock, limits, refused }
}

describe('node/settlement/tier-limits', () => {
  it('lets a minute\'s requests come at once, then one every sixtieth of a minute, and says when', () => {
    const { clock, refused } = setUp(60)
    for (let count = 0; count < 60; count += 1) expect(refused()).to.equal(undefined)
    const error = refused()
    expect([error?.code, error?.retryAfterMs]).to.deep.equal(['RATE_LIMITED', 1_000])
    clock.advance(999)
    expect(refused()?.retryAfterMs).to.equal(1)
    clock.advance(1)
    expect([refused(), refused()?.code]).to.deep.equal([undefined, 'RATE_LIMITED'])
  })

  it('counts each account for itself, and saves up no more than a minute\'s', () => {
    const { clock, refused } = setUp(2)
    expect([refused(1), refused(1), refused(1)?.code, refused(2)]).to.deep.equal([undefined, undefined, 'RATE_LIMITED', undefined])
    clock.advance(600_000)
    expect([refused(1), refused(1), refused(1)?.code]).to.deep.equal([undefined, undefined, 'RATE_LIMITED'])
  })

  it('bounds what runs at once, where there is no rate too, and frees a place once', () => {
    const { limits, refused } = setUp(null, 2)
    const leave = limits.enter(account(1), 'free')
    limits.enter(account(1), 'free')
    expect(refused()?.code).to.equal('RATE_LIMITED')
    leave()
    leave()
    limits.enter(account(1), 'free')
    expect(refused()?.code).to.equal('RATE_LIMITED')
  })

  it('forgets whoever has a full bucket, and nobody else', () => {
    const { clock, limits, refused } = setUp(2, 1)
    limits.enter(account(1), 'free')
    clock.advance(60_000)
    for (const id of [2, 3, 4]) expect(refused(id)).to.equal(undefined)
    // Its request still runs.
    expect(refused(1)?.code).to.equal('RATE_LIMITED')
    clock.advance(60_000)
    expect(refused(5)).to.equal(undefined)
    expect(refused(2)).to.equal(undefined)
  })
})
