/**
 * Of which machines a question could be timed lately. Where many are too busy for it at the same time, there is much to do, and no
 * machine is to blame for that. Pure but for the clock.
 */
import type { Clock } from '../../protocol/ports.ts'

/** `told`: it could be timed. `busy`: it waited there, or too much ran beside it, or the machine did not take it. */
export type Timing = 'told' | 'busy'

export interface Timings {
  note(machine: string, timing: Timing): void
  /** Most machines are busy. */
  isCommon(): boolean
}

/** Machines are asked every 10 minutes on the average. */
const WINDOW_MS = 1_800_000
/** As with incidents: some machines, and more than half of those that were asked. */
const MACHINES_MIN = 3
const PART_MAX = 0.5
const MACHINES_MAX = 4_096

export function createTimings({ clock }: { readonly clock: Clock }): Timings {
  /** In order of time. */
  const recent = new Map<string, { readonly atMs: number; readonly timing: Timing }>()
  let busy = 0

  function forget(machine: string): void {
    if (recent.get(machine)?.timing === 'busy') busy -= 1
    recent.delete(machine)
  }

  return {
    note(machine, timing) {
      const nowMs = clock.monotonicMs()
      forget(machine)
      for (const [known, { atMs }] of recent) {
        if (nowMs - atMs <= WINDOW_MS && recent.size < MACHINES_MAX) break
        forget(known)
      }
      recent.set(machine, { atMs: nowMs, timing })
      if (timing === 'busy') busy += 1
    },
    isCommon: () => busy >= MACHINES_MIN && busy > recent.size * PART_MAX,
  }
}
