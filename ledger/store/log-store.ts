/**
 * The logs on disk: writes frames with their index rows in one synced batch, reads frames and entries back.
 *
 * Knows the end of every log (`tails`); what the database holds beyond an end was not verified and is never read.
 * What is read is checked again, so a bit that flips on the disk while the hub runs is found and not served.
 */
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { decodeEntry, peekEntry, ticketEidOf, type Entry } from '../entries/entry.ts'
import { decodeFrame, frameSigned, type CheckedFrame, type Frame, type LogTail } from '../frame.ts'
import { leafHash, rootOfLeaves } from '../merkle.ts'
import {
  eidKey, frameKey, framePositionOf, frameRange, LISTING_INDEX_BYTES, listingRange, listingRanges, listingRow, positionOf, positionValue,
  type ListingOwner, type ListingRow, type StoredPosition,
} from './buckets.ts'
import { createIndexRows, type FrameRows, type Row } from './index-rows.ts'
import type { Database } from './open.ts'

/** Frames kept decoded for reading: at most 16 × 256 KiB. */
const FRAMES_CACHED_MAX = 16
/** Read at once while all frames are verified: 16 of the largest. */
const SCAN_BYTES = 4 * 1024 * 1024
const SCAN_FRAMES = 64
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
  /** Writes all frames in one synced batch; each log's frames must continue its end. */
  commit(frames: readonly CheckedFrame[]): Promise<void>
  /** Positions of the first entry of each id. */
  locate(eids: readonly Uint8Array[]): Promise<readonly (StoredPosition | undefined)[]>
  entryAt(position: StoredPosition): Promise<StoredEntry>
  /** Gives undefined beyond the end of the log; throws LOG_DAMAGED where the stored bytes are broken. */
  frame(log: LogId, no: number): Promise<Frame | undefined>
  /** Stored frames from number `from`, at least one where there is one, else as many as fit. */
  frameBytes(log: LogId, from: number, limits: { readonly bytesMax: number; readonly framesMax: number }): Promise<readonly Uint8Array[]>
  /** Newest first: all rows of at least `receiptsMin` receipts, and never a part of one frame time. */
  listing(owner: ListingOwner, before: number | undefined, receiptsMin: number): Promise<readonly ListingRow[]>
  /** All stored frames in order, verified or not. */
  scan(): AsyncGenerator<readonly { readonly log: LogId; readonly no: number; readonly bytes: Uint8Array }[]>
  /** Checks that the entries of verified frames are found by id, and writes rows that are missing or wrong; gives their number. */
  repairEids(frames: readonly Frame[]): Promise<number>
  /** Receipts that are listed, by account and by contributor. */
  countListed(): Promise<{ readonly byAccount: number; readonly byContributor: number }>
  /** Writes all listings again from the frames. */
  rebuildListings(): Promise<void>
  close(): Promise<void>
}

export function logName(log: LogId): string {
  return `${log.hub}/${log.epoch}`
}

export function createLogStore(db: Database): LogStore {
  const tails = new Map<string, LogTail>()
  const cache = new Map<string, Frame>()

  async function locate(eids: readonly Uint8Array[]): Promise<readonly (StoredPosition | undefined)[]> {
    const values = await db.getMany(eids.map(eidKey))
    return values.map((value) => {
      const position = value === undefined ? undefined : positionOf(value)
      return position !== undefined && position.no <= (tails.get(logName(position.log))?.no ?? 0) ? position : undefined
    })
  }

  async function frame(log: LogId, no: number): Promise<Frame | undefined> {
    const tail = tails.get(logName(log))
    if (tail?.epochKey === undefined || no < 1 || no > tail.no) return undefined
    const name = `${logName(log)}/${no}`
    const cached = cache.get(name)
    if (cached !== undefined) {
      cache.delete(name)
      cache.set(name, cached)
      return cached
    }
    const bytes = await db.get(frameKey(log, no))
    const frame = bytes === undefined ? undefined : readable(bytes, log, no, tail.epochKey.key)
    if (frame === undefined) throw damaged(log, no)
    if (cache.size >= FRAMES_CACHED_MAX) cache.delete(cache.keys().next().value!)
    cache.set(name, frame)
    return frame
  }

  async function entryAt(position: StoredPosition): Promise<StoredEntry> {
    const found = await frame(position.log, position.no)
    const bytes = found?.entryBytes[position.index]
    if (found === undefined || bytes === undefined) throw damaged(position.log, position.no)
    return { entry: decodeEntry(bytes), bytes, frame: found, index: position.index }
  }

  const indexRows = createIndexRows({
    readTicket: async (jobId) => {
      const [position] = await locate([ticketEidOf(jobId)])
      if (position === undefined) return undefined
      const { entry } = await entryAt(position)
      return entry.k === 'JobTicket' ? entry : undefined
    },
  })

  async function* scan(): ReturnType<LogStore['scan']> {
    const iterator = db.iterator({ ...frameRange, highWaterMarkBytes: SCAN_BYTES })
    try {
      for (let rows = await iterator.nextv(SCAN_FRAMES); rows.length > 0; rows = await iterator.nextv(SCAN_FRAMES)) {
        yield rows.map(([key, bytes]) => ({ ...framePositionOf(key), bytes }))
      }
    } finally {
      await iterator.close()
    }
  }

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
    const wanted = [...eids.values()]
    const stored = await db.getMany(wanted.map(({ key }) => key))
    const missing: Row[] = []
    for (const [place, row] of wanted.entries()) {
      const value = stored[place]
      if (value !== undefined && (bytesEqual(value, row.value) || await isEarlier(value, row))) continue
      missing.push(row)
    }
    return missing
  }

  /** True where a stored row names an earlier entry that really has this id. */
  async function isEarlier(value: Uint8Array, row: Row): Promise<boolean> {
    if (Buffer.compare(value, row.value) >= 0) return false
    const position = positionOf(value)
    if (position === undefined || position.no > (tails.get(logName(position.log))?.no ?? 0)) return false
    const entry = (await frame(position.log, position.no))?.entryBytes[position.index]
    return entry !== undefined && bytesEqual(eidKey(decodeEntry(entry).eid), row.key)
  }

  return {
    tails,
    setTail: (tail) => { tails.set(logName(tail.log), tail) },
    locate,
    entryAt,
    frame,

    async commit(frames) {
      const rows: FrameRows[] = []
      for (const frame of frames) rows.push(await indexRows.rowsOf(frame))
      const puts: Row[] = [
        ...frames.map((frame) => ({ key: frameKey(frame.log, frame.header.no), value: frame.bytes })),
        ...await missingRows(rows.flatMap(({ eids }) => eids)),
        ...rows.flatMap(({ listings }) => listings),
      ]
      await write(puts)
      for (const { tail } of frames) tails.set(logName(tail.log), tail)
    },

    async frameBytes(log, from, { bytesMax, framesMax }) {
      const end = tails.get(logName(log))?.no ?? 0
      const found: Uint8Array[] = []
      let bytes = 0
      if (from < 1 || from > end) return found
      const range = { gte: frameKey(log, from), lte: frameKey(log, end), limit: framesMax, highWaterMarkBytes: bytesMax }
      for await (const value of db.values(range)) {
        if (found.length > 0 && bytes + value.byteLength > bytesMax) break
        bytes += value.byteLength
        found.push(value)
      }
      return found
    },

    async listing(owner, before, receiptsMin) {
      const rows: ListingRow[] = []
      let receipts = 0
      for await (const [key, value] of db.iterator({ ...listingRange(owner, before), reverse: true })) {
        const row = listingRow(owner, key, value)
        if (receipts >= receiptsMin && row.tsMs !== rows.at(-1)?.tsMs) break
        if (row.no > (tails.get(logName(row.log))?.no ?? 0)) continue
        rows.push(row)
        receipts += row.indexes.length
      }
      return rows
    },

    scan,

    async repairEids(frames) {
      const rows = frames.flatMap((frame) => frame.entryBytes.map((bytes, index) => ({
        key: eidKey(peekEntry(bytes)!.eid), value: positionValue({ log: frame.log, no: frame.header.no, index }),
      })))
      const stored = await db.getMany(rows.map(({ key }) => key))
      const wrong = rows.filter(({ value }, place) => stored[place] === undefined || !bytesEqual(stored[place], value))
      const puts = wrong.length === 0 ? [] : await missingRows(wrong)
      await write(puts)
      return puts.length
    },

    async countListed() {
      const count = async (range: { readonly gte: Uint8Array; readonly lt: Uint8Array }) => {
        let receipts = 0
        const iterator = db.values({ ...range, highWaterMarkBytes: SCAN_BYTES })
        for (let values = await iterator.nextv(SCAN_ROWS); values.length > 0; values = await iterator.nextv(SCAN_ROWS)) {
          for (const value of values) receipts += value.byteLength / LISTING_INDEX_BYTES
        }
        await iterator.close()
        return receipts
      }
      return { byAccount: await count(listingRanges.byAccount), byContributor: await count(listingRanges.byContributor) }
    },

    async rebuildListings() {
      for (const range of [listingRanges.byAccount, listingRanges.byContributor]) {
        const iterator = db.keys(range)
        for (let keys = await iterator.nextv(SCAN_ROWS); keys.length > 0; keys = await iterator.nextv(SCAN_ROWS)) {
          await db.batch(keys.map((key) => ({ type: 'del' as const, key })), { sync: true })
        }
        await iterator.close()
      }
      for await (const rows of scan()) {
        for (const { log, no } of rows) {
          const read = await frame(log, no)
          if (read !== undefined) await write((await indexRows.rowsOf({ ...read, entries: read.entryBytes.map(decodeEntry) })).listings)
        }
      }
    },

    close: () => db.close(),
  }
}

/** The frame, where its bytes are whole: signed header, and entries that give the header's root. */
function readable(bytes: Uint8Array, log: LogId, no: number, key: Uint8Array): Frame | undefined {
  try {
    const frame = decodeFrame(bytes)
    const whole = frame.header.no === no && frame.header.hub === log.hub && frame.header.epoch === log.epoch
      && frameSigned(frame, key) && bytesEqual(rootOfLeaves(frame.entryBytes.map(leafHash)), frame.header.entriesRoot)
    return whole ? frame : undefined
  } catch {
    return undefined
  }
}

function damaged(log: LogId, no: number): TriforceError {
  return new TriforceError('LOG_DAMAGED', { hub: log.hub, epoch: log.epoch, frame: no }, {
    detail: `frame ${no} of the log of hub ${log.hub} (epoch ${log.epoch}) can no longer be read from this disk; `
      + 'check the disk and start the hub again: it verifies every log and fetches what is broken from the other hubs',
  })
}
