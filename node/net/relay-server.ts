/**
 * A hub as relay (circuit relay v2): peers of this federation reach a contributor that only dials out, through the
 * connection it keeps to the hub. The hub passes on ciphertext, and only for whom the gate lets through.
 * The library's service does the protocol; bounds, rates, backpressure and counts are set around it.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { circuitRelayServer, RELAY_V2_HOP_CODEC, type CircuitRelayServerComponents, type CircuitRelayService } from '@libp2p/circuit-relay-v2'
import type { Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { CIRCUIT_BYTES_MAX, CIRCUIT_MS_MAX } from '../../protocol/limits.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import { watchCircuit } from './circuit.ts'
import { directConnections } from './connections.ts'
import { override } from './override.ts'
import { createTokenBucket, type TokenBucket } from './token-bucket.ts'

export interface RelayGate {
  /** May this peer be reached through us: a contributor that is known here. */
  mayReserve(peer: string): boolean
  /** May `source` open a circuit to `destination` now. */
  mayConnect(source: string, destination: string): boolean
}

export interface RelayServerOptions {
  readonly gate: RelayGate
  /** Peers that may hold a reservation; each has a connection, so their number is bounded anyway. Default 5,000. */
  readonly reservationsMax?: number
  /** Open circuits in all, and of one source. Default 2,000 and 16. */
  readonly circuitsMax?: number
  readonly circuitsPerSourceMax?: number
  /** Bytes a second of one source and of all, both directions together. Default 1 MiB and 32 MiB. */
  readonly sourceBytesPerSecond?: number
  readonly bytesPerSecond?: number
  /** What one circuit may carry, and for how long. */
  readonly circuitBytesMax?: number
  readonly circuitMsMax?: number
  /** Questions (reserve, connect) of one peer: this many at once, then one a second. Default 20. */
  readonly asksBurst?: number
}

export const relayServerDefaults = Object.freeze({
  reservationsMax: 5_000, circuitsMax: 2_000, circuitsPerSourceMax: 16,
  // A job stream needs some 10 KiB a second; this is for long prompts and for several streams at once.
  sourceBytesPerSecond: 1 << 20, bytesPerSecond: 32 << 20,
  circuitBytesMax: CIRCUIT_BYTES_MAX, circuitMsMax: CIRCUIT_MS_MAX,
  asksBurst: 20,
})

/** A long prompt passes at once. */
const BURST_SECONDS = 8
/** Sources whose rates are remembered; the one that asked longest ago is forgotten. */
const SOURCES_MAX = 10_000

export interface RelayCounts {
  readonly reservations: number
  readonly circuits: number
  /** Bytes that were passed on, both directions; circuits since the start; what the gate or a bound refused. */
  readonly bytes: number
  readonly opened: number
  readonly refused: number
}

export interface RelayServer {
  /** A service for libp2p. */
  readonly service: (components: CircuitRelayServerComponents) => CircuitRelayService
  readonly counts: RelayCounts
  /** True where a circuit of this pair is open, or was within the last `withinMs`. */
  hasCarried(source: string, destination: string, withinMs: number): boolean
  /** The peer has left: its place is free again. */
  forget(peer: string): void
}

interface Source {
  readonly asks: TokenBucket
  readonly rate: TokenBucket
  circuits: number
  /** By destination: circuits that are open, and when the last one ended. */
  readonly carried: Map<string, { readonly open: number; readonly endedMs: number }>
}

export function createRelayServer(components: { readonly clock: Clock; readonly log: Log }, options: RelayServerOptions): RelayServer {
  const { clock } = components
  const log = components.log.child('relay')
  const limits = { ...relayServerDefaults, ...options }
  const { gate } = options
  const sources = new Map<string, Source>()
  const total = createTokenBucket(clock, { perSecond: limits.bytesPerSecond, burst: limits.bytesPerSecond })
  const counts = { circuits: 0, bytes: 0, opened: 0, refused: 0 }
  /** The hop stream that is being answered: the service opens the other half without saying for whom. */
  const hops = new AsyncLocalStorage<{ readonly source: string; readonly stream: Stream }>()
  let reservations: CircuitRelayService['reservations'] | undefined

  function sourceOf(peer: string): Source {
    let source = sources.get(peer)
    if (source === undefined) {
      if (sources.size >= SOURCES_MAX) for (const [other, { circuits }] of sources) if (circuits === 0) { sources.delete(other); break }
      source = {
        asks: createTokenBucket(clock, { perSecond: 1, burst: limits.asksBurst }),
        rate: createTokenBucket(clock, { perSecond: limits.sourceBytesPerSecond, burst: limits.sourceBytesPerSecond * BURST_SECONDS }),
        circuits: 0, carried: new Map(),
      }
      sources.set(peer, source)
    }
    return source
  }

  function refuse(what: string, peer: string): true {
    counts.refused += 1
    log.debug(what, { peer })
    return true
  }

  function mayNotConnect(peer: string, destination: string): boolean {
    if (counts.circuits >= limits.circuitsMax) return refuse('circuit refused: too many', peer)
    if (sourceOf(peer).circuits >= limits.circuitsPerSourceMax) return refuse('circuit refused: too many of this peer', peer)
    if (!gate.mayReserve(destination) || !gate.mayConnect(peer, destination)) return refuse('circuit refused: not allowed', peer)
    return false
  }

  function join(peer: string, stream: Stream, destination: string, other: Stream): void {
    const source = sourceOf(peer)
    source.circuits += 1
    counts.circuits += 1
    counts.opened += 1
    const open = (change: number) => (source.carried.get(destination)?.open ?? 0) + change
    source.carried.set(destination, { open: open(1), endedMs: clock.monotonicMs() })
    watchCircuit(clock, stream, other, {
      pass(bytes) {
        counts.bytes += bytes
        return Math.max(source.rate.take(bytes), total.take(bytes))
      },
      onEnd() {
        source.circuits -= 1
        counts.circuits -= 1
        const left = { open: open(-1), endedMs: clock.monotonicMs() }
        // Open ones stay; of the others the one that ended first goes.
        source.carried.delete(destination)
        source.carried.set(destination, left)
        if (source.carried.size > 2 * limits.circuitsPerSourceMax) forgetOldest(source.carried)
      },
    })
  }

  return {
    service(libp2p) {
      const service = circuitRelayServer({
        maxInboundHopStreams: limits.circuitsPerSourceMax * 2,
        maxOutboundStopStreams: limits.circuitsMax,
        reservations: {
          maxReservations: limits.reservationsMax, defaultDataLimit: BigInt(limits.circuitBytesMax), defaultDurationLimit: limits.circuitMsMax,
        },
      })(override(libp2p, {
        registrar: override(libp2p.registrar, {
          handle: (protocol, handler, handleOptions) => libp2p.registrar.handle(protocol, (stream, connection) => {
            const source = connection.remotePeer.toString()
            if (protocol === RELAY_V2_HOP_CODEC && !sourceOf(source).asks.tryTake(1)) {
              refuse('asks too often', source)
              stream.abort(new Error('asks too often'))
              return
            }
            return hops.run({ source, stream }, () => handler(stream, connection))
          }, handleOptions),
        }),
        connectionManager: override(libp2p.connectionManager, {
          getConnections: (peer) => directConnections(libp2p.connectionManager.getConnections(peer)).map((connection) => override(connection, {
            async newStream(protocols, streamOptions) {
              const other = await connection.newStream(protocols, streamOptions)
              const hop = hops.getStore()
              if (hop !== undefined) join(hop.source, hop.stream, connection.remotePeer.toString(), other)
              return other
            },
          })),
        }),
        connectionGater: override(libp2p.connectionGater, {
          denyInboundRelayReservation: (peer) => !gate.mayReserve(peer.toString()) && refuse('reservation refused', peer.toString()),
          denyOutboundRelayedConnection: (peer, destination) => mayNotConnect(peer.toString(), destination.toString()),
        }),
      }))
      reservations = service.reservations
      return service
    },
    get counts() {
      return { ...counts, reservations: reservations?.size ?? 0 }
    },
    hasCarried(peer, destination, withinMs) {
      const pair = sources.get(peer)?.carried.get(destination)
      return pair !== undefined && (pair.open > 0 || clock.monotonicMs() - pair.endedMs <= withinMs)
    },
    forget(peer) {
      const id = peerIdFromString(peer)
      // The library keeps it, and the timer of its end, for hours: who comes and goes under new keys would use them up.
      reservations?.get(id)?.signal.clear()
      reservations?.delete(id)
    },
  }
}

function forgetOldest(carried: Source['carried']): void {
  for (const [destination, { open }] of carried) {
    if (open > 0) continue
    carried.delete(destination)
    return
  }
}
