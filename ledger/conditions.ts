/** Waits until something is so in the live state; looked at again whenever a frame was folded. */
import type { Clock } from '../protocol/ports.ts'

export interface Conditions {
  /** True as soon as `test` holds, false after `waitMsMax` or when the ledger closes. */
  until(test: () => boolean, waitMsMax: number): Promise<boolean>
  /** The state has changed. */
  check(): void
  close(): void
  readonly closed: boolean
}

export function createConditions(clock: Clock): Conditions {
  const waiting = new Set<{ readonly test: () => boolean; readonly settle: (holds: boolean) => void }>()
  let closed = false

  return {
    until: (test, waitMsMax) => {
      if (test()) return Promise.resolve(true)
      if (closed) return Promise.resolve(false)
      return new Promise((resolve) => {
        const cancel = clock.after(waitMsMax, () => { waiter.settle(false) })
        const waiter = {
          test,
          settle: (holds: boolean) => {
            waiting.delete(waiter)
            cancel()
            resolve(holds)
          },
        }
        waiting.add(waiter)
      })
    },
    check: () => {
      for (const { test, settle } of waiting) if (test()) settle(true)
    },
    get closed() { return closed },
    close: () => {
      closed = true
      for (const { settle } of waiting) settle(false)
    },
  }
}
