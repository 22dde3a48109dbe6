/**
 * Key spaces of the store: one byte that is never used again for anything else, then the key. Numbers are big-endian,
 * so that the order of keys is the order of numbers.
 *
 * 1 meta         name                                         → value
 * 2 frames       hub, epoch, no                               → the stored frame
 * 3 eids         entry id                                     → position of the entry's first occurrence
 * 4 by account   account, frame time, hub, epoch, no          → numbers of the receipts in that frame, 2 bytes each
 * 5 by host      contributor key, frame time, hub, epoch, no  → the same
 * 6 kept         name                                         → what the core keeps beside the logs (promises, signatures), with a checksum
 * 7 orphans      hub, epoch, no, start of the header's hash   → a frame that was moved aside: it does not count and is never served
 * 8 blobs        name                                         → larger values that are made again where they are lost (snapshots), with a checksum
 * 9 by money     account, frame time, hub, epoch, no          → numbers of the entries in that frame that move its money or quota
 *
 * 3 to 5 and 9 are derived from 2 and checked against it at every open.
 */
import { concatBytes } from '../../protocol/bytes.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'

const META = 1
const FRAMES = 2
const EIDS = 3
const BY_ACCOUNT = 4
const BY_CONTRIBUTOR = 5
const KEPT = 6
const ORPHANS = 7
const BLOBS = 8
const BY_MONEY = 9

const LOG_BYTES = 5
const NUMBER_BYTES = 6
const NO_MAX = 2 ** 48 - 1
const ORPHAN_HASH_BYTES = 8
/** One number of a receipt in a listing. */
export const LISTING_INDEX_BYTES = 2
const POSITION_BYTES = LOG_BYTES + NUMBER_BYTES + 2

/** Where an entry is stored: frame and place in it. */
export interface StoredPosition {
  readonly log: LogId
  readonly no: number
  readonly index: number
}

/** Receipts of one account or contributor in one frame. */
export interface ListingRow {
  readonly tsMs: number
  readonly log: LogId
  readonly no: number
  readonly indexes: readonly number[]
}

export function metaKey(name: string): Uint8Array {
  return concatBytes(Uint8Array.of(META), Buffer.from(name, 'utf8'))
}

export function keptKey(name: string): Uint8Array {
  return concatBytes(Uint8Array.of(KEPT), Buffer.from(name, 'utf8'))
}

export const keptRange = { gte: Uint8Array.of(KEPT), lt: Uint8Array.of(KEPT + 1) }

export function keptName(key: Uint8Array): string {
  return Buffer.from(key.subarray(1)).toString('utf8')
}

export function blobKey(name: string): Uint8Array {
  return concatBytes(Uint8Array.of(BLOBS), Buffer.from(name, 'utf8'))
}

/** Bounds of the blobs whose name begins so. */
export function blobRange(prefix: string): { readonly gte: Uint8Array; readonly lt: Uint8Array } {
  return { gte: blobKey(prefix), lt: concatBytes(blobKey(prefix), Uint8Array.of(0xff)) }
}

/** Two frames with one number can both have been moved aside: the hash keeps them apart. */
export function orphanKey(log: LogId, no: number, hash: Uint8Array): Uint8Array {
  const key = Buffer.allocUnsafe(1 + LOG_BYTES + NUMBER_BYTES)
  key[0] = ORPHANS
  writeFramePosition(key, 1, log, no)
  return concatBytes(key, hash.subarray(0, ORPHAN_HASH_BYTES))
}

export const orphanPositionOf = framePositionOf

export const orphanRange = { gte: Uint8Array.of(ORPHANS), lt: Uint8Array.of(ORPHANS + 1) }

/** Bounds of a log's frames that were moved aside, from this number on. */
export function orphansFrom(log: LogId, no: number): { readonly gte: Uint8Array; readonly lte: Uint8Array } {
  const first = Buffer.from(frameKey(log, no))
  const end = Buffer.from(frameKey(log, NO_MAX))
  first[0] = ORPHANS
  end[0] = ORPHANS
  return { gte: first, lte: concatBytes(end, new Uint8Array(ORPHAN_HASH_BYTES).fill(0xff)) }
}

/** Bounds of a log's stored frames from this number on. */
export function framesFrom(log: LogId, no: number): { readonly gte: Uint8Array; readonly lte: Uint8Array } {
  return { gte: frameKey(log, no), lte: frameKey(log, NO_MAX) }
}

export function frameKey(log: LogId, no: number): Uint8Array {
  const key = Buffer.allocUnsafe(1 + LOG_BYTES + NUMBER_BYTES)
  key[0] = FRAMES
  writeFramePosition(key, 1, log, no)
  return key
}

/** Bounds of all frames; iterating them gives each log's frames in order. */
export const frameRange = { gte: Uint8Array.of(FRAMES), lt: Uint8Array.of(FRAMES + 1) }

export function framePositionOf(key: Uint8Array): { readonly log: LogId; readonly no: number } {
  const view = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
  return { log: { hub: view[1]!, epoch: view.readUInt32BE(2) }, no: view.readUIntBE(1 + LOG_BYTES, NUMBER_BYTES) }
}

export function eidKey(eid: Uint8Array): Uint8Array {
  const key = Buffer.allocUnsafe(1 + eid.byteLength)
  key[0] = EIDS
  key.set(eid, 1)
  return key
}

/** The id of which this is the key. */
export function eidOf(key: Uint8Array): Uint8Array {
  return key.subarray(1)
}

/** Position values compare as bytes in the order of logs and numbers: the smallest one counts. */
export function positionValue({ log, no, index }: StoredPosition): Uint8Array {
  const value = Buffer.allocUnsafe(POSITION_BYTES)
  writeFramePosition(value, 0, log, no)
  value.writeUInt16BE(index, LOG_BYTES + NUMBER_BYTES)
  return value
}

/** Gives undefined where the value cannot be a position. */
export function positionOf(value: Uint8Array): StoredPosition | undefined {
  if (value.byteLength !== POSITION_BYTES) return undefined
  const view = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return {
    log: { hub: view[0]!, epoch: view.readUInt32BE(1) },
    no: view.readUIntBE(LOG_BYTES, NUMBER_BYTES),
    index: view.readUInt16BE(LOG_BYTES + NUMBER_BYTES),
  }
}

/** Whose receipts (as payer, as contributor), or whose money entries. */
export type ListingOwner = { readonly account: Uint8Array } | { readonly contributor: Uint8Array } | { readonly money: Uint8Array }

export function listingKey(owner: ListingOwner, tsMs: number, log: LogId, no: number): Uint8Array {
  const prefix = listingPrefix(owner)
  const key = Buffer.allocUnsafe(prefix.byteLength + NUMBER_BYTES + LOG_BYTES + NUMBER_BYTES)
  key.set(prefix)
  key.writeUIntBE(tsMs, prefix.byteLength, NUMBER_BYTES)
  writeFramePosition(key, prefix.byteLength + NUMBER_BYTES, log, no)
  return key
}

/** Bounds of all rows of each listing. */
export const listingRanges = {
  byAccount: { gte: Uint8Array.of(BY_ACCOUNT), lt: Uint8Array.of(BY_ACCOUNT + 1) },
  byContributor: { gte: Uint8Array.of(BY_CONTRIBUTOR), lt: Uint8Array.of(BY_CONTRIBUTOR + 1) },
  byMoney: { gte: Uint8Array.of(BY_MONEY), lt: Uint8Array.of(BY_MONEY + 1) },
}

/** Bounds of an owner's rows, of frames before `before` (Unix ms) where given. */
export function listingRange(owner: ListingOwner, before: number | undefined): { readonly gte: Uint8Array; readonly lt: Uint8Array } {
  const prefix = listingPrefix(owner)
  const end = Buffer.alloc(NUMBER_BYTES, 0xff)
  if (before !== undefined) end.writeUIntBE(before, 0, NUMBER_BYTES)
  return { gte: prefix, lt: concatBytes(prefix, end) }
}

export function listingValue(indexes: readonly number[]): Uint8Array {
  const value = Buffer.allocUnsafe(indexes.length * LISTING_INDEX_BYTES)
  for (const [place, index] of indexes.entries()) value.writeUInt16BE(index, place * LISTING_INDEX_BYTES)
  return value
}

export function listingRow(owner: ListingOwner, key: Uint8Array, value: Uint8Array): ListingRow {
  const start = listingPrefix(owner).byteLength
  const keyView = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
  const valueView = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const at = start + NUMBER_BYTES
  return {
    tsMs: keyView.readUIntBE(start, NUMBER_BYTES),
    log: { hub: keyView[at]!, epoch: keyView.readUInt32BE(at + 1) },
    no: keyView.readUIntBE(at + LOG_BYTES, NUMBER_BYTES),
    indexes: Array.from({ length: value.byteLength / LISTING_INDEX_BYTES }, (_, place) => valueView.readUInt16BE(place * LISTING_INDEX_BYTES)),
  }
}

function listingPrefix(owner: ListingOwner): Uint8Array {
  if ('account' in owner) return concatBytes(Uint8Array.of(BY_ACCOUNT), owner.account)
  if ('contributor' in owner) return concatBytes(Uint8Array.of(BY_CONTRIBUTOR), owner.contributor)
  return concatBytes(Uint8Array.of(BY_MONEY), owner.money)
}

function writeFramePosition(buffer: Buffer, offset: number, log: LogId, no: number): void {
  buffer[offset] = log.hub
  buffer.writeUInt32BE(log.epoch, offset + 1)
  buffer.writeUIntBE(no, offset + LOG_BYTES, NUMBER_BYTES)
}
