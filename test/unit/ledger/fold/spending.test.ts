import { expect } from 'chai'
import type { EntryOf } from '../../../../ledger/entries/entry.ts'
import { eidOfOnce, holdEidOf } from '../../../../ledger/entries/entry.ts'
import { homeOf } from '../../../../ledger/fold/homes.ts'
import { checkState } from '../../../../ledger/fold/invariants.ts'
import { shareOf } from '../../../../ledger/fold/quota.ts'
import { balanceOf, rightsOf } from '../../../../ledger/fold/views.ts'
import { dayOf, MS_PER_DAY } from '../../../../ledger/rules.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { createFoldWorld, foldHubKeys, foldInOrder, type FoldWorld } from '../../../support/fold-world.ts'

const account = new Uint8Array(16).fill(1)
const id = toHex(account)
const home = homeOf(foldHubKeys, id)
const away = (home + 1) % 3
const request = (number: number) => new Uint8Array(16).fill(number)

type HoldFields = Partial<Omit<EntryOf<'Hold'>, 'k' | 'eid'>>

function funded(amount = 1_000_000n): FoldWorld {
  const world = createFoldWorld()
  world.say(home, { k: 'Grant', account, amount, source: 'start' })
  world.commit(home)
  return world
}

function hold(world: FoldWorld, hub: number, number: number, fields: HoldFields = {}): string | undefined {
  return world.say(hub, {
    k: 'Hold', hub, request: request(number), requestHash: new Uint8Array(32), account, priceRow: 'groq', priceRev: 0, credits: 0n,
    expiresAt: world.nowMs + 1_000, ...fields,
  })
}

const quota = (world: FoldWorld, tokens: number, tier = 'free') => ({ quota: { day: dayOf(world.nowMs), tokens, tier, tierRev: 0 } })
const settle = (world: FoldWorld, hub: number, eid: Uint8Array, charge: bigint, quotaTokens = 0, tokens = 1_000_000) =>
  world.say(hub, { k: 'Settle', hold: eid, promptTokens: tokens, completionTokens: 0, charge, quotaTokens })

describe('ledger/fold: a spend', () => {
  it('is held, then charged at most what is held, and the rest comes back', () => {
    const world = funded()
    const eid = holdEidOf(home, request(1))
    expect(hold(world, home, 1, { credits: 1_000_001n })).to.equal('it holds more credits than its log may spend')
    expect(hold(world, home, 1, { credits: 400_000n })).to.equal(undefined)
    expect(balanceOf(world.hubs[home]!.state, id)).to.deep.include({ available: 600_000n, held: 400_000n })
    expect(settle(world, home, eid, 400_001n)).to.equal('it charges more than is held')
    expect(settle(world, home, eid, 2_000n, 0, 1)).to.equal('it charges more than the price of its hold')
    expect(settle(world, home, eid, 150_000n)).to.equal(undefined)
    expect(balanceOf(world.hubs[home]!.state, id)).to.deep.include({ available: 850_000n, held: 0n })
    expect(checkState(world.hubs[home]!.state)).to.deep.equal([])
  })

  it('is over once: a second end of any kind adds nothing', () => {
    const world = funded()
    for (const [number, first] of [[1, 'settle'], [2, 'expire']] as const) {
      const eid = holdEidOf(home, request(number))
      hold(world, home, number, { credits: 100n })
      if (first === 'settle') settle(world, home, eid, 60n)
      else world.say(home, { k: 'Expire', hold: eid })
      const before = balanceOf(world.hubs[home]!.state, id)
      expect(settle(world, home, eid, 90n)).to.equal(undefined)
      expect(world.say(home, { k: 'Expire', hold: eid })).to.equal(undefined)
      expect(balanceOf(world.hubs[home]!.state, id)).to.deep.equal(before)
      expect(world.say(home, { k: 'Extend', hold: eid, step: 1, credits: 1n, quotaTokens: 0, expiresAt: 0 })).to.equal('its hold is over')
      expect(world.hubs[home]!.state.holds.get(toHex(eid))!.outcome).to.deep.include({ settled: first === 'settle', charge: first === 'settle' ? 60n : 0n })
    }
  })

  it('counts the same request at the same hub once', () => {
    const world = funded()
    hold(world, home, 1, { credits: 100n })
    expect(hold(world, home, 1, { credits: 500n })).to.equal(undefined)
    expect(balanceOf(world.hubs[home]!.state, id).held).to.equal(100n)
  })

  it('is extended step by step, and notes the largest step of progress', () => {
    const world = funded()
    const eid = holdEidOf(home, request(1))
    const extend = (step: number, credits: bigint) => world.say(home, { k: 'Extend', hold: eid, step, credits, quotaTokens: 0, expiresAt: world.nowMs + step })
    hold(world, home, 1, { credits: 100n })
    expect(extend(2, 1n)).to.equal('it is extension 2 of a hold with 0')
    expect(extend(1, 1_000_000n)).to.equal('it holds more credits than its log may spend')
    for (const credits of [50n, 70n]) expect(extend(1, credits)).to.equal(undefined)
    expect(extend(2, 7n)).to.equal(undefined)
    for (const step of [2, 1, 2]) world.say(home, { k: 'Progress', hold: eid, step, promptTokens: step, completionTokens: 9 })
    expect(world.hubs[home]!.state.holds.get(toHex(eid))).to.deep.include({ credits: 157n, extensions: 2, progress: { step: 2, promptTokens: 2, completionTokens: 9 } })
  })

  it('is paid back at most in full, once for each reason', () => {
    const world = funded()
    const eid = holdEidOf(home, request(1))
    const refund = (amount: bigint, reason: string) => world.say(home, { k: 'Refund', hold: eid, account, amount, quotaTokens: 0, reason })
    hold(world, home, 1, { credits: 100n })
    expect(refund(1n, 'a')).to.equal('its hold is not settled')
    settle(world, home, eid, 80n)
    expect(refund(30n, 'a')).to.equal(undefined)
    expect(refund(30n, 'a')).to.equal(undefined)
    expect(refund(51n, 'b')).to.equal('it pays back more than was charged')
    expect(refund(50n, 'b')).to.equal(undefined)
    expect(balanceOf(world.hubs[home]!.state, id).available).to.equal(1_000_000n)
    expect(world.say(home, { k: 'Refund', hold: eid, account: request(9), amount: 0n, quotaTokens: 0, reason: 'c' })).to.equal('it is not the account of its hold')
  })

  it('is a matter of the log that holds it', () => {
    const world = funded()
    const eid = holdEidOf(home, request(1))
    hold(world, home, 1, { credits: 100n })
    world.commit(home)
    world.send(`${home}/1`, away)
    expect(settle(world, away, eid, 1n)).to.equal('its hold stands in another log')
    expect(world.say(away, { k: 'Expire', hold: eidOfOnce('Settle', eid) })).to.equal('its hold is not known')
    expect(hold(world, away, 2, { hub: home })).to.equal("it is another hub's hold")
    expect(hold(world, home, 3, { priceRow: 'no-row' })).to.equal('it names a price that is not approved')
    expect(hold(world, home, 3, { priceRev: 1 })).to.equal('it names a price that is not approved')
  })

  it('knows which hold supersedes which, in whatever order they come', () => {
    const world = funded()
    const [a, b] = [holdEidOf(home, request(1)), holdEidOf(away, request(1))]
    hold(world, home, 1)
    hold(world, away, 1, { supersedes: { hub: home, hold: a } })
    hold(world, away, 2, { supersedes: { hub: home, hold: a }, requestHash: new Uint8Array(32).fill(1) })
    for (const hub of [home, away]) world.commit(hub)
    for (const order of [() => 0, (count: number) => count - 1]) {
      const state = foldInOrder(world.logs, order)
      expect(state.holds.get(toHex(a))!.supersededBy).to.equal(toHex(b))
      expect(state.holds.get(toHex(b))!.supersedes).to.equal(toHex(a))
    }
  })
})

describe('ledger/fold: a quota', () => {
  it('is shared: a quarter for each of the other hubs, the rest for the home hub', () => {
    for (const perDay of [0, 1, 3, 4, 10_000, 10_003, 250_000]) {
      const shares = [0, 1, 2].map((hub) => shareOf(perDay, hub, home))
      expect(shares.reduce((sum, share) => sum + share, 0)).to.equal(perDay)
      expect(shares[away]).to.equal(Math.floor(perDay / 4))
    }
    const { state } = createFoldWorld().hubs[home]!
    const day = 20_000
    expect([rightsOf(state, id, `${home}/1`, day, 10_000), rightsOf(state, id, `${away}/1`, day, 10_000), rightsOf(state, id, '0/9', day, 10_000)]).to.deep.equal([5_000n, 0n, 0n])
  })

  it('bounds what a log holds of a day, and comes back to its day', () => {
    const world = createFoldWorld()
    const { state } = world.hubs[away]!
    const day = dayOf(world.nowMs)
    const eid = holdEidOf(away, request(1))
    expect(hold(world, away, 1, quota(world, 2_501))).to.equal("it holds more quota than its log's share")
    expect(hold(world, away, 1, quota(world, 2_500))).to.equal(undefined)
    expect(hold(world, away, 2, quota(world, 1))).to.equal("it holds more quota than its log's share")
    expect(settle(world, away, eid, 0n, 2_501)).to.equal('it uses more quota than is held')
    world.commit(away)
    world.nowMs += MS_PER_DAY
    expect(settle(world, away, eid, 0n, 700)).to.equal(undefined)
    expect(rightsOf(state, id, `${away}/1`, day, 10_000)).to.equal(1_800n)
    expect(rightsOf(state, id, `${away}/1`, day + 1, 10_000)).to.equal(2_500n)
    expect(world.say(away, { k: 'Refund', hold: eid, account, amount: 0n, quotaTokens: 701, reason: 'a' })).to.equal('it gives back more quota than was used')
    expect(world.say(away, { k: 'Refund', hold: eid, account, amount: 0n, quotaTokens: 700, reason: 'a' })).to.equal(undefined)
    expect(rightsOf(state, id, `${away}/1`, day, 10_000)).to.equal(2_500n)
    expect(checkState(state)).to.deep.equal([])
  })

  it('is that of the UTC day of the frame: a hold of yesterday or tomorrow is refused to the millisecond', () => {
    const midnight = Date.UTC(2026, 5, 2)
    const world = createFoldWorld({ startMs: midnight - 1 })
    const day = dayOf(midnight)
    // The first frame of the log stands at the last millisecond of the day, so the next one is tomorrow's.
    const of = (at: number) => ({ quota: { day: at, tokens: 10, tier: 'free', tierRev: 0 } })
    expect(hold(world, away, 1, of(day - 1))).to.equal('it holds quota of another day than its own')
    expect(hold(world, away, 1, of(day))).to.equal(undefined)
    const early = createFoldWorld({ startMs: midnight - 2 })
    expect(hold(early, away, 1, of(day))).to.equal('it holds quota of another day than its own')
    expect(hold(early, away, 1, of(day - 1))).to.equal(undefined)
  })

  it('follows a tier up on the same day, and has no bound without limit', () => {
    const world = createFoldWorld()
    hold(world, away, 1, quota(world, 2_500))
    expect(hold(world, away, 2, quota(world, 60_000, 'pro'))).to.equal(undefined)
    expect(hold(world, away, 3, quota(world, 1, 'pro'))).to.equal("it holds more quota than its log's share")
    expect(hold(world, away, 4, quota(world, 9_000_000, 'unlimited'))).to.equal(undefined)
    expect(hold(world, away, 5, quota(world, 1, 'no-tier'))).to.equal('it names a tier that is not approved')
    expect(checkState(world.hubs[away]!.state)).to.deep.equal([])
  })
})
