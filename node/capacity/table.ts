/**
 * The latest capacity announcement of each peer: bounded, and every row expires. Hubs fill it from gossip.
 * Judging and keeping are one step, so a message that is forwarded is one that was taken.
 */
import { toHex } from '../../protocol/bytes.ts'
import { CAPACITY_VALID_MS, CLOCK_SKEW_MS_MAX } from '../../protocol/limits.ts'
import { readAnnouncement, type Capacity, type OfferedModel } from '../../protocol/messages/capacity.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { GossipVerdict } from '../net/host.ts'
import { createModelIndex, type HostGroup, type ModelHost } from './model-index.ts'

export interface CapacityRow {
  readonly peer: string
  /** Its key, hexadecimal. */
  readonly contributor: string
  readonly capacity: Capacity
  readonly receivedAt: number
}

export interface CapacityTableOptions {
  /** The demo model is offered in a local federation only; elsewhere such an announcement is refused. */
  readonly demoAllowed: boolean
  /** Only a hub may say that it is one, or offer vendors; from others such an announcement is refused. Default: nobody. */
  readonly isHub?: (peer: string) => boolean
  /** Rows; the oldest is dropped. 20,000 rows of about 1 KiB are 20 MB. Default 20,000. */
  readonly rowsMax?: number
}

export interface CapacityTable {
  /** For the gossip validator: `reject` only what an honest peer never forwards. Gives the row of what was taken. */
  judge(data: Uint8Array): { readonly verdict: GossipVerdict; readonly row?: CapacityRow }
  /** This node's own announcement, which gossip does not bring back. */
  put(capacity: Capacity): void
  /** The valid row of a peer. */
  get(peer: string): CapacityRow | undefined
  fresh(): CapacityRow[]
  /** Hosts of a model, some of which may have expired: ask `isFresh` of each that is used. */
  groups(model: string): Iterable<HostGroup<CapacityRow>>
  host(peer: string, model: string): ModelHost<CapacityRow> | undefined
  isFresh(row: CapacityRow): boolean
  forget(peer: string): void
  /** Unix milliseconds since when a model is known here. */
  firstSeenAt(model: string): number
  onChange(listener: () => void): () => void
}

export function createCapacityTable(components: { readonly clock: Clock }, options: CapacityTableOptions): CapacityTable {
  const { clock } = components
  const { demoAllowed, isHub = () => false, rowsMax = 20_000 } = options
  const rows = new Map<string, CapacityRow>()
  const index = createModelIndex<CapacityRow>()
  const modelsSeen = new Map<string, number>()
  const listeners = new Set<() => void>()

  function isFresh(row: CapacityRow): boolean {
    // A peer whose clock is ahead must not stay longer than its announcement is good for.
    return clock.now() < Math.min(row.capacity.validUntil + CLOCK_SKEW_MS_MAX, row.receivedAt + CAPACITY_VALID_MS)
  }

  function drop(peer: string): boolean {
    index.remove(peer)
    return rows.delete(peer)
  }

  /** For each row that comes the two oldest are looked at, so that the expired ones go before they pile up. */
  function sweep(): void {
    let left = 2
    for (const row of rows.values()) {
      if (left === 0 || isFresh(row)) return
      drop(row.peer)
      left -= 1
    }
  }

  function keep(peer: string, capacity: Capacity): CapacityRow {
    // Deleting first keeps the map in order of arrival, so its first row is the oldest.
    rows.delete(peer)
    sweep()
    if (rows.size >= rowsMax) drop(rows.keys().next().value!)
    const row = { peer, contributor: toHex(capacity.peer), capacity, receivedAt: clock.now() }
    rows.set(peer, row)
    index.put(row)
    for (const model of capacity.models) {
      if (!modelsSeen.has(model.id) && modelsSeen.size < rowsMax) modelsSeen.set(model.id, clock.now())
    }
    for (const listener of listeners) listener()
    return row
  }

  return {
    judge(data) {
      let capacity: Capacity
      try {
        capacity = readAnnouncement(data)
      } catch {
        return { verdict: 'reject' }
      }
      const peer = peerIdOf(capacity.peer)
      // A hub is trusted more and asked first: who is one stands in the federation file.
      if ((capacity.mode === 'hub' || (capacity.clouds ?? []).length > 0) && !isHub(peer)) return { verdict: 'reject' }
      if (!demoAllowed && capacity.models.some((model: OfferedModel) => model.demo)) return { verdict: 'reject' }
      if (Math.abs(clock.now() - capacity.sentAt) > CLOCK_SKEW_MS_MAX) return { verdict: 'ignore' }
      const known = rows.get(peer)
      if (known !== undefined && isFresh(known) && known.capacity.seq >= capacity.seq) return { verdict: 'ignore' }
      return { verdict: 'accept', row: keep(peer, capacity) }
    },
    put: (capacity) => { keep(peerIdOf(capacity.peer), capacity) },
    get(peer) {
      const row = rows.get(peer)
      return row !== undefined && isFresh(row) ? row : undefined
    },
    fresh() {
      const valid: CapacityRow[] = []
      for (const row of rows.values()) {
        if (isFresh(row)) valid.push(row)
        else drop(row.peer)
      }
      return valid
    },
    forget(peer) {
      if (drop(peer)) for (const listener of listeners) listener()
    },
    groups: (model) => index.groups(model),
    host: (peer, model) => index.host(peer, model),
    isFresh,
    firstSeenAt: (model) => modelsSeen.get(model) ?? clock.now(),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
