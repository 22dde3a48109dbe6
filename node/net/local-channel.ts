/** Two ends of a channel inside one process: a hub that serves a model itself speaks the job protocol with itself. */
import { encode } from '../../protocol/codec.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Channel } from './channel.ts'
import { createReadQueue, type ReadQueue } from './read-queue.ts'

/** Bytes that may wait for the reader before `send` answers false, as in a stream channel. */
const BYTES_HIGH = 64 * 1024

/** A value that goes over as it is. */
interface Passed {
  readonly value: object
  readonly byteLength: number
}

type Frame = Uint8Array | Passed

export function createLocalChannels(peer: string): readonly [Channel, Channel] {
  const closed = new AbortController()
  interface DrainWaiter { readonly resolve: () => void; readonly reject: (reason: Error) => void }
  const drainWaiters: [DrainWaiter[], DrainWaiter[]] = [[], []]
  const queues: readonly [ReadQueue<Frame>, ReadQueue<Frame>] = [createReadQueue(() => wake(0)), createReadQueue(() => wake(1))]

  function wake(reader: 0 | 1): void {
    if (queues[reader].bytes > BYTES_HIGH / 2) return
    for (const waiter of drainWaiters[reader].splice(0)) waiter.resolve()
  }

  function finish(reason: Error | undefined): void {
    if (closed.signal.aborted) return
    queues[0].end(reason)
    queues[1].end(reason)
    const lost = reason ?? new TriforceError('HOST_LOST', {}, { detail: 'the channel was closed' })
    closed.abort(lost)
    for (const waiters of drainWaiters) for (const waiter of waiters.splice(0)) waiter.reject(lost)
  }

  function end(self: 0 | 1): Channel {
    const other = self === 0 ? 1 : 0

    function push(frame: Frame): boolean {
      if (!closed.signal.aborted) queues[other].push(frame)
      return queues[other].bytes < BYTES_HIGH
    }

    return {
      peer,
      send: push,
      pass: (value, byteLength) => push({ value, byteLength }),
      drained() {
        if (closed.signal.aborted) return Promise.reject(closed.signal.reason as Error)
        if (queues[other].bytes < BYTES_HIGH) return Promise.resolve()
        return new Promise((resolve, reject) => {
          drainWaiters[other].push({ resolve, reject })
        })
      },
      async read() {
        const frame = await queues[self].read()
        return frame === undefined || frame instanceof Uint8Array ? frame : encode(frame.value)
      },
      async take() {
        const frame = await queues[self].read()
        return frame === undefined || frame instanceof Uint8Array ? frame : frame.value
      },
      close: () => finish(undefined),
      abort: finish,
      closed: closed.signal,
      get waiting() {
        return { readBytes: queues[self].bytes, sendBytes: queues[other].bytes }
      },
    }
  }

  return [end(0), end(1)]
}
