/**
 * Cuts the end off a log: frames that do not count any more are moved aside in one synced batch, where they are kept and
 * handed over on request but never served, and index rows that named them name what else there is.
 */
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { peekEntry } from '../entries/entry.ts'
import { decodeFrame, emptyTail, type Frame, type LogTail } from '../frame.ts'
import { appendLeaves, leafHash } from '../../protocol/merkle.ts'
import { eidKey, frameKey, framePositionOf, frameRange, framesFrom, orphanKey, orphanPositionOf, orphansFrom, positionOf, positionValue } from './buckets.ts'
import type { StoreChange, StoreDatabase } from './database.ts'
import { readable } from './frame-reader.ts'
import type { FrameRows } from './index-rows.ts'

const SCAN_BYTES = 4 * 1024 * 1024
const SCAN_FRAMES = 64

export interface CutComponents {
  readonly db: StoreDatabase
  readonly tails: Map<string, LogTail>
  readonly forget: (log: LogId, no: number) => void
  readonly rowsOf: (frame: Frame) => Promise<FrameRows>
}

export interface Orphans {
  readonly frames: readonly Uint8Array[]
  /** There are no more. */
  readonly last: boolean
  /** Number of a frame that is broken on this disk. No other hub has it, so what it held and what stands behind it is lost. */
  readonly broken: number | undefined
}

export function createCut({ db, tails, forget, rowsOf }: CutComponents) {
  /** Gives how many frames were moved aside. The caller sees to it that nothing is written meanwhile. */
  async function truncate(log: LogId, frame: number): Promise<number> {
    const name = `${log.hub}/${log.epoch}`
    const kept = await tailAt(log, frame)
    const changes: StoreChange[] = []
    const eids = new Map<string, Uint8Array>()
    let moved = 0
    for await (const [key, bytes] of db.iterator({ ...framesFrom(log, kept.no + 1), highWaterMarkBytes: SCAN_BYTES })) {
      moved += 1
      changes.push({ type: 'del', key })
      try {
        const gone = decodeFrame(bytes)
        changes.push({ type: 'put', key: orphanKey(log, gone.header.no, gone.hash), value: bytes })
        const rows = await rowsOf(gone)
        for (const row of rows.eids) eids.set(toHex(row.key), row.key)
        for (const row of rows.listings) changes.push({ type: 'del', key: row.key })
      } catch {
        // Broken bytes have no rows that could be found from them; the next start finds and repairs what is left of such.
      }
    }
    const others = await otherPlaces(eids, log, kept.no)
    const stored = await db.getMany([...eids.values()])
    for (const [place, [hex, key]] of [...eids].entries()) {
      const position = stored[place] === undefined ? undefined : positionOf(stored[place])
      const removed = position === undefined || position.log.hub === log.hub && position.log.epoch === log.epoch && position.no > kept.no
      if (!removed) continue
      const other = others.get(hex)
      changes.push(other === undefined ? { type: 'del', key } : { type: 'put', key, value: other })
    }
    if (changes.length > 0) await db.batch(changes, { sync: true })
    if (kept.no === 0) tails.delete(name)
    else tails.set(name, kept)
    forget(log, kept.no)
    return moved
  }

  /** The end of the log at a frame, or before the first broken one: from its first frame on, since the tree's frontier is stored nowhere. */
  async function tailAt(log: LogId, frame: number): Promise<LogTail> {
    let tail = emptyTail(log)
    const epochKey = tails.get(`${log.hub}/${log.epoch}`)?.epochKey
    if (frame === 0 || epochKey === undefined) return tail
    for await (const bytes of db.values({ gte: frameKey(log, 1), lte: frameKey(log, frame), highWaterMarkBytes: SCAN_BYTES })) {
      const read = readable(bytes, log, tail.no + 1, epochKey.key)
      if (read === undefined || !bytesEqual(read.header.prevHash, tail.hash)) break
      const { header, hash, entryBytes } = read
      tail = { log, no: header.no, hash, tree: appendLeaves(tail.tree, entryBytes.map(leafHash)), tsMs: header.tsMs, seen: header.seen, epochKey }
    }
    return tail
  }

  /** Where else entries of these ids stand: the first place counts. */
  async function otherPlaces(eids: ReadonlyMap<string, Uint8Array>, log: LogId, keptNo: number): Promise<ReadonlyMap<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>()
    if (eids.size === 0) return found
    const iterator = db.iterator({ ...frameRange, highWaterMarkBytes: SCAN_BYTES })
    try {
      for (let rows = await iterator.nextv(SCAN_FRAMES); rows.length > 0; rows = await iterator.nextv(SCAN_FRAMES)) {
        for (const [key, bytes] of rows) {
          const { log: at, no } = framePositionOf(key)
          const end = at.hub === log.hub && at.epoch === log.epoch ? keptNo : tails.get(`${at.hub}/${at.epoch}`)?.no ?? 0
          if (no <= end) notePlaces(found, eids, at, no, bytes)
        }
      }
    } finally {
      await iterator.close()
    }
    return found
  }

  async function orphans(log: LogId, from: number, { bytesMax, framesMax }: { readonly bytesMax: number; readonly framesMax: number }): Promise<Orphans> {
    const key = tails.get(`${log.hub}/${log.epoch}`)?.epochKey?.key
    // The log itself is not back on this disk yet, and nothing of its end can be checked.
    if (key === undefined) return { frames: [], last: false, broken: undefined }
    const frames: Uint8Array[] = []
    let bytes = 0
    let last = true
    let next = from
    let broken: number | undefined
    for await (const [place, value] of db.iterator(orphansFrom(log, from))) {
      // Of two histories only the first found is one; frames of the other stay where they are.
      if (orphanPositionOf(place).no !== next) continue
      if (frames.length > 0 && (bytes + value.byteLength > bytesMax || frames.length >= framesMax)) {
        last = false
        break
      }
      if (readable(value, log, next, key) === undefined) {
        broken = next
        continue
      }
      frames.push(value)
      bytes += value.byteLength
      next += 1
    }
    return { frames, last, broken: broken === next ? broken : undefined }
  }

  return { truncate, orphans }
}

function notePlaces(found: Map<string, Uint8Array>, eids: ReadonlyMap<string, Uint8Array>, log: LogId, no: number, bytes: Uint8Array): void {
  let entries: readonly Uint8Array[]
  try {
    entries = decodeFrame(bytes).entryBytes
  } catch {
    return
  }
  for (const [index, entry] of entries.entries()) {
    const eid = peekEntry(entry)?.eid
    const hex = eid === undefined ? undefined : toHex(eidKey(eid))
    if (hex === undefined || !eids.has(hex)) continue
    const value = positionValue({ log, no, index })
    const known = found.get(hex)
    if (known === undefined || Buffer.compare(value, known) < 0) found.set(hex, value)
  }
}
