/**
 * A channel over a libp2p stream: the only file that touches libp2p streams.
 *
 * - All frames of a tick are copied into one buffer and leave in one `send`: a send per frame costs two socket writes
 *   here and two back (measured: a sixth of the throughput).
 * - `drain` events are used, not `stream.onDrain()`, whose promise is never renewed.
 * - The stream is paused in a microtask: a `pause()` inside the message listener is undone by libp2p's own resume.
 * - It must be made in the same tick in which the stream came, since the first listener takes the data.
 */
import type { Stream } from '@libp2p/interface'
import { TriforceError } from '../../protocol/errors.ts'
import { FRAME_BYTES_MAX } from '../../protocol/limits.ts'
import type { Channel } from './channel.ts'
import { createFrameSplitter, prefixBytes, writeFrame } from './frame-splitter.ts'
import type { HeldBytes } from './held-bytes.ts'
import { createReadQueue } from './read-queue.ts'
import type { JobPath } from './traffic.ts'
import { createTurnEnd, type TurnEnd } from './turn-end.ts'

export interface StreamChannelOptions {
  readonly frameBytesMax?: number
  /** Whole frames that may wait to be read before the peer is told to stop; reading half of them starts it again. */
  readonly readBytesHigh?: number
  /** Bytes that may wait to be sent before `send` answers false. */
  readonly sendBytesHigh?: number
  /** Counts unfinished frames over all streams of the peer. */
  readonly held?: HeldBytes
  /** That of all channels of a host, so that they leave together. Default: one of its own. */
  readonly turnEnd?: TurnEnd
  /** Told of bytes that came or went. */
  readonly count?: (bytes: number) => void
  readonly path?: JobPath
  readonly isGood?: () => boolean
}

export const streamChannelDefaults = Object.freeze({
  frameBytesMax: FRAME_BYTES_MAX,
  readBytesHigh: 64 * 1024, // several thousand tokens: far above what a live reader leaves, far below what hurts
  sendBytesHigh: 64 * 1024,
}) satisfies Required<Pick<StreamChannelOptions, 'frameBytesMax' | 'readBytesHigh' | 'sendBytesHigh'>>

export function createStreamChannel(stream: Stream, peer: string, options: StreamChannelOptions = {}): Channel {
  const { frameBytesMax, readBytesHigh, sendBytesHigh } = { ...streamChannelDefaults, ...options }
  const { count } = options
  const turnEnd = options.turnEnd ?? createTurnEnd()
  const closed = new AbortController()
  const splitter = createFrameSplitter(frameBytesMax)
  let heldBytes = 0
  let paused = false
  let pending: Uint8Array[] = []
  let pendingBytes = 0
  let flushSoon = false
  let blocked = false
  let closing = false
  let drainWaiters: { resolve: () => void; reject: (reason: Error) => void }[] = []

  const queue = createReadQueue(() => {
    if (paused && queue.bytes <= readBytesHigh / 2 && stream.readStatus === 'paused') {
      paused = false
      stream.resume()
    }
  })

  /** False where this peer holds too much in unfinished frames. */
  function hold(bytes: number): boolean {
    const change = bytes - heldBytes
    heldBytes = bytes
    return change === 0 || options.held === undefined || options.held.count(peer, change)
  }

  function finish(reason: Error | undefined): void {
    if (closed.signal.aborted) return
    hold(0)
    const lost = reason ?? new TriforceError('HOST_LOST', {}, { detail: 'the connection ended' })
    queue.end(reason)
    closed.abort(lost)
    pending = []
    pendingBytes = 0
    for (const waiter of drainWaiters) waiter.reject(lost)
    drainWaiters = []
  }

  function abort(reason: Error): void {
    finish(reason)
    stream.abort(reason)
  }

  function flush(): void {
    flushSoon = false
    if (closed.signal.aborted || blocked || pending.length === 0) return
    const frames = pending
    count?.(pendingBytes)
    const joined = Buffer.allocUnsafe(pendingBytes)
    pending = []
    pendingBytes = 0
    let offset = 0
    for (const frame of frames) offset = writeFrame(joined, offset, frame)
    try {
      blocked = !stream.send(joined)
    } catch (cause) {
      abort(new TriforceError('HOST_LOST', {}, { cause }))
      return
    }
    if (!blocked) onWritable()
  }

  function onWritable(): void {
    const waiters = drainWaiters
    drainWaiters = []
    for (const waiter of waiters) waiter.resolve()
    if (closing && pending.length === 0) void stream.close().catch((cause: unknown) => stream.abort(asError(cause)))
  }

  stream.addEventListener('message', (event) => {
    const data = event.data
    count?.(data.byteLength)
    try {
      splitter.push(data instanceof Uint8Array ? data : data.subarray(), (frame) => queue.push(frame))
    } catch (reason) {
      queueMicrotask(() => abort(asError(reason)))
      return
    }
    if (!closed.signal.aborted && !hold(splitter.partialBytes)) {
      const reason = new TriforceError('FRAME_TOO_LARGE', { peer }, { detail: 'too many unfinished frames at once' })
      queueMicrotask(() => abort(reason))
      return
    }
    // Only whole frames count: a large partial frame must be able to arrive in full.
    if (queue.bytes > readBytesHigh && !paused) {
      paused = true
      queueMicrotask(() => {
        // The reader may have caught up in the meantime; then nothing would ever resume the stream.
        if (queue.bytes <= readBytesHigh / 2) paused = false
        else if (stream.readStatus === 'readable') stream.pause()
      })
    }
  })
  stream.addEventListener('drain', () => {
    blocked = false
    flush()
    if (!blocked) onWritable()
  })
  stream.addEventListener('remoteCloseWrite', () => {
    queue.end(splitter.partialBytes > 0 ? new TriforceError('HOST_LOST', {}, { detail: 'the connection ended inside a frame' }) : undefined)
  })
  stream.addEventListener('close', (event) => {
    finish(event.error === undefined ? undefined : new TriforceError('HOST_LOST', {}, { cause: event.error }))
  })

  // It may have ended while it was being opened, before anyone listened.
  if (stream.status === 'reset' || stream.status === 'aborted' || stream.status === 'closed') {
    finish(new TriforceError('HOST_LOST', {}, { detail: 'the peer ended the stream at once' }))
  }

  return {
    peer,
    ...(options.path === undefined ? {} : { path: options.path }),
    ...(options.isGood === undefined ? {} : { isGood: options.isGood }),
    send(frame) {
      if (closed.signal.aborted || closing) return true
      if (frame.byteLength > frameBytesMax) throw new TriforceError('FRAME_TOO_LARGE', { bytes: frame.byteLength, bytesMax: frameBytesMax })
      pending.push(frame)
      pendingBytes += prefixBytes(frame.byteLength) + frame.byteLength
      if (!flushSoon && !blocked) {
        flushSoon = true
        turnEnd.frames(flush)
      }
      return pendingBytes < sendBytesHigh && !blocked
    },
    drained() {
      if (closed.signal.aborted) return Promise.reject(asError(closed.signal.reason))
      if (!blocked && pendingBytes < sendBytesHigh) return Promise.resolve()
      return new Promise((resolve, reject) => {
        drainWaiters.push({ resolve, reject })
      })
    },
    read: () => queue.read(),
    close() {
      if (closing || closed.signal.aborted) return
      closing = true
      if (!blocked && pending.length === 0) onWritable()
    },
    abort,
    closed: closed.signal,
    get waiting() {
      return { readBytes: queue.bytes, sendBytes: pendingBytes }
    },
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
