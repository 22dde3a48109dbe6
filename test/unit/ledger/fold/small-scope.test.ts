/** Every history of a few steps: one account, three hubs, each step at any hub, and every order in which the logs can arrive. */
import { expect } from 'chai'
import { giveEidOf, holdEidOf, type Entry, type Unnamed } from '../../../../ledger/entries/entry.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import { homeOf } from '../../../../ledger/fold/homes.ts'
import { checkState } from '../../../../ledger/fold/invariants.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { createFoldWorld, foldHubKeys, foldInOrder, unsigned, type FoldWorld } from '../../../support/fold-world.ts'
import { times } from '../../../support/thorough.ts'

const STEPS = times(3, 4)
const account = new Uint8Array(16).fill(1)
const home = homeOf(foldHubKeys, toHex(account))
const next = (home + 1) % 3
const request = (hub: number) => new Uint8Array(16).fill(hub + 1)

type Step = (world: FoldWorld) => void

/** Says it and commits; what is refused is not logged, as with a hub. */
const at = (hub: number, fields: Unnamed<Entry>): Step => (world) => {
  if (world.hubs[hub]!.gone) return
  world.say(hub, fields)
  world.commit(hub)
}
const holdAt = (hub: number): Step => at(hub, {
  k: 'Hold', hub, request: request(hub), requestHash: new Uint8Array(32), account, priceRow: 'groq', priceRev: 0, credits: 60_000n, expiresAt: 0,
})
const settleOf = (by: number, hub: number): Step => at(by, {
  k: 'Settle', hold: holdEidOf(hub, request(hub)), promptTokens: 40, completionTokens: 0, charge: 40_000n, quotaTokens: 0,
})

const steps: Readonly<Record<string, Step>> = {
  'hold at home': holdAt(home),
  'hold at the next': holdAt(next),
  'settle at home': settleOf(home, home),
  'settle by the next': settleOf(next, home),
  'expire at home': at(home, { k: 'Expire', hold: holdEidOf(home, request(home)) }),
  'give': at(home, { k: 'Give', request: request(7), account, unit: 0, target: { hub: next, epoch: 1 }, amount: 70_000n }),
  'accept': at(next, { k: 'Accept', give: giveEidOf(request(7)), from: { hub: home, epoch: 1 }, account, unit: 0, amount: 70_000n }),
  'chargeback': at(home, { k: 'Chargeback', account, amount: 80_000n, payment: 'p' }),
  'all arrives': (world) => { world.settleDown() },
  'home is gone and sealed': (world) => {
    if (world.hubs[home]!.gone) return
    world.settleDown()
    world.hubs[home]!.gone = true
    const frames = world.logs.get(`${home}/1`)!.length
    at(next, { k: 'Seal', log: { hub: home, epoch: 1 }, frame: frames, hash: new Uint8Array(32), signatures: [unsigned({}), unsigned({})] })(world)
  },
}

describe('ledger/fold: every short history', function () {
  this.timeout(300_000)

  it(`of ${STEPS} steps keeps the invariants, spends nothing twice, and is the same in every order`, () => {
    const seen = new Set<string>()
    const names = Object.keys(steps)
    const histories = names.length ** STEPS
    for (let number = 0; number < histories; number += 1) {
      const history = Array.from({ length: STEPS }, (_, place) => names[Math.floor(number / names.length ** place) % names.length]!)
      const world = createFoldWorld()
      at(home, { k: 'Purchase', account, amount: 100_000n, payment: 'p', product: 'pack' })(world)
      world.settleDown()
      for (const name of history) steps[name]!(world)
      const states = [() => 0, (count: number) => count - 1].map((choose) => foldInOrder(world.logs, choose))
      for (const state of states) expect(checkState(state), history.join(', ')).to.deep.equal([])
      expect(dumpState(states[0]!), history.join(', ')).to.equal(dumpState(states[1]!))
      for (const hold of states[0]!.holds.values()) seen.add(hold.outcome === undefined ? 'open' : hold.outcome.settled ? 'settled' : 'expired')
      for (const { status } of states[0]!.logs.values()) seen.add(status.is)
      if (states[0]!.accounts.get(toHex(account))!.debt > 0n) seen.add('debt')
      if (world.logs.get(`${next}/1`)!.some(({ entries }) => entries.some(({ k }) => k === 'Accept'))) seen.add('accepted')
    }
    expect([...seen]).to.include.members(['open', 'settled', 'expired', 'live', 'sealed', 'debt', 'accepted'])
  })
})
