/**
 * Cuts length-prefixed frames out of a byte stream: an unsigned varint, then that many bytes.
 * Bytes in, whole frames out; a length over the limit is refused before anything of the frame is kept.
 */
import { concatBytes } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'

// A varint of a length up to 2^28 has at most four bytes; FRAME_BYTES_MAX is 2^22.
const LENGTH_BYTES_MAX = 4

export interface FrameSplitter {
  /** Calls `frame` for each whole frame. The bytes may be a view of `chunk`. Throws FRAME_TOO_LARGE or FRAME_MALFORMED. */
  push(chunk: Uint8Array, frame: (bytes: Uint8Array) => void): void
  /** Bytes of a frame that is not complete. */
  readonly partialBytes: number
}

export function createFrameSplitter(frameBytesMax: number): FrameSplitter {
  let chunks: Uint8Array[] = []
  let collected = 0
  // Nothing is joined before this many bytes are there, so a large frame in small chunks is copied once.
  let wanted = 1

  return {
    push(chunk, frame) {
      chunks.push(chunk)
      collected += chunk.byteLength
      if (collected < wanted) return
      let rest = chunks.length === 1 ? chunk : concatBytes(...chunks)
      wanted = 1
      while (rest.byteLength > 0) {
        const length = readLength(rest)
        if (length === undefined) {
          wanted = rest.byteLength + 1
          break
        }
        if (length.value > frameBytesMax) throw new TriforceError('FRAME_TOO_LARGE', { bytes: length.value, bytesMax: frameBytesMax })
        const end = length.size + length.value
        if (rest.byteLength < end) {
          wanted = end
          break
        }
        frame(rest.subarray(length.size, end))
        rest = rest.subarray(end)
      }
      chunks = rest.byteLength > 0 ? [rest] : []
      collected = rest.byteLength
    },
    get partialBytes() {
      return collected
    },
  }
}

/** Undefined where the varint is not complete yet. */
function readLength(bytes: Uint8Array): { value: number; size: number } | undefined {
  let value = 0
  for (let index = 0; index < LENGTH_BYTES_MAX; index += 1) {
    const byte = bytes[index]
    if (byte === undefined) return undefined
    value |= (byte & 0x7f) << (7 * index)
    if (byte < 0x80) return { value, size: index + 1 }
  }
  throw new TriforceError('FRAME_MALFORMED', { problem: 'length prefix is too long' })
}

/** Bytes that the length prefix of a frame of `length` bytes takes. */
export function prefixBytes(length: number): number {
  if (length < 0x80) return 1
  if (length < 0x4000) return 2
  return length < 0x20_0000 ? 3 : 4
}

/** Writes prefix and frame at `offset`; gives the offset behind them. */
export function writeFrame(target: Uint8Array, offset: number, frame: Uint8Array): number {
  let rest = frame.byteLength
  let at = offset
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[at++] = rest
  target.set(frame, at)
  return at + frame.byteLength
}
