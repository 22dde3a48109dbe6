/**
 * Stays connected to the hubs: by multiaddr from the federation file, for ever, with growing waits and jitter.
 * libp2p's own reconnect gives up after half a minute and forgets addresses after an hour.
 */
import { toTriforceError } from '../../protocol/errors.ts'
import type { Clock, Log, Random } from '../../protocol/ports.ts'
import type { Host } from './host.ts'

export interface RedialComponents {
  readonly host: Pick<Host, 'dial' | 'isConnected' | 'onDisconnect'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface RedialTarget {
  readonly name: string
  readonly peerId: string
  /** Multiaddrs without `/p2p/…`. */
  readonly addresses: readonly string[]
  /** Wait before the first try: of two hubs, one goes first, so that they do not meet twice. */
  readonly firstWaitMs: number
}

export interface Redial {
  /** What is not connected is dialled at once: waits that grew while this machine had no network are forgotten. */
  now(): void
  stop(): void
}

export const redialDefaults = Object.freeze({
  waitMsMin: 500,
  waitMsMax: 15_000,
  growth: 1.6,
  dialMsMax: 10_000,
  // Looks again even while connected, since an event can be lost but a state cannot.
  checkMs: 5_000,
})

export function startRedial(components: RedialComponents, targets: readonly RedialTarget[]): Redial {
  const { host, clock, random } = components
  const log = components.log.child('redial')
  const { waitMsMin, waitMsMax, growth, dialMsMax, checkMs } = redialDefaults
  const timers = new Map<string, () => void>()
  const dialling = new Set<string>()
  const waits = new Map<string, number>()
  let stopped = false

  function schedule(target: RedialTarget, delayMs: number): void {
    timers.get(target.peerId)?.()
    timers.set(target.peerId, clock.after(delayMs, () => void tick(target)))
  }

  async function tick(target: RedialTarget): Promise<void> {
    if (stopped || dialling.has(target.peerId)) return
    if (host.isConnected(target.peerId)) {
      waits.delete(target.peerId)
      schedule(target, checkMs)
      return
    }
    dialling.add(target.peerId)
    try {
      await host.dial(target.addresses.map((address) => `${address}/p2p/${target.peerId}`), { signal: AbortSignal.timeout(dialMsMax) })
      waits.delete(target.peerId)
      log.info('connected', { hub: target.name })
    } catch (error) {
      waits.set(target.peerId, Math.min((waits.get(target.peerId) ?? waitMsMin) * growth, waitMsMax))
      log.debug('hub not reached', { hub: target.name, code: toTriforceError(error).code })
    } finally {
      dialling.delete(target.peerId)
    }
    if (!stopped) schedule(target, (waits.get(target.peerId) ?? checkMs) * (0.5 + random.unit()))
  }

  host.onDisconnect((peer) => {
    const target = targets.find((one) => one.peerId === peer)
    if (target !== undefined && !stopped) schedule(target, waitMsMin * random.unit() + target.firstWaitMs)
  })
  for (const target of targets) schedule(target, target.firstWaitMs)
  return {
    now() {
      waits.clear()
      for (const target of targets) if (!stopped && !host.isConnected(target.peerId)) schedule(target, 0)
    },
    stop() {
      stopped = true
      for (const cancel of timers.values()) cancel()
    },
  }
}
