import { expect } from 'chai'
import { createDayHours, type LentDay } from '../../../../node/lending/day-hours.ts'
import { createLendingGate } from '../../../../node/lending/lending-gate.ts'
import { changed, type LendingSettings, type SettingsChange } from '../../../../node/lending/settings.ts'
import { fakeClock } from '../../../support/fake-clock.ts'

const HOUR_MS = 3_600_000
const at = (iso: string) => Date.parse(iso)
const iso = (ms: number | undefined) => ms === undefined ? undefined : new Date(ms).toISOString().slice(0, 19)

function setUp(when: string, availability: LendingSettings['availability'] = {}, known?: LentDay) {
  const clock = fakeClock(at(when))
  let settings: LendingSettings = { availability, models: [], controls: {} }
  let problem: string | undefined
  let inUse: string | undefined
  let tell = (): void => {}
  const changes: (readonly [string, readonly string[]])[] = []
  const hours = createDayHours({ clock, known })
  const gate = createLendingGate({
    clock, hours, inUseBy: () => inUse,
    store: { get settings() { return settings }, get problem() { return problem }, onChange: (listener) => { tell = listener } },
  })
  gate.onChange(() => changes.push([iso(clock.now())!, gate.state.reasons.map(({ why }) => why)]))
  gate.start()
  return {
    clock, gate, changes, hours, why: () => gate.state.reasons.map(({ why }) => why),
    change(change: SettingsChange) {
      settings = changed(settings, change)
      tell()
    },
    broken(text: string | undefined) {
      problem = text
      tell()
    },
    uses(program: string | undefined) {
      inUse = program
      gate.look()
    },
  }
}

describe('node/lending/lending-gate', () => {
  it('follows its schedule over midnight, to the second', () => {
    const { clock, changes, gate } = setUp('2026-11-27T12:00:00Z', { schedule: '18:00-02:00', timeZone: 'Europe/Berlin' })
    expect([gate.state.reasons[0]?.why, iso(gate.state.changesMs)]).to.deep.equal(['schedule', '2026-11-27T17:00:00'])
    expect(gate.refusal()).to.deep.include({ code: 'LENDING_PAUSED', retryAfterMs: 5 * HOUR_MS })
    clock.advance(5 * HOUR_MS - 1)
    expect(changes).to.deep.equal([])
    clock.advance(1)
    expect(gate.refusal()).to.equal(undefined)
    clock.advance(24 * HOUR_MS)
    expect(changes).to.deep.equal([['2026-11-27T17:00:00', []], ['2026-11-28T01:00:00', ['schedule']], ['2026-11-28T17:00:00', []]])
  })

  it('follows it over both changes of summer time', () => {
    for (const [evening, from, to] of [['2026-03-28T12:00:00Z', '2026-03-28T17:00:00', '2026-03-29T03:00:00'], ['2026-10-24T12:00:00Z', '2026-10-24T16:00:00', '2026-10-25T04:00:00']] as const) {
      const { clock, changes } = setUp(evening, { schedule: '18:00-05:00', timeZone: 'Europe/Berlin' })
      clock.advance(24 * HOUR_MS - 1)
      expect(changes.slice(0, 2)).to.deep.equal([[from, []], [to, ['schedule']]])
    }
  })

  it('lends no more than its hours of a day, and goes on at midnight of its zone', () => {
    const { clock, changes, gate, hours } = setUp('2026-11-27T00:00:00Z', { hoursPerDay: 8, timeZone: 'Europe/Berlin' })
    // 01:00 in Berlin; 8 hours later it is 09:00.
    clock.advance(8 * HOUR_MS - 1)
    expect(changes).to.deep.equal([])
    clock.advance(1_000)
    expect(changes).to.deep.equal([['2026-11-27T08:00:00', ['hours']]])
    expect([hours.lent.ms, iso(gate.state.changesMs)]).to.deep.equal([8 * HOUR_MS, '2026-11-27T23:00:00'])
    clock.advance(15 * HOUR_MS)
    expect(changes[1]).to.deep.equal(['2026-11-27T23:00:00', []])
    expect(hours.lent.ms).to.be.lessThan(60_000)
  })

  it('counts only the time in which it lends, and knows of it after a restart', () => {
    const { clock, change, hours, gate } = setUp('2026-11-27T06:00:00Z', { hoursPerDay: 3, timeZone: 'UTC' })
    clock.advance(HOUR_MS)
    change({ controls: { pause: { sinceMs: 0 } } })
    clock.advance(5 * HOUR_MS)
    change({ controls: { pause: null } })
    clock.advance(HOUR_MS)
    gate.stop()
    expect(hours.lent.ms).to.be.within(2 * HOUR_MS - 50, 2 * HOUR_MS + 50)
    const again = setUp('2026-11-27T20:00:00Z', { hoursPerDay: 3, timeZone: 'UTC' }, hours.lent)
    again.clock.advance(2 * HOUR_MS)
    expect(again.changes).to.deep.equal([['2026-11-27T21:00:00', ['hours']]])
    const tomorrow = setUp('2026-11-28T20:00:00Z', { hoursPerDay: 3, timeZone: 'UTC' }, hours.lent)
    expect(tomorrow.why()).to.deep.equal([])
  })

  it('says when it lends again where hours and schedule meet', () => {
    const { clock, gate } = setUp('2026-11-27T18:00:00Z', { schedule: '18:00-23:00', hoursPerDay: 2, timeZone: 'UTC' })
    clock.advance(2 * HOUR_MS + 1_000)
    expect([gate.state.reasons.map(({ why }) => why), iso(gate.state.changesMs)]).to.deep.equal([['hours'], '2026-11-28T18:00:00'])
  })

  it('stays paused until it is resumed, or as long as was said', () => {
    const { clock, change, changes, gate, why } = setUp('2026-11-27T12:00:00Z')
    change({ controls: { pause: { sinceMs: clock.now() } } })
    clock.advance(48 * HOUR_MS)
    expect([why(), gate.state.changesMs]).to.deep.equal([['paused'], undefined])
    change({ controls: { pause: { sinceMs: clock.now(), untilMs: clock.now() + 2 * HOUR_MS } } })
    clock.advance(2 * HOUR_MS)
    expect(changes.map(([when, reasons]) => [when, ...reasons])).to.deep.equal([['2026-11-27T12:00:00', 'paused'], ['2026-11-29T12:00:00', 'paused'], ['2026-11-29T14:00:00']])
  })

  it('drains until it is told otherwise; a restart begins anew', () => {
    const { gate, why } = setUp('2026-11-27T12:00:00Z')
    gate.drain(true)
    expect([why(), gate.refusal()?.context]).to.deep.equal([['draining'], { why: 'draining' }])
    gate.drain(false)
    expect(why()).to.deep.equal([])
  })

  it('makes way for another program, and for settings that do not read', () => {
    const { uses, broken, why, gate } = setUp('2026-11-27T12:00:00Z')
    uses('game')
    expect(gate.state.reasons).to.deep.equal([{ why: 'in_use', untilMs: undefined, detail: 'game' }])
    uses(undefined)
    broken('not JSON')
    expect(why()).to.deep.equal(['settings'])
    broken(undefined)
    expect(why()).to.deep.equal([])
  })
})
