/** Measures how many bytes came since the last end of an event of an SSE stream, however the bytes are cut. */

export interface EventMeter {
  /** Gives the bytes of the event that is not over yet. */
  add(chunk: Uint8Array): number
}

/** An event ends at an empty line; the three line ends of the SSE standard may not be mixed by a server. */
const ENDS = ['\n\n', '\r\n\r\n', '\r\r'] as const
const END_BYTES_MAX = 4

export function createEventMeter(): EventMeter {
  let open = 0
  /** The last bytes, in which an end may have begun. */
  let tail = ''
  return {
    add(chunk) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      const seam = tail + bytes.toString('latin1', 0, END_BYTES_MAX - 1)
      const rest = Math.min(restAfterEnd(bytes), restAfterSeam(seam, tail.length, bytes.length))
      open = rest === Infinity ? open + bytes.length : rest
      tail = (tail + bytes.toString('latin1', Math.max(0, bytes.length - END_BYTES_MAX + 1))).slice(1 - END_BYTES_MAX)
      return open
    },
  }
}

/** Bytes behind the last end inside a chunk; Infinity where there is none. */
function restAfterEnd(bytes: Buffer): number {
  return ENDS.reduce((rest, end) => {
    const at = bytes.lastIndexOf(end, undefined, 'latin1')
    return at < 0 ? rest : Math.min(rest, bytes.length - at - end.length)
  }, Infinity)
}

/** The same for an end that began in the chunk before. */
function restAfterSeam(seam: string, tailChars: number, chunkBytes: number): number {
  return ENDS.reduce((rest, end) => {
    const at = seam.lastIndexOf(end)
    const behind = at + end.length - tailChars
    return at < 0 || behind <= 0 ? rest : Math.min(rest, chunkBytes - behind)
  }, Infinity)
}
