/** Keeps a place at every relay that is connected, so that peers that cannot reach this node directly do so through one. */
import type { Clock, Log, Random } from '../../protocol/ports.ts'
import type { Host } from './host.ts'

export interface ReservationsComponents {
  readonly host: Pick<Host, 'isConnected' | 'onConnect' | 'reserve' | 'reservedAt'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export const reservationsDefaults = Object.freeze({
  /** After a connection: identify runs first, and the hub wants to have heard what is lent. */
  firstMs: 1_000,
  /** A place that is refused or lost is asked for again: soon, then with growing waits up to this. */
  checkMsMax: 5_000,
})

export function startReservations(components: ReservationsComponents, relays: readonly { readonly name: string; readonly peerId: string }[]): { stop(): void } {
  const { host, clock, random } = components
  const log = components.log.child('reservations')
  const held = new Set<string>()
  let cancel = () => {}
  let waitMs: number = reservationsDefaults.firstMs

  function check(): void {
    const reserved = host.reservedAt()
    waitMs = Math.min(waitMs * 2, reservationsDefaults.checkMsMax)
    for (const { name, peerId } of relays) {
      const isHeld = reserved.includes(peerId)
      if (isHeld !== held.has(peerId)) log.debug(isHeld ? 'reachable through hub' : 'no longer reachable through hub', { hub: name })
      if (isHeld) held.add(peerId)
      else held.delete(peerId)
      if (!isHeld && host.isConnected(peerId)) host.reserve(peerId)
    }
    schedule(waitMs)
  }

  function schedule(delayMs: number): void {
    cancel()
    cancel = clock.after(delayMs * (0.8 + 0.4 * random.unit()), check)
  }

  host.onConnect((peer) => {
    if (!relays.some(({ peerId }) => peerId === peer)) return
    waitMs = reservationsDefaults.firstMs
    schedule(waitMs)
  })
  schedule(waitMs)
  return { stop: () => cancel() }
}
