/**
 * The links between hubs, in the parent's hands: every connection of two hubs passes through here, and each direction can
 * be stopped or slowed down by itself. `stalled` is a network that drops packets: bytes wait, nobody is told. `cut` is a
 * network that answers with resets: connections end, and no new one comes about.
 */
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'

export interface Link {
  /** The dialling hub dials this port. */
  readonly port: number
  cut(): void
  /** `from`: the hub whose bytes stop. */
  stall(from: number): void
  delay(from: number, delayMs: number): void
  /** All is well again. `reset`: connections that were stalled end, as after a long time. */
  heal(options: { readonly reset: boolean }): void
  close(): void
}

interface Direction {
  stalled: boolean
  delayMs: number
}

/** Bytes that a slow direction holds back; beyond it the sender waits. */
const HELD_BYTES_MAX = 4 * 1024 * 1024

/** `dialler` and `listener` are hubs; `target` is the port of the listener's process now. */
export async function openLink(dialler: number, listener: number, target: () => number | undefined): Promise<Link> {
  const directions = new Map<number, Direction>([[dialler, { stalled: false, delayMs: 0 }], [listener, { stalled: false, delayMs: 0 }]])
  const pumps = new Set<() => void>()
  const sockets = new Set<Socket>()
  let isCut = false

  const server = createServer((near) => {
    const port = target()
    if (isCut || port === undefined) {
      near.destroy()
      return
    }
    const far = createConnection({ port, host: '127.0.0.1' })
    for (const socket of [near, far]) {
      socket.setNoDelay(true)
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => { sockets.delete(socket) })
    }
    carry(near, far, directions.get(dialler)!)
    carry(far, near, directions.get(listener)!)
  })

  /** Passes on what comes, and the end, in order and not before its time. */
  function carry(from: Socket, to: Socket, direction: Direction): void {
    const held: { readonly bytes: Buffer | undefined; readonly dueMs: number }[] = []
    let heldBytes = 0
    let timer: NodeJS.Timeout | undefined
    const pump = () => {
      clearTimeout(timer)
      timer = undefined
      while (held.length > 0 && !direction.stalled) {
        const waitMs = held[0]!.dueMs - performance.now()
        if (waitMs > 0) {
          timer = setTimeout(pump, waitMs)
          return
        }
        const { bytes } = held.shift()!
        if (bytes === undefined) {
          pumps.delete(pump)
          to.destroy()
          return
        }
        heldBytes -= bytes.byteLength
        if (!to.destroyed) to.write(bytes)
      }
      if (heldBytes < HELD_BYTES_MAX && to.writableLength < HELD_BYTES_MAX) from.resume()
    }
    const take = (bytes: Buffer | undefined) => {
      held.push({ bytes, dueMs: performance.now() + direction.delayMs })
      heldBytes += bytes?.byteLength ?? 0
      if (heldBytes >= HELD_BYTES_MAX || to.writableLength >= HELD_BYTES_MAX) from.pause()
      if (timer === undefined) pump()
    }
    pumps.add(pump)
    from.on('data', take)
    to.on('drain', pump)
    from.on('close', () => { take(undefined) })
  }

  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const resetAll = () => { for (const socket of sockets) socket.resetAndDestroy() }
  const pumpAll = () => { for (const pump of pumps) pump() }
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      isCut = true
      resetAll()
    },
    stall: (from) => { directions.get(from)!.stalled = true },
    delay: (from, delayMs) => { directions.get(from)!.delayMs = delayMs },
    heal: ({ reset }) => {
      isCut = false
      const wasStalled = [...directions.values()].some(({ stalled }) => stalled)
      for (const direction of directions.values()) Object.assign(direction, { stalled: false, delayMs: 0 })
      if (reset && wasStalled) resetAll()
      pumpAll()
    },
    close: () => {
      server.close()
      resetAll()
    },
  }
}
