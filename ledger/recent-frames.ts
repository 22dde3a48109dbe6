/**
 * The frames that went to the disk last, kept as they were checked: the second fold (checkpoint/) comes to them a second
 * later and a hub that was away asks for them, so they need not be read, decoded and checked again. What has gone from here is read from the disk.
 */
import type { LogId } from '../protocol/messages/ledger.ts'
import type { CheckedFrame } from './frame.ts'
import { logName } from './store/log-store.ts'

/** Of frames as they are stored; decoded, they take about three times as much. */
const BYTES_MAX = 4 * 1024 * 1024

export interface RecentFrames {
  add(frames: readonly CheckedFrame[]): void
  /** Frames of a log from number `from` up to `to`, as many as fit; none where the first is not here. */
  range(log: LogId, from: number, to: number, bytesMax: number): readonly CheckedFrame[]
  /** A log was cut: nothing that is here counts any more. */
  clear(): void
}

export function createRecentFrames(bytesMax = BYTES_MAX): RecentFrames {
  /** In the order in which they were added, so the oldest goes first. */
  const frames = new Map<string, CheckedFrame>()
  let bytes = 0

  const nameOf = (log: LogId, no: number) => `${logName(log)}/${no}`

  function drop(name: string, frame: CheckedFrame): void {
    frames.delete(name)
    bytes -= frame.bytes.byteLength
  }

  return {
    add(added) {
      for (const frame of added) {
        const name = nameOf(frame.log, frame.header.no)
        const known = frames.get(name)
        if (known !== undefined) drop(name, known)
        frames.set(name, frame)
        bytes += frame.bytes.byteLength
      }
      for (const [name, frame] of frames) {
        if (bytes <= bytesMax) break
        drop(name, frame)
      }
    },
    range(log, from, to, most) {
      const found: CheckedFrame[] = []
      let sum = 0
      for (let no = from; no <= to; no += 1) {
        const frame = frames.get(nameOf(log, no))
        if (frame === undefined) break
        sum += frame.bytes.byteLength
        if (found.length > 0 && sum > most) break
        found.push(frame)
      }
      return found
    },
    clear() {
      frames.clear()
      bytes = 0
    },
  }
}
