/**
 * A bound on what this node sends and gets, held at its TCP sockets: below encryption and muxing, so that everything
 * counts that crosses the line. What is sent waits here in order; what comes is read no faster, and TCP then slows the
 * other side down. Bytes that the system had taken in before stay within its receive buffer of the bound.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../../protocol/ports.ts'
import { createTokenBucket, type TokenBucket } from './token-bucket.ts'

/** In bytes a second; undefined: no bound. */
export interface LineBounds {
  readonly sendPerSecond: number | undefined
  readonly readPerSecond: number | undefined
}

export interface SocketShaper {
  /** Must be told of each socket before anything is sent over it. */
  shape(socket: Socket): void
  /** Holds at once, also for what waits. */
  bound(bounds: LineBounds): void
}

/** What may pass at once after a pause; reads come in pieces of up to 64 KiB. */
const BURST_MS = Object.freeze({ send: 40, read: 100 })
const BURST_BYTES_MIN = 2_048
/** The piece after which it is looked at the clock: at 0.2 Mbit/s a piece of 1 KiB takes 40 ms. */
const PIECE_MS = 20
const PIECE_BYTES_MIN = 1_024
const PIECE_BYTES_MAX = 64 * 1024
/** Below it the writer is told to go on. */
const WAITING_BYTES_LOW = 16 * 1024

export function createSocketShaper({ clock }: { readonly clock: Clock }): SocketShaper {
  const pumps = new Set<() => void>()
  let send: { readonly bucket: TokenBucket; readonly pieceBytes: number } | undefined
  let read: TokenBucket | undefined

  function bucketOf(perSecond: number, burstMs: number): TokenBucket {
    return createTokenBucket(clock, { perSecond, burst: Math.max(BURST_BYTES_MIN, perSecond * burstMs / 1_000) })
  }

  function shape(socket: Socket): void {
    shapeWrites(socket)
    shapeReads(socket)
  }

  function shapeWrites(socket: Socket): void {
    let waiting: Uint8Array[] = []
    let waitingBytes = 0
    let cancel: (() => void) | undefined
    let needsDrain = false
    let ending = false
    const write: (chunk: Uint8Array | string) => boolean = socket.write.bind(socket)
    const destroySoon = socket.destroySoon.bind(socket)

    function pump(): void {
      cancel?.()
      cancel = undefined
      let isOpen = true
      while (waitingBytes > 0 && !socket.destroyed) {
        const piece = next(send?.pieceBytes ?? PIECE_BYTES_MAX)
        isOpen = write(piece)
        const waitMs = send?.bucket.take(piece.byteLength) ?? 0
        if (waitMs > 0 && waitingBytes > 0) {
          cancel = clock.after(waitMs, pump)
          break
        }
      }
      // Where the socket itself is full, its own event comes.
      if (needsDrain && waitingBytes <= WAITING_BYTES_LOW) {
        needsDrain = false
        if (isOpen) socket.emit('drain')
      }
      if (ending && waitingBytes === 0) destroySoon()
    }

    /** At most so many bytes of the first chunk. */
    function next(bytesMax: number): Uint8Array {
      const first = waiting[0]!
      if (first.byteLength <= bytesMax) waiting.shift()
      else waiting[0] = first.subarray(bytesMax)
      const piece = first.byteLength <= bytesMax ? first : first.subarray(0, bytesMax)
      waitingBytes -= piece.byteLength
      return piece
    }

    socket.write = (chunk: Uint8Array | string): boolean => {
      if (send === undefined && waitingBytes === 0) return write(chunk)
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
      waiting.push(bytes)
      waitingBytes += bytes.byteLength
      if (cancel === undefined) pump()
      if (waitingBytes <= WAITING_BYTES_LOW && !socket.writableNeedDrain) return true
      needsDrain = true
      return false
    }
    // What waits goes out before an end in order.
    socket.destroySoon = () => {
      ending = true
      if (waitingBytes === 0) destroySoon()
    }
    pumps.add(pump)
    socket.once('close', () => {
      pumps.delete(pump)
      cancel?.()
      waiting = []
      waitingBytes = 0
    })
  }

  function shapeReads(socket: Socket): void {
    let cancel: (() => void) | undefined
    /** What the owner of the socket wants, whatever the bound makes of it. */
    let isPausedByOwner = false
    const pause = socket.pause.bind(socket)
    const resume = socket.resume.bind(socket)

    function goOn(): void {
      cancel?.()
      cancel = undefined
      if (!isPausedByOwner && !socket.destroyed) resume()
    }

    socket.pause = () => {
      isPausedByOwner = true
      return pause()
    }
    socket.resume = () => {
      isPausedByOwner = false
      return cancel === undefined ? resume() : socket
    }
    socket.on('data', (bytes: Uint8Array) => {
      const waitMs = read?.take(bytes.byteLength) ?? 0
      if (waitMs <= 0) return
      pause()
      cancel?.()
      cancel = clock.after(waitMs, goOn)
    })
    socket.once('close', () => cancel?.())
  }

  return {
    shape,
    bound({ sendPerSecond, readPerSecond }) {
      send = sendPerSecond === undefined ? undefined : {
        bucket: bucketOf(sendPerSecond, BURST_MS.send), pieceBytes: Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES_MIN, Math.floor(sendPerSecond * PIECE_MS / 1_000))),
      }
      read = readPerSecond === undefined ? undefined : bucketOf(readPerSecond, BURST_MS.read)
      for (const pump of pumps) pump()
    },
  }
}
