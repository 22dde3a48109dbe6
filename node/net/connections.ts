/**
 * Which connection to a peer new work goes over. A peer may have several: one that it opened after its address changed,
 * while this side still holds the dead one before; or a circuit through a hub beside the direct one that came later.
 */
import type { Connection, Libp2p } from '@libp2p/interface'
import { CIRCUIT_BYTES_MAX, CIRCUIT_MS_MAX, JOB_MS_MAX } from '../../protocol/limits.ts'
import type { Clock, Log } from '../../protocol/ports.ts'

/** How a peer is reached: over a connection of our own, or over a circuit through a hub. */
export type Way = 'direct' | 'relayed'

export interface Connections {
  /** The one for new work. */
  best(peer: string): Connection | undefined
  /** False: a better one has come, or this circuit is near its end; only what runs may go on. */
  isGood(connection: Connection): boolean
  wayTo(peer: string): Way | undefined
  /** A circuit carried something that was not the network's own. */
  used(connection: Connection): void
  start(): void
  stop(): void
}

/** A circuit without a job for so long is closed by either end: places at contributors and hubs are few. */
const CIRCUIT_IDLE_MS_MAX = 120_000
/** The longest job still ends in time on a circuit of this age; half of the bytes are left to those that run. */
const CIRCUIT_WORN_MS = CIRCUIT_MS_MAX - JOB_MS_MAX - 300_000
const CIRCUIT_WORN_BYTES_LEFT = BigInt(CIRCUIT_BYTES_MAX) / 2n

/** Open ones that are no circuits, the newest first. */
export function directConnections(connections: readonly Connection[]): Connection[] {
  return connections.filter(({ status, direct }) => status === 'open' && direct).toSorted((a, b) => b.timeline.open - a.timeline.open)
}

export function trackConnections(components: { readonly clock: Clock; readonly log: Log }, node: Libp2p): Connections {
  const { clock, log } = components
  const best = new Map<string, Connection>()
  const circuits = new Map<Connection, { readonly sinceMs: number; usedMs: number }>()
  let cancelSweep = () => {}

  function isWorn(connection: Connection): boolean {
    const circuit = circuits.get(connection)
    if (circuit === undefined) return false
    const bytesLeft = connection.limits?.bytes
    return clock.monotonicMs() - circuit.sinceMs > CIRCUIT_WORN_MS || (bytesLeft !== undefined && bytesLeft < CIRCUIT_WORN_BYTES_LEFT)
  }

  function choose(changed: Connection): void {
    const peer = changed.remotePeer.toString()
    // The one that has just come may not be listed yet.
    const open = [...new Set([...node.getConnections(changed.remotePeer), changed])].filter(({ status }) => status === 'open')
    const chosen = directConnections(open)[0] ?? open.toSorted((a, b) => b.timeline.open - a.timeline.open)[0]
    if (chosen === undefined) best.delete(peer)
    else best.set(peer, chosen)
  }

  node.addEventListener('connection:open', ({ detail: connection }) => {
    if (!connection.direct) {
      const nowMs = clock.monotonicMs()
      circuits.set(connection, { sinceMs: nowMs, usedMs: nowMs })
    } else if (connection.direction === 'inbound') {
      // It dials only when it has no connection: what it opened before is dead, and nothing on it would ever tell us.
      for (const older of directConnections(node.getConnections(connection.remotePeer))) {
        if (older.id === connection.id || older.direction !== 'inbound') continue
        log.debug('peer has come back, its older connection is cut', { peer: connection.remotePeer.toString() })
        older.abort(new Error('the peer has come back'))
      }
    }
    choose(connection)
  })
  node.addEventListener('connection:close', ({ detail: connection }) => {
    circuits.delete(connection)
    choose(connection)
  })

  function sweep(): void {
    const nowMs = clock.monotonicMs()
    for (const [connection, { usedMs }] of circuits) {
      if (nowMs - usedMs > CIRCUIT_IDLE_MS_MAX) connection.close().catch((reason: Error) => connection.abort(reason))
    }
    cancelSweep = clock.after(CIRCUIT_IDLE_MS_MAX / 4, sweep)
  }

  return {
    best: (peer) => best.get(peer),
    isGood: (connection) => best.get(connection.remotePeer.toString()) === connection && !isWorn(connection),
    wayTo(peer) {
      const connection = best.get(peer)
      if (connection === undefined || isWorn(connection)) return undefined
      return connection.direct ? 'direct' : 'relayed'
    },
    used(connection) {
      const circuit = circuits.get(connection)
      if (circuit !== undefined) circuit.usedMs = clock.monotonicMs()
    },
    start: sweep,
    stop: () => cancelSweep(),
  }
}
