import { expect } from 'chai'
import * as fc from 'fast-check'
import { mayBeSeenBy, route, type RouteOffer, type RouteOrder } from '../../../../node/jobs/router.ts'
import { testKey } from '../../../support/federation.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const price = (microCredits: number) => ({ promptMicroCredits: BigInt(microCredits), completionMicroCredits: BigInt(microCredits) })

function offer(peer: string, part: Partial<RouteOffer> = {}): RouteOffer {
  return {
    peer, model: 'm', name: `node-${peer}`, isHub: false, privacy: 'any', capabilities: ['chat'], quantization: 'Q8_0', parameters: 0, tokensPerSecond: 0, draining: false,
    reachable: true, slotsTotal: 2, announcedLoad: 0, ownLoad: 0, loaded: true, coolingDown: false, ...part,
  }
}

function cloud(peer: string, vendor: string, microCredits: number, part: Partial<RouteOffer> = {}, isSelf = false, keepsPrompts = false): RouteOffer {
  return offer(peer, { isHub: true, privacy: 'cloud', quantization: '', slotsTotal: 1, cloud: { vendor, price: price(microCredits), keepsPrompts, isSelf }, ...part })
}

function decide(offers: readonly RouteOffer[], part: Partial<RouteOrder> = {}, unit: () => number = () => 0) {
  const { steps, leftOut } = route([offers], { needs: ['chat'], wishes: {}, privacy: 'cloud', ...part }, unit)
  return { order: steps.map(({ peer }) => peer), leftOut: Object.fromEntries(leftOut.map(({ peer, reason }) => [peer, reason])) }
}

describe('node/jobs/router', () => {
  it('leaves out with a reason whoever leaves, cannot be reached, cannot do it or was asked already', () => {
    const offers = [offer('leaving', { draining: true }), offer('asleep', { draining: true, notLending: 'schedule' }), offer('held', { draining: true, notLending: 'paused' }), offer('away', { reachable: false }), offer('blind', { capabilities: [] }), offer('asked'), offer('good')]
    expect(decide(offers, { exclude: ['asked'] })).to.deep.equal({
      order: ['good'], leftOut: { leaving: 'draining', asleep: 'outside its hours', held: 'paused', away: 'unreachable', blind: 'incapable', asked: 'excluded' },
    })
  })

  it('shows a prompt to nobody outside the privacy class', () => {
    const offers = [offer('mine', { privacy: 'own' }), offer('friend', { privacy: 'friends' }), offer('checked', { privacy: 'verified' }), offer('stranger'), cloud('hub', 'openai', 10)]
    const seers = (privacy: RouteOrder['privacy']) => decide(offers, { privacy }).order.toSorted()
    expect(seers('own')).to.deep.equal(['mine'])
    expect(seers('friends')).to.deep.equal(['friend', 'mine'])
    expect(seers('verified')).to.deep.equal(['checked', 'friend', 'mine'])
    expect(seers('any')).to.deep.equal(['checked', 'friend', 'mine', 'stranger'])
    expect(seers('cloud')).to.have.length(5)
    expect(decide(offers, { privacy: 'any' }).leftOut).to.deep.equal({ hub: 'privacy' })
    expect([mayBeSeenBy('own', 'own'), mayBeSeenBy('cloud', 'any')]).to.deep.equal([true, false])
  })

  it('takes names of vendors, nodes and peers in order, only and ignore', () => {
    const offers = [cloud('h1', 'openai', 10), cloud('h2', 'groq', 1), offer('peer', { privacy: 'own' })]
    expect(decide(offers).order).to.deep.equal(['peer', 'h2', 'h1'])
    expect(decide(offers, { wishes: { order: ['OpenAI', 'peer'] } }).order).to.deep.equal(['h1', 'peer', 'h2'])
    expect(decide(offers, { wishes: { order: ['openai'], allowFallbacks: false } })).to.deep.equal({ order: ['h1'], leftOut: { h2: 'not in order', peer: 'not in order' } })
    expect(decide(offers, { wishes: { only: ['groq', 'NODE-PEER'] } })).to.deep.equal({ order: ['peer', 'h2'], leftOut: { h1: 'not in only' } })
    expect(decide(offers, { wishes: { ignore: ['groq'], only: [] } })).to.deep.equal({ order: ['peer', 'h1'], leftOut: { h2: 'ignored' } })
  })

  it('knows hubs, own machines and those of friends by name, and strangers only where they are to be left out', () => {
    const [mine, mimic] = [offer('mine', { name: 'gpu-box', privacy: 'friends' }), offer('mimic', { name: 'gpu-box' })]
    const [vendor, posing] = [cloud('h1', 'openai', 10), offer('posing', { name: 'OpenAI', privacy: 'verified' })]
    expect(decide([mimic, mine], { wishes: { only: ['gpu-box'] } })).to.deep.equal({ order: ['mine'], leftOut: { mimic: 'not in only' } })
    expect(decide([posing, vendor], { wishes: { only: ['openai'] } })).to.deep.equal({ order: ['h1'], leftOut: { posing: 'not in only' } })
    expect(decide([posing, vendor], { wishes: { order: ['openai'] } }).order).to.deep.equal(['h1', 'posing'])
    expect(decide([mimic, mine], { wishes: { ignore: ['gpu-box'] } }).leftOut).to.deep.equal({ mine: 'ignored', mimic: 'ignored' })
    expect(decide([offer('h3', { name: 'hub-3', isHub: true })], { wishes: { only: ['hub-3'] } }).order).to.deep.equal(['h3'])
  })

  it('takes no name for a peer id, whatever its case, and asks nobody in the place of the peer that was meant', () => {
    const { peerId } = testKey()
    const mimics = [offer('evil', { name: peerId }), offer('evil2', { name: peerId.toLowerCase() }), offer('evil3', { name: peerId.toUpperCase() })]
    const meant = offer(peerId, { name: 'gpu-box' })
    expect(decide([...mimics, meant], { wishes: { only: [peerId] } }).order).to.deep.equal([peerId])
    expect(decide([...mimics, meant], { wishes: { only: [peerId.toLowerCase()] } }).order).to.deep.equal([])
    expect(decide([...mimics, meant], { wishes: { order: [peerId], allowFallbacks: false } }).order).to.deep.equal([peerId])
    // Nor does a mimic go with the one that is ignored.
    expect(decide([...mimics, meant], { wishes: { ignore: [peerId] } }).order.toSorted()).to.deep.equal(['evil', 'evil2', 'evil3'])
    expect(decide(mimics, { wishes: { only: [peerId] } }).order).to.deep.equal([])
  })

  it('keeps to a price, to vendors that keep nothing, and to weights of the wanted quantization', () => {
    const offers = [cloud('dear', 'a', 10), cloud('cheap', 'b', 2, {}, false, true), offer('peer')]
    expect(decide(offers, { wishes: { maxPrice: { promptMicroCredits: 9 } } })).to.deep.equal({ order: ['peer', 'cheap'], leftOut: { dear: 'too dear' } })
    expect(decide(offers, { wishes: { maxPrice: { completionMicroCredits: 1 } } }).order).to.deep.equal(['peer'])
    expect(decide(offers, { wishes: { maxPrice: { promptMicroCredits: 10, completionMicroCredits: 10 } } }).order).to.have.length(3)
    expect(decide(offers, { wishes: { dataCollection: 'deny' } })).to.deep.equal({ order: ['peer', 'dear'], leftOut: { cheap: 'keeps prompts' } })
    expect(decide(offers, { wishes: { quantizations: ['q8_0'] } }).order).to.deep.equal(['peer'])
    expect(decide(offers, { wishes: { quantizations: ['unknown'] } }).order).to.deep.equal(['cheap', 'dear'])
  })

  it('sorts by price, throughput or latency; what was named stays first, what failed last', () => {
    const offers = [cloud('h', 'x', 5), offer('slow', { tokensPerSecond: 5 }), offer('fast', { tokensPerSecond: 90, announcedLoad: 1 }), offer('broken', { tokensPerSecond: 200, coolingDown: true })]
    expect(decide(offers, { wishes: { sort: 'price' } }).order.at(-2)).to.equal('h')
    expect(decide(offers, { wishes: { sort: 'throughput' } }).order).to.deep.equal(['fast', 'slow', 'h', 'broken'])
    expect(decide(offers, { wishes: { sort: 'latency' } }).order.slice(0, 2)).to.deep.equal(['slow', 'fast'])
    expect(decide(offers, { wishes: { sort: 'throughput', order: ['x'] } }).order[0]).to.equal('h')
  })

  it('puts small models on hubs and large ones in the pool, and goes on where these have no free slot', () => {
    const world = (parameters: number, hub: Partial<RouteOffer> = {}, pool: Partial<RouteOffer> = {}) => [offer('hub', { isHub: true, parameters, ...hub }), offer('pool', { parameters, ...pool })]
    expect(decide(world(8_030_000_000)).order).to.deep.equal(['hub', 'pool'])
    expect(decide(world(70_000_000_000)).order).to.deep.equal(['pool', 'hub'])
    expect(decide(world(3_000_000_000, { announcedLoad: 2 })).order).to.deep.equal(['pool', 'hub'])
    expect(decide(world(3_000_000_000, { announcedLoad: 2 }, { ownLoad: 2 })).order).to.deep.equal(['hub', 'pool'])
    expect(decide(world(3_000_000_000, { coolingDown: true }, { announcedLoad: 9 })).order).to.deep.equal(['pool', 'hub'])
  })

  it('asks the cheaper vendor first, and of two hubs with one vendor the one that needs no other leg', () => {
    expect(decide([cloud('far', 'v', 3), cloud('here', 'v', 3, {}, true), cloud('cheap', 'w', 2)]).order).to.deep.equal(['cheap', 'here', 'far'])
    expect(decide([cloud('here', 'v', 3, { coolingDown: true }, true), cloud('far', 'v', 3)]).order).to.deep.equal(['far', 'here'])
  })

  it('tries all hosts of a model before the next model', () => {
    const { steps } = route([[cloud('a', 'v', 9, { model: 'one' })], [offer('b', { model: 'two' }), offer('c', { model: 'two', coolingDown: true })]], { needs: [], wishes: { sort: 'price' }, privacy: 'cloud' }, () => 0)
    expect(steps.map(({ model, peer }) => [model, peer])).to.deep.equal([['one', 'a'], ['two', 'b'], ['two', 'c']])
  })

  it('loses and doubles nobody, whatever is offered and wished', () => {
    const anyOffer = fc.record({
      isHub: fc.boolean(), privacy: fc.constantFrom('own', 'any', 'cloud'), parameters: fc.constantFrom(0, 7e9, 70e9), tokensPerSecond: fc.nat(100), draining: fc.boolean(),
      reachable: fc.boolean(), announcedLoad: fc.nat(4), ownLoad: fc.nat(4), coolingDown: fc.boolean(), loaded: fc.boolean(), isCloud: fc.boolean(),
    })
    const anyWishes = fc.record({
      sort: fc.constantFrom('price', 'throughput', 'latency'), order: fc.array(fc.constantFrom('v', 'p0', 'node-p1')), only: fc.array(fc.constantFrom('v', 'p0', 'p2')),
      ignore: fc.array(fc.constantFrom('v', 'p3')), allowFallbacks: fc.boolean(),
    }, { requiredKeys: [] })
    fc.assert(fc.property(fc.array(anyOffer, { maxLength: 12 }), anyWishes, fc.integer(), (parts, wishes, seed) => {
      const offers = parts.map(({ isCloud, ...part }, index) => isCloud ? cloud(`p${index}`, 'v', index, { ...part, privacy: 'cloud' }) : offer(`p${index}`, part))
      const { steps, leftOut } = route([offers], { needs: [], wishes, privacy: 'any' }, seededRandom(seed).unit)
      expect([...steps.map(({ peer }) => peer), ...leftOut.map(({ peer }) => peer)].toSorted()).to.deep.equal(offers.map(({ peer }) => peer).toSorted())
      expect(steps.every((step) => step.reachable && !step.draining && step.privacy !== 'cloud')).to.equal(true)
    }))
  })
})
