/**
 * When which machine is checked next: in its first series soon after each other, after a drawn job within a minute, else now
 * and then. All waits are random, so that no machine can tell a check by its time.
 */
import type { Clock, Random } from '../../protocol/ports.ts'
import type { Standing } from './standing.ts'

export interface ScheduleOptions {
  /** Average waits: within a series, after a drawn job, and of a machine that has passed. Defaults 5 s, 15 s, 10 minutes. */
  readonly seriesMs?: number
  readonly drawnMs?: number
  readonly idleMs?: number
}

export interface DueCheck {
  readonly contributor: string
  /** Jobs that were drawn and wait for it. */
  readonly jobIds: readonly Uint8Array[]
}

export interface CheckSchedule {
  /** A machine is there, as it stands now; called again and again. */
  present(contributor: string, standing: Standing): void
  /** A job of it was drawn. */
  drawn(contributor: string, jobId: Uint8Array): void
  /** A question to it could not be timed, for so many times in a row: another one follows, the later the more often. */
  untimed(contributor: string, times: number): void
  /** Machines whose time has come, `max` at most, without those that `isReady` denies. They are planned again when they are present next. */
  due(max: number, isReady: (contributor: string) => boolean): readonly DueCheck[]
  forget(contributor: string): readonly Uint8Array[]
}

const MACHINES_MAX = 20_000
/** Drawn jobs that share one check: one that stands for more would spare the machine. */
const JOBS_MAX = 8
/** A machine that cannot be timed for long is asked 32 times as rarely, every 8 minutes. */
const DOUBLINGS_MAX = 5

export function createCheckSchedule({ clock, random }: { readonly clock: Clock; readonly random: Random }, options: ScheduleOptions = {}): CheckSchedule {
  const { seriesMs = 5_000, drawnMs = 15_000, idleMs = 600_000 } = options
  const planned = new Map<string, { atMs: number; jobIds: Uint8Array[] }>()

  /** Exponential, so that what has passed says nothing of what is to come; not longer than six times the average. */
  function after(averageMs: number): number {
    return clock.monotonicMs() + averageMs * Math.min(6, -Math.log(1 - random.unit()))
  }

  function plan(contributor: string, atMs: number): { atMs: number; readonly jobIds: Uint8Array[] } | undefined {
    const known = planned.get(contributor)
    if (known !== undefined) known.atMs = Math.min(known.atMs, atMs)
    else if (planned.size < MACHINES_MAX) planned.set(contributor, { atMs, jobIds: [] })
    return planned.get(contributor)
  }

  return {
    present(contributor, { state }) {
      if (state === 'failed' || planned.has(contributor) || planned.size >= MACHINES_MAX) return
      planned.set(contributor, { atMs: after(state === 'passed' ? idleMs : seriesMs), jobIds: [] })
    },
    drawn(contributor, jobId) {
      const check = plan(contributor, after(drawnMs))
      if (check !== undefined && check.jobIds.length < JOBS_MAX) check.jobIds.push(jobId)
    },
    untimed(contributor, times) {
      plan(contributor, after(drawnMs * 2 ** Math.min(times, DOUBLINGS_MAX)))
    },
    due(max, isReady) {
      const nowMs = clock.monotonicMs()
      const found: DueCheck[] = []
      for (const [contributor, { atMs, jobIds }] of planned) {
        if (found.length >= max) break
        if (atMs > nowMs || !isReady(contributor)) continue
        planned.delete(contributor)
        found.push({ contributor, jobIds })
      }
      return found
    },
    forget(contributor) {
      const known = planned.get(contributor)
      planned.delete(contributor)
      return known?.jobIds ?? []
    },
  }
}
