/**
 * The TCP transport, with all that is written to a socket within one tick sent in one system call. Below it yamux and
 * noise write each frame in two pieces, and a frame that is read is answered by a window update in two more.
 */
import { Socket } from 'node:net'
import type { MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface'
import { tcp, type TCPComponents, type TCPOptions } from '@libp2p/tcp'
import type { SocketShaper } from './socket-shaper.ts'

/** `shaper`: holds a bound on what the sockets carry. */
export function corkedTcp(options: TCPOptions, shaper?: SocketShaper): (components: TCPComponents) => Transport {
  const create = tcp(options)
  return (components) => {
    const transport = create(components)
    const dial = transport.dial.bind(transport)
    const createListener = transport.createListener.bind(transport)
    transport.dial = (address, dialOptions) => dial(address, { ...dialOptions, upgrader: corking(dialOptions.upgrader, shaper) })
    transport.createListener = (listenOptions) => createListener({ ...listenOptions, upgrader: corking(listenOptions.upgrader, shaper) })
    return transport
  }
}

/** The upgrader gets each new connection first: the one place where its socket can be reached. */
function corking(upgrader: Upgrader, shaper: SocketShaper | undefined): Upgrader {
  return {
    createInboundAbortSignal: (signal) => upgrader.createInboundAbortSignal(signal),
    getConnectionEncrypters: () => upgrader.getConnectionEncrypters(),
    getStreamMuxers: () => upgrader.getStreamMuxers(),
    upgradeOutbound(connection, upgradeOptions) {
      cork(connection, shaper)
      return upgrader.upgradeOutbound(connection, upgradeOptions)
    },
    upgradeInbound(connection, upgradeOptions) {
      cork(connection, shaper)
      return upgrader.upgradeInbound(connection, upgradeOptions)
    },
  }
}

function cork(connection: MultiaddrConnection, shaper: SocketShaper | undefined): void {
  // Not part of the interface: where a later version names it otherwise, everything works as before, only slower.
  const { socket } = connection as MultiaddrConnection & { readonly socket?: Socket }
  if (socket === undefined) return
  const write = (chunk: Uint8Array | string) => Socket.prototype.write.call(socket, chunk)
  let isCorked = false
  socket.write = (chunk: Uint8Array | string): boolean => {
    if (!isCorked) {
      isCorked = true
      socket.cork()
      process.nextTick(() => {
        isCorked = false
        socket.uncork()
      })
    }
    return write(chunk)
  }
  shaper?.shape(socket)
}
