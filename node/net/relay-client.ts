/**
 * The ends of a circuit (circuit relay v2): a contributor reserves a place at its hubs, a consumer dials through one.
 * The library takes every peer for a relay that says so, walks the DHT for more, and never asks again after a refusal;
 * here only hubs that we are connected to are relays, and `reserve` asks whenever it is called.
 */
import {
  circuitRelayTransport, RELAY_V2_HOP_CODEC, RELAY_V2_STOP_CODEC, type CircuitRelayTransportComponents,
} from '@libp2p/circuit-relay-v2'
import type { Connection, PeerId, Topology, Transport } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { directConnections } from './connections.ts'
import { override } from './override.ts'

export interface RelayClient {
  /** A transport for libp2p; listen at `/p2p-circuit` once for each relay. */
  readonly transport: (components: CircuitRelayTransportComponents) => Transport
  /** Asks a connected relay for a reservation; nothing happens where one is held or on its way. */
  reserve(relay: string): void
  /** Opens a circuit. Not through libp2p's queue of dials, which would wait for a dial of the same peer by another way. */
  dial(relay: string, peer: string, options: { readonly signal: AbortSignal }): Promise<Connection>
}

/** `isRelay` says which peers we take for relays. */
export function createRelayClient(isRelay: (peer: string) => boolean): RelayClient {
  let topology: Topology | undefined
  let transport: Transport | undefined
  let upgrader: CircuitRelayTransportComponents['upgrader'] | undefined

  return {
    transport(libp2p) {
      const { registrar, connectionManager } = libp2p
      transport = circuitRelayTransport()(override(libp2p, {
        registrar: override(registrar, {
          // Discovery is ours: the library's asks once and forgets.
          async register(_protocol, discovery) {
            topology = discovery
            return RELAY_V2_HOP_CODEC
          },
          unregister() {},
          handle: (protocol, handler, options) => registrar.handle(protocol, (stream, connection) => {
            // Whoever is no hub would make us reserve at it, and speak for peers that we never see.
            if (protocol === RELAY_V2_STOP_CODEC && !isRelay(connection.remotePeer.toString())) {
              stream.abort(new Error('not a relay of this node'))
              return
            }
            return handler(stream, connection)
          }, options),
        }),
        connectionManager: override(connectionManager, {
          getConnections: (relay) => directConnections(connectionManager.getConnections(relay)),
          // Nothing is dialled; and a failed dial is what the library takes for "never again".
          openConnection(relay) {
            const connection = directConnections(connectionManager.getConnections(relay as PeerId))[0]
            if (connection === undefined || !isRelay(connection.remotePeer.toString())) return Promise.reject(new Error('not connected to this relay'))
            return Promise.resolve(connection)
          },
        }),
        // A circuit from a hub at which we hold nothing is served, but is no reason to listen there.
        transportManager: override(libp2p.transportManager, { listen: () => Promise.resolve() }),
        randomWalk: { async *walk() {} },
      }))
      upgrader = libp2p.upgrader
      return transport
    },
    reserve(relay) {
      void topology?.onConnect?.(peerIdFromString(relay), undefined as never)
    },
    async dial(relay, peer, { signal }) {
      if (transport === undefined || upgrader === undefined) throw new Error('not started')
      return transport.dial(multiaddr(`/p2p/${relay}/p2p-circuit/p2p/${peer}`), { signal, upgrader })
    },
  }
}

