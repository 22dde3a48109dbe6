/**
 * Deadlines for what another machine has to say. They count only while we listen, and a deadline that this process itself
 * noticed late (it was frozen, asleep, or busy) proves nothing: what the other side sent meanwhile has not been read yet,
 * so it gets the time again.
 */
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'

/** So much later than planned a timer fires only where this process did not run. */
export const OWN_LATE_MS = 500

/** True where `waitMs` that began at `startMs` (monotonic) ended so late that it was our own doing. */
export function wasLate(clock: Clock, startMs: number, waitMs: number): boolean {
  return clock.monotonicMs() - startMs - waitMs > OWN_LATE_MS
}

export interface SilenceWatch {
  /** We listen from now on, for at most `waitMs`. */
  listen(waitMs: number): void
  /** Something came. */
  heard(): void
  stop(): void
}

/** One timer for a whole stream, however many frames it has: it moves on when it fires, not with each frame. */
export function createSilenceWatch(clock: Clock, onSilent: (waitMs: number) => void): SilenceWatch {
  let sinceMs = 0
  let waitMs = 0
  let listening = false
  let cancel: (() => void) | undefined
  let dueMs = 0

  function arm(ms: number): void {
    dueMs = clock.monotonicMs() + ms
    cancel = clock.after(ms, look)
  }

  function look(): void {
    const lateMs = clock.monotonicMs() - dueMs
    cancel = undefined
    if (!listening) return
    if (lateMs > OWN_LATE_MS) sinceMs = clock.monotonicMs()
    const leftMs = sinceMs + waitMs - clock.monotonicMs()
    if (leftMs > 0) arm(leftMs)
    else onSilent(waitMs)
  }

  return {
    listen(ms) {
      sinceMs = clock.monotonicMs()
      waitMs = ms
      listening = true
      if (cancel !== undefined && dueMs > sinceMs + ms) {
        cancel()
        cancel = undefined
      }
      if (cancel === undefined) arm(ms)
    },
    heard() {
      listening = false
    },
    stop() {
      listening = false
      cancel?.()
      cancel = undefined
    },
  }
}

/** Throws HOST_SILENT where `wanted` takes longer than `waitMs`; what comes later goes to `onLate`. */
export async function inTime<T>(clock: Clock, waitMs: number, wanted: Promise<T>, onLate: (late: T) => void): Promise<T> {
  const { promise: silent, reject } = Promise.withResolvers<never>()
  const watch = createSilenceWatch(clock, () => reject(new TriforceError('HOST_SILENT', { waitMs })))
  watch.listen(waitMs)
  try {
    return await Promise.race([wanted, silent])
  } catch (reason) {
    wanted.then(onLate, () => {})
    throw reason
  } finally {
    watch.stop()
  }
}
