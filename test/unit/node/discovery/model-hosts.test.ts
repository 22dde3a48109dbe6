import { expect } from 'chai'
import type { CID } from 'multiformats/cid'
import { createModelHosts, modelHostsDefaults } from '../../../../node/discovery/model-hosts.ts'
import type { ProviderPeer } from '../../../../node/net/host.ts'
import { modelKey } from '../../../../protocol/peer-key.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { fakeHost } from '../../../support/fake-host.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { fixedRandom } from '../../../support/seeded-random.ts'
import { watched } from '../../../support/code-of.ts'

function setUp() {
  const clock = fakeClock()
  const names = new Map(['a', 'b', 'c', ...Array.from({ length: 3_000 }, (_, n) => `m${n}`)].map((name) => [modelKey('net', name).toString(), name]))
  const nameOf = (key: CID) => names.get(key.toString()) ?? '?'
  const provided: string[] = []
  const cancelled: string[] = []
  const looked: string[] = []
  const net = fakeHost()
  const host = {
    onConnect: (listener: (peer: string) => void) => net.onConnect(listener),
    onProvide: (): Promise<void> => Promise.resolve(),
    onFind: (): Promise<ProviderPeer[]> => Promise.resolve([{ peer: 'P', addresses: [] }]),
    async provide(key: CID) {
      await host.onProvide()
      provided.push(nameOf(key))
    },
    cancelProvide(key: CID) {
      cancelled.push(nameOf(key))
      return Promise.resolve()
    },
    findProviders(key: CID) {
      looked.push(nameOf(key))
      return host.onFind()
    },
  }
  const modelHosts = createModelHosts({ host, clock, random: fixedRandom(0.5), log: quietLog() }, { network: 'net', isHub: (peer) => peer.startsWith('hub') })
  async function pass(ms: number): Promise<void> {
    clock.advance(ms)
    await settled()
  }
  return { clock, net, host, modelHosts, provided, cancelled, looked, pass }
}

describe('node/discovery/model-hosts: providing', () => {
  it('writes a record for each model, and withdraws what is no longer offered', async () => {
    const { modelHosts, provided, cancelled } = setUp()
    modelHosts.provide(['a', 'b'])
    await settled()
    expect(provided).to.deep.equal(['a', 'b'])
    modelHosts.provide(['b'])
    await settled()
    expect(cancelled).to.deep.equal(['a'])
    expect(provided, 'nothing is new').to.deep.equal(['a', 'b'])
  })

  it('tries again until the record was taken, ever more slowly', async () => {
    const { modelHosts, host, provided, clock } = setUp()
    const at: number[] = []
    host.onProvide = () => {
      at.push(clock.monotonicMs())
      return Promise.reject(new Error('no hub'))
    }
    modelHosts.provide(['a'])
    for (let n = 0; n < 150_000 / 250; n += 1) {
      clock.advance(250)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const gaps = at.slice(1).map((when, index) => when - at[index]!)
    expect(gaps.length).to.be.within(5, 12)
    expect(gaps[0]).to.be.at.most(1_500)
    expect(Math.max(...gaps)).to.be.at.most(modelHostsDefaults.retryMsMax + 250)
    host.onProvide = () => Promise.resolve()
    clock.advance(modelHostsDefaults.retryMsMax)
    await settled()
    expect(provided).to.deep.equal(['a'])
    clock.advance(600_000)
    await settled()
    expect(provided).to.deep.equal(['a'])
  })

  it('writes again after a hub has come back, and only then', async () => {
    const { modelHosts, net, provided, pass } = setUp()
    modelHosts.provide(['a'])
    await settled()
    net.connect('contributor')
    await pass(60_000)
    expect(provided).to.have.length(1)
    net.connect('hub1')
    await pass(modelHostsDefaults.retryMsMin)
    expect(provided).to.have.length(2)
  })

  it('still writes after all models were gone for a while', async () => {
    const { modelHosts, net, provided, pass } = setUp()
    modelHosts.provide(['a'])
    await settled()
    net.connect('hub1')
    modelHosts.provide([])
    await pass(modelHostsDefaults.retryMsMin)
    modelHosts.provide(['b'])
    await settled()
    expect(provided).to.deep.equal(['a', 'b'])
  })

  it('writes a model that came while it was writing', async () => {
    const { modelHosts, host, provided } = setUp()
    const { promise, resolve } = Promise.withResolvers<void>()
    host.onProvide = () => promise
    modelHosts.provide(['a'])
    modelHosts.provide(['a', 'c'])
    resolve()
    await settled()
    expect(new Set(provided)).to.deep.equal(new Set(['a', 'c']))
  })

  it('ends with stop', async () => {
    const { modelHosts, net, host, provided, pass } = setUp()
    host.onProvide = () => Promise.reject(new Error('no hub'))
    modelHosts.provide(['a'])
    await settled()
    modelHosts.stop()
    host.onProvide = () => Promise.resolve()
    net.connect('hub1')
    await pass(600_000)
    expect(provided).to.deep.equal([])
  })
})

describe('node/discovery/model-hosts: finding', () => {
  it('asks once for many requests at the same time, then uses the answer', async () => {
    const { modelHosts, looked } = setUp()
    const [one, two] = await Promise.all([modelHosts.find('a'), modelHosts.find('a')])
    expect(one).to.deep.equal([{ peer: 'P', addresses: [] }])
    expect(two).to.equal(one)
    await modelHosts.find('a')
    expect(looked).to.deep.equal(['a'])
  })

  it('uses an old answer at once and has it refreshed behind it', async () => {
    const { modelHosts, host, looked, pass } = setUp()
    await modelHosts.find('a')
    await pass(modelHostsDefaults.cacheMs)
    await modelHosts.find('a')
    expect(looked).to.have.length(1)
    await pass(1)
    const { promise, resolve } = Promise.withResolvers<ProviderPeer[]>()
    host.onFind = () => promise
    const answer = watched(modelHosts.find('a'))
    await settled()
    expect(answer.value).to.deep.equal([{ peer: 'P', addresses: [] }])
    await modelHosts.find('a')
    expect(looked, 'one refresh at a time').to.have.length(2)
    resolve([{ peer: 'Q', addresses: [] }])
    await settled()
    expect(await modelHosts.find('a')).to.deep.equal([{ peer: 'Q', addresses: [] }])
  })

  it('keeps the old answer where a lookup fails, and tries again later', async () => {
    const { modelHosts, host, looked, pass } = setUp()
    await modelHosts.find('a')
    await pass(modelHostsDefaults.cacheMs + 1)
    host.onFind = () => Promise.reject(new Error('network'))
    await modelHosts.find('a')
    await settled()
    expect(await modelHosts.find('a')).to.have.length(1)
    expect(await modelHosts.find('b')).to.deep.equal([])
    await pass(modelHostsDefaults.cacheMs + 1)
    await modelHosts.find('b')
    expect(looked).to.deep.equal(['a', 'a', 'b', 'b'])
  })

  it('remembers a bounded number of models', async () => {
    const { modelHosts, looked } = setUp()
    for (let n = 0; n <= modelHostsDefaults.cachedModelsMax; n += 1) await modelHosts.find(`m${n}`)
    looked.length = 0
    await modelHosts.find(`m${modelHostsDefaults.cachedModelsMax}`)
    expect(looked).to.deep.equal([])
    await modelHosts.find('m0')
    expect(looked).to.deep.equal(['m0'])
  })
})
