/**
 * What is logged already of what is to be logged: entries found by id. All looking up happens before a frame is built,
 * since nothing may pause while it is.
 */
import { toHex } from '../protocol/bytes.ts'
import { TriforceError } from '../protocol/errors.ts'
import { isPlanted } from './planted-bugs.ts'
import type { LogStore, StoredEntry } from './store/log-store.ts'

export interface Wanted {
  readonly intent: { readonly eid: Uint8Array }
}

/** What the store knows of a batch. */
export interface Found<Item extends Wanted> {
  readonly logged: ReadonlyMap<Item, StoredEntry>
  /** Logged, and can no longer be read. */
  readonly unreadable: ReadonlyMap<Item, unknown>
}

export async function lookUp<Item extends Wanted>(store: Pick<LogStore, 'locate' | 'entryAt'>, batch: readonly Item[]): Promise<Found<Item>> {
  const logged = new Map<Item, StoredEntry>()
  const unreadable = new Map<Item, unknown>()
  const positions = isPlanted('ids-not-looked-up') ? [] : await store.locate(batch.map(({ intent }) => intent.eid))
  for (const [place, item] of batch.entries()) {
    const position = positions[place]
    if (position === undefined) continue
    try {
      logged.set(item, await store.entryAt(position))
    } catch (error) {
      unreadable.set(item, error)
    }
  }
  return { logged, unreadable }
}

/** Another entry has this id. */
export function conflict(eid: Uint8Array): TriforceError {
  return new TriforceError('ENTRY_CONFLICT', { eid: toHex(eid) })
}
