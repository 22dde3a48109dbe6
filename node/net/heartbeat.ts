/**
 * Tells a dead connection from a busy one: each connected peer is pinged in turn, and only three misses in a row end the
 * connection. A half-open TCP connection would otherwise stand for hours.
 */
import { HEARTBEAT_MS, HEARTBEAT_STRIKES } from '../../protocol/limits.ts'
import type { Clock, Log, Random } from '../../protocol/ports.ts'
import type { Host } from './host.ts'
import type { Requests } from './requests.ts'

export interface HeartbeatComponents {
  readonly host: Pick<Host, 'peers' | 'drop' | 'wayTo' | 'onConnect' | 'onDisconnect'>
  readonly requests: Requests
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface Heartbeat {
  stop(): void
}

/** `watch` says which peers are ours to ping; the others ping us. */
export function startHeartbeat(components: HeartbeatComponents, watch: (peer: string) => boolean): Heartbeat {
  const { host, requests, clock, random } = components
  const log = components.log.child('heartbeat')
  const strikes = new Map<string, number>()
  const timers = new Map<string, () => void>()

  function schedule(peer: string): void {
    timers.get(peer)?.()
    // Jitter keeps a thousand peers of one hub from pinging in one tick.
    timers.set(peer, clock.after(HEARTBEAT_MS * (0.8 + 0.4 * random.unit()), () => void beat(peer)))
  }

  async function beat(peer: string): Promise<void> {
    // A circuit lives as long as the two connections below it, and the hub watches both.
    if (host.wayTo(peer) === 'relayed') {
      schedule(peer)
      return
    }
    try {
      await requests.ask(peer, { t: 'ping' }, { waitMsMax: HEARTBEAT_MS })
      strikes.delete(peer)
    } catch {
      // The connection has ended in the meantime, or the node stops: nothing to count.
      if (!timers.has(peer)) return
      const misses = (strikes.get(peer) ?? 0) + 1
      strikes.set(peer, misses)
      if (misses >= HEARTBEAT_STRIKES) {
        log.warn('peer is silent, connection cut', { peer, misses })
        host.drop(peer, 'no heartbeat')
      }
    }
    if (timers.has(peer)) schedule(peer)
  }

  host.onConnect((peer) => {
    if (watch(peer) && !timers.has(peer)) schedule(peer)
  })
  host.onDisconnect((peer) => {
    timers.get(peer)?.()
    timers.delete(peer)
    strikes.delete(peer)
  })
  return {
    stop() {
      for (const cancel of timers.values()) cancel()
      timers.clear()
    },
  }
}
