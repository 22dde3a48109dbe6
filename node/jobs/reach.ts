/**
 * A consumer's way to a contributor: its own addresses, else a circuit through the hub that issued the ticket. The
 * circuit is opened shortly after the direct dial rather than when that has failed: a home router drops what it does
 * not know without an answer, and the first text must not wait for that.
 */
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import type { Host } from '../net/host.ts'

export interface ReachComponents {
  readonly host: Pick<Host, 'dial' | 'dialThrough' | 'wayTo'>
  readonly clock: Clock
  readonly log: Log
}

export interface ReachOptions {
  /** Time for a direct dial. Default 5,000 ms. */
  readonly directMsMax?: number
  /** Lead of the direct dial before the circuit is tried beside it. Default 250 ms. */
  readonly leadMs?: number
  /** Time for a circuit. Default 3,000 ms. */
  readonly circuitMsMax?: number
  /** After a direct dial that failed, the next one to this peer comes no sooner. Default 60,000 ms. */
  readonly againMs?: number
}

export const reachDefaults = Object.freeze({ directMsMax: 5_000, leadMs: 250, circuitMsMax: 3_000, againMs: 60_000 })

export interface ReachTarget {
  readonly peer: string
  /** Its own addresses; may be empty. */
  readonly addresses: readonly string[]
  /** Peer id of the hub that issued the ticket: only that one lets us through. */
  readonly relay: string
}

export interface Reach {
  /** True where the peer is connected now, in whichever way. Never throws. */
  to(target: ReachTarget, options: { readonly signal: AbortSignal }): Promise<boolean>
}

const PEERS_MAX = 1_000

export function createReach(components: ReachComponents, options: ReachOptions = {}): Reach {
  const { host, clock } = components
  const log = components.log.child('reach')
  const { directMsMax, leadMs, circuitMsMax, againMs } = { ...reachDefaults, ...options }
  /** When a peer was last dialled in vain. */
  const missed = new Map<string, number>()

  function mayDialDirectly({ peer, addresses }: ReachTarget): boolean {
    const missedMs = missed.get(peer)
    return addresses.length > 0 && (missedMs === undefined || clock.monotonicMs() - missedMs >= againMs)
  }

  async function direct({ peer, addresses }: ReachTarget): Promise<void> {
    try {
      await host.dial(addresses, { signal: AbortSignal.timeout(directMsMax) })
      missed.delete(peer)
    } catch (cause) {
      if (missed.size >= PEERS_MAX) missed.delete(missed.keys().next().value!)
      missed.set(peer, clock.monotonicMs())
      throw cause
    }
  }

  async function circuit({ peer, relay }: ReachTarget): Promise<void> {
    await host.dialThrough(relay, peer, { signal: AbortSignal.timeout(circuitMsMax) })
    log.debug('reached through hub', { peer })
  }

  /** Resolves when the direct dial has failed or its lead is over. */
  function lead(dialling: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(leadMs, resolve)
      dialling.catch(() => {
        cancel()
        resolve()
      })
    })
  }

  return {
    async to(target, { signal }) {
      const way = host.wayTo(target.peer)
      if (way === 'direct') return true
      const dialling = mayDialDirectly(target) ? direct(target) : undefined
      dialling?.catch(() => {})
      // What is relayed already goes on so; a direct dial that succeeds serves the jobs after this one.
      if (way === 'relayed') return true
      const { promise: left, reject: leave } = Promise.withResolvers<never>()
      const onAbort = () => leave(new TriforceError('CANCELLED'))
      left.catch(() => {})
      if (signal.aborted) return false
      signal.addEventListener('abort', onAbort)
      try {
        const relaying = dialling === undefined ? circuit(target) : lead(dialling).then(() => host.wayTo(target.peer) === 'direct' ? undefined : circuit(target))
        await Promise.race([Promise.any([...(dialling === undefined ? [] : [dialling]), relaying]), left])
        return true
      } catch {
        return false
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    },
  }
}
