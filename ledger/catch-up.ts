/**
 * A hub that has just come back has two things to do at once: to take over what it missed, for which others wait, and to fold
 * anew what is in checkpoints, for which nobody does. So for a while the second fold gets nothing as long as much is missing.
 */
import type { Clock } from '../protocol/ports.ts'

/** So few frames are always on their way somewhere. */
const MISSING_MAX = 64
/** Later on nothing is waited for: a peer may say that it has what never comes. */
const CATCH_UP_MS_MAX = 10_000

export interface CatchUp {
  /** What nobody waits for has to wait. */
  goesFirst(): boolean
}

/** `missing`: frames that connected peers have and this disk has not. Time runs from now on. */
export function createCatchUp({ clock, missing }: { readonly clock: Pick<Clock, 'monotonicMs'>; readonly missing: () => number }): CatchUp {
  const startedMs = clock.monotonicMs()
  return { goesFirst: () => clock.monotonicMs() - startedMs < CATCH_UP_MS_MAX && missing() > MISSING_MAX }
}
