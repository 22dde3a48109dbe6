import { expect } from 'chai'
import { checkAccount, checkMoney, checkState } from '../../../../ledger/fold/invariants.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import type { AccountState, LedgerState } from '../../../../ledger/fold/state.ts'
import { plant } from '../../../../ledger/planted-bugs.ts'
import { foldInOrder } from '../../../support/fold-world.ts'
import { live } from '../../../support/fold-workload.ts'
import { seededUnit } from '../../../support/seeded-random.ts'

function someState(): LedgerState {
  const unit = seededUnit(3)
  return foldInOrder(live(Array.from({ length: 9_000 }, () => Math.floor(unit() * 2 ** 30))).world.logs, () => 0)
}

const first = <Value>(values: Iterable<Value>, where: (value: Value) => boolean = () => true): Value => [...values].find(where)!
const rich = (state: LedgerState): AccountState => first(state.accounts.values(), ({ rights }) => rights.size > 0)

describe('ledger/fold/invariants', () => {
  afterEach(() => { plant(undefined) })

  const damages: readonly (readonly [what: string, invariant: string, damage: (state: LedgerState) => void])[] = [
    ['money from nowhere', 'I3', (state) => { rich(state).back += 1n }],
    ['money that came in for nobody', 'I1', (state) => { state.system.set('system:PROMO', 0n) }],
    ['a right below zero', 'I2', (state) => { rich(state).rights.set('0/1', -1n) }],
    ['something held below zero', 'I2', (state) => { rich(state).held = -1n }],
    ['a hold that nobody holds', 'I1', (state) => { const account = rich(state); account.held += 5n; account.minted += 5n; state.system.set('system:PROMO', (state.system.get('system:PROMO') ?? 0n) - 5n) }],
    ['something under way that nobody gave', 'I1', (state) => { const account = rich(state); account.inflight += 5n; account.minted += 5n; state.system.set('system:PROMO', (state.system.get('system:PROMO') ?? 0n) - 5n) }],
    ['more quota used than the share', 'I5', (state) => {
      const day = first([...state.accounts.values()].flatMap(({ quota }) => [...quota.values()]), ({ logs }) => [...logs.values()].some(({ quota }) => quota > 0 && quota <= 500_000))
      first(day.logs.values(), ({ quota }) => quota > 0).used += 1_000_000
    }],
    ['a hold over and listed as open', 'I4', (state) => { state.openHolds.add(first(state.holds, ([, { outcome }]) => outcome !== undefined)[0]) }],
    ['a hold paid back twice', 'I4', (state) => { const held = first(state.holds.values(), ({ outcome }) => outcome !== undefined); held.refunded = held.outcome!.charge + 1n }],
    ['a device paid more than it earned', 'I6', (state) => { const device = first(state.devices.values()); device.vestedBy.clear(); device.vestedBy.set('aa', 10n ** 15n); device.vested = 10n ** 15n }],
    ['time counted twice', 'I11', (state) => { first(first(state.devices.values()).levels.values()).wallMs += 1 }],
    ['rights in a sealed log', 'I12', (state) => { first(state.logs.values()).status = { is: 'sealed', frame: 0, successor: '1/1', sealedDay: 1, returned: true, at: { tsMs: 1, hub: 1, epoch: 1, frame: 1, seq: 1 } } }],
    ['a seal that nobody knows of', 'I4', (state) => { state.outstandingSeal = '2/9' }],
  ]

  it('hold in a state that honest hubs made', () => {
    const state = someState()
    expect(checkState(state)).to.deep.equal([])
    for (const id of state.accounts.keys()) expect(checkAccount(state, id)).to.equal(undefined)
    expect(checkAccount(state, 'nobody')).to.equal(undefined)
    expect(checkMoney(rich(state))).to.equal(undefined)
  })

  for (const [what, invariant, damage] of damages) {
    it(`see ${what} (${invariant})`, () => {
      const state = someState()
      const before = dumpState(state)
      damage(state)
      if (invariant !== 'I4' || what !== 'a seal that nobody knows of') expect(dumpState(state)).to.not.equal(before)
      expect(checkState(state).join('\n')).to.include(invariant)
    })
  }

  it('see the bugs of the fold that can be planted, in a life in which they matter', () => {
    for (const bug of ['settled-twice', 'refunded-twice', 'vest-pays-again', 'overlap-paid-twice', 'quota-not-shared', 'two-seals'] as const) {
      let found = false
      for (let seed = 1; seed <= 60 && !found; seed += 1) {
        const unit = seededUnit(seed)
        plant(bug)
        try {
          const { world } = live(Array.from({ length: 4_000 }, () => Math.floor(unit() * 2 ** 30)))
          const state = foldInOrder(world.logs, () => 0)
          plant(undefined)
          found = checkState(state).length > 0
        } catch {
          found = true
        } finally {
          plant(undefined)
        }
      }
      expect(found, bug).to.equal(true)
    }
  }).timeout(60_000)
})
