import { expect } from 'chai'
import * as fc from 'fast-check'
import { checkMoney, checkState } from '../../../../ledger/fold/invariants.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import { nameOf, type LedgerState } from '../../../../ledger/fold/state.ts'
import { seededUnit } from '../../../support/seeded-random.ts'
import { foldInOrder, type FoldWorld } from '../../../support/fold-world.ts'
import { live } from '../../../support/fold-workload.ts'

function seededTape(seed: number, length: number): readonly number[] {
  const unit = seededUnit(seed)
  return Array.from({ length }, () => Math.floor(unit() * 2 ** 30))
}

function expectNoneRefused(state: LedgerState): void {
  for (const [name, { status }] of state.logs) expect(status.is, `${name}: ${status.is === 'refused' ? status.problem : ''}`).to.not.equal('refused')
}

function framesOf(world: FoldWorld): number {
  return [...world.logs.values()].reduce((sum, frames) => sum + frames.length, 0)
}

function folded(state: LedgerState): number {
  return [...state.logs.values()].reduce((sum, { frame }) => sum + frame, 0)
}

describe('ledger/fold: any causal interleaving', () => {
  it('gives one state: in any order of the logs, at every hub, and none refuses what the author took', () => {
    fc.assert(fc.property(fc.nat(), fc.integer({ min: 1, max: 5_000 }), (seed, length) => {
      const { world } = live(seededTape(seed, length))
      const unit = seededUnit(seed)
      const states = [0, 1, 2].map(() => foldInOrder(world.logs, (count) => Math.floor(unit() * count)))
      const text = dumpState(states[0]!)
      expect(folded(states[0]!)).to.equal(framesOf(world))
      expectNoneRefused(states[0]!)
      expect(checkState(states[0]!)).to.deep.equal([])
      for (const state of states) expect(dumpState(state)).to.equal(text)
      world.settleDown()
      for (const hub of world.hubs) if (!hub.gone) expect(dumpState(hub.state), `hub ${hub.hub}`).to.equal(text)
    }), { numRuns: 25 })
  }).timeout(60_000)

  it('keeps every invariant after every frame, and no right below zero', () => {
    fc.assert(fc.property(fc.nat(), fc.integer({ min: 1, max: 2_000 }), (seed, length) => {
      const { world } = live(seededTape(seed, length))
      const unit = seededUnit(seed)
      foldInOrder(world.logs, (count) => Math.floor(unit() * count), (state) => {
        expect(checkState(state)).to.deep.equal([])
        for (const account of state.accounts.values()) expect(checkMoney(account)).to.equal(undefined)
      })
    }), { numRuns: 15 })
  }).timeout(60_000)

  it('sees every kind of entry logged, and every kind that can be refused refused', () => {
    const logged = new Map<string, number>()
    const refused = new Map<string, number>()
    for (let seed = 1; seed <= 40; seed += 1) {
      const { world, ...life } = live(seededTape(seed, 4_000))
      for (const [kind, count] of life.logged) logged.set(kind, (logged.get(kind) ?? 0) + count)
      for (const [kind, count] of life.refused) refused.set(kind, (refused.get(kind) ?? 0) + count)
      const unit = seededUnit(seed)
      const state = foldInOrder(world.logs, (count) => Math.floor(unit() * count))
      expect(folded(state), `seed ${seed}`).to.equal(framesOf(world))
      expectNoneRefused(state)
      expect(checkState(state), `seed ${seed}`).to.deep.equal([])
      expect(dumpState(foldInOrder(world.logs, (count) => count - 1)), `seed ${seed}`).to.equal(dumpState(state))
    }
    for (const kind of [
      'AccountOpen', 'KeyAdd', 'KeyRevoke', 'TierSet', 'Grant', 'Purchase', 'Chargeback', 'Hold', 'Extend', 'Progress', 'Settle', 'Expire', 'Refund',
      'Give', 'Accept', 'GiveReturn', 'JobReceipt', 'Presence', 'Vest', 'BackRelease', 'Approval', 'Seal', 'IslandSettle', 'IslandRelease', 'Handback',
    ]) expect(logged.get(kind) ?? 0, kind).to.be.greaterThan(0)
    for (const kind of ['TierSet', 'Grant', 'Purchase', 'Chargeback', 'Hold', 'Extend', 'Settle', 'Refund', 'Give', 'Accept', 'GiveReturn', 'Vest', 'BackRelease', 'Approval']) {
      expect(refused.get(kind) ?? 0, `${kind} refused`).to.be.greaterThan(0)
    }
  }).timeout(60_000)

  it('is the same folded frame by frame as they come, and from scratch', () => {
    const { world } = live(seededTape(99, 3_000))
    world.settleDown()
    const scratch = dumpState(foldInOrder(world.logs, () => 0))
    for (const hub of world.hubs) if (!hub.gone) expect(dumpState(hub.state), nameOf(hub.log)).to.equal(scratch)
  })
})
