import { expect } from 'chai'
import * as fc from 'fast-check'
import { civilTimeOf, unixMsOf } from '../../../../node/lending/civil-time.ts'
import { parseDays, scheduleOf, stateAt, weekdays } from '../../../../node/lending/schedule.ts'

/** Every window here begins at a multiple of it. */
const STEP_MS = 30 * 60_000
const at = (iso: string) => Date.parse(iso)
const iso = (ms: number | undefined) => ms === undefined ? undefined : new Date(ms).toISOString().replace('.000', '')

/** Whole window that is open at `when`, as UTC. */
function windowAt(availability: Parameters<typeof scheduleOf>[0], when: string): readonly [string | undefined, string | undefined] {
  const schedule = scheduleOf(availability)!
  let from = at(when)
  expect(stateAt(schedule, from).open, `open at ${when}`).to.equal(true)
  while (stateAt(schedule, from - STEP_MS).open) from -= STEP_MS
  return [iso(from), iso(stateAt(schedule, at(when)).untilMs)]
}

describe('node/lending/schedule', () => {
  it('opens and closes to the millisecond, over midnight', () => {
    const schedule = scheduleOf({ schedule: '18:00-02:00', timeZone: 'UTC' })!
    expect(stateAt(schedule, at('2026-11-27T17:59:59.999Z'))).to.deep.equal({ open: false, untilMs: at('2026-11-27T18:00:00Z') })
    expect(stateAt(schedule, at('2026-11-27T18:00:00Z'))).to.deep.equal({ open: true, untilMs: at('2026-11-28T02:00:00Z') })
    expect(stateAt(schedule, at('2026-11-28T01:59:59.999Z')).open).to.equal(true)
    expect(stateAt(schedule, at('2026-11-28T02:00:00Z'))).to.deep.equal({ open: false, untilMs: at('2026-11-28T18:00:00Z') })
  })

  it('counts a night to the day on which it begins', () => {
    const schedule = scheduleOf({ schedule: '22:00-06:00', days: ['fri'], timeZone: 'Europe/Berlin' })!
    // Friday 27 November to Saturday 28 November 2026, 22:00 to 06:00 at UTC+1.
    expect(stateAt(schedule, at('2026-11-27T20:59:00Z'))).to.deep.equal({ open: false, untilMs: at('2026-11-27T21:00:00Z') })
    expect(stateAt(schedule, at('2026-11-28T04:59:00Z'))).to.deep.equal({ open: true, untilMs: at('2026-11-28T05:00:00Z') })
    expect(stateAt(schedule, at('2026-11-28T05:00:00Z'))).to.deep.equal({ open: false, untilMs: at('2026-12-04T21:00:00Z') })
  })

  it('is an hour shorter in the night in which summer time begins', () => {
    expect(windowAt({ schedule: '18:00-06:00', timeZone: 'Europe/Berlin' }, '2026-03-28T23:00:00Z')).to.deep.equal(['2026-03-28T17:00:00Z', '2026-03-29T04:00:00Z'])
    // 02:00 to 03:00 does not come in this night, and of 02:30 to 03:30 only the second half.
    const skipped = scheduleOf({ schedule: '02:00-03:00', timeZone: 'Europe/Berlin' })!
    expect(stateAt(skipped, at('2026-03-29T00:30:00Z'))).to.deep.equal({ open: false, untilMs: at('2026-03-30T00:00:00Z') })
    expect(windowAt({ schedule: '02:30-03:30', timeZone: 'Europe/Berlin' }, '2026-03-29T01:00:00Z')).to.deep.equal(['2026-03-29T01:00:00Z', '2026-03-29T01:30:00Z'])
    expect(windowAt({ schedule: '18:00-02:30', timeZone: 'America/New_York' }, '2026-03-08T05:00:00Z')).to.deep.equal(['2026-03-07T23:00:00Z', '2026-03-08T07:00:00Z'])
  })

  it('is an hour longer in the night in which it ends, and opens once', () => {
    expect(windowAt({ schedule: '18:00-06:00', timeZone: 'Europe/Berlin' }, '2026-10-24T23:00:00Z')).to.deep.equal(['2026-10-24T16:00:00Z', '2026-10-25T05:00:00Z'])
    expect(windowAt({ schedule: '02:00-03:00', timeZone: 'Europe/Berlin' }, '2026-10-25T00:30:00Z')).to.deep.equal(['2026-10-25T00:00:00Z', '2026-10-25T02:00:00Z'])
    // 02:30 comes twice; the first one ends it.
    const once = scheduleOf({ schedule: '22:00-02:30', timeZone: 'Europe/Berlin' })!
    expect(stateAt(once, at('2026-10-25T00:29:59Z'))).to.deep.equal({ open: true, untilMs: at('2026-10-25T00:30:00Z') })
    expect(stateAt(once, at('2026-10-25T01:10:00Z'))).to.deep.equal({ open: false, untilMs: at('2026-10-25T21:00:00Z') })
  })

  it('may go round the clock, all week, or never', () => {
    const always = scheduleOf({ schedule: '08:00-08:00', timeZone: 'UTC' })!
    expect(stateAt(always, at('2026-11-27T03:00:00Z'))).to.deep.equal({ open: true, untilMs: undefined })
    expect(stateAt(scheduleOf({ days: [...weekdays], timeZone: 'Europe/Berlin' })!, at('2026-11-27T03:00:00Z'))).to.deep.equal({ open: true, untilMs: undefined })
    expect(windowAt({ days: ['sat', 'sun'], timeZone: 'UTC' }, '2026-11-28T12:00:00Z')).to.deep.equal(['2026-11-28T00:00:00Z', '2026-11-30T00:00:00Z'])
    expect(stateAt(scheduleOf({ schedule: '08:00-09:00', days: [], timeZone: 'UTC' })!, at('2026-11-27T08:30:00Z'))).to.deep.equal({ open: false, untilMs: undefined })
    expect(scheduleOf({})).to.equal(undefined)
  })

  it('agrees with the clock on the wall wherever that runs evenly, and what it says of the next change is true', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/Santiago', 'Pacific/Apia']
    const minute = fc.integer({ min: 0, max: 1_439 })
    const text = (of: number) => `${String(Math.floor(of / 60)).padStart(2, '0')}:${String(of % 60).padStart(2, '0')}`
    fc.assert(fc.property(fc.constantFrom(...zones), minute, minute, fc.subarray([...weekdays]), fc.integer({ min: at('2026-01-01'), max: at('2028-01-01') }), (zone, from, to, days, now) => {
      const schedule = scheduleOf({ schedule: `${text(from)}-${text(to)}`, days, timeZone: zone })!
      const { open, untilMs } = stateAt(schedule, now)
      const isEven = unixMsOf(civilTimeOf(now, zone).day + 2, 0, zone) - unixMsOf(civilTimeOf(now, zone).day - 1, 0, zone) === 3 * 86_400_000
      if (isEven) {
        const { weekday, minute: shown } = civilTimeOf(now, zone)
        const [today, yesterday] = [days.includes(weekdays[weekday]!), days.includes(weekdays[(weekday + 6) % 7]!)]
        expect(open).to.equal(from < to ? today && shown >= from && shown < to : (today && shown >= from) || (yesterday && shown < to))
      }
      if (untilMs === undefined) return
      expect(untilMs).to.be.greaterThan(now)
      expect([stateAt(schedule, untilMs - 1).open, stateAt(schedule, untilMs).open]).to.deep.equal([open, !open])
    }), { numRuns: 300 })
  })

  it('refuses what is no time, no zone and no day', () => {
    for (const schedule of ['nights', '25:00-02:00', '18:00', '18:00-24:30']) expect(() => scheduleOf({ schedule })).to.throw(/two times of the day/).with.property('code', 'BAD_REQUEST')
    expect(() => scheduleOf({ timeZone: 'Berlin' })).to.throw(/no time zone.*Europe\/Berlin/)
    expect(() => parseDays('mon-xyz')).to.throw(RangeError)
  })

  it('reads days as people write them', () => {
    expect(parseDays('Mon-Fri')).to.deep.equal(['mon', 'tue', 'wed', 'thu', 'fri'])
    expect(parseDays('sat,sun')).to.deep.equal(['sun', 'sat'])
    expect(parseDays('fri-mon')).to.deep.equal(['sun', 'mon', 'fri', 'sat'])
    expect(parseDays('saturday')).to.deep.equal(['sat'])
  })
})
