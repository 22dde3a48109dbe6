import { expect } from 'chai'
import { createClock } from '../../bootstrap/system.ts'
import { protocolIds } from '../../protocol/ids.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Channel } from '../../node/net/channel.ts'
import { createChannelPool } from '../../node/net/channel-pool.ts'
import { createHost, type Host } from '../../node/net/host.ts'
import { testKey } from '../support/federation.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'

const ids = protocolIds('test-net')

function openHost(hub: boolean): Promise<Host> {
  return createHost({ clock: createClock(), log: quietLog() }, { seed: testKey().seed, ids, hub, listen: ['/ip4/127.0.0.1/tcp/0'], version: 'test' })
}

describe('node/net: channels over libp2p', () => {
  let server: Host
  let client: Host
  let inbound: Channel[] = []
  let serve: (channel: Channel) => Promise<void> = () => Promise.resolve()

  before(async () => {
    server = await openHost(true)
    client = await openHost(false)
    server.handle(ids.job, (channel) => {
      inbound.push(channel)
      return serve(channel)
    })
    await server.start()
    await client.start()
    await client.dial(server.addresses(), { signal: AbortSignal.timeout(5_000) })
  })
  afterEach(() => {
    for (const channel of inbound) channel.abort(new TriforceError('STOPPING'))
    inbound = []
  })
  after(async () => {
    await client.stop()
    await server.stop()
  })

  function open(): Promise<Channel> {
    return client.open(server.peerId, ids.job, { signal: AbortSignal.timeout(5_000) })
  }

  it('carries frames of every size in order, in both directions', async () => {
    serve = async (channel) => {
      for (let frame = await channel.read(); frame !== undefined; frame = await channel.read()) {
        if (!channel.send(frame)) await channel.drained()
      }
    }
    const channel = await open()
    const sizes = [0, 1, 127, 128, 300, 16_383, 16_384, 70_000, 1_000_000, 3_500_000, 2]
    const echo = (async () => {
      const seen: Uint8Array[] = []
      while (seen.length < sizes.length) seen.push((await channel.read())!)
      return seen
    })()
    for (const [index, size] of sizes.entries()) {
      if (!channel.send(new Uint8Array(size).fill(index + 1))) await channel.drained()
    }
    const seen = await echo
    expect(seen.map((frame) => frame.byteLength)).to.deep.equal(sizes)
    for (const [index, frame] of seen.entries()) expect(frame.every((byte) => byte === index + 1)).to.equal(true)
    channel.close()
    await until('both ends closed', () => channel.closed.aborted && inbound[0]!.closed.aborted)
  })

  it('stops a fast writer when the reader does not read, and loses nothing', async function () {
    this.timeout(20_000)
    let written = 0
    const total = 600
    const frameBytes = 64 * 1024
    serve = async (channel) => {
      for (let n = 0; n < total; n += 1) {
        const frame = new Uint8Array(frameBytes)
        new DataView(frame.buffer).setUint32(0, n)
        const room = channel.send(frame)
        written += 1
        if (!room) await channel.drained()
      }
      channel.send(new Uint8Array(1))
    }
    const channel = await open()
    let lastWritten = -1
    await until('the writer stands still', async () => {
      const stands = written > 0 && written === lastWritten
      lastWritten = written
      await new Promise((resolve) => setTimeout(resolve, 100))
      return stands
    })
    // 39 MB are on offer; windows, socket buffers and queues hold a few MB of them.
    expect(written * frameBytes).to.be.below(8 * 1024 * 1024)
    for (let n = 0; n < total; n += 1) {
      const frame = (await channel.read())!
      expect(new DataView(frame.buffer, frame.byteOffset).getUint32(0)).to.equal(n)
    }
    expect((await channel.read())!.byteLength).to.equal(1)
  })

  it('tells the reader when the other side breaks off, and the writer that waits', async () => {
    serve = async () => {
      await new Promise(() => {})
    }
    const channel = await open()
    const reading = channel.read().then(() => 'end', (error: TriforceError) => error.code)
    channel.send(new Uint8Array(8))
    await until('the stream has arrived', () => inbound.length === 1)
    inbound[0]!.abort(new TriforceError('STOPPING'))
    expect(await reading).to.equal('HOST_LOST')
    expect(channel.closed.aborted).to.equal(true)
    expect(await channel.drained().then(() => 'room', (error: TriforceError) => error.code)).to.equal('HOST_LOST')
  })

  it('carries a frame at the limit and refuses to send a larger one', async () => {
    let bytes = 0
    serve = async (channel) => {
      bytes = (await channel.read())!.byteLength
    }
    const channel = await open()
    expect(() => channel.send(new Uint8Array(4 * 1024 * 1024 + 1))).to.throw(TriforceError, 'longer than the limit')
    channel.send(new Uint8Array(4 * 1024 * 1024))
    await until('the frame at the limit arrived', () => bytes > 0)
    expect(bytes).to.equal(4 * 1024 * 1024)
  })

  it('lends a channel again after a clean end, and never one that was discarded', async () => {
    serve = async (channel) => {
      for (let frame = await channel.read(); frame !== undefined; frame = await channel.read()) channel.send(frame)
    }
    const pool = createChannelPool({ host: client }, { protocol: ids.job })
    const first = await pool.lease(server.peerId)
    pool.giveBack(first)
    const second = await pool.lease(server.peerId)
    expect(second).to.equal(first)
    pool.discard(second, new TriforceError('HOST_SILENT'))
    const third = await pool.lease(server.peerId)
    expect(third).to.not.equal(first)
    pool.giveBack(third)
    pool.close()
  })

  it('keeps a peer out that breaks the protocol again and again', async () => {
    serve = async () => {
      throw new TriforceError('PROTOCOL_VIOLATION')
    }
    const stranger = await openHost(false)
    await stranger.start()
    try {
      await stranger.dial(server.addresses(), { signal: AbortSignal.timeout(5_000) })
      for (let strike = 0; strike < 10; strike += 1) {
        const outcome = await stranger.open(server.peerId, ids.job, { signal: AbortSignal.timeout(5_000) })
          .then((channel) => channel.read())
          .then(() => 'end', (error: TriforceError) => error.code)
        expect(outcome).to.equal('HOST_LOST')
      }
      await until('the stranger is cut', () => !server.isConnected(stranger.peerId))
      // The handshake may pass on the stranger's side before the server closes; what counts is that the server keeps nothing.
      await stranger.dial(server.addresses(), { signal: AbortSignal.timeout(5_000) }).catch(() => {})
      const refused = await stranger.open(server.peerId, ids.job, { signal: AbortSignal.timeout(5_000) }).then((channel) => channel.read(), (error: TriforceError) => error.code)
      expect(refused).to.be.oneOf(['HOST_LOST', 'NO_HOST'])
      expect(server.isConnected(stranger.peerId)).to.equal(false)
      expect(client.isConnected(server.peerId)).to.equal(true)
    } finally {
      await stranger.stop()
    }
  })

  it('opens 200 streams at once over one connection', async () => {
    serve = async (channel) => {
      channel.send((await channel.read())!)
    }
    const answers = await Promise.all(Array.from({ length: 200 }, async (_, n) => {
      const channel = await open()
      channel.send(Uint8Array.of(n % 256))
      return (await channel.read())![0]
    }))
    expect(answers).to.deep.equal(Array.from({ length: 200 }, (_, n) => n % 256))
    expect(client.connectionCount()).to.equal(1)
  })
})
