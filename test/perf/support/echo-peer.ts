/** The bare libp2p peer of the relay bench: TCP, noise and yamux as TriForce sets them; every byte of a stream comes back. */
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'

export const ECHO_PROTOCOL = '/bench/echo/1'

export function createBareNode(listen: readonly string[]) {
  return createLibp2p({
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxInboundStreams: 4_096, maxOutboundStreams: 4_096, streamOptions: { maxStreamWindowSize: 1 << 20, maxReadBufferLength: 4 << 20 } })],
    connectionMonitor: { enabled: false },
  })
}

if (process.argv[1] === import.meta.filename) {
  const node = await createBareNode(['/ip4/127.0.0.1/tcp/0'])
  await node.handle(ECHO_PROTOCOL, (stream) => {
    stream.addEventListener('message', (event) => {
      stream.send(event.data)
    })
    stream.addEventListener('remoteCloseWrite', () => {
      stream.close().catch(() => stream.abort(new Error('not closed')))
    })
  }, { maxInboundStreams: 1_024, maxOutboundStreams: 1_024 })
  process.stdout.write(`${JSON.stringify({ address: node.getMultiaddrs()[0]!.toString() })}\n`)
}
