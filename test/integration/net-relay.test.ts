import { expect } from 'chai'
import { createClock } from '../../bootstrap/system.ts'
import { protocolIds } from '../../protocol/ids.ts'
import type { Channel } from '../../node/net/channel.ts'
import { createHost, type Host, type HostOptions } from '../../node/net/host.ts'
import { testKey } from '../support/federation.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'

const ids = protocolIds('test-net')
const soon = () => ({ signal: AbortSignal.timeout(5_000) })

describe('node/net: circuits through a hub', () => {
  let hub: Host
  let contributor: Host
  let consumer: Host
  const allowed = new Set<string>()
  const open: Host[] = []

  async function openHost(part: Partial<HostOptions>): Promise<Host> {
    const host = await createHost({ clock: createClock(), log: quietLog() }, {
      seed: testKey().seed, ids, hub: false, listen: [], version: 'test', isRelay: (peer) => peer === hub.peerId, ...part,
    })
    host.handle(ids.control, async (channel) => {
      while (await channel.read() !== undefined) channel.send(new Uint8Array(1))
    })
    host.handle(ids.job, echo)
    open.push(host)
    return host
  }
  async function echo(channel: Channel): Promise<void> {
    for (let frame = await channel.read(); frame !== undefined; frame = await channel.read()) {
      if (!channel.send(frame)) await channel.drained()
    }
  }
  /** Joins the hub and gets a place there. */
  async function reserve(host: Host): Promise<void> {
    await host.start()
    await host.dial(hub.addresses(), soon())
    await until('a place at the hub', () => {
      host.reserve(hub.peerId)
      return host.reservedAt().includes(hub.peerId)
    })
  }

  before(async () => {
    hub = await openHost({
      hub: true, listen: ['/ip4/127.0.0.1/tcp/0'],
      relay: {
        gate: { mayReserve: (peer) => allowed.has(peer), mayConnect: (source) => allowed.has(source) },
        circuitsPerSourceMax: 3, asksBurst: 1_000,
      },
    })
    await hub.start()
    contributor = await openHost({ reservations: 1 })
    consumer = await openHost({})
    allowed.add(contributor.peerId).add(consumer.peerId)
    await reserve(contributor)
    await consumer.start()
    await consumer.dial(hub.addresses(), soon())
  })
  after(async () => {
    for (const host of open) await host.stop()
  })

  it('carries frames of every size between two peers that listen on nothing', async () => {
    expect(contributor.addresses()).to.deep.equal([])
    await consumer.dialThrough(hub.peerId, contributor.peerId, soon())
    expect(consumer.wayTo(contributor.peerId)).to.equal('relayed')
    const channel = await consumer.open(contributor.peerId, ids.job, soon())
    expect(channel.path).to.equal('relayed')
    const sizes = [0, 1, 127, 16_384, 300_000, 3_500_000, 2]
    const seen: number[] = []
    const reading = (async () => {
      while (seen.length < sizes.length) seen.push((await channel.read())!.byteLength)
    })()
    for (const size of sizes) if (!channel.send(new Uint8Array(size))) await channel.drained()
    await reading
    expect(seen).to.deep.equal(sizes)
    const payload = sizes.reduce((sum, size) => sum + size, 0)
    for (const host of [consumer, contributor]) expect(host.traffic.byPath.relayed.bytes).to.be.within(2 * payload, 2 * payload + 100)
    expect(hub.relay!.counts.bytes).to.be.above(2 * payload)
    expect(hub.relay!.hasCarried(consumer.peerId, contributor.peerId, 0)).to.equal(true)
    channel.close()
  })

  it('refuses a peer that is not known, in both roles, and a circuit to who holds no place', async () => {
    const stranger = await openHost({ reservations: 1 })
    await stranger.start()
    await stranger.dial(hub.addresses(), soon())
    const refusedBefore = hub.relay!.counts.refused
    stranger.reserve(hub.peerId)
    await until('the refusal', () => hub.relay!.counts.refused > refusedBefore)
    expect(stranger.reservedAt()).to.deep.equal([])
    const dial = (host: Host, peer: string) => host.dialThrough(hub.peerId, peer, soon()).then(() => 'open', () => 'refused')
    expect(await dial(stranger, contributor.peerId)).to.equal('refused')
    expect(await dial(consumer, stranger.peerId)).to.equal('refused')
    expect(await dial(consumer, testKey().peerId)).to.equal('refused')
    expect(hub.relay!.counts.reservations).to.equal(1)
    await stranger.stop()
  })
})
