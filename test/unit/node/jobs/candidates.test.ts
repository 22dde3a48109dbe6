import { expect } from 'chai'
import { createModelIndex } from '../../../../node/capacity/model-index.ts'
import type { CapacityRow } from '../../../../node/capacity/table.ts'
import { cloudRecordName, findOffers, needsOf, type CloudMarket } from '../../../../node/jobs/candidates.ts'
import type { Capacity } from '../../../../protocol/messages/capacity.ts'
import { aCloudModel, cloudMarket, noClouds } from '../../../support/cloud-market.ts'
import { aCapacity, aModel, aRequest } from '../../../support/completions.ts'

interface World {
  readonly connected?: readonly string[]
  readonly recorded?: Readonly<Record<string, readonly string[]>>
  readonly clouds?: CloudMarket
  readonly coolingDown?: string
  readonly placesAt?: (peer: string, total: number) => number
}

const row = (peer: string, part: Partial<Capacity> = {}) => ({ peer, contributor: '', capacity: aCapacity({ peer: new Uint8Array(32), name: `n-${peer}`, ...part }, 1), receivedAt: 0 })

async function find(parts: Readonly<Record<string, Partial<Capacity>>>, world: World = {}, model = 'tiny') {
  const rows = Object.entries(parts).map(([peer, part]) => row(peer, part))
  const index = createModelIndex<CapacityRow>()
  for (const one of rows) index.put(one)
  const { offers } = await findOffers({
    table: { ...index, fresh: () => rows, isFresh: () => true },
    modelHosts: { find: () => Promise.resolve(Object.entries(world.recorded ?? {}).map(([peer, addresses]) => ({ peer, addresses }))) },
    record: { load: () => 3, coolingDown: (peer) => peer === world.coolingDown },
    isConnected: (peer) => (world.connected ?? []).includes(peer), isSelf: (peer) => peer === 'self',
    privacyOf: () => ({ capacity: { name } }) => name === 'n-mine' ? 'own' : 'any', clouds: world.clouds ?? noClouds, placesAt: world.placesAt,
  }, { account: new Uint8Array(16), model, needs: [], wanted: Infinity, allows: () => true, needsProof: true }, () => 0)
  const names = Object.keys(parts)
  return offers.toSorted((a, b) => names.indexOf(a.peer) - names.indexOf(b.peer))
}

describe('node/jobs/candidates', () => {
  it('finds who offers the model, and tells who can be reached: connected, by an address of its provider record, or itself', async () => {
    const offers = await find({ near: {}, far: {}, lost: {}, self: {}, other: { models: [aModel({ id: 'big' })] } }, { connected: ['near'], recorded: { far: ['/ip4/1.2.3.4/tcp/1/p2p/far'], gone: ['/x'] } })
    expect(offers.map(({ peer, reachable }) => [peer, reachable])).to.deep.equal([['near', true], ['far', true], ['lost', false], ['self', true]])
    expect(offers[1]!.addresses).to.deep.equal(['/ip4/1.2.3.4/tcp/1/p2p/far'])
  })

  it('never takes a host from the DHT alone', async () => {
    expect(await find({}, { recorded: { stale: ['/ip4/1.2.3.4/tcp/1'] }, connected: ['stale'] })).to.deep.equal([])
  })

  it('tells what the router needs', async () => {
    const [mine, hub] = await find({
      mine: { draining: true, slots: { total: 4, busy: 2, queued: 1 }, models: [aModel({ quantization: 'Q4', parameters: 7, tokensPerSecond: 30, loaded: false })] }, hub: { mode: 'hub' },
    }, { connected: ['mine', 'hub'], coolingDown: 'mine' })
    expect(mine).to.deep.include({
      model: 'tiny', name: 'n-mine', isHub: false, privacy: 'own', draining: true, slotsTotal: 4, announcedLoad: 3, ownLoad: 3, coolingDown: true, quantization: 'Q4', parameters: 7,
      tokensPerSecond: 30, loaded: false, outputTokensMax: 0,
    })
    expect(mine).to.not.have.property('cloud')
    expect(hub).to.include({ isHub: true, privacy: 'any', coolingDown: false })
  })

  it('takes fewer places of a machine that is to be timed, and all of the account\'s own', async () => {
    const slots = { total: 4, busy: 0, queued: 0 }
    const offers = await find({ mine: { slots }, held: { slots }, narrow: { slots }, other: { slots } }, { placesAt: (peer, total) => peer === 'other' ? total : peer === 'narrow' ? 3 : 0 })
    expect(offers.map(({ slotsTotal }) => slotsTotal)).to.deep.equal([4, 0, 3, 4])
  })

  it('adds the hubs that reach the model at a vendor, by its id or by a name that means it', async () => {
    const clouds = cloudMarket([
      { row: row('self', { mode: 'hub' }), models: [aCloudModel('openai/gpt-4o', { outputTokensMax: 16_384, capabilities: ['chat', 'vision'] })], keepsPrompts: true },
      { row: row('away', { mode: 'hub' }), models: [aCloudModel('openai/gpt-4o')] },
    ])
    const world = { clouds, coolingDown: cloudRecordName('self', 'openai') }
    const offers = await find({ near: {} }, world, 'gpt-4o')
    expect(offers.map(({ peer, model, privacy, reachable, isHub, coolingDown }) => ({ peer, model, privacy, reachable, isHub, coolingDown }))).to.deep.equal([
      { peer: 'self', model: 'openai/gpt-4o', privacy: 'cloud', reachable: true, isHub: true, coolingDown: true },
      { peer: 'away', model: 'openai/gpt-4o', privacy: 'cloud', reachable: false, isHub: true, coolingDown: false },
    ])
    expect(offers[0]).to.deep.include({ capabilities: ['chat', 'vision'], outputTokensMax: 16_384 })
    expect(offers.map(({ cloud }) => cloud)).to.deep.equal([
      { vendor: 'openai', price: { promptMicroCredits: 1_000n, completionMicroCredits: 1_000n }, keepsPrompts: true, isSelf: true },
      { vendor: 'openai', price: { promptMicroCredits: 1_000n, completionMicroCredits: 1_000n }, keepsPrompts: false, isSelf: false },
    ])
  })

  it('reads from the request what a host must be able to do', () => {
    expect(needsOf(aRequest())).to.deep.equal(['chat'])
    expect(needsOf(aRequest({ responseFormat: { type: 'json_object' }, continueLast: true }))).to.deep.equal(['chat', 'json', 'continue'])
  })
})
