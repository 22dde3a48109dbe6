import { expect } from 'chai'
import { eidOfOnce, giveEidOf } from '../../../../ledger/entries/entry.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import { homeOf } from '../../../../ledger/fold/homes.ts'
import { checkState } from '../../../../ledger/fold/invariants.ts'
import { balanceOf, rightsOf, systemTotals } from '../../../../ledger/fold/views.ts'
import { dayOf, lossOf } from '../../../../ledger/rules.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { createFoldWorld, foldHubKeys, foldInOrder, unsigned, type FoldWorld } from '../../../support/fold-world.ts'

const account = new Uint8Array(16).fill(1)
const id = toHex(account)
const home = homeOf(foldHubKeys, id)
const away = (home + 1) % 3
const third = (home + 2) % 3
const request = (number: number) => new Uint8Array(16).fill(number)

function funded(amount = 100n): FoldWorld {
  const world = createFoldWorld()
  world.say(home, { k: 'Grant', account, amount, source: 'start' })
  world.commit(home)
  return world
}

const give = (world: FoldWorld, from: number, to: number, amount: bigint, number = 1, unit = 0) => world.say(from, {
  k: 'Give', request: request(number), account, unit, target: { hub: to, epoch: 1 }, amount, ...(unit === 0 ? {} : { quota: { tier: 'free', tierRev: 0 } }),
})
const accept = (world: FoldWorld, hub: number, from: number, amount: bigint, number = 1, unit = 0) =>
  world.say(hub, { k: 'Accept', give: giveEidOf(request(number)), from: { hub: from, epoch: 1 }, account, unit, amount })
const returned = (world: FoldWorld, hub: number, number = 1) => world.say(hub, { k: 'GiveReturn', give: giveEidOf(request(number)) })
const rights = (world: FoldWorld, at: number, of: number) => rightsOf(world.hubs[at]!.state, id, `${of}/1`, 0)

describe('ledger/fold: rights on their way', () => {
  it('leave the giver, are under way, and arrive when they are accepted, once', () => {
    const world = funded()
    expect(give(world, home, away, 101n)).to.equal('it gives more than its log may spend')
    expect(give(world, home, home, 1n)).to.equal('it gives to its own log')
    expect(give(world, home, away, 60n)).to.equal(undefined)
    expect(give(world, home, away, 60n), 'the same request').to.equal(undefined)
    expect([rights(world, home, home), balanceOf(world.hubs[home]!.state, id).inflight]).to.deep.equal([40n, 60n])
    expect(accept(world, away, home, 60n)).to.equal('its give is not known')
    world.commit(home)
    world.send(`${home}/1`, away)
    expect(accept(world, away, home, 59n)).to.equal('its give says otherwise')
    expect(accept(world, third, home, 60n)).to.equal('its give is not known')
    expect(accept(world, away, home, 60n)).to.equal(undefined)
    expect(accept(world, away, home, 60n), 'again').to.equal(undefined)
    expect([rights(world, away, home), rights(world, away, away), balanceOf(world.hubs[away]!.state, id).inflight]).to.deep.equal([40n, 60n, 0n])
    world.commit(away)
    expect(checkState(foldInOrder(world.logs, () => 0))).to.deep.equal([])
  })

  it("move a day's quota the same way, within the giver's share", () => {
    const world = funded()
    const day = dayOf(world.nowMs)
    const left = (hub: number) => rightsOf(world.hubs[away]!.state, id, `${hub}/1`, day, 10_000)
    expect(give(world, home, away, 5_001n, 1, day)).to.equal("it gives more quota than its log's share")
    expect(give(world, home, away, 4_000n, 1, day)).to.equal(undefined)
    expect(give(world, home, away, 1_001n, 2, day)).to.equal("it gives more quota than its log's share")
    world.commit(home)
    world.send(`${home}/1`, away)
    world.hubs[away]!.pending.length = 0
    expect([left(home), left(away)]).to.deep.equal([1_000n, 2_500n])
    expect(accept(world, away, home, 4_000n, 1, day)).to.equal(undefined)
    expect([left(home), left(away)]).to.deep.equal([1_000n, 6_500n])
    const hold = (tokens: number) => world.say(away, {
      k: 'Hold', hub: away, request: request(tokens % 200), requestHash: new Uint8Array(32), account, priceRow: 'groq', priceRev: 0, credits: 0n,
      expiresAt: 0, quota: { day, tokens, tier: 'free', tierRev: 0 },
    })
    expect(hold(6_501)).to.equal("it holds more quota than its log's share")
    expect(hold(6_500)).to.equal(undefined)
    expect(checkState(world.hubs[away]!.state)).to.deep.equal([])
  })

  it('gives tokens of a day only by a tier that it names, or that a hold of the log named', () => {
    const world = funded()
    const day = dayOf(world.nowMs)
    const bare = () => world.say(home, { k: 'Give', request: request(3), account, unit: day, target: { hub: away, epoch: 1 }, amount: 10n })
    expect(bare()).to.equal("it gives more quota than its log's share")
    world.say(home, {
      k: 'Hold', hub: home, request: request(4), requestHash: new Uint8Array(32), account, priceRow: 'groq', priceRev: 0, credits: 0n, expiresAt: 0,
      quota: { day, tokens: 1, tier: 'free', tierRev: 0 },
    })
    expect(bare()).to.equal(undefined)
  })

  it('gives nothing of a quota without a bound: any number of tokens would come of it', () => {
    const world = funded()
    const quota = { tier: 'unlimited', tierRev: 0 }
    const fields = { k: 'Give' as const, request: request(3), account, unit: dayOf(world.nowMs), target: { hub: away, epoch: 1 }, amount: 10n ** 12n, quota }
    expect(world.say(home, fields)).to.equal('it gives of a quota without a bound')
  })

  it('come back only when the other log is sealed without having accepted them', () => {
    const world = funded()
    give(world, home, away, 60n)
    expect(returned(world, home)).to.equal('it may still be accepted')
    expect(returned(world, home, 9)).to.equal('its give is not known')
    world.commit(home)
    world.settleDown()
    // The hub that got them is sealed by the two others; its successor is the third.
    world.hubs[away]!.gone = true
    seal(world, away)
    world.settleDown()
    expect(returned(world, third)).to.equal('its give stands in another log')
    expect(returned(world, home)).to.equal(undefined)
    expect(returned(world, home), 'again').to.equal(undefined)
    expect(balanceOf(world.hubs[home]!.state, id)).to.deep.include({ available: 100n, inflight: 0n })
    world.commit(home)
    expect(checkState(foldInOrder(world.logs, () => 0))).to.deep.equal([])
  })

  it('that were accepted from an end of a log that does not count are borne by its hub', () => {
    const world = funded(500_000_000n)
    give(world, home, third, 60n)
    world.commit(home)
    world.send(`${home}/1`, third)
    accept(world, third, home, 60n)
    world.commit(third)
    // The frame with the give turns out to be on the losing side: the log ends before it.
    const log = `${home}/1`
    world.logs.set(log, world.logs.get(log)!.slice(0, 2))
    world.hubs[home]!.gone = true
    expect(foldInOrder(world.logs, () => 0).logs.get(`${third}/1`)!.frame, 'the accept waits for its give').to.equal(1)
    world.send(log, away)
    world.say(away, { k: 'Seal', log: { hub: home, epoch: 1 }, frame: 2, hash: new Uint8Array(32), signatures: [unsigned({}), unsigned({})] })
    world.commit(away)
    const state = foldInOrder(world.logs, () => 0)
    expect(systemTotals(state).get(lossOf(home))).to.equal(-60n)
    expect(rightsOf(state, id, `${third}/1`, 0)).to.equal(60n)
    expect(state.givesDone.get(toHex(giveEidOf(request(1))))).to.equal(log)
    expect(checkState(state)).to.deep.equal([])
    expect(dumpState(foldInOrder(world.logs, (count) => count - 1))).to.equal(dumpState(state))
    expect(eidOfOnce('Accept', giveEidOf(request(1)))).to.have.lengthOf(16)
  })

  it("of a day's quota that were accepted from such an end are used beside those that its other history gives out", () => {
    const world = funded()
    const day = dayOf(world.nowMs)
    const log = `${home}/1`
    const hold = (at: FoldWorld, hub: number, tokens: number) => at.say(hub, {
      k: 'Hold', hub, request: request(7), requestHash: new Uint8Array(32), account, priceRow: 'groq', priceRev: 0, credits: 0n, expiresAt: 0, quota: { day, tokens, tier: 'free', tierRev: 0 },
    })
    give(world, home, third, 4_000n, 1, day)
    world.commit(home)
    world.send(log, third)
    accept(world, third, home, 4_000n, 1, day)
    expect([hold(world, third, 6_500), hold(world, away, 2_500)]).to.deep.equal([undefined, undefined])
    world.commit(third)
    // The history that counts gives out the hub's whole share itself.
    const other = createFoldWorld()
    other.say(home, { k: 'Grant', account, amount: 100n, source: 'start' })
    expect(hold(other, home, 5_000)).to.equal(undefined)
    other.commit(home)
    world.logs.set(log, other.logs.get(log)!)
    world.hubs[home]!.gone = true
    world.send(log, away)
    world.say(away, { k: 'Seal', log: { hub: home, epoch: 1 }, frame: 2, hash: new Uint8Array(32), signatures: [unsigned({}), unsigned({})] })
    world.commit(away)

    const state = foldInOrder(world.logs, () => 0)
    const quota = state.accounts.get(id)!.quota.get(day)!
    expect([...quota.logs.values()].reduce((sum, { used }) => sum + used, 0)).to.equal(14_000)
    expect(checkState(state)).to.deep.equal([])
    // A share that stands in two logs would give out one more.
    state.logs.get(`${third}/1`)!.shares.push({ hub: home, from: day, until: day, since: undefined })
    quota.logs.get(`${third}/1`)!.used += 1
    expect(checkState(state).join()).to.include('I5: 14001 tokens')
  })
})

function seal(world: FoldWorld, hub: number): void {
  const successor = (hub + 1) % 3
  const frame = world.logs.get(`${hub}/1`)!.length
  world.say(successor, { k: 'Seal', log: { hub, epoch: 1 }, frame, hash: new Uint8Array(32), signatures: [unsigned({}), unsigned({})] })
  world.commit(successor)
}
