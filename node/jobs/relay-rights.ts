/**
 * Who may open a circuit through this hub: whoever got a ticket here, to the contributor of that ticket, for as long as
 * the ticket is good. So the hub carries nothing but jobs that it placed itself, and is no open relay.
 */
import { TICKET_VALID_MS } from '../../protocol/limits.ts'
import type { Clock } from '../../protocol/ports.ts'

export interface RelayRights {
  grant(peer: string, contributor: string): void
  has(peer: string, contributor: string): boolean
}

/** At 60 s each: more than 300 tickets a second. The oldest goes. */
const RIGHTS_MAX = 20_000

export function createRelayRights({ clock }: { readonly clock: Clock }): RelayRights {
  const until = new Map<string, number>()
  return {
    grant(peer, contributor) {
      const pair = `${peer} ${contributor}`
      until.delete(pair)
      if (until.size >= RIGHTS_MAX) until.delete(until.keys().next().value!)
      until.set(pair, clock.monotonicMs() + TICKET_VALID_MS)
    },
    has: (peer, contributor) => (until.get(`${peer} ${contributor}`) ?? 0) > clock.monotonicMs(),
  }
}
