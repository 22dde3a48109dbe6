/** A bound of 2 Mbit/s between two real hosts: what crosses the line in a measured time. */
import { expect } from 'chai'
import { createClock } from '../../bootstrap/system.ts'
import { createHost, type Host } from '../../node/net/host.ts'
import { createSocketShaper } from '../../node/net/socket-shaper.ts'
import { protocolIds } from '../../protocol/ids.ts'
import { testKey } from '../support/federation.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'

const ids = protocolIds('test-net')
/** 2 Mbit/s. */
const PER_SECOND = 250_000
const FRAME_BYTES = 8 * 1024
/** What the bound lets pass at once, and what the system takes in before it is read. */
const BURST_BYTES = 64 * 1024
const BYTES = 500_000

describe('node/net: a bound on the line', function () {
  this.timeout(60_000)
  const clock = createClock()
  const shaper = createSocketShaper({ clock })
  let bounded: Host
  let other: Host
  const counted = { received: 0 }
  before(async () => {
    bounded = await createHost({ clock, log: quietLog(), shaper }, { seed: testKey().seed, ids, hub: false, listen: [], version: 'test' })
    other = await createHost({ clock, log: quietLog() }, { seed: testKey().seed, ids, hub: true, listen: ['/ip4/127.0.0.1/tcp/0'], version: 'test' })
    for (const host of [bounded, other]) {
      host.handle(ids.job, async (channel) => {
        for (let frame = await channel.read(); frame !== undefined; frame = await channel.read()) counted.received += frame.byteLength
      })
      await host.start()
    }
    await bounded.dial(other.addresses(), { signal: AbortSignal.timeout(5_000) })
  })
  after(async () => {
    await bounded.stop()
    await other.stop()
  })

  /** Bytes a second at which `from` gets BYTES over to the other end, without what may pass at once. */
  async function rate(from: Host, to: Host): Promise<number> {
    counted.received = 0
    const startMs = performance.now()
    const channel = await from.open(to.peerId, ids.job, { signal: AbortSignal.timeout(10_000) })
    for (let sent = 0; sent < BYTES; sent += FRAME_BYTES) if (!channel.send(new Uint8Array(FRAME_BYTES))) await channel.drained()
    await until('all of it has come', () => counted.received >= BYTES, 30_000)
    const seconds = (performance.now() - startMs) / 1_000
    channel.close()
    return (BYTES - BURST_BYTES) / seconds
  }

  // A busy machine makes it slower and never faster, so here only the upper end is exact; `npm run bench -- line` measures both.
  it('holds 2 Mbit/s out, and 2 Mbit/s in', async () => {
    shaper.bound({ sendPerSecond: PER_SECOND, readPerSecond: undefined })
    expect(await rate(bounded, other)).to.be.within(PER_SECOND / 10, PER_SECOND * 1.1)
    shaper.bound({ sendPerSecond: undefined, readPerSecond: PER_SECOND })
    expect(await rate(other, bounded)).to.be.within(PER_SECOND / 10, PER_SECOND * 1.1)
  })

  it('lets everything through again without a bound, over the same connection', async () => {
    shaper.bound({ sendPerSecond: undefined, readPerSecond: undefined })
    expect(await rate(bounded, other)).to.be.greaterThan(PER_SECOND * 1.1)
    expect(await rate(other, bounded)).to.be.greaterThan(PER_SECOND * 1.1)
  })
})
