/** A clock that stands still until it is moved; timers run in order of their time. */
import type { Clock } from '../../protocol/ports.ts'

export interface FakeClock extends Clock {
  advance(ms: number): void
}

export function fakeClock(startMs = 1_800_000_000_000): FakeClock {
  let elapsed = 0
  let timers: { at: number; run: () => void }[] = []
  return {
    now: () => Math.floor(startMs + elapsed),
    monotonicMs: () => elapsed,
    after(delayMs, run) {
      const timer = { at: elapsed + delayMs, run }
      timers.push(timer)
      return () => {
        timers = timers.filter((other) => other !== timer)
      }
    },
    advance(ms) {
      const end = elapsed + ms
      for (;;) {
        const due = timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0]
        if (due === undefined) break
        timers = timers.filter((other) => other !== due)
        elapsed = Math.max(elapsed, due.at)
        due.run()
      }
      elapsed = end
    },
  }
}

/** Lets every promise that can settle do so. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
