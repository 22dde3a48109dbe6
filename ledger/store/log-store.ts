/**
 * The logs on disk: writes frames with their index rows in one synced batch, reads frames and entries back.
 *
 * Knows the end of every log (`tails`); what the database holds beyond an end was not verified and is never read.
 * What is read is checked again, so a bit that flips on the disk while the hub runs is found and not served.
 */
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { decodeEntry, peekEntry, type Entry } from '../entries/entry.ts'
import { decodeFrame, type CheckedFrame, type Frame, type LogTail } from '../frame.ts'
import {
  blobKey, blobRange, eidKey, eidOf, frameKey, keptKey, keptName, keptRange, listingRange, listingRanges, listingRow, positionOf, positionValue,
  type ListingOwner, type ListingRow, type StoredPosition,
} from './buckets.ts'
import { withoutSum, withSum } from './checked-value.ts'
import { createCut, type Orphans } from './cut.ts'
import type { StoreDatabase } from './database.ts'
import { createEidFilter } from './eid-filter.ts'
import { createFrameReader, damaged, type FrameReader } from './frame-reader.ts'
import { createIndexRows, type FrameRows, type Row } from './index-rows.ts'
import { createRowSum, type RowSum } from './row-sum.ts'
import { scanFrames } from './scan.ts'

/** Read at once while rows are looked through. */
const SCAN_BYTES = 4 * 1024 * 1024
const SCAN_ROWS = 1_000

export interface StoredEntry {
  readonly entry: Entry
  readonly bytes: Uint8Array
  readonly frame: Frame
  readonly index: number
}

export interface LogStore {
  /** Ends of all logs, by `logName`. */
  readonly tails: ReadonlyMap<string, LogTail>
  /** After verification: from here on the log counts. */
  setTail(tail: LogTail): void
  /** Writes all frames and values in one synced batch; each log's frames must continue its end. */
  commit(frames: readonly CheckedFrame[], kept?: readonly { readonly key: string; readonly value: Uint8Array }[]): Promise<void>
  /** All values that were kept, by key, without those that the disk has spoilt: `spoilt` says how many these are. */
  kept(): Promise<{ readonly rows: Map<string, Uint8Array>; readonly spoilt: number }>
  /** A larger value under a name, synced; undefined removes it. Apart from the commits of frames: for what can be made again. */
  putBlob(name: string, value: Uint8Array | undefined): Promise<void>
  /** Gives undefined where there is none or it is spoilt. */
  blob(name: string): Promise<Uint8Array | undefined>
  /** Names of blobs that begin so, ascending. */
  blobNames(prefix: string): Promise<readonly string[]>
  /** Moves the frames after number `frame` aside and repairs the index; gives how many. Nothing may be written meanwhile. */
  truncate(log: LogId, frame: number): Promise<number>
  /** Frames that were moved aside, in order from number `from`, as many as fit. */
  orphans(log: LogId, from: number, limits: { readonly bytesMax: number; readonly framesMax: number }): Promise<Orphans>
  /** What the database holds under a frame's number, checked or not; also beyond the end of the log. */
  rawFrame(log: LogId, no: number): Promise<Uint8Array | undefined>
  /** Positions of the first entry of each id. */
  locate(eids: readonly Uint8Array[]): Promise<readonly (StoredPosition | undefined)[]>
  entryAt(position: StoredPosition): Promise<StoredEntry>
  /** See FrameReader. */
  readonly frame: FrameReader['frame']
  readonly frameBytes: FrameReader['frameBytes']
  readonly repairWith: FrameReader['repairWith']
  /** Newest first: all rows of at least `receiptsMin` receipts (or money entries), and never a part of one frame time. */
  listing(owner: ListingOwner, before: number | undefined, receiptsMin: number): Promise<readonly ListingRow[]>
  /** All stored frames in order, verified or not. */
  scan(): AsyncGenerator<readonly { readonly log: LogId; readonly no: number; readonly bytes: Uint8Array }[]>
  /** Checks that the entries of verified frames are found by id, and writes rows that are missing or wrong; gives their number. */
  repairEids(frames: readonly Frame[]): Promise<number>
  /** The rows by which the receipts of a frame are listed. */
  listingsOf(frame: Frame): Promise<readonly Row[]>
  /** Sum over all stored listing rows (see row-sum.ts). */
  sumOfListings(): Promise<RowSum>
  /** Writes all listings again from the frames. */
  rebuildListings(): Promise<void>
  close(): Promise<void>
}

export function logName(log: LogId): string {
  return `${log.hub}/${log.epoch}`
}

export function createLogStore(db: StoreDatabase): LogStore {
  const tails = new Map<string, LogTail>()
  const reader = createFrameReader({ db, tails })
  const { frame } = reader
  /** Ids of all frames that count, or once did. */
  const stored = createEidFilter()

  async function locate(eids: readonly Uint8Array[]): Promise<readonly (StoredPosition | undefined)[]> {
    if (!eids.some((eid) => stored.mayHave(eid))) return eids.map(() => undefined)
    const keys = eids.map(eidKey)
    const values = await getMany(keys)
    const positions: (StoredPosition | undefined)[] = []
    for (const [place, value] of values.entries()) {
      positions.push(value === undefined ? undefined : await positionIn(value, keys[place]!) ?? await search(keys[place]!))
    }
    return positions
  }

  /** A broken block of a table makes LevelDB throw; then each row is looked for on its own, and searched for where it is in that block. */
  async function getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return await db.getMany(keys).catch(() => Promise.all(keys.map((key) => db.get(key).catch(() => new Uint8Array()))))
  }

  /** The position that a row names, where an entry with this id really stands there. */
  async function positionIn(value: Uint8Array, key: Uint8Array): Promise<StoredPosition | undefined> {
    const position = positionOf(value)
    if (position === undefined || position.no > (tails.get(logName(position.log))?.no ?? 0)) return undefined
    const entry = (await frame(position.log, position.no))?.entryBytes[position.index]
    const eid = entry === undefined ? undefined : peekEntry(entry)?.eid
    return eid !== undefined && bytesEqual(eidKey(eid), key) ? position : undefined
  }

  /** For a row that is spoilt, or names a frame that does not count any more: reads all frames, and writes what it finds. */
  async function search(key: Uint8Array): Promise<StoredPosition | undefined> {
    let found: Uint8Array | undefined
    for await (const rows of scan()) {
      for (const { log, no, bytes } of rows) {
        if (no > (tails.get(logName(log))?.no ?? 0)) continue
        for (const [index, entry] of decodeFrame(bytes).entryBytes.entries()) {
          const eid = peekEntry(entry)?.eid
          const value = eid !== undefined && bytesEqual(eidKey(eid), key) ? positionValue({ log, no, index }) : undefined
          if (value !== undefined && (found === undefined || Buffer.compare(value, found) < 0)) found = value
        }
      }
    }
    await db.batch([found === undefined ? { type: 'del', key } : { type: 'put', key, value: found }], { sync: true })
    return found === undefined ? undefined : positionOf(found)
  }

  async function entryAt(position: StoredPosition): Promise<StoredEntry> {
    const found = await frame(position.log, position.no)
    const bytes = found?.entryBytes[position.index]
    if (found === undefined || bytes === undefined) throw damaged(position.log, position.no)
    return { entry: decodeEntry(bytes), bytes, frame: found, index: position.index }
  }

  /** The entry of this id, of logs too that are not verified yet; undefined where it cannot be read. */
  async function readUnchecked(eid: Uint8Array): Promise<Entry | undefined> {
    try {
      const value = await db.get(eidKey(eid))
      const position = value === undefined ? undefined : positionOf(value)
      const stored = position === undefined ? undefined : await db.get(frameKey(position.log, position.no))
      const bytes = position === undefined || stored === undefined ? undefined : decodeFrame(stored).entryBytes[position.index]
      const entry = bytes === undefined ? undefined : decodeEntry(bytes)
      return entry !== undefined && bytesEqual(entry.eid, eid) ? entry : undefined
    } catch {
      return undefined
    }
  }

  const indexRows = createIndexRows({ readEntry: readUnchecked })
  const cut = createCut({ db, tails, forget: reader.forget, rowsOf: (found) => indexRows.rowsOf(found) })

  const scan = () => scanFrames(db)

  async function write(rows: readonly Row[]): Promise<void> {
    if (rows.length > 0) await db.batch(rows.map(({ key, value }) => ({ type: 'put' as const, key, value })), { sync: true })
  }

  /** Of several entries with one id the first position counts; rows that the store has right already are left out. */
  async function missingRows(rows: readonly Row[]): Promise<Row[]> {
    const eids = new Map<string, Row>()
    for (const row of rows) {
      const name = toHex(row.key)
      const known = eids.get(name)
      if (known === undefined || Buffer.compare(row.value, known.value) < 0) eids.set(name, row)
    }
    const [known, missing] = [[] as Row[], [] as Row[]]
    for (const row of eids.values()) (stored.mayHave(eidOf(row.key)) ? known : missing).push(row)
    const values = known.length === 0 ? [] : await getMany(known.map(({ key }) => key))
    for (const [place, row] of known.entries()) {
      const value = values[place]
      if (value !== undefined && (bytesEqual(value, row.value) || await isEarlier(value, row))) continue
      missing.push(row)
    }
    return missing
  }

  /** True where a stored row names an earlier entry that really has this id. */
  async function isEarlier(value: Uint8Array, row: Row): Promise<boolean> {
    return Buffer.compare(value, row.value) < 0 && await positionIn(value, row.key) !== undefined
  }

  /** A listing row is derived, and a bit of it may have flipped: it counts only where its frame gives the same row. */
  async function isListed(owner: ListingOwner, key: Uint8Array, value: Uint8Array, row: ListingRow): Promise<boolean> {
    const found = await frame(row.log, row.no)
    if (found === undefined) return false
    const expected = (await indexRows.rowsOf(found)).listings
    const right = expected.find((other) => bytesEqual(other.key, key))
    if (right !== undefined && bytesEqual(right.value, value)) return true
    // The rows of the whole frame are put right; this one, where it belongs to nobody, goes.
    await db.batch([
      ...right === undefined ? [{ type: 'del' as const, key }] : [], ...expected.map((other) => ({ type: 'put' as const, ...other })),
    ], { sync: true })
    if (right === undefined) return false
    Object.assign(row, listingRow(owner, right.key, right.value))
    return true
  }

  return {
    tails,
    setTail: (tail) => { tails.set(logName(tail.log), tail) },
    locate,
    entryAt,
    frame,
    frameBytes: reader.frameBytes,
    repairWith: reader.repairWith,
    truncate: cut.truncate,
    orphans: cut.orphans,
    rawFrame: (log, no) => db.get(frameKey(log, no)).catch(() => undefined),
    scan,

    async commit(frames, kept = []) {
      const rows: FrameRows[] = []
      for (const frame of frames) rows.push(await indexRows.rowsOf(frame))
      const puts: Row[] = [
        ...frames.map((frame) => ({ key: frameKey(frame.log, frame.header.no), value: frame.bytes })),
        ...await missingRows(rows.flatMap(({ eids }) => eids)),
        ...rows.flatMap(({ listings }) => listings),
        ...kept.map(({ key, value }) => ({ key: keptKey(key), value: withSum(keptKey(key), value) })),
      ]
      await write(puts)
      for (const { eids } of rows) for (const { key } of eids) stored.add(eidOf(key))
      for (const { tail } of frames) tails.set(logName(tail.log), tail)
    },

    async kept() {
      const rows = new Map<string, Uint8Array>()
      let spoilt = 0
      for await (const [key, stored] of db.iterator(keptRange)) {
        const value = withoutSum(key, stored)
        if (value === undefined) spoilt += 1
        else rows.set(keptName(key), value)
      }
      return { rows, spoilt }
    },

    async putBlob(name, value) {
      const key = blobKey(name)
      await db.batch([value === undefined ? { type: 'del', key } : { type: 'put', key, value: withSum(key, value) }], { sync: true })
    },

    async blob(name) {
      const stored = await db.get(blobKey(name)).catch(() => undefined)
      return stored === undefined ? undefined : withoutSum(blobKey(name), stored)
    },

    async blobNames(prefix) {
      const names: string[] = []
      for await (const key of db.keys(blobRange(prefix))) names.push(keptName(key))
      return names
    },

    async listing(owner, before, receiptsMin) {
      const rows: ListingRow[] = []
      let receipts = 0
      for await (const [key, value] of db.iterator({ ...listingRange(owner, before), reverse: true })) {
        const row = listingRow(owner, key, value)
        if (receipts >= receiptsMin && row.tsMs !== rows.at(-1)?.tsMs) break
        if (row.no > (tails.get(logName(row.log))?.no ?? 0) || !await isListed(owner, key, value, row)) continue
        rows.push(row)
        receipts += row.indexes.length
      }
      return rows
    },

    async repairEids(frames) {
      const rows = frames.flatMap((frame) => frame.entryBytes.map((bytes, index) => ({
        key: eidKey(peekEntry(bytes)!.eid), value: positionValue({ log: frame.log, no: frame.header.no, index }),
      })))
      for (const { key } of rows) stored.add(eidOf(key))
      const values = await getMany(rows.map(({ key }) => key))
      const wrong = rows.filter(({ value }, place) => values[place] === undefined || !bytesEqual(values[place], value))
      const puts = wrong.length === 0 ? [] : await missingRows(wrong)
      await write(puts)
      return puts.length
    },

    listingsOf: async (found) => (await indexRows.rowsOf(found)).listings,

    async sumOfListings() {
      const sum = createRowSum()
      for (const range of Object.values(listingRanges)) {
        const iterator = db.iterator({ ...range, highWaterMarkBytes: SCAN_BYTES })
        for (let rows = await iterator.nextv(SCAN_ROWS); rows.length > 0; rows = await iterator.nextv(SCAN_ROWS)) {
          for (const [key, value] of rows) sum.add(key, value)
        }
        await iterator.close()
      }
      return sum
    },

    async rebuildListings() {
      for (const range of Object.values(listingRanges)) {
        const iterator = db.keys(range)
        for (let keys = await iterator.nextv(SCAN_ROWS); keys.length > 0; keys = await iterator.nextv(SCAN_ROWS)) {
          await db.batch(keys.map((key) => ({ type: 'del' as const, key })), { sync: true })
        }
        await iterator.close()
      }
      for await (const rows of scan()) {
        for (const { log, no } of rows) {
          const read = await frame(log, no)
          if (read !== undefined) await write((await indexRows.rowsOf(read)).listings)
        }
      }
    },

    close: () => db.close(),
  }
}
