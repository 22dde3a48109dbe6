/**
 * The rows that this hub must not forget: what it promised and signed of seals, and whom it has still to hear after a loss
 * (hub/seal.ts, hub/memory.ts). Frames are a chain, so a missing one is found; these rows are not. So a row of its own, in
 * the same batch, says how many of them were ever written and which there are now. A database that lost some of them, and
 * with them the newest of these counts, is found out by the anchor and the marker, which know the count before anybody
 * else hears of the promise. Spec: docs/ledger.md#seals-and-returns
 */
import { z } from 'zod'
import { bytesEqual, concatBytes } from '../protocol/bytes.ts'
import { decode, encode } from '../protocol/codec.ts'
import { sha256 } from '../protocol/crypto.ts'
import { countField, hashField } from '../protocol/fields.ts'
import type { Kept } from './commit-lane.ts'
import { memoryRowKey } from './hub/memory.ts'
import { sealRowPrefix } from './hub/seal-documents.ts'

/** The row that counts the others. */
export const promiseCountKey = 'promises'
const countSchema = z.strictObject({ v: z.literal(1), count: countField, digest: hashField })

export interface PromiseRows {
  /** Rows are missing, or older than the newest that this hub had written. */
  readonly lost: boolean
  /** What is to be written for this row, in this order. */
  with(kept: Kept): readonly Kept[]
  /** Is it one of those that must not be forgotten? */
  has(key: string): boolean
  /** How many of them there are with these rows, which are on the disk now; undefined where none of them is one. */
  countIn(written: readonly Kept[]): number | undefined
}

/** `rows`: all that were found on the disk. `known`: how many there must be, as anchor and marker say. */
export function createPromiseRows(rows: ReadonlyMap<string, Uint8Array>, known: number): PromiseRows {
  const has = (key: string) => key.startsWith(sealRowPrefix) || key === memoryRowKey
  const hashes = new Map<string, Uint8Array>()
  const note = ({ key, value }: Kept) => hashes.set(key, sha256(value))
  for (const [key, value] of rows) if (has(key)) note({ key, value })
  const stored = rows.get(promiseCountKey)
  // A folder of before there was such a row has none, and nothing outside knows of any.
  const found = stored === undefined ? undefined : decode(countSchema, stored)
  let count = Math.max(found?.count ?? 0, known)

  function digest(): Uint8Array {
    const parts = [...hashes].sort(([a], [b]) => a < b ? -1 : 1).flatMap(([key, hash]) => [sha256(Buffer.from(key, 'utf8')), hash])
    return sha256(concatBytes(...parts))
  }

  return {
    lost: (found?.count ?? 0) < known || found !== undefined && !bytesEqual(found.digest, digest()),
    has,
    with: (kept) => {
      if (!has(kept.key)) return [kept]
      note(kept)
      count += 1
      // The count last: where it is there, so is the row.
      return [kept, { key: promiseCountKey, value: encode({ v: 1, count, digest: digest() }) }]
    },
    countIn: (written) => {
      const last = written.findLast(({ key }) => key === promiseCountKey)
      return last === undefined ? undefined : decode(countSchema, last.value).count
    },
  }
}
