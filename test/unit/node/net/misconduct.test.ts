import { expect } from 'chai'
import { createMisconduct } from '../../../../node/net/misconduct.ts'
import { fakeClock } from '../../../support/fake-clock.ts'

describe('node/net/misconduct', () => {
  it('bans at the last strike and not one earlier, for banMs and not one millisecond less', () => {
    const clock = fakeClock()
    const misconduct = createMisconduct({ clock }, { strikesMax: 3, banMs: 1_000 })
    expect([1, 2].map(() => misconduct.report('p', 'PROTOCOL_VIOLATION'))).to.deep.equal([false, false])
    expect(misconduct.isBanned('p')).to.equal(false)
    expect(misconduct.report('p', 'FRAME_MALFORMED')).to.equal(true)
    clock.advance(999)
    expect(misconduct.isBanned('p')).to.equal(true)
    clock.advance(1)
    expect(misconduct.isBanned('p')).to.equal(false)
  })

  it('forgets strikes after the window', () => {
    const clock = fakeClock()
    const misconduct = createMisconduct({ clock }, { strikesMax: 2, windowMs: 1_000 })
    misconduct.report('p', 'SIGNATURE_INVALID')
    clock.advance(1_000)
    expect(misconduct.report('p', 'SIGNATURE_INVALID')).to.equal(false)
    expect(misconduct.report('p', 'SIGNATURE_INVALID')).to.equal(true)
  })

  it('counts only what no honest peer sends, and spares the hubs', () => {
    const misconduct = createMisconduct({ clock: fakeClock() }, { strikesMax: 1, spares: (peer) => peer === 'hub' })
    for (const code of ['HOST_LOST', 'HOST_SILENT', 'QUEUE_FULL', 'TICKET_EXPIRED', 'INTERNAL'] as const) {
      expect(misconduct.report('p', code)).to.equal(false)
    }
    expect(misconduct.report('hub', 'PROTOCOL_VIOLATION')).to.equal(false)
    expect(misconduct.isBanned('hub')).to.equal(false)
  })

  it('remembers a bounded number of peers', () => {
    const misconduct = createMisconduct({ clock: fakeClock() }, { strikesMax: 1, peersMax: 2 })
    for (const peer of ['a', 'b', 'c']) misconduct.report(peer, 'NOT_A_HUB')
    expect(['a', 'b', 'c'].map((peer) => misconduct.isBanned(peer))).to.deep.equal([false, true, true])
  })
})
