/**
 * Bytes of unfinished frames that this node holds for each peer, over all its streams. One frame may have 4 MiB, and a
 * peer may open a thousand streams: without a common bound it could make us hold gigabytes before it has said anything.
 */
export interface HeldBytes {
  /** Counts `change` for the peer, down as well as up; false where the peer is over its bound. */
  count(peer: string, change: number): boolean
}

/** Eight of the largest frames at once. */
const HELD_BYTES_MAX = 32 * 1024 * 1024

export function createHeldBytes(bytesMax: number = HELD_BYTES_MAX): HeldBytes {
  const held = new Map<string, number>()
  return {
    count(peer, change) {
      const bytes = (held.get(peer) ?? 0) + change
      if (bytes > 0) held.set(peer, bytes)
      else held.delete(peer)
      return bytes <= bytesMax
    },
  }
}
