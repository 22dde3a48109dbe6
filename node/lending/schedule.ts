/**
 * When a machine may be lent by the clock: times of the day, over midnight too, on some days of the week, in a time zone.
 * Pure. A window opens once, when the clock first shows its beginning, and closes when it first shows its end; where summer
 * time skips one of them, when it skips it. So a night may be an hour shorter or longer, as for people.
 */
import { TriforceError } from '../../protocol/errors.ts'
import { weekdaySchema, type Availability, type Weekday } from '../../protocol/messages/contributor.ts'
import { civilTimeOf, isTimeZone, ownTimeZone, unixMsOf, weekdayOf, type CivilDay } from './civil-time.ts'

/** In the order of their numbers. */
export const weekdays = weekdaySchema.options

export interface Schedule {
  readonly zone: string
  readonly fromMinute: number
  /** Not after `fromMinute`: on the next day. */
  readonly toMinute: number
  /** Days on which it begins, as of `weekdays`. */
  readonly days: ReadonlySet<number>
}

export interface ScheduleState {
  readonly open: boolean
  /** When that changes; undefined: not within the next week. */
  readonly untilMs: number | undefined
}

const FORM = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)$/
/** A window that began yesterday may be open, and the next one begins within a week. */
const DAYS_BACK = 1
const DAYS_AHEAD = 8

/** Undefined where no schedule was said: always. Throws BAD_REQUEST that names the field. */
export function scheduleOf({ schedule, days, timeZone }: Availability): Schedule | undefined {
  const zone = timeZone ?? ownTimeZone()
  if (!isTimeZone(zone)) throw invalid('time_zone', `"${zone}" is no time zone; give one such as Europe/Berlin, or UTC`)
  if (schedule === undefined && days === undefined) return undefined
  const times = timesOf(schedule ?? '00:00-24:00')
  if (times === undefined) throw invalid('schedule', TIMES_WANTED)
  return {
    zone, ...times,
    days: new Set(days === undefined ? weekdays.keys() : days.map((day) => weekdays.indexOf(day))),
  }
}

const TIMES_WANTED = 'must be two times of the day, such as 18:00-02:00'

function timesOf(schedule: string): Pick<Schedule, 'fromMinute' | 'toMinute'> | undefined {
  const [, fromHour, fromMinute, toHour, toMinute] = FORM.exec(schedule) ?? []
  if (fromHour === undefined || (toHour === '24' && toMinute !== '00')) return undefined
  return { fromMinute: Number(fromHour) * 60 + Number(fromMinute), toMinute: Number(toHour) * 60 + Number(toMinute) }
}

/** `18:00-02:00` as it is; throws RangeError. */
export function parseTimes(text: string): string {
  if (timesOf(text) === undefined) throw new RangeError(TIMES_WANTED)
  return text
}

/** `Europe/Berlin` as it is; throws RangeError. */
export function parseTimeZone(text: string): string {
  if (!isTimeZone(text)) throw new RangeError('must be a time zone such as Europe/Berlin, or UTC')
  return text
}

function invalid(param: string, problem: string): TriforceError {
  return new TriforceError('BAD_REQUEST', { param }, { detail: `${param}: ${problem}` })
}

export function stateAt(schedule: Schedule, atMs: number): ScheduleState {
  const today = civilTimeOf(atMs, schedule.zone).day
  const windows = windowsOf(schedule, today - DAYS_BACK, today + DAYS_AHEAD)
  const now = windows.find(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs)
  if (now === undefined) return { open: false, untilMs: windows.find(({ fromMs }) => fromMs > atMs)?.fromMs }
  // The last one seen may go on into days that were not looked at.
  return { open: true, untilMs: now === windows.at(-1) && now.toMs > atMs + (DAYS_AHEAD - 1) * DAY_MS ? undefined : now.toMs }
}

const DAY_MS = 86_400_000

interface Window { readonly fromMs: number; readonly toMs: number }

/** In order, those that touch as one. */
function windowsOf({ zone, fromMinute, toMinute, days }: Schedule, first: CivilDay, last: CivilDay): Window[] {
  const windows: Window[] = []
  for (let day = first; day <= last; day += 1) {
    if (!days.has(weekdayOf(day))) continue
    const fromMs = unixMsOf(day, fromMinute, zone)
    const toMs = unixMsOf(toMinute > fromMinute ? day : day + 1, toMinute, zone)
    const before = windows.at(-1)
    if (before !== undefined && before.toMs >= fromMs) windows[windows.length - 1] = { fromMs: before.fromMs, toMs: Math.max(before.toMs, toMs) }
    else if (toMs > fromMs) windows.push({ fromMs, toMs })
  }
  return windows
}

/** `mon-fri`, `sat,sun`, `fri-mon`; throws RangeError. */
export function parseDays(text: string): readonly Weekday[] {
  const found = new Set<number>()
  for (const part of text.toLowerCase().split(',')) {
    const [from, to, ...rest] = part.trim().split('-').map((name) => weekdays.findIndex((day) => name.startsWith(day)))
    if (from === undefined || from === -1 || to === -1 || rest.length > 0) throw new RangeError('must be days such as mon-fri or sat,sun')
    for (let day = from; ; day = (day + 1) % 7) {
      found.add(day)
      if (day === (to ?? from)) break
    }
  }
  return weekdays.filter((_, index) => found.has(index))
}
