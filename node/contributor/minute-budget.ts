/** What peers may use of something in a minute: each for itself, and all together, since a stranger's new key costs nothing. */
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'

export interface MinuteBudgetOptions {
  readonly perPeer: number
  readonly all: number
  /** Peers that are counted apart in one minute; more are refused. Default 4,096. */
  readonly peersMax?: number
  /** What is refused, for the message. */
  readonly what: string
}

export interface MinuteBudget {
  /** Throws RATE_LIMITED where a budget is used up. */
  take(peer: string, amount: number): void
}

const MINUTE_MS = 60_000

export function createMinuteBudget({ clock }: { readonly clock: Clock }, options: MinuteBudgetOptions): MinuteBudget {
  const { perPeer, all, peersMax = 4_096, what } = options
  let minute = { fromMs: -Infinity, used: 0, peers: new Map<string, number>() }

  return {
    take(peer, amount) {
      const nowMs = clock.monotonicMs()
      if (nowMs - minute.fromMs >= MINUTE_MS) minute = { fromMs: nowMs, used: 0, peers: new Map() }
      const known = minute.peers.get(peer)
      const used = (known ?? 0) + amount
      if (used > perPeer || minute.used + amount > all || (known === undefined && minute.peers.size >= peersMax)) {
        throw new TriforceError('RATE_LIMITED', {}, { retryAfterMs: Math.ceil(minute.fromMs + MINUTE_MS - nowMs), detail: `too much of this in a minute: ${what}` })
      }
      minute.used += amount
      minute.peers.set(peer, used)
    },
  }
}
