/**
 * Reads all stored frames in order. A broken block of a table ends an iterator of LevelDB with an error; then the scan
 * goes on behind it, further on with each try, so that one block costs its own frames and no others.
 */
import type { LogId } from '../../protocol/messages/ledger.ts'
import { frameKey, framePositionOf, frameRange } from './buckets.ts'
import type { StoreDatabase } from './database.ts'

export interface ScannedFrame {
  readonly log: LogId
  readonly no: number
  readonly bytes: Uint8Array
}

/** Read at once: 16 of the largest frames. */
const SCAN_BYTES = 4 * 1024 * 1024
const SCAN_FRAMES = 64
/** Frames that a table of 64 MiB can hold at most, roughly; behind so many the next log is tried. */
const SKIP_MAX = 2 ** 20

export async function* scanFrames(db: StoreDatabase): AsyncGenerator<readonly ScannedFrame[]> {
  let from: Uint8Array = frameRange.gte
  let skip = 1
  for (;;) {
    const iterator = db.iterator({ gte: from, lt: frameRange.lt, highWaterMarkBytes: SCAN_BYTES })
    try {
      for (;;) {
        let rows: [Uint8Array, Uint8Array][]
        try {
          rows = await iterator.nextv(SCAN_FRAMES)
        } catch {
          break
        }
        if (rows.length === 0) return
        yield rows.map(([key, bytes]) => ({ ...framePositionOf(key), bytes }))
        const { log, no } = framePositionOf(rows.at(-1)![0])
        from = frameKey(log, no + 1)
        skip = 1
      }
    } finally {
      await iterator.close()
    }
    const next = behind(from, skip)
    if (next === undefined) return
    from = next
    skip *= 2
  }
}

function behind(from: Uint8Array, skip: number): Uint8Array | undefined {
  const { log, no } = from.byteLength < 2 ? { log: { hub: 0, epoch: 0 }, no: 0 } : framePositionOf(from)
  if (skip < SKIP_MAX) return frameKey(log, no + skip)
  return log.hub < 0xff ? frameKey({ hub: log.hub + 1, epoch: 0 }, 0) : undefined
}
