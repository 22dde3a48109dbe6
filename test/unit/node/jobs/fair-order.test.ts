import { expect } from 'chai'
import * as fc from 'fast-check'
import { createFairOrder, weightOf, type Turn } from '../../../../node/jobs/fair-order.ts'

/** Serves `turns` times; every account always has one job waiting. Gives how often each was served. */
function serve(accounts: readonly { readonly flow: string; readonly priority: number }[], turns: number): Map<string, number> {
  const order = createFairOrder()
  const counts = new Map(accounts.map(({ flow }) => [flow, 0]))
  const waiting = new Map<string, Turn>(accounts.map(({ flow, priority }) => [flow, order.turn(flow, priority)]))
  for (let count = 0; count < turns; count += 1) {
    const next = [...waiting.values()].reduce((best, turn) => turn.end < best.end ? turn : best)
    order.served(next)
    counts.set(next.flow, counts.get(next.flow)! + 1)
    waiting.set(next.flow, order.turn(next.flow, accounts.find(({ flow }) => flow === next.flow)!.priority))
  }
  return counts
}

describe('node/jobs/fair-order', () => {
  it('weighs Unlimited 8, Enterprise and Pro 4, Contributor 2, Free and the unknown 1', () => {
    expect([0, 1, 2, 3, 100].map(weightOf)).to.deep.equal([8, 4, 2, 1, 1])
  })

  it('gives each account its share of the turns, to within one turn, and starves nobody', () => {
    fc.assert(fc.property(fc.array(fc.nat(5), { minLength: 2, maxLength: 12 }), (priorities) => {
      const accounts = priorities.map((priority, index) => ({ flow: `account ${index}`, priority }))
      const weights = accounts.reduce((sum, { priority }) => sum + weightOf(priority), 0)
      const counts = serve(accounts, weights * 10)
      for (const { flow, priority } of accounts) expect(counts.get(flow)!).to.be.closeTo(weightOf(priority) * 10, 1)
    }))
  })

  it('lets an account that floods wait behind those that come later', () => {
    const order = createFairOrder()
    const flood = Array.from({ length: 100 }, () => order.turn('flood', 3))
    order.served(flood[0]!)
    const late = order.turn('late', 3)
    expect(flood.filter(({ end }) => end <= late.end)).to.have.length(1)
  })

  it('lets nobody save turns up', () => {
    const order = createFairOrder()
    for (let count = 0; count < 50; count += 1) order.served(order.turn('busy', 3))
    const idle = [order.turn('idle', 3), order.turn('idle', 3)]
    const busy = order.turn('busy', 3)
    expect(idle[1]!.end).to.be.at.least(busy.end)
  })

  it('does not charge for a turn that was given back', () => {
    const order = createFairOrder()
    const first = order.turn('a', 3)
    order.left(first)
    expect(order.turn('a', 3)).to.deep.equal(first)
  })
})
