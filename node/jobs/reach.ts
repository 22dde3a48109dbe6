/**
 * A consumer's way to a contributor: its own addresses, else a circuit through the hub that issued the ticket. The
 * circuit is opened shortly after the direct dial rather than when that has failed: a home router drops what it does
 * not know without an answer, and the first text must not wait for that.
 */
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
  /** Where there is no circuit, a direct dial is waited for no longer than this; it goes on for later jobs. Default 1,500 ms. */
  readonly patienceMs?: number
  /** Time for a circuit. Default 3,000 ms. */
  readonly circuitMsMax?: number
  /** After a direct dial that failed, the next one to the same addresses comes no sooner. Default 60,000 ms. */
  readonly againMs?: number
}

export const reachDefaults = Object.freeze({ directMsMax: 5_000, leadMs: 250, patienceMs: 1_500, circuitMsMax: 3_000, againMs: 60_000 })

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

const whereOf = (addresses: readonly string[]) => addresses.toSorted().join(' ')

const isReached = () => true
const isNot = () => false

export function createReach(components: ReachComponents, options: ReachOptions = {}): Reach {
  const { host, clock } = components
  const log = components.log.child('reach')
  const { directMsMax, leadMs, patienceMs, circuitMsMax, againMs } = { ...reachDefaults, ...options }
  /** When a peer was last dialled in vain, and where. */
  const missed = new Map<string, { readonly atMs: number; readonly where: string }>()

  function mayDialDirectly({ peer, addresses }: ReachTarget): boolean {
    const last = missed.get(peer)
    // A port that a router has opened since is a reason to try at once.
    return addresses.length > 0 && (last === undefined || last.where !== whereOf(addresses) || clock.monotonicMs() - last.atMs >= againMs)
  }

  async function direct({ peer, addresses }: ReachTarget): Promise<void> {
    try {
      await host.dial(addresses, { signal: AbortSignal.timeout(directMsMax) })
      missed.delete(peer)
    } catch (cause) {
      if (missed.size >= PEERS_MAX) missed.delete(missed.keys().next().value!)
      missed.set(peer, { atMs: clock.monotonicMs(), where: whereOf(addresses) })
      throw cause
    }
  }

  async function circuit({ peer, relay }: ReachTarget): Promise<void> {
    await host.dialThrough(relay, peer, { signal: AbortSignal.timeout(circuitMsMax) })
    log.debug('reached through hub', { peer })
  }

  /** Resolves when the direct dial has failed or this time is over. */
  function failed(dialling: Promise<void>, waitMsMax: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(waitMsMax, resolve)
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
      if (signal.aborted) return false
      const { promise: left, resolve: leave } = Promise.withResolvers<boolean>()
      const onAbort = () => leave(false)
      signal.addEventListener('abort', onAbort)
      try {
        if (dialling === undefined) return await Promise.race([circuit(target).then(isReached, isNot), left])
        const impatient = failed(dialling, patienceMs)
        const relaying = failed(dialling, leadMs).then(() => host.wayTo(target.peer) === 'direct' ? undefined : circuit(target)).then(isReached, isNot)
        return await Promise.race([
          dialling.then(isReached, () => relaying),
          relaying.then((reached) => reached || impatient.then(() => host.wayTo(target.peer) !== undefined)),
          left,
        ])
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    },
  }
}
