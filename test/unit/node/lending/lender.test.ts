import { expect } from 'chai'
import { lendingStateWords, timeText } from '../../../../node/lending/lending-state-words.ts'
import { lenderWorld } from '../../../support/lender-world.ts'

const HOUR_MS = 3_600_000
const NOON = Date.parse('2026-11-27T12:00:00Z')

describe('node/lending/lender', () => {
  it('says why it does not lend, when it will again, and what the operator can do', async () => {
    let running = 0
    const { clock, lender } = lenderWorld({ startMs: NOON, running: () => running })
    const words = () => lendingStateWords(lender.view(), clock.now()).join('\n')
    await lender.change({ availability: { timeZone: 'UTC' } })
    expect(words()).to.equal('It lends now.')
    await lender.change({ availability: { schedule: '18:00-02:00' } })
    expect(words()).to.equal('It does not lend now: its hours are 18:00-02:00. It lends again at 18:00 by itself.')
    clock.advance(6 * HOUR_MS)
    expect(words()).to.equal('It lends now, until 02:00 tomorrow.')
    running = 8
    await lender.pause({ untilMs: undefined })
    expect(words()).to.equal('It does not lend now: it is paused. 8 answers are still being finished. To lend it again: triforce resume.')
    await lender.pause({ untilMs: clock.now() + HOUR_MS })
    expect(words()).to.contain('it is paused until 19:00.').and.to.contain('It lends again at 19:00 by itself.')
    running = 1
    await lender.resume()
    lender.drain()
    expect(words()).to.contain('it is drained, and takes nothing new until it is resumed or started again. 1 answer is still being finished. To lend it again: triforce resume.')
    await lender.resume()
    expect(words()).to.equal('It lends now, until 02:00 tomorrow.')
    await lender.change({ availability: { hoursPerDay: 0 } })
    expect(words()).to.contain('lent for its 0 hours of today').and.to.contain('It never will with these settings')
  })

  it('names days that are not today', () => {
    const at = (text: string) => Date.parse(text)
    expect(timeText(at('2026-11-27T23:30:00Z'), NOON, 'Europe/Berlin')).to.equal('00:30 tomorrow')
    expect(timeText(at('2026-11-30T07:05:00Z'), NOON, 'UTC')).to.equal('07:05 on mon')
    expect(timeText(at('2026-12-24T07:05:00Z'), NOON, 'UTC')).to.equal('07:05 on 2026-12-24')
  })

  it('puts the operator\'s own jobs first and friends\' next', async () => {
    const account = (byte: number) => new Uint8Array(16).fill(byte)
    const { lender } = lenderWorld({ account: account(1) })
    await lender.change({ controls: { friends: ['02'.repeat(16)] } })
    expect([1, 2, 3].map((byte) => lender.rankOf(account(byte)))).to.deep.equal([0, 1, 2])
    await lender.change({ controls: { friends: null } })
    expect(lender.rankOf(account(2))).to.equal(2)
  })

  it('announces its pause with its reason and end', async () => {
    const { clock, lender } = lenderWorld({ startMs: NOON })
    expect(lender.pauseNow()).to.equal(undefined)
    await lender.pause({ untilMs: clock.now() + HOUR_MS })
    expect(lender.pauseNow()).to.deep.equal({ why: 'paused', until: clock.now() + HOUR_MS })
    lender.drain()
    expect(lender.pauseNow()).to.deep.equal({ why: 'draining' })
  })
})
