/**
 * A ledger's messages over TCP, for tests with real processes: each message with its length (4 bytes, big-endian) in
 * front; the dialling side first says in one byte which hub it is. A newer connection of a hub takes the place of an older one.
 */
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { HubSync } from '../../ledger/interface.ts'

const RETRY_MS = 20

export interface LedgerSockets {
  /** Port that it listens on. */
  readonly port: number
  /** Keeps a connection to `hub`, tried again whenever it ends. */
  dial(hub: number, port: number): void
}

/** `onRefused`: the ledger found a message that no honest hub sends. Listens on loopback; port 0 takes a free one. */
export async function openLedgerSockets(
  sync: HubSync, { hub: me, port }: { readonly hub: number; readonly port: number }, onRefused: (error: Error) => void,
): Promise<LedgerSockets> {
  const current = new Map<number, Socket>()

  function dial(hub: number, peerPort: number): void {
    const socket = createConnection({ port: peerPort, host: '127.0.0.1' }, () => {
      socket.write(Uint8Array.of(me))
      serve(socket, hub)
    })
    socket.on('error', () => {})
    socket.on('close', () => { setTimeout(() => { dial(hub, peerPort) }, RETRY_MS) })
  }

  function serve(socket: Socket, dialled: number | undefined): void {
    let peer = dialled
    socket.setNoDelay(true)
    socket.on('error', () => {})
    const isCurrent = () => peer !== undefined && current.get(peer) === socket
    socket.on('drain', () => { if (isCurrent()) sync.drained(peer!) })
    const send = (message: Uint8Array) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(message.byteLength)
      socket.write(length)
      return socket.write(message)
    }
    const join = (hub: number) => {
      const older = current.get(hub)
      current.set(hub, socket)
      if (older !== undefined) {
        sync.disconnected(hub)
        older.destroy()
      }
      sync.connected(hub, send)
    }
    if (dialled !== undefined) join(dialled)
    void read().catch((error: Error) => {
      // A reset is what a killed peer leaves.
      if (error.name === 'TriforceError' && isCurrent()) onRefused(error)
    }).then(() => {
      socket.destroy()
      if (!isCurrent()) return
      current.delete(peer!)
      sync.disconnected(peer!)
    })

    async function read(): Promise<void> {
      let buffered: Buffer = Buffer.alloc(0)
      for await (const chunk of socket) {
        buffered = buffered.byteLength === 0 ? chunk as Buffer : Buffer.concat([buffered, chunk as Buffer])
        if (peer === undefined) {
          peer = buffered[0]!
          buffered = buffered.subarray(1)
          join(peer)
        }
        while (buffered.byteLength >= 4 && buffered.byteLength >= 4 + buffered.readUInt32BE()) {
          const end = 4 + buffered.readUInt32BE()
          const message = new Uint8Array(buffered.subarray(4, end))
          buffered = buffered.subarray(end)
          if (!isCurrent()) return
          await sync.receive(peer, message)
        }
      }
    }
  }

  const server: Server = createServer((socket) => { serve(socket, undefined) })
  await new Promise<void>((resolve) => { server.listen(port, '127.0.0.1', resolve) })
  return { port: (server.address() as AddressInfo).port, dial }
}
