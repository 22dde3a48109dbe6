/**
 * Times at which this hub must not judge others, because the fault may be its own: its event loop stood still, it had lost
 * both other hubs, or many hosts failed at once. What was measured then is thrown away. Pure but for the clock.
 */
import type { Clock } from '../../protocol/ports.ts'

export interface IncidentsOptions {
  /** A timer that comes this late says that the process was overloaded or asleep. Default 250 ms. */
  readonly lagMsMax?: number
  /** How often that is looked at. Default 500 ms. */
  readonly lookMs?: number
  /** Hosts with something bad in one minute, at least, and the part of all hosts that were checked in it. Default 3 and one half. */
  readonly hostsMin?: number
  readonly partMax?: number
}

export interface Incidents {
  /** The hub has lost the others, or has them again. */
  alone(isAlone: boolean): void
  /** A check of this host has ended. */
  checked(host: string, bad: boolean): void
  /** True where an incident touches the time from `fromMs` (monotonic) to now. */
  touches(fromMs: number): boolean
  /** Incidents so far, by cause. */
  readonly counts: Readonly<Record<IncidentCause, number>>
  stop(): void
}

export type IncidentCause = 'overloaded' | 'alone' | 'many hosts'

const WINDOW_MS = 60_000
/** Incidents that are remembered; a check lasts no longer than some minutes. */
const REMEMBERED_MAX = 256
/** What began in an incident is not judged for this long after it. */
const AFTER_MS = 2_000

export function createIncidents({ clock }: { readonly clock: Clock }, options: IncidentsOptions = {}): Incidents {
  const { lagMsMax = 250, lookMs = 500, hostsMin = 3, partMax = 0.5 } = options
  const counts: Record<IncidentCause, number> = { overloaded: 0, alone: 0, 'many hosts': 0 }
  const times: { fromMs: number; toMs: number }[] = []
  const recent = new Map<string, { atMs: number; bad: boolean }>()
  let aloneSince: number | undefined
  let lookedMs = clock.monotonicMs()
  let cancel = clock.after(lookMs, look)

  function look(): void {
    const nowMs = clock.monotonicMs()
    if (nowMs - lookedMs - lookMs > lagMsMax) note('overloaded', lookedMs, nowMs)
    lookedMs = nowMs
    cancel = clock.after(lookMs, look)
  }

  function note(cause: IncidentCause, fromMs: number, toMs: number): void {
    counts[cause] += 1
    times.push({ fromMs, toMs: toMs + AFTER_MS })
    if (times.length > REMEMBERED_MAX) times.shift()
  }

  return {
    counts,
    alone(isAlone) {
      const nowMs = clock.monotonicMs()
      if (isAlone) aloneSince ??= nowMs
      else if (aloneSince !== undefined) {
        note('alone', aloneSince, nowMs)
        aloneSince = undefined
      }
    },
    checked(host, bad) {
      const nowMs = clock.monotonicMs()
      for (const [known, { atMs }] of recent) if (nowMs - atMs > WINDOW_MS) recent.delete(known)
      if (recent.size >= HOSTS_MAX) recent.delete(recent.keys().next().value!)
      // Deleting first keeps the map in order of time.
      recent.delete(host)
      recent.set(host, { atMs: nowMs, bad })
      const badHosts = [...recent.values()].filter((one) => one.bad)
      if (bad && badHosts.length >= hostsMin && badHosts.length > recent.size * partMax) note('many hosts', Math.min(...badHosts.map(({ atMs }) => atMs)) - WINDOW_MS, nowMs)
    },
    touches(fromMs) {
      const nowMs = clock.monotonicMs()
      // The look that would find it out may still be due.
      const isLate = nowMs - lookedMs - lookMs > lagMsMax
      return isLate || aloneSince !== undefined || times.some((one) => one.toMs >= fromMs)
    },
    stop: () => cancel(),
  }
}

const HOSTS_MAX = 4_096
