import { expect } from 'chai'
import * as fc from 'fast-check'
import { expectedLoad, placeJob, type PlacementCandidate } from '../../../../node/jobs/placement.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const anyCandidate = fc.record({
  slotsTotal: fc.nat({ max: 8 }), announcedLoad: fc.nat({ max: 20 }), ownLoad: fc.nat({ max: 20 }), loaded: fc.boolean(), coolingDown: fc.boolean(),
})

function host(peer: string, part: Partial<PlacementCandidate> = {}): PlacementCandidate {
  return { peer, slotsTotal: 1, announcedLoad: 0, ownLoad: 0, loaded: true, coolingDown: false, ...part }
}

describe('node/jobs/placement', () => {
  it('never loses and never doubles a host, and asks those that failed last', () => {
    fc.assert(fc.property(fc.array(anyCandidate, { maxLength: 20 }), fc.integer(), (parts, seed) => {
      const hosts = parts.map((part, index) => ({ peer: `p${index}`, ...part }))
      const { unit } = seededRandom(seed)
      const order = placeJob(hosts, unit)
      expect([...order].sort()).to.deep.equal(hosts.map((one) => one.peer).sort())
      const cooling = new Set(hosts.filter((one) => one.coolingDown).map((one) => one.peer))
      const firstCooling = order.findIndex((peer) => cooling.has(peer))
      if (firstCooling !== -1) expect(order.slice(firstCooling).every((peer) => cooling.has(peer))).to.equal(true)
    }))
  })

  it('never puts the most loaded of three or more first', () => {
    const hosts = [host('busy', { announcedLoad: 9 }), host('a'), host('b')]
    const { unit } = seededRandom(3)
    for (let n = 0; n < 200; n += 1) expect(placeJob(hosts, unit)[0]).to.not.equal('busy')
  })

  it('counts a model that must be loaded, its own jobs there, and the slots', () => {
    expect(expectedLoad(host('a', { loaded: false }))).to.be.greaterThan(expectedLoad(host('a')))
    expect(expectedLoad(host('a', { ownLoad: 3 }))).to.equal(expectedLoad(host('a', { announcedLoad: 3 })))
    expect(expectedLoad(host('a', { slotsTotal: 4, announcedLoad: 3 }))).to.equal(1)
    expect(expectedLoad(host('a', { slotsTotal: 0 }))).to.equal(1)
    expect(placeJob([host('cold', { loaded: false }), host('warm')], () => 0)).to.deep.equal(['warm', 'cold'])
  })

  for (const count of [2, 3, 10]) {
    it(`spreads jobs over ${count} equal hosts`, () => {
      const hosts = Array.from({ length: count }, (_, n) => host(`p${n}`))
      const { unit } = seededRandom(7)
      const firsts = new Map<string, number>()
      const runs = 600 * count
      for (let n = 0; n < runs; n += 1) {
        const first = placeJob(hosts, unit)[0]!
        firsts.set(first, (firsts.get(first) ?? 0) + 1)
      }
      for (const { peer } of hosts) expect(firsts.get(peer) ?? 0).to.be.within(450, 750)
    })
  }

  it('does not send many hubs that see the same table to one host', () => {
    const hosts = Array.from({ length: 10 }, (_, n) => host(`p${n}`, { announcedLoad: n, slotsTotal: 10 }))
    const { unit } = seededRandom(11)
    const firsts = new Set<string>()
    for (let n = 0; n < 100; n += 1) firsts.add(placeJob(hosts, unit)[0]!)
    expect(firsts.size).to.be.at.least(5)
  })
})
