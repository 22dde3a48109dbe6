/**
 * Weighted fair order (start-time fair queueing) of what waits for a machine: of two accounts that always have work, one of twice
 * the weight gets twice the turns, and every account gets its turn. An account that was away has saved nothing up.
 */

/** Weights by priority: 0 (Unlimited) 8, 1 (Enterprise, Pro) 4, 2 (Contributor) 2, 3 and all after it (Free) 1. */
const PRIORITY_LEAST = 3

export function weightOf(priority: number): number {
  return 2 ** (PRIORITY_LEAST - Math.min(Math.max(priority, 0), PRIORITY_LEAST))
}

export interface Turn {
  readonly flow: string
  /** Virtual times: when its service could begin, and when it would be over. A smaller end is served first. */
  readonly begin: number
  readonly end: number
}

export interface FairOrder {
  /** A new job of `flow` (an account). */
  turn(flow: string, priority: number): Turn
  /** It is served now. */
  served(turn: Turn): void
  /** It left without being served: its account does not pay for it. */
  left(turn: Turn): void
}

/** Accounts whose last turn is remembered. Only those ahead of the virtual time matter, which are those that wait or have just been served. */
const FLOWS_MAX = 4_096

export function createFairOrder(): FairOrder {
  let now = 0
  const ends = new Map<string, number>()

  function forgetPast(): void {
    if (ends.size < FLOWS_MAX) return
    for (const [flow, end] of ends) if (end <= now) ends.delete(flow)
  }

  return {
    turn(flow, priority) {
      forgetPast()
      const begin = Math.max(now, ends.get(flow) ?? 0)
      const turn = { flow, begin, end: begin + 1 / weightOf(priority) }
      ends.set(flow, turn.end)
      return turn
    },
    served({ begin }) {
      now = Math.max(now, begin)
    },
    left({ flow, begin, end }) {
      // Jobs of the same account behind it keep their turns; only the last one's is given back.
      if (ends.get(flow) === end) ends.set(flow, begin)
    },
  }
}
