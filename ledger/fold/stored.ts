/**
 * Reads entries of frames that were checked when they were stored, for folding a whole ledger again: no second look at
 * fields, and nothing of entries that the fold passes over. About five times as fast as `decodeEntry`.
 */
import { decodeUnchecked } from '../../protocol/codec.ts'
import { peekEntry, type Entry } from '../entries/entry.ts'
import type { Frame } from '../frame.ts'

/** Fields that hold money: a small amount is read as a number and a large one as a bigint. */
const moneyFields = ['amount', 'credits', 'charge', 'total', 'delta', 'back', 'rate'] as const

/** A frame that `foldFrame` takes; `undefined` stands for an entry that changes nothing. */
export interface StoredFrame extends Frame {
  readonly entries: readonly (Entry | undefined)[]
}

/** The bytes must be of a frame whose chain and roots hold (`checkChain`), and that was checked by `checkFrame` once. Throws where they are no DAG-CBOR. */
export function storedFrame(frame: Frame): StoredFrame {
  return { ...frame, entries: frame.entryBytes.map(storedEntry) }
}

/** Gives undefined for an entry that changes nothing: a receipt that earns nothing. */
export function storedEntry(bytes: Uint8Array): Entry | undefined {
  const kind = peekEntry(bytes)?.kind
  if (kind === 'JobReceipt' && !hasRate(bytes)) return undefined
  const entry = decodeUnchecked(bytes) as Record<string, unknown>
  for (const field of moneyFields) {
    const value = entry[field]
    if (typeof value === 'number') entry[field] = BigInt(value)
  }
  const byDevice = kind === 'Presence' ? entry.devices : kind === 'JobReceipt' ? entry.rates : undefined
  if (byDevice !== undefined) for (const device of byDevice as Record<string, unknown>[]) device.rate = BigInt(device.rate as number | bigint)
  return entry as unknown as Entry
}

/** A rate, or rates: a receipt without has seven fields, and an eighth where there is a half. */
function hasRate(bytes: Uint8Array): boolean {
  // Map head, `k` and its text of 10 letters, `eid` and its 16 bytes.
  const at = 1 + 2 + 11 + 4 + 17
  // DAG-CBOR sorts keys by length, so `half` follows the id where there is one: no other key begins with h.
  const hasHalf = bytes[at + 1] === 0x68
  return (bytes[0]! & 0x1f) > (hasHalf ? 8 : 7)
}
