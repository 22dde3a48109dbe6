import { expect } from 'chai'
import * as fc from 'fast-check'
import { expectedMs, isFull, placeJob, type PlacementCandidate } from '../../../../node/jobs/placement.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const anyCandidate = fc.record({
  slotsTotal: fc.nat({ max: 8 }), announcedLoad: fc.nat({ max: 20 }), ownLoad: fc.nat({ max: 20 }), loaded: fc.boolean(), coolingDown: fc.boolean(),
  tokensPerSecond: fc.nat({ max: 200 }), parameters: fc.constantFrom(0, 3_000_000_000, 70_000_000_000), affine: fc.boolean(),
})

function host(peer: string, part: Partial<PlacementCandidate> = {}): PlacementCandidate {
  return { peer, slotsTotal: 1, announcedLoad: 0, ownLoad: 0, loaded: true, coolingDown: false, tokensPerSecond: 0, parameters: 0, ...part }
}

const order = (hosts: readonly PlacementCandidate[], unit: () => number) => placeJob(hosts, unit).map(({ peer }) => peer)

describe('node/jobs/placement', () => {
  it('never loses and never doubles a host, and asks those that failed last', () => {
    fc.assert(fc.property(fc.array(anyCandidate, { maxLength: 20 }), fc.integer(), (parts, seed) => {
      const hosts = parts.map((part, index) => ({ peer: `p${index}`, ...part }))
      const { unit } = seededRandom(seed)
      const placed = order(hosts, unit)
      expect([...placed].sort()).to.deep.equal(hosts.map((one) => one.peer).sort())
      const cooling = new Set(hosts.filter((one) => one.coolingDown).map((one) => one.peer))
      const firstCooling = placed.findIndex((peer) => cooling.has(peer))
      if (firstCooling !== -1) expect(placed.slice(firstCooling).every((peer) => cooling.has(peer))).to.equal(true)
    }))
  })

  it('never puts the slowest of three or more first, be it by its queue, its speed or its loading', () => {
    for (const slow of [{ announcedLoad: 9 }, { tokensPerSecond: 3 }, { loaded: false }]) {
      const hosts = [host('slow', slow), host('a'), host('b')]
      const { unit } = seededRandom(3)
      for (let n = 0; n < 200; n += 1) expect(order(hosts, unit)[0]).to.not.equal('slow')
    }
  })

  it('expects an answer to take its turn, the loading of the model, and its tokens', () => {
    expect(expectedMs(host('a', { tokensPerSecond: 64 }))).to.equal(4_000)
    expect(expectedMs(host('a', { tokensPerSecond: 64, announcedLoad: 2, slotsTotal: 4 }))).to.equal(6_000)
    // Full: it is shared by four, and one of four must end before.
    expect(expectedMs(host('a', { tokensPerSecond: 64, announcedLoad: 4, slotsTotal: 4 }))).to.equal(8_000 + 2_000)
    expect(expectedMs(host('a', { tokensPerSecond: 64, announcedLoad: 11, slotsTotal: 4 }))).to.equal(8_000 + 8 * 2_000)
    expect(expectedMs(host('a', { tokensPerSecond: 64, loaded: false, parameters: 8_000_000_000 }))).to.equal(4_000 + 2_000 + 4_000)
    expect(expectedMs(host('a', { ownLoad: 3 }))).to.equal(expectedMs(host('a', { announcedLoad: 3 })))
    expect([isFull(host('a')), isFull(host('a', { ownLoad: 1 })), isFull(host('a', { slotsTotal: 0 }))]).to.deep.equal([false, true, true])
    expect(order([host('cold', { loaded: false }), host('warm')], () => 0)).to.deep.equal(['warm', 'cold'])
  })

  it('grows with the queue and shrinks with speed and slots', () => {
    fc.assert(fc.property(anyCandidate, (part) => {
      const one = host('a', { ...part, tokensPerSecond: part.tokensPerSecond + 1 })
      const ms = expectedMs(one)
      expect(expectedMs({ ...one, announcedLoad: Math.max(one.announcedLoad, one.ownLoad) + 1 })).to.be.at.least(ms)
      expect(expectedMs({ ...one, tokensPerSecond: one.tokensPerSecond * 2 })).to.be.at.most(ms)
      expect(expectedMs({ ...one, slotsTotal: one.slotsTotal + 1 })).to.be.at.most(ms + 2)
    }))
  })

  for (const count of [2, 3, 10]) {
    it(`spreads jobs over ${count} equal hosts`, () => {
      const hosts = Array.from({ length: count }, (_, n) => host(`p${n}`))
      const { unit } = seededRandom(7)
      const firsts = new Map<string, number>()
      const runs = 600 * count
      for (let n = 0; n < runs; n += 1) {
        const first = order(hosts, unit)[0]!
        firsts.set(first, (firsts.get(first) ?? 0) + 1)
      }
      for (const { peer } of hosts) expect(firsts.get(peer) ?? 0).to.be.within(450, 750)
    })
  }

  it('does not send many hubs that see the same table to one host', () => {
    const hosts = Array.from({ length: 10 }, (_, n) => host(`p${n}`, { announcedLoad: n, slotsTotal: 10 }))
    const { unit } = seededRandom(11)
    const firsts = new Set<string>()
    for (let n = 0; n < 100; n += 1) firsts.add(order(hosts, unit)[0]!)
    expect(firsts.size).to.be.at.least(5)
  })

  it('puts a host first that knows the prompt, where it has a slot and is not more than twice as slow', () => {
    const others = Array.from({ length: 9 }, (_, n) => host(`p${n}`, { tokensPerSecond: 64, slotsTotal: 4 }))
    const { unit } = seededRandom(5)
    for (let n = 0; n < 100; n += 1) {
      expect(order([...others, host('knows', { affine: true, tokensPerSecond: 33, slotsTotal: 4 })], unit)[0]).to.equal('knows')
      expect(order([...others, host('knows', { affine: true, tokensPerSecond: 31, slotsTotal: 4 })], unit)[0]).to.not.equal('knows')
      expect(order([...others, host('knows', { affine: true, tokensPerSecond: 64, announcedLoad: 4, slotsTotal: 4 })], unit)[0]).to.not.equal('knows')
    }
  })
})
