/**
 * Hosts by model, kept up to date with each announcement, so that a placement among thousands looks at a few. Hosts of one
 * model stand in groups of what decides whether they are asked at all: hub or not, leaving, no free slot, capabilities.
 */
import type { Capacity, ModelCapability, OfferedModel } from '../../protocol/messages/capacity.ts'

export interface IndexedRow {
  readonly peer: string
  readonly capacity: Capacity
}

/** One model at one host. */
export interface ModelHost<Row extends IndexedRow> {
  readonly row: Row
  readonly model: OfferedModel
}

export interface HostGroup<Row extends IndexedRow> {
  readonly isHub: boolean
  readonly draining: boolean
  /** As announced: it would have to wait. */
  readonly isFull: boolean
  readonly capabilities: ReadonlySet<ModelCapability>
  /** In no order; some may have expired. */
  readonly hosts: readonly ModelHost<Row>[]
}

export interface ModelIndex<Row extends IndexedRow> {
  /** In place of what was known of the peer. */
  put(row: Row): void
  remove(peer: string): void
  groups(model: string): Iterable<HostGroup<Row>>
  host(peer: string, model: string): ModelHost<Row> | undefined
}

interface Entry<Row extends IndexedRow> extends ModelHost<Row> {
  row: Row
  model: OfferedModel
  group: Group<Row>
  /** Place in `group.hosts`. */
  at: number
}

interface Group<Row extends IndexedRow> extends HostGroup<Row> {
  readonly key: string
  readonly hosts: Entry<Row>[]
}

export function createModelIndex<Row extends IndexedRow>(): ModelIndex<Row> {
  const byModel = new Map<string, Map<string, Group<Row>>>()
  const byPeer = new Map<string, Map<string, Entry<Row>>>()

  /** Most announcements change nothing of that, and to look for the group costs more than to see it. */
  function staysIn({ group, model: before }: Entry<Row>, model: OfferedModel, capacity: Capacity): boolean {
    return group.isHub === isHubs(capacity) && group.draining === capacity.draining && group.isFull === isFullAt(capacity) && isSameList(before.capabilities, model.capabilities)
  }

  function groupFor(model: OfferedModel, capacity: Capacity): Group<Row> {
    const [isHub, isFull] = [isHubs(capacity), isFullAt(capacity)]
    const key = `${isHub ? 'h' : 'p'}${capacity.draining ? 'd' : ''}${isFull ? 'f' : ''} ${model.capabilities.join()}`
    let groups = byModel.get(model.id)
    if (groups === undefined) byModel.set(model.id, groups = new Map())
    let group = groups.get(key)
    if (group === undefined) groups.set(key, group = { key, isHub, draining: capacity.draining, isFull, capabilities: new Set(model.capabilities), hosts: [] })
    return group
  }

  function enter(row: Row, model: OfferedModel, group: Group<Row>): Entry<Row> {
    const entry: Entry<Row> = { row, model, group, at: group.hosts.length }
    group.hosts.push(entry)
    return entry
  }

  /** The last one of the group takes the free place. */
  function leave({ model, group, at }: Entry<Row>): void {
    const last = group.hosts.pop()!
    if (last.at !== at) {
      group.hosts[at] = last
      last.at = at
    }
    if (group.hosts.length > 0) return
    const groups = byModel.get(model.id)!
    groups.delete(group.key)
    if (groups.size === 0) byModel.delete(model.id)
  }

  return {
    put(row) {
      const known = byPeer.get(row.peer)
      const entries = new Map<string, Entry<Row>>()
      for (const model of row.capacity.models) {
        if (entries.has(model.id)) continue
        const entry = known?.get(model.id)
        const group = entry !== undefined && staysIn(entry, model, row.capacity) ? entry.group : groupFor(model, row.capacity)
        if (entry?.group === group) {
          entry.row = row
          entry.model = model
          entries.set(model.id, entry)
        } else {
          if (entry !== undefined) leave(entry)
          entries.set(model.id, enter(row, model, group))
        }
        known?.delete(model.id)
      }
      for (const gone of known?.values() ?? []) leave(gone)
      if (entries.size > 0) byPeer.set(row.peer, entries)
      else byPeer.delete(row.peer)
    },
    remove(peer) {
      for (const entry of byPeer.get(peer)?.values() ?? []) leave(entry)
      byPeer.delete(peer)
    },
    groups: (model) => byModel.get(model)?.values() ?? [],
    host: (peer, model) => byPeer.get(peer)?.get(model),
  }
}

const isHubs = ({ mode }: Capacity) => mode === 'hub'

const isFullAt = ({ slots: { busy, queued, total } }: Capacity) => busy + queued >= total

function isSameList(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index])
}
