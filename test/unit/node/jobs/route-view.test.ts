import { expect } from 'chai'
import type { HostOffer } from '../../../../node/jobs/candidates.ts'
import { route } from '../../../../node/jobs/router.ts'
import { routeView } from '../../../../node/jobs/route-view.ts'
import { decode, encode } from '../../../../protocol/codec.ts'
import { ROUTE_HOSTS_MAX, routeViewSchema } from '../../../../protocol/messages/route.ts'

const offer = (peer: string, part: Partial<HostOffer> = {}) => ({
  peer, model: 'm', name: `node-${peer}`, isHub: false, privacy: 'any', capabilities: ['chat'], quantization: '', parameters: 0, tokensPerSecond: 0, draining: false, reachable: true,
  slotsTotal: 2, announcedLoad: 0, ownLoad: 0, loaded: true, coolingDown: false, addresses: [], outputTokensMax: 0, row: undefined as never, ...part,
}) as HostOffer

function view(offers: readonly HostOffer[], known = offers.length) {
  const shown = routeView({ ...route([offers], { needs: ['chat'], wishes: {}, privacy: 'cloud' }, () => 0), offers: known })
  // What a consumer gets over the wire is the same.
  expect(decode(routeViewSchema, encode(shown))).to.deep.equal(shown)
  return shown
}

describe('node/jobs/route-view', () => {
  it('says of each candidate why it stands where it stands, and of the others why they are left out', () => {
    const large = { parameters: 70_000_000_000 }
    const { candidates, leftOut } = view([
      offer('own', { ...large, privacy: 'own', isHub: true }), offer('pool', large), offer('hub', { ...large, isHub: true }), offer('full', { ...large, announcedLoad: 2 }),
      offer('failed', { ...large, coolingDown: true }), offer('paused', { draining: true }), offer('plain', { parameters: 0, capabilities: ['json'] }),
      offer('seller', { isHub: true, cloud: { vendor: 'groq', price: { promptMicroCredits: 1n, completionMicroCredits: 1n }, keepsPrompts: false, isSelf: false } }),
    ])
    expect(candidates.map(({ peer, because }) => [peer, because])).to.deep.equal([
      ['own', 'a machine of the account itself'],
      ['pool', 'a large model belongs in the pool, and it has a free slot'],
      ['hub', 'a large model belongs in the pool, but this one has a free slot'],
      ['full', 'all its slots are taken: the job would wait'],
      ['failed', 'it failed a moment ago, so it is asked last'],
      ['seller', 'a vendor costs credits, so it comes after the hosts of the federation'],
    ])
    expect(leftOut).to.deep.equal([{ model: 'm', peer: 'paused', name: 'node-paused', reason: 'draining' }, { model: 'm', peer: 'plain', name: 'node-plain', reason: 'incapable' }])
  })

  it('stays bounded, and says how many there are', () => {
    const { candidates, leftOut, known } = view([...Array.from({ length: 50 }, (_, n) => offer(`p${n}`)), ...Array.from({ length: 50 }, (_, n) => offer(`d${n}`, { draining: true }))], 10_000)
    expect([candidates.length, leftOut.length, known]).to.deep.equal([ROUTE_HOSTS_MAX, ROUTE_HOSTS_MAX, 10_000])
  })
})
