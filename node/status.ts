/** What a node says about itself, for /ready, /v1/status and the command line. */
import type { HubLedger } from '../ledger/interface.ts'
import { toHex } from '../protocol/bytes.ts'
import type { Federation } from '../protocol/federation.ts'
import type { NodeMode } from '../protocol/messages/capacity.ts'
import type { Clock } from '../protocol/ports.ts'
import type { CapacityTable } from './capacity/table.ts'
import { listModels } from './capacity/model-list.ts'
import type { NodeStatus } from './gateway.ts'
import type { Host } from './net/host.ts'
import type { RelayCounts } from './net/relay-server.ts'
import type { TrafficByPath } from './net/traffic.ts'

export interface StatusComponents {
  readonly host: Pick<Host, 'peerId' | 'isConnected' | 'connectionCount' | 'traffic' | 'reservedAt' | 'relay'>
  readonly clock: Clock
  readonly jobs: () => NodeStatus['jobs']
  /** Models that this node offers itself. */
  readonly offered: () => readonly string[]
  /** Hubs only. */
  readonly ledger?: Pick<HubLedger, 'heads' | 'writable'>
  readonly table?: CapacityTable
}

export interface StatusOptions {
  readonly name: string
  readonly mode: NodeMode
  readonly federation: Federation
  readonly version: string
}

export function createStatus(components: StatusComponents, options: StatusOptions): () => NodeStatus {
  const { host, clock, ledger, table } = components
  const { name, mode, federation, version } = options
  const startedMs = clock.monotonicMs()
  const hubNames = federation.hubs.map((hub) => hub.name)

  return () => {
    const hubs = federation.hubs.map((hub) => ({
      name: hub.name, peerId: hub.peerId, connected: hub.peerId === host.peerId || host.isConnected(hub.peerId),
    }))
    const reservedAt = host.reservedAt()
    const waitingFor = [
      ...(hubs.some((hub) => hub.connected) ? [] : ['a connection to a hub']),
      ...(ledger === undefined || ledger.writable ? [] : ['the ledger to be checked and caught up']),
      ...(mode === 'contributor' && components.offered().length === 0 ? ['an engine with a model'] : []),
    ]
    return {
      name, mode, version, peerId: host.peerId, network: federation.network, uptimeMs: Math.floor(clock.monotonicMs() - startedMs),
      ready: waitingFor.length === 0, waitingFor, hubs, connections: host.connectionCount(), jobs: components.jobs(),
      traffic: trafficOf(host), reachableThrough: hubs.filter((hub) => reservedAt.includes(hub.peerId)).map((hub) => hub.name),
      ...(host.relay === undefined ? {} : { relay: withoutBytes(host.relay.counts) }),
      models: table === undefined
        ? components.offered().map((id) => ({ id, hosts: 1 }))
        : listModels(table).map(({ id, hosts }) => ({ id, hosts })),
      ...(ledger === undefined ? {} : {
        logs: ledger.heads().map((head) => ({
          hub: hubNames[head.hub] ?? String(head.hub), epoch: head.epoch, frames: head.frames, entries: head.entries, hash: toHex(head.hash),
        })),
      }),
    }
  }
}

/** What a hub passes on as ciphertext belongs to no stream of its own. */
function trafficOf({ traffic: { byPath }, relay }: Pick<Host, 'traffic' | 'relay'>): TrafficByPath {
  return relay === undefined ? byPath : { ...byPath, relayed: { ...byPath.relayed, bytes: byPath.relayed.bytes + relay.counts.bytes } }
}

function withoutBytes({ reservations, circuits, opened, refused }: RelayCounts): Omit<RelayCounts, 'bytes'> {
  return { reservations, circuits, opened, refused }
}
