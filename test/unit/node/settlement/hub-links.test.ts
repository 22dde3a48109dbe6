import { expect } from 'chai'
import type { Channel } from '../../../../node/net/channel.ts'
import { createLocalChannels } from '../../../../node/net/local-channel.ts'
import { createHubLinks } from '../../../../node/settlement/hub-links.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { codeOf } from '../../../support/code-of.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { fakeHost } from '../../../support/fake-host.ts'
import { testFederation } from '../../../support/federation.ts'
import { quietLog } from '../../../support/quiet-log.ts'

const { federation } = testFederation()

function setUp(hubIndex = 0) {
  const clock = fakeClock()
  const host = fakeHost()
  const far: Channel[] = []
  host.onOpen = (peer) => {
    const [near, other] = createLocalChannels(peer)
    far.push(other)
    return Promise.resolve(near)
  }
  const events: string[] = []
  const sends = new Map<number, (message: Uint8Array) => boolean>()
  const sync = {
    connected(hub: number, send: (message: Uint8Array) => boolean) {
      events.push(`connected ${hub}`)
      sends.set(hub, send)
    },
    drained: (hub: number) => void events.push(`drained ${hub}`),
    disconnected: (hub: number) => void events.push(`disconnected ${hub}`),
    receive(hub: number, message: Uint8Array): Promise<void> {
      events.push(`received ${hub}: ${message[0]}`)
      return sync.onReceive()
    },
    onReceive: (): Promise<void> => Promise.resolve(),
  }
  const links = createHubLinks({ host, sync, clock, log: quietLog() }, { protocol: '/ledger', hubs: federation.hubs, hubIndex })
  const peer = (index: number) => federation.hubs[index]!.peerId
  async function pass(ms: number): Promise<void> {
    clock.advance(ms)
    await settled()
  }
  return { clock, host, far, events, sends, sync, links, peer, pass }
}

describe('node/settlement/hub-links', () => {
  it('opens a stream to hubs that come later in the federation file, and to no other peer', async () => {
    const { host, far, events, peer } = setUp(1)
    host.connect(peer(0))
    host.connect('contributor')
    await settled()
    expect(far).to.have.length(0)
    host.connect(peer(2))
    await settled()
    expect(events).to.deep.equal(['connected 2'])
  })

  it('carries messages both ways, the next one only when the last was dealt with', async () => {
    const { host, far, events, sends, sync, peer } = setUp()
    const { promise, resolve } = Promise.withResolvers<void>()
    sync.onReceive = () => promise
    host.connect(peer(1))
    await settled()
    sends.get(1)!(Uint8Array.of(7))
    expect((await far[0]!.read())![0]).to.equal(7)
    far[0]!.send(Uint8Array.of(1))
    far[0]!.send(Uint8Array.of(2))
    await settled()
    expect(events).to.deep.equal(['connected 1', 'received 1: 1'])
    resolve()
    await settled()
    expect(events.at(-1)).to.equal('received 1: 2')
  })

  it('tells the ledger once when there is room again', async () => {
    const { host, far, events, sends, peer } = setUp()
    host.connect(peer(1))
    await settled()
    let sent = 0
    while (sends.get(1)!(new Uint8Array(10_000))) sent += 1
    sends.get(1)!(new Uint8Array(10_000))
    for (let n = 0; n < sent + 2; n += 1) await far[0]!.read()
    await settled()
    expect(events.filter((event) => event === 'drained 1')).to.have.length(1)
  })

  it('opens a new stream after one that ended, while the connection stands', async () => {
    const { host, far, events, peer, pass } = setUp()
    host.connect(peer(1))
    await settled()
    far[0]!.abort(new TriforceError('HOST_LOST'))
    await settled()
    await pass(500)
    expect(events).to.deep.equal(['connected 1', 'disconnected 1', 'connected 1'])
    host.disconnect(peer(1))
    far[1]!.abort(new TriforceError('HOST_LOST'))
    await pass(60_000)
    expect(far).to.have.length(2)
    host.connect(peer(1))
    await settled()
    expect(far).to.have.length(3)
  })

  it('tries again where a stream cannot be opened', async () => {
    const { host, events, peer, pass } = setUp()
    const open = host.onOpen
    host.onOpen = () => Promise.reject(new TriforceError('HOST_LOST'))
    host.connect(peer(1))
    await settled()
    host.onOpen = open
    await pass(500)
    expect(events).to.deep.equal(['connected 1'])
  })

  it('serves streams of other hubs only, and replaces an older one in order', async () => {
    const { links, events, peer } = setUp(1)
    const [, stranger] = createLocalChannels('stranger')
    expect(await codeOf(links.handler(stranger))).to.equal('NOT_A_HUB')
    const [, own] = createLocalChannels(peer(1))
    expect(await codeOf(links.handler(own))).to.equal('NOT_A_HUB')
    const [, first] = createLocalChannels(peer(0))
    const serving = codeOf(links.handler(first))
    await settled()
    const [near, second] = createLocalChannels(peer(0))
    const servingSecond = codeOf(links.handler(second))
    expect(await serving).to.equal('HOST_LOST')
    near.close()
    await servingSecond
    expect(events).to.deep.equal(['connected 0', 'disconnected 0', 'connected 0', 'disconnected 0'])
  })

  it('breaks off a hub that sends what no honest hub sends', async () => {
    const { host, far, events, sync, peer } = setUp()
    sync.onReceive = () => Promise.reject(new TriforceError('FRAME_MALFORMED'))
    host.connect(peer(1))
    await settled()
    far[0]!.send(Uint8Array.of(1))
    await settled()
    expect(far[0]!.closed.aborted).to.equal(true)
    expect(events.at(-1)).to.equal('disconnected 1')
  })

  it('ends with stop', async () => {
    const { host, far, links, peer, pass } = setUp()
    host.connect(peer(1))
    await settled()
    links.stop()
    await pass(60_000)
    expect(far[0]!.closed.aborted).to.equal(true)
    host.connect(peer(2))
    await pass(60_000)
    expect(far).to.have.length(1)
  })
})
