/**
 * What is logged already of what is to be logged: entries found by id, and tickets that stand before their receipts.
 * All looking up happens before a frame is built, since nothing may pause while it is.
 */
import { bytesEqual, toHex } from '../protocol/bytes.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import type { EncodedEntry } from './entries/entry.ts'
import { isPlanted } from './planted-bugs.ts'
import type { StoredPosition } from './store/buckets.ts'
import { logName, type LogStore, type StoredEntry } from './store/log-store.ts'

/** Logged tickets whose bytes are remembered, so that their receipts need no look into the store. */
const TICKETS_REMEMBERED_MAX = 8_192

export interface Wanted {
  readonly intent: { readonly eid: Uint8Array }
  /** Stands in front of the entry. */
  readonly before: EncodedEntry | undefined
}

/** What the store knows of a batch. */
export interface Found<Item extends Wanted> {
  readonly logged: ReadonlyMap<Item, StoredEntry>
  /** Bytes of what is to stand before an entry, where it is in the own log already. */
  readonly before: ReadonlyMap<Item, Uint8Array>
  /** Logged, and can no longer be read. */
  readonly unreadable: ReadonlyMap<Item, unknown>
}

export interface KnownEntries<Item extends Wanted> {
  lookUp(batch: readonly Item[], log: LogId): Promise<Found<Item>>
  /** What is to be logged in front of the item; throws ENTRY_CONFLICT where another entry with its id is. */
  missingBefore(item: Item, found: Found<Item>): readonly EncodedEntry[]
  /** This one is logged now. */
  remember(encoded: EncodedEntry): void
  /** Another log takes entries from now on. */
  forget(): void
}

export function createKnownEntries<Item extends Wanted>(store: Pick<LogStore, 'locate' | 'entryAt'>): KnownEntries<Item> {
  const tickets = new Map<string, Uint8Array>()

  return {
    async lookUp(batch, log) {
      const logged = new Map<Item, StoredEntry>()
      const before = new Map<Item, Uint8Array>()
      const unreadable = new Map<Item, unknown>()
      const read = async (item: Item, position: StoredPosition, then: (entry: StoredEntry) => void) => {
        try {
          then(await store.entryAt(position))
        } catch (error) {
          unreadable.set(item, error)
        }
      }
      const positions = isPlanted('ids-not-looked-up') ? [] : await store.locate(batch.map(({ intent }) => intent.eid))
      for (const [place, item] of batch.entries()) {
        const position = positions[place]
        if (position !== undefined) await read(item, position, (entry) => { logged.set(item, entry) })
      }
      const unknown = batch.filter((item) => item.before !== undefined && !logged.has(item) && !tickets.has(toHex(item.before.entry.eid)))
      const beforePositions = unknown.length === 0 ? [] : await store.locate(unknown.map((item) => item.before!.entry.eid))
      for (const [place, item] of unknown.entries()) {
        const position = beforePositions[place]
        if (position !== undefined && logName(position.log) === logName(log)) await read(item, position, ({ bytes }) => { before.set(item, bytes) })
      }
      return { logged, before, unreadable }
    },

    missingBefore(item, found) {
      if (item.before === undefined) return []
      const logged = tickets.get(toHex(item.before.entry.eid)) ?? found.before.get(item)
      if (logged === undefined) return [item.before]
      if (!bytesEqual(logged, item.before.bytes)) throw conflict(item.before.entry.eid)
      return []
    },

    remember({ entry, bytes }) {
      if (entry.k !== 'JobTicket') return
      if (tickets.size >= TICKETS_REMEMBERED_MAX) tickets.delete(tickets.keys().next().value!)
      tickets.set(toHex(entry.eid), bytes)
    },

    forget: () => { tickets.clear() },
  }
}

/** Another entry has this id. */
export function conflict(eid: Uint8Array): TriforceError {
  return new TriforceError('ENTRY_CONFLICT', { eid: toHex(eid) })
}
