import { expect } from 'chai'
import * as fc from 'fast-check'
import { insert, measure, union } from '../../../../ledger/earning/intervals.ts'

type Interval = readonly [from: number, to: number]

const intervals = fc.array(fc.tuple(fc.nat(60), fc.nat(20)).map(([from, length]): Interval => [from, from + length]), { maxLength: 40 })

function listOf(all: readonly Interval[]): number[] {
  const list: number[] = []
  for (const [from, to] of all) insert(list, from, to)
  return list
}

/** The set as its moments, one by one. */
function momentsOf(all: readonly Interval[]): Set<number> {
  const moments = new Set<number>()
  for (const [from, to] of all) for (let at = from; at < to; at += 1) moments.add(at)
  return moments
}

describe('ledger/earning/intervals', () => {
  it('measures the union of what was inserted', () => {
    fc.assert(fc.property(intervals, (all) => { expect(measure(listOf(all))).to.equal(momentsOf(all).size) }))
  })

  it('keeps the list sorted, disjoint and without gaps of length 0', () => {
    fc.assert(fc.property(intervals, (all) => {
      const list = listOf(all)
      for (let index = 1; index < list.length; index += 1) expect(list[index]!).to.be.greaterThan(list[index - 1]!)
    }))
  })

  it('is commutative and idempotent: equal sets are equal lists', () => {
    fc.assert(fc.property(intervals, fc.infiniteStream(fc.nat()), (all, order) => {
      const shuffled = all.map((interval) => ({ interval, key: order.next().value as number })).sort((a, b) => a.key - b.key).map(({ interval }) => interval)
      expect(listOf(shuffled)).to.deep.equal(listOf(all))
      expect(listOf([...all, ...shuffled])).to.deep.equal(listOf(all))
    }))
  })

  it('is monotone, and says by how much the set grew', () => {
    fc.assert(fc.property(intervals, (all) => {
      const list: number[] = []
      let total = 0
      for (const [from, to] of all) {
        const grown = insert(list, from, to)
        expect(grown).to.be.at.least(0)
        total += grown
        expect(measure(list)).to.equal(total)
      }
    }))
  })

  it('unites two sets without changing them', () => {
    fc.assert(fc.property(intervals, intervals, (a, b) => {
      const [listA, listB] = [listOf(a), listOf(b)]
      expect(union(listA, listB)).to.deep.equal(listOf([...a, ...b]))
      expect(union(listB, listA)).to.deep.equal(union(listA, listB))
      expect(listA).to.deep.equal(listOf(a))
    }))
  })

  it('takes a million facts in order in linear time', () => {
    const list: number[] = []
    for (let at = 0; at < 1_000_000; at += 1) insert(list, 3 * at, 3 * at + 2)
    expect(measure(list)).to.equal(2_000_000)
  })
})
