/**
 * One circuit at the hub that relays it: two libp2p streams whose bytes the relay service passes on. The service reads
 * without end, however slowly the other side takes, so here each side is paused while too much waits, and while the
 * rate is used up. What passes is ciphertext: the two ends speak noise with each other.
 */
import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import type { Clock } from '../../protocol/ports.ts'

export interface CircuitOptions {
  /** Bytes of one direction that wait for the other side before the sender is stopped; it goes on at half of it. */
  readonly waitingBytesMax?: number
  /** Told of all bytes that came in; gives the milliseconds for which the sender must be stopped. */
  readonly pass: (bytes: number) => number
  readonly onEnd: () => void
}

export const circuitDefaults = Object.freeze({ waitingBytesMax: 256 * 1024 })

/** Watches both streams from now on. The bytes of the handshake before do not count. */
export function watchCircuit(clock: Clock, source: Stream, destination: Stream, options: CircuitOptions): void {
  const { pass, onEnd } = options
  const waitingBytesMax = options.waitingBytesMax ?? circuitDefaults.waitingBytesMax
  let hasEnded = false

  function end(): void {
    if (hasEnded) return
    hasEnded = true
    onEnd()
  }

  function watchDirection(from: Stream, to: Stream): void {
    let waitingBytes = 0
    let cancelRate: (() => void) | undefined

    const mustWait = () => waitingBytes > waitingBytesMax || cancelRate !== undefined

    function settle(): void {
      if (hasEnded) return
      if (!mustWait() && waitingBytes <= waitingBytesMax / 2 && from.readStatus === 'paused') from.resume()
    }

    function onBytes(bytes: number): void {
      waitingBytes += bytes
      const waitMs = pass(bytes)
      if (waitMs > 0) {
        cancelRate?.()
        cancelRate = clock.after(waitMs, () => {
          cancelRate = undefined
          settle()
        })
      }
      // In a microtask: libp2p undoes a pause that is called while it hands out bytes.
      if (mustWait()) queueMicrotask(() => {
        if (mustWait() && from.readStatus === 'readable') from.pause()
      })
    }

    // Not a listener: libp2p keeps bytes only while nobody listens, and the service listens a little later.
    const dispatch = from.dispatchEvent.bind(from)
    from.dispatchEvent = (event: Event): boolean => {
      if (event.type === 'message') onBytes((event as StreamMessageEvent).data.byteLength)
      return dispatch(event)
    }
    const send = to.send.bind(to)
    to.send = (data) => {
      waitingBytes = Math.max(0, waitingBytes - data.byteLength)
      const hasRoom = send(data)
      settle()
      return hasRoom
    }
    from.addEventListener('close', () => {
      cancelRate?.()
      end()
    })
  }

  watchDirection(source, destination)
  watchDirection(destination, source)
}
