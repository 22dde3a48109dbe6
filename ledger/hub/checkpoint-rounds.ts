/** Whose turn it is to propose a checkpoint, and when one is due: a round that brings nothing is skipped after a while. */
import { proposerOf } from './checkpoint-proposal.ts'
import type { HubState } from './hub-state.ts'

export interface RoundsOptions {
  readonly me: number
  /** A checkpoint is due this long after the last where something was logged since, ms. */
  readonly everyMs: number
  /** ... and where nothing was. */
  readonly idleMs: number
  /** A round without a final checkpoint is given up after this. */
  readonly skipMs: number
}

export type Rounds = ReturnType<typeof createRounds>

/** `finalAtMs`: Unix ms at which the newest final checkpoint came. */
export function createRounds({ me, everyMs, idleMs, skipMs }: RoundsOptions, start: { readonly round: number; readonly finalAtMs: number }) {
  let { round, finalAtMs } = start
  /** A checkpoint is due and no round has brought one since. */
  let dueSinceMs: number | undefined

  return {
    get now() { return round },

    /** `logged`: is anything new since the last one? */
    isDue(hub: HubState, logged: () => boolean, nowMs: number): boolean {
      // By the clock of whoever proposed it, or before this one was set back: nothing waits since a time that is still to come.
      finalAtMs = Math.min(finalAtMs, nowMs)
      const sinceMs = nowMs - finalAtMs
      if (hub.state.logs.size === 0 || sinceMs < everyMs) return false
      return sinceMs >= idleMs || logged()
    },

    atLeast(least: number): void {
      round = Math.max(round, least)
    },

    /** Another hub proposes in this round. */
    proposed(of: number, nowMs: number): void {
      if (of <= round) return
      round = of
      dueSinceMs = nowMs
    },

    final(of: number, nowMs: number): void {
      finalAtMs = nowMs
      dueSinceMs = undefined
      round = Math.max(round, of + 1)
    },

    tick({ connected }: HubState, isDue: boolean, nowMs: number): void {
      if (!isDue || connected.size === 0) {
        dueSinceMs = undefined
        return
      }
      dueSinceMs = Math.min(dueSinceMs ?? nowMs, nowMs)
      const late = nowMs - dueSinceMs >= skipMs
      if (late) round += 1
      for (let skipped = 0; skipped < 2 && proposerOf(round) !== me && !connected.has(proposerOf(round)); skipped += 1) round += 1
      if (late) dueSinceMs = nowMs
    },
  }
}
