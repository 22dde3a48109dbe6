import { expect } from 'chai'
import * as fc from 'fast-check'
import { changeIdOf, encodeAdminChange, type AdminChange } from '../../../../ledger/admin-change.ts'
import { postingsOf } from '../../../../ledger/fold/apply.ts'
import { chargeOf } from '../../../../ledger/fold/charge.ts'
import { homeOf } from '../../../../ledger/fold/homes.ts'
import { checkState } from '../../../../ledger/fold/invariants.ts'
import { balanceOf, clearingLogOf, systemTotals, tierOn } from '../../../../ledger/fold/views.ts'
import { encodeEntry } from '../../../../ledger/entries/entry.ts'
import { dayOf, FIAT_IN, GRANTS_PER_DAY_MICRO_CREDITS, PURCHASES_PER_DAY_MICRO_CREDITS, MS_PER_DAY, PROMO } from '../../../../ledger/rules.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { createFoldWorld, foldHubKeys, foldInOrder, foldNetwork, type FoldWorld } from '../../../support/fold-world.ts'

const account = new Uint8Array(16).fill(1)
const id = toHex(account)
const home = homeOf(foldHubKeys, id)
const other = (home + 1) % 3
const none = { available: 0n, held: 0n, inflight: 0n, frozen: 0n, back: 0n, debt: 0n }

function grant(world: FoldWorld, hub: number, amount: bigint, source: string, more: { approved?: Uint8Array } = {}): string | undefined {
  return world.say(hub, { k: 'Grant', account, amount, source, ...more })
}

const state = (world: FoldWorld, hub = home) => world.hubs[hub]!.state

describe('ledger/fold: money that comes in', () => {
  it('is minted by the log that clears for the account and by no other', () => {
    const world = createFoldWorld()
    expect(clearingLogOf(state(world), id)).to.equal(`${home}/1`)
    expect(grant(world, home, 5n, 'a')).to.equal(undefined)
    expect(grant(world, other, 5n, 'b')).to.equal('its log does not clear for the account')
    expect(balanceOf(state(world), id)).to.deep.equal({ ...none, available: 5n })
    expect(systemTotals(state(world)).get(PROMO)).to.equal(-5n)
  })

  it('counts each source once', () => {
    const world = createFoldWorld()
    grant(world, home, 5n, 'a')
    expect(grant(world, home, 8n, 'a')).to.equal(undefined)
    for (const amount of [3n, 4n]) expect(world.say(home, { k: 'Purchase', account, amount, payment: 'p', product: 'pack-5' })).to.equal(undefined)
    expect(balanceOf(state(world), id).available).to.equal(8n)
    expect(systemTotals(state(world)).get(FIAT_IN)).to.equal(-3n)
  })

  it('takes a chargeback from what the clearing log has, makes the rest a debt, and repays the debt first', () => {
    const world = createFoldWorld()
    world.say(home, { k: 'Purchase', account, amount: 100n, payment: 'p', product: 'pack-5' })
    world.say(home, { k: 'Give', request: new Uint8Array(16), account, unit: 0, target: { hub: other, epoch: 1 }, amount: 30n })
    world.say(home, { k: 'Chargeback', account, amount: 100n, payment: 'p' })
    expect(balanceOf(state(world), id)).to.deep.equal({ ...none, inflight: 30n, debt: 30n })
    grant(world, home, 20n, 'a')
    expect(balanceOf(state(world), id)).to.deep.equal({ ...none, inflight: 30n, debt: 10n })
    grant(world, home, 25n, 'b')
    expect(balanceOf(state(world), id)).to.deep.equal({ ...none, inflight: 30n, available: 15n })
    world.say(home, { k: 'Chargeback', account, amount: 100n, payment: 'p' })
    expect(balanceOf(state(world), id).debt, 'the same chargeback again').to.equal(0n)
    expect(checkState(state(world))).to.deep.equal([])
  })

  it('refuses a chargeback of more than was paid, or of nothing; a part of it may be taken back', () => {
    const world = createFoldWorld()
    world.say(home, { k: 'Purchase', account, amount: 100n, payment: 'p', product: 'pack-5' })
    expect(world.say(home, { k: 'Chargeback', account, amount: 101n, payment: 'p' })).to.equal('it takes back more than was paid')
    expect(world.say(home, { k: 'Chargeback', account, amount: 1n, payment: 'q' })).to.equal('its payment is not known')
    expect(world.say(home, { k: 'Chargeback', account, amount: 40n, payment: 'p' })).to.equal(undefined)
    expect(balanceOf(state(world), id)).to.deep.equal({ ...none, available: 60n })
  })

  it("bounds a hub's purchases of a UTC day", () => {
    const world = createFoldWorld()
    const buy = (amount: bigint, payment: string) => world.say(home, { k: 'Purchase', account, amount, payment, product: 'pack-5' })
    expect(buy(PURCHASES_PER_DAY_MICRO_CREDITS - 1n, 'a')).to.equal(undefined)
    expect(buy(2n, 'b')).to.equal('it is above what one hub may log of purchases in a day')
    expect(buy(1n, 'c')).to.equal(undefined)
  })

  it("bounds a hub's grants of a UTC day, unless two hubs approve", () => {
    const world = createFoldWorld()
    expect(grant(world, home, GRANTS_PER_DAY_MICRO_CREDITS - 1n, 'a')).to.equal(undefined)
    expect(grant(world, home, 2n, 'b')).to.equal('it is above what one hub may grant in a day')
    expect(grant(world, home, 1n, 'c')).to.equal(undefined)

    const change: AdminChange = { v: 1, network: foldNetwork, change: { type: 'grant', account, amount: 7n, source: 'd' }, createdAt: 1 }
    const body = encodeAdminChange(change)
    const approved = changeIdOf(body)
    const approve = (hub: number) => world.say(hub, { k: 'Approval', hub, change: approved, document: { body, key: foldHubKeys[hub]!, signature: new Uint8Array(64) } })
    expect(grant(world, home, 7n, 'd', { approved })).to.equal('two hubs have not approved the grant')
    approve(home)
    approve(home)
    expect(grant(world, home, 7n, 'd', { approved }), 'one hub twice').to.equal('two hubs have not approved the grant')
    approve(other)
    world.commit(other)
    expect(grant(world, home, 7n, 'd', { approved }), 'not arrived yet').to.equal('two hubs have not approved the grant')
    world.send(`${other}/1`, home)
    expect(grant(world, home, 8n, 'd', { approved })).to.equal('two hubs have approved another grant')
    expect(grant(world, home, 7n, 'd', { approved })).to.equal(undefined)

    world.commit(home)
    world.nowMs += MS_PER_DAY
    expect(grant(world, home, GRANTS_PER_DAY_MICRO_CREDITS, 'e'), 'the next day').to.equal(undefined)
    world.commit(home)
    expect(checkState(foldInOrder(world.logs, () => 0))).to.deep.equal([])
  })

  it('shows what an entry moves, with sums of zero', () => {
    const world = createFoldWorld()
    const { entry } = encodeEntry({ k: 'Grant', account, amount: 9n, source: 'a' })
    const postings = [...postingsOf(state(world), entry, { tsMs: world.nowMs, hub: home, epoch: 1, frame: 2, seq: 1 })]
    expect(postings.filter(({ amount }) => amount !== 0n)).to.deep.equal([
      { account: id, unit: 0, part: 'rights', log: `${home}/1`, amount: 9n }, { account: PROMO, unit: 0, part: 'system', log: '', amount: -9n },
    ])
    expect(balanceOf(state(world), id), 'nothing moved').to.deep.equal(none)
  })
})

describe('ledger/fold: tiers', () => {
  const set = (world: FoldWorld, rev: number, tier: string) => world.say(home, { k: 'TierSet', account, rev, tier })
  const opened = () => {
    const world = createFoldWorld()
    world.say(other, { k: 'AccountOpen', account, publicKey: new Uint8Array(32), name: 'Ada', tier: 'free' })
    world.commit(other)
    world.send(`${other}/1`, home)
    return { world, day: dayOf(world.nowMs) }
  }

  it('count from their own day where the quota grows, and from the next day where it does not', () => {
    const { world, day } = opened()
    set(world, 1, 'pro')
    expect([day - 1, day, day + 1].map((at) => tierOn(state(world), id, at))).to.deep.equal(['free', 'pro', 'pro'])
    world.commit(home)
    world.nowMs += MS_PER_DAY
    set(world, 2, 'free')
    expect([day, day + 1, day + 2].map((at) => tierOn(state(world), id, at))).to.deep.equal(['pro', 'pro', 'free'])
  })

  it('up and down on one day: the largest counts that day, the last one from the next', () => {
    const { world, day } = opened()
    set(world, 1, 'unlimited')
    set(world, 2, 'pro')
    expect([day, day + 1].map((at) => tierOn(state(world), id, at))).to.deep.equal(['unlimited', 'pro'])
    world.commit(home)
    world.nowMs += MS_PER_DAY
    set(world, 3, 'free')
    set(world, 4, 'contributor')
    expect([day + 1, day + 2].map((at) => tierOn(state(world), id, at))).to.deep.equal(['pro', 'contributor'])
  })

  it('are numbered, and set by the clearing hub alone', () => {
    const { world } = opened()
    expect(set(world, 2, 'pro')).to.equal('it is tier change 2 of an account with 0')
    expect(world.say(other, { k: 'TierSet', account, rev: 1, tier: 'pro' })).to.equal('its log does not clear for the account')
    set(world, 1, 'pro')
    set(world, 1, 'unlimited')
    expect(tierOn(state(world), id, dayOf(world.nowMs)), 'the same number again').to.equal('pro')
  })
})

describe('ledger/fold/charge', () => {
  const usage = fc.record({ promptTokens: fc.nat(100_000), completionTokens: fc.nat(100_000) })
  const price = fc.record({ promptMicroCredits: fc.bigInt(0n, 50_000_000n), completionMicroCredits: fc.bigInt(0n, 50_000_000n) })

  it('is the exact price rounded up: less than 1 µcr above it', () => {
    fc.assert(fc.property(usage, price, (tokens, at) => {
      const thousandths = BigInt(tokens.promptTokens) * at.promptMicroCredits + BigInt(tokens.completionTokens) * at.completionMicroCredits
      const { charge } = chargeOf(tokens, 0, at)
      expect(charge * 1_000n >= thousandths && charge * 1_000n < thousandths + 1_000n).to.equal(true)
    }))
  })

  it('lets quota cover the first tokens, prompt before completion, and is monotone in use', () => {
    fc.assert(fc.property(usage, fc.nat(250_000), price, (tokens, quota, at) => {
      const { charge, quotaTokens } = chargeOf(tokens, quota, at)
      expect(quotaTokens).to.equal(Math.min(quota, tokens.promptTokens + tokens.completionTokens))
      expect(charge <= chargeOf({ ...tokens, completionTokens: tokens.completionTokens + 1 }, quota, at).charge).to.equal(true)
      expect(charge <= chargeOf(tokens, Math.max(0, quota - 1), at).charge).to.equal(true)
      if (quota >= tokens.promptTokens + tokens.completionTokens) expect(charge).to.equal(0n)
    }))
    const at = { promptMicroCredits: 1_000n, completionMicroCredits: 10_000n }
    expect(chargeOf({ promptTokens: 100, completionTokens: 50 }, 120, at)).to.deep.equal({ charge: 300n, quotaTokens: 120 })
    expect(chargeOf({ promptTokens: 100, completionTokens: 50 }, 60, at)).to.deep.equal({ charge: 540n, quotaTokens: 60 })
    expect(chargeOf({ promptTokens: 1, completionTokens: 0 }, 0, { promptMicroCredits: 1n, completionMicroCredits: 1n }).charge).to.equal(1n)
  })
})
