/**
 * Reads frames back and believes none of them unchecked. A frame that a disk has spoilt while the hub runs is fetched
 * from a peer, checked against the hash chain around it, and written again: nothing broken is served, nothing is skipped.
 */
import { bytesEqual } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { decodeFrame, frameSigned, type Frame, type LogTail } from '../frame.ts'
import { leafHash, rootOfLeaves } from '../../protocol/merkle.ts'
import { frameKey, framePositionOf } from './buckets.ts'
import type { StoreDatabase } from './database.ts'

/** Frames kept decoded for reading: at most 16 × 256 KiB. */
const FRAMES_CACHED_MAX = 16

/** A frame as a peer has it, or undefined where none gives it in time. */
export type FetchFrame = (log: LogId, no: number) => Promise<Uint8Array | undefined>

export interface FrameReaderComponents {
  readonly db: StoreDatabase
  /** Ends of all logs, by `<hub>/<epoch>`. */
  readonly tails: ReadonlyMap<string, LogTail>
}

export interface FrameReader {
  /** Gives undefined beyond the end of the log; throws LOG_DAMAGED where the stored bytes are broken and no peer has them. */
  frame(log: LogId, no: number): Promise<Frame | undefined>
  /**
   * Stored frames from number `from`, at least one where there is one, else as many as fit. Throws LOG_DAMAGED where the first is broken for good.
   * `forFold`: they are not passed on, so the header after it vouches for a frame, and only the last one's signature is checked.
   */
  frameBytes(log: LogId, from: number, limits: { readonly bytesMax: number; readonly framesMax: number; readonly forFold?: boolean }): Promise<readonly Uint8Array[]>
  /** Where broken frames are fetched from; `onRepaired` is told of each that was written again. */
  repairWith(fetch: FetchFrame, onRepaired: (log: LogId, no: number) => void): void
  /** Frames of this log after `no` are no longer what they were. */
  forget(log: LogId, no: number): void
}

export function createFrameReader({ db, tails }: FrameReaderComponents): FrameReader {
  const cache = new Map<string, Frame>()
  const repairing = new Map<string, Promise<Frame | undefined>>()
  let fetchFrame: FetchFrame = () => Promise.resolve(undefined)
  let onRepaired: (log: LogId, no: number) => void = () => {}

  const tailOf = (log: LogId) => tails.get(`${log.hub}/${log.epoch}`)
  const nameOf = (log: LogId, no: number) => `${log.hub}/${log.epoch}/${no}`

  /** LevelDB throws where a block of a table is broken; that is one more way for a frame to be gone. */
  const get = (log: LogId, no: number) => db.get(frameKey(log, no)).catch(() => undefined)

  function remember(log: LogId, no: number, frame: Frame): Frame {
    if (cache.size >= FRAMES_CACHED_MAX) cache.delete(cache.keys().next().value!)
    cache.set(nameOf(log, no), frame)
    return frame
  }

  async function frame(log: LogId, no: number): Promise<Frame | undefined> {
    const tail = tailOf(log)
    if (tail?.epochKey === undefined || no < 1 || no > tail.no) return undefined
    const name = nameOf(log, no)
    const cached = cache.get(name)
    if (cached !== undefined) {
      cache.delete(name)
      cache.set(name, cached)
      return cached
    }
    const bytes = await get(log, no)
    const found = bytes === undefined ? undefined : readable(bytes, log, no, tail.epochKey.key)
    return remember(log, no, found ?? await repaired(log, no))
  }

  async function repaired(log: LogId, no: number): Promise<Frame> {
    const name = nameOf(log, no)
    const under = repairing.get(name) ?? repair(log, no).finally(() => { repairing.delete(name) })
    repairing.set(name, under)
    const found = await under
    if (found === undefined) throw damaged(log, no)
    return found
  }

  async function repair(log: LogId, no: number): Promise<Frame | undefined> {
    const key = tailOf(log)?.epochKey?.key
    const bytes = await fetchFrame(log, no)
    const found = bytes === undefined || key === undefined ? undefined : readable(bytes, log, no, key)
    if (found === undefined || !await belongs(log, found)) return undefined
    await db.batch([{ type: 'put', key: frameKey(log, no), value: found.bytes }], { sync: true })
    onRepaired(log, no)
    return found
  }

  /** The author may have signed two frames with this number: only the one that the next one continues, or the end, is ours. */
  async function belongs(log: LogId, found: Frame): Promise<boolean> {
    const tail = tailOf(log)
    if (tail?.epochKey === undefined) return false
    const { no } = found.header
    if (no === tail.no) return bytesEqual(found.hash, tail.hash)
    const bytes = await get(log, no + 1)
    const next = bytes === undefined ? undefined : readable(bytes, log, no + 1, tail.epochKey.key)
    if (next !== undefined) return bytesEqual(next.header.prevHash, found.hash)
    // The next one is broken too: it is repaired first, up to the end of the log at worst.
    const repairedNext = await frame(log, no + 1).catch(() => undefined)
    return repairedNext !== undefined && bytesEqual(repairedNext.header.prevHash, found.hash)
  }

  return {
    frame,

    async frameBytes(log, from, { bytesMax, framesMax, forFold = false }) {
      const tail = tailOf(log)
      const found: Uint8Array[] = []
      if (tail?.epochKey === undefined || from < 1 || from > tail.no) return found
      const { key } = tail.epochKey
      let bytes = 0
      const end = Math.min(tail.no, from + framesMax - 1)
      const stored = await readRange(db, log, from, end, bytesMax)
      const vouchedFor = forFold ? vouched(stored, log, key) : undefined
      for (let no = from; no <= end; no += 1) {
        const raw = stored.get(no)
        if (raw === undefined && stored.size > 0 && no > Math.max(...stored.keys())) break
        // Whoever folds them looks at the signature of the first frame of a log and of the last one that is given, and no hash is of it.
        const next = stored.get(no + 1)
        const looked = no === 1 || no === end || next === undefined || bytes + (raw?.byteLength ?? 0) + next.byteLength > bytesMax
        const whole = raw === undefined ? undefined : (looked ? undefined : vouchedFor?.get(no)) ?? readable(raw, log, no, key)
        if (whole === undefined && found.length > 0) break
        const value = (whole ?? await repaired(log, no)).bytes
        if (found.length > 0 && bytes + value.byteLength > bytesMax) break
        bytes += value.byteLength
        found.push(value)
      }
      return found
    },

    repairWith: (fetch, told) => {
      fetchFrame = fetch
      onRepaired = told
    },

    forget: (log, no) => {
      for (const [name, { header }] of cache) if (name.startsWith(`${log.hub}/${log.epoch}/`) && header.no > no) cache.delete(name)
    },
  }
}

/** What can be read of a range: by number, up to the first that would go beyond the bytes. */
async function readRange(db: StoreDatabase, log: LogId, from: number, end: number, bytesMax: number): Promise<ReadonlyMap<number, Uint8Array>> {
  const stored = new Map<number, Uint8Array>()
  let bytes = 0
  try {
    for await (const [key, value] of db.iterator({ gte: frameKey(log, from), lte: frameKey(log, end), highWaterMarkBytes: bytesMax })) {
      stored.set(framePositionOf(key).no, value)
      bytes += value.byteLength
      if (bytes > bytesMax) break
    }
  } catch {
    // A broken block ends the iterator: what came before it counts, the rest is fetched frame by frame.
  }
  return stored
}

/** Those frames of a range that a signature vouches for: their own, or that of one after them that names them by hash. */
function vouched(stored: ReadonlyMap<number, Uint8Array>, log: LogId, key: Uint8Array): ReadonlyMap<number, Frame> {
  const found = new Map<number, Frame>()
  for (const [no, bytes] of [...stored].sort(([a], [b]) => b - a)) {
    const frame = intact(bytes, log, no)
    const after = found.get(no + 1)
    if (frame !== undefined && (after !== undefined && bytesEqual(after.header.prevHash, frame.hash) || frameSigned(frame, key))) found.set(no, frame)
  }
  return found
}

/** The frame, where its bytes are whole: signed header, and entries that give the header's root. */
export function readable(bytes: Uint8Array, log: LogId, no: number, key: Uint8Array): Frame | undefined {
  const frame = intact(bytes, log, no)
  return frame !== undefined && frameSigned(frame, key) ? frame : undefined
}

/** All but the signature. */
function intact(bytes: Uint8Array, log: LogId, no: number): Frame | undefined {
  try {
    const frame = decodeFrame(bytes)
    const whole = frame.header.no === no && frame.header.hub === log.hub && frame.header.epoch === log.epoch
      && bytesEqual(rootOfLeaves(frame.entryBytes.map(leafHash)), frame.header.entriesRoot)
    return whole ? frame : undefined
  } catch {
    return undefined
  }
}

export function damaged(log: LogId, no: number): TriforceError {
  return new TriforceError('LOG_DAMAGED', { hub: log.hub, epoch: log.epoch, frame: no }, {
    detail: `frame ${no} of the log of hub ${log.hub} (epoch ${log.epoch}) can no longer be read from this disk and no other hub gave it; `
      + 'check the disk and start the hub again: it verifies every log and fetches what is broken from the other hubs',
  })
}
