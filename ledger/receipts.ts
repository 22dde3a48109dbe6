/** Questions about logged receipts, answered from the store. */
import { bytesEqual } from '../protocol/bytes.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { Federation } from '../protocol/federation.ts'
import type { ListCursor, ReceiptRecord } from './interface.ts'
import { inclusionPath, leafHash } from '../protocol/merkle.ts'
import { receiptIn } from './entries/entry.ts'
import { writeReceiptFile } from './receipt-file.ts'
import type { ListingOwner, StoredPosition } from './store/buckets.ts'
import { logName, type LogStore, type StoredEntry } from './store/log-store.ts'

export interface ReceiptsComponents { readonly store: Pick<LogStore, 'locate' | 'entryAt' | 'listing' | 'tails'> }

export interface Receipts {
  record(id: Uint8Array): Promise<ReceiptRecord | undefined>
  file(id: Uint8Array): Promise<string | undefined>
  /**
   * At least `limit`, where there are so many: receipts of one frame time are never parted, since `before` could not name
   * the rest. With `after`, which can, at most `limit`.
   */
  list(filter: { account?: Uint8Array; contributor?: Uint8Array; before?: number; after?: ListCursor; limit: number }): Promise<readonly ReceiptRecord[]>
}

interface Found {
  readonly stored: StoredEntry
  readonly record: ReceiptRecord
}

/** Receipts that one call lists at most, besides those of the last frame time. */
const LIST_MAX = 1_000

export function createReceipts({ store }: ReceiptsComponents, { federation }: { readonly federation: Federation }): Receipts {
  async function find(id: Uint8Array): Promise<Found | undefined> {
    const [position] = await store.locate([id])
    return position === undefined ? undefined : await read(position)
  }

  /** Gives undefined where the entry is no receipt. */
  async function read(position: StoredPosition): Promise<Found | undefined> {
    const stored = await store.entryAt(position)
    const { entry, frame, index } = stored
    if (entry.k !== 'JobReceipt') return undefined
    const { header } = frame
    return {
      stored,
      record: {
        id: entry.eid, receipt: receiptIn(entry), account: entry.account, contributor: entry.contributor,
        hub: header.hub, epoch: header.epoch, seq: header.firstSeq + index, loggedAt: header.tsMs,
      },
    }
  }

  /** Newest first; frames of one time are never parted. */
  async function listed(owner: ListingOwner, before: number | undefined, min: number): Promise<ReceiptRecord[]> {
    const records: ReceiptRecord[] = []
    for (const { log, no, indexes } of await store.listing(owner, before, min)) {
      for (const index of indexes.toReversed()) {
        const found = await read({ log, no, index })
        if (found !== undefined) records.push(found.record)
      }
    }
    return records
  }

  return {
    record: async (id) => (await find(id))?.record,

    file: async (id) => {
      const found = await find(id)
      if (found === undefined) return undefined
      const { frame, index, bytes } = found.stored
      const certificate = store.tails.get(logName(frame.log))!.epochKey!.certificate
      return writeReceiptFile({
        entry: bytes, index, path: inclusionPath(frame.entryBytes.map(leafHash), index),
        header: frame.headerBytes, headerSignature: frame.signature, epochKey: certificate,
      }, federation)
    },

    list: async ({ account, contributor, before, after, limit }) => {
      const owner = account === undefined ? contributor === undefined ? undefined : { contributor } : { account }
      if (owner === undefined) throw new TriforceError('BAD_REQUEST', { problem: 'an account or a contributor' })
      if (after === undefined) return await listed(owner, before, Math.min(limit, LIST_MAX))
      // The rest of the frame time that the last page ended in, then what is older.
      const same = (await listed(owner, after.at + 1, 1)).filter(({ loggedAt }) => loggedAt === after.at)
      const rest = same.slice(same.findIndex(({ id }) => bytesEqual(id, after.id)) + 1)
      const older = rest.length >= limit ? [] : await listed(owner, after.at, Math.min(limit - rest.length, LIST_MAX))
      return [...rest, ...older].slice(0, limit)
    },
  }
}
