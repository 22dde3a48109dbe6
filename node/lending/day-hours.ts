/** How long this machine was lent on the present day of its time zone; kept over restarts of the node. */
import type { Clock } from '../../protocol/ports.ts'
import { civilTimeOf, unixMsOf, type CivilDay } from './civil-time.ts'

export interface LentDay {
  readonly day: CivilDay
  readonly ms: number
}

export interface DayHoursComponents {
  readonly clock: Clock
  /** Of an earlier start. */
  readonly known: LentDay | undefined
}

export interface DayHours {
  /** Counts the time since the last call, where `wasLent`. */
  count(wasLent: boolean, zone: string): void
  readonly lent: LentDay
  /** When the next day begins. */
  nextDayMs(zone: string): number
}

export function createDayHours({ clock, known }: DayHoursComponents): DayHours {
  let lent: LentDay = known ?? { day: -1, ms: 0 }
  let countedAtMs = clock.monotonicMs()
  /** The present day of `zone`, which is looked up in tables only when it is over. */
  let today = { zone: '', day: 0, fromMs: 0, toMs: 0 }

  function dayNow(zone: string): typeof today {
    const nowMs = clock.now()
    if (zone !== today.zone || nowMs < today.fromMs || nowMs >= today.toMs) {
      const { day } = civilTimeOf(nowMs, zone)
      today = { zone, day, fromMs: unixMsOf(day, 0, zone), toMs: unixMsOf(day + 1, 0, zone) }
    }
    return today
  }

  return {
    count(wasLent, zone) {
      const nowMs = clock.monotonicMs()
      const { day } = dayNow(zone)
      const ms = wasLent ? nowMs - countedAtMs : 0
      countedAtMs = nowMs
      // What was lent up to midnight belongs to the day that is over: calls come at least once a minute, so it is no more than that.
      lent = day === lent.day ? { day, ms: lent.ms + ms } : { day, ms: 0 }
    },
    get lent() { return lent },
    nextDayMs: (zone) => dayNow(zone).toMs,
  }
}
