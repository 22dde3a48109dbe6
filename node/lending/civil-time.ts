/**
 * Days and minutes as a clock on the wall of a place shows them, to Unix time and back, over changes of summer time. Pure;
 * what places do with their clocks comes from the time zone tables of the runtime.
 */

/** A day of the calendar, counted from 1970-01-01. */
export type CivilDay = number

export interface CivilTime {
  readonly day: CivilDay
  /** 0 is Sunday. */
  readonly weekday: number
  /** Since the day began by the clock: 0 to 1,439. */
  readonly minute: number
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
/** Further than any offset from UTC, so that both sides of a change are seen. */
const AROUND_MS = 36 * 3_600_000
const FORMATS_MAX = 64

const formats = new Map<string, Intl.DateTimeFormat>()

/** True for a name of the IANA table, such as `Europe/Berlin`, and for `UTC`. */
export function isTimeZone(name: string): boolean {
  try {
    formatOf(name)
    return true
  } catch {
    return false
  }
}

/** The zone that this machine was set to when the process began. */
export function ownTimeZone(): string {
  ownZone ??= new Intl.DateTimeFormat('en').resolvedOptions().timeZone
  return ownZone
}

let ownZone: string | undefined

export function civilTimeOf(atMs: number, zone: string): CivilTime {
  const wallMs = atMs + offsetMs(atMs, zone)
  const day = Math.floor(wallMs / DAY_MS)
  return { day, weekday: weekdayOf(day), minute: Math.floor((wallMs - day * DAY_MS) / MINUTE_MS) }
}

/** 1970-01-01 was a Thursday. */
export function weekdayOf(day: CivilDay): number {
  return (((day + 4) % 7) + 7) % 7
}

/**
 * When the clock of the place first shows this minute of the day; `minute` may be 1,440 for the end of the day. Where it
 * skips the minute: when it skips it.
 */
export function unixMsOf(day: CivilDay, minute: number, zone: string): number {
  const wallMs = day * DAY_MS + minute * MINUTE_MS
  const [before, after] = [offsetMs(wallMs - AROUND_MS, zone), offsetMs(wallMs + AROUND_MS, zone)]
  const shown = [wallMs - before, wallMs - after].sort((a, b) => a - b).find((atMs) => atMs + offsetMs(atMs, zone) === wallMs)
  return shown ?? firstWith(wallMs - Math.max(before, after), wallMs - Math.min(before, after), (atMs) => atMs + offsetMs(atMs, zone) >= wallMs)
}

/** The first whole minute in (from, to] at which `holds`, which then holds for the rest. */
function firstWith(fromMs: number, toMs: number, holds: (atMs: number) => boolean): number {
  let [low, high] = [Math.floor(fromMs / MINUTE_MS), Math.ceil(toMs / MINUTE_MS)]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (holds(middle * MINUTE_MS)) high = middle
    else low = middle
  }
  return high * MINUTE_MS
}

function offsetMs(atMs: number, zone: string): number {
  const parts: Record<string, number> = {}
  for (const { type, value } of formatOf(zone).formatToParts(atMs)) if (type !== 'literal') parts[type] = Number(value)
  const wallMs = Date.UTC(parts['year']!, parts['month']! - 1, parts['day'], parts['hour'], parts['minute'], parts['second'])
  return wallMs - Math.floor(atMs / 1_000) * 1_000
}

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
    })
    if (formats.size >= FORMATS_MAX) formats.delete(formats.keys().next().value!)
    formats.set(zone, format)
  }
  return format
}
