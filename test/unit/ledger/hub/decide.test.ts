import { expect } from 'chai'
import { accountIdOf } from '../../../../protocol/api-key.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { toTriforceError } from '../../../../protocol/errors.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { changeIdOf, encodeAdminChange, type AdminChange } from '../../../../ledger/admin-change.ts'
import { holdEidOf } from '../../../../ledger/entries/entry.ts'
import { decideAddKey, decideOpenAccount, decideRevokeKey, decideSetTier } from '../../../../ledger/hub/decide/accounts.ts'
import { decideApproval } from '../../../../ledger/hub/decide/changes.ts'
import { decidePresence, receiptRate } from '../../../../ledger/hub/decide/earning.ts'
import { decideHold, type HoldAsk } from '../../../../ledger/hub/decide/hold.ts'
import { decideChargeback, decideGrant, decidePurchase } from '../../../../ledger/hub/decide/money.ts'
import { decideExpire, decideExtend, decideProgress, decideRefund, decideSettle } from '../../../../ledger/hub/decide/running.ts'
import type { Intent } from '../../../../ledger/hub/events.ts'
import type { HubState } from '../../../../ledger/hub/hub-state.ts'
import { GRANTS_PER_DAY_MICRO_CREDITS } from '../../../../ledger/rules.ts'
import { plan } from '../../../../ledger/tables/plan.ts'
import { createCoreWorld, START_MS, type CoreWorld } from '../../../support/core-world.ts'
import { testKey } from '../../../support/federation.ts'

const CREDIT = 1_000_000n
const bytes = (value: number, length = 16) => new Uint8Array(length).fill(value)

function ask(account: Uint8Array, request: number, more: Partial<HoldAsk> = {}): HoldAsk {
  return { request: bytes(request), requestHash: bytes(request, 32), account, provider: 'groq', model: 'llama', promptTokens: 0, completionTokensMax: 1_000, ...more }
}

const hold = (hub: number, request: number) => holdEidOf(hub, bytes(request))

/** What the intent ends with at this hub: the kinds of its entries, or the code of its refusal. */
function outcome(world: CoreWorld, index: number, make: (hub: HubState) => Intent): string {
  try {
    return world.done(index, make(world.hubs[index]!.hub)).entries.map(({ entry }) => entry.k).join(' ') || 'nothing'
  } catch (error) {
    return toTriforceError(error).code
  }
}

describe('decisions about accounts', () => {
  it('open once, name known tiers, and never take back a revoked key', () => {
    const world = createCoreWorld()
    const publicKey = testKey().signer.publicKey
    const other = testKey().signer.publicKey
    const id = accountIdOf(publicKey)
    const steps: [string, (hub: HubState) => Intent][] = [
      ['ENTRY_INVALID', (hub) => decideOpenAccount(hub, { publicKey, name: 'a', tier: 'platinum' })],
      ['ENTRY_INVALID', (hub) => decideAddKey(hub, { publicKey: other, account: id, name: 'k' })],
      ['AccountOpen', (hub) => decideOpenAccount(hub, { publicKey, name: 'a', tier: 'free' })],
      ['AccountOpen', (hub) => decideOpenAccount(hub, { publicKey, name: 'a', tier: 'free' })],
      ['ENTRY_CONFLICT', (hub) => decideOpenAccount(hub, { publicKey, name: 'b', tier: 'free' })],
      ['KeyAdd', (hub) => decideAddKey(hub, { publicKey: other, account: id, name: 'k' })],
      ['ENTRY_CONFLICT', (hub) => decideAddKey(hub, { publicKey: other, account: id, name: 'another' })],
      ['KeyRevoke', (hub) => decideRevokeKey(hub, { publicKey })],
      ['ENTRY_INVALID', (hub) => decideAddKey(hub, { publicKey, account: id, name: 'k' })],
    ]
    for (const [place, [expected, make]] of steps.entries()) expect(outcome(world, 0, make), `step ${place}`).to.equal(expected)
  })

  it('change tiers at home only, one revision after the other', () => {
    const world = createCoreWorld()
    const { id } = world.account(1)
    expect(outcome(world, 0, (hub) => decideSetTier(hub, { account: id, tier: 'pro' }))).to.equal('NOT_HOME')
    expect(outcome(world, 1, (hub) => decideSetTier(hub, { account: id, tier: 'platinum' }))).to.equal('ENTRY_INVALID')
    expect(outcome(world, 1, (hub) => decideSetTier(hub, { account: id, tier: 'free' }))).to.equal('nothing')
    const raced = decideSetTier(world.hubs[1]!.hub, { account: id, tier: 'enterprise' })
    expect(outcome(world, 1, (hub) => decideSetTier(hub, { account: id, tier: 'pro' }))).to.equal('TierSet')
    expect(outcome(world, 1, () => ({ ...raced, same: () => false }))).to.equal('ENTRY_CONFLICT')
    expect(outcome(world, 1, (hub) => decideSetTier(hub, { account: id, tier: 'enterprise' }))).to.equal('TierSet')
    expect(world.hubs[0]!.hub.state.accounts.get(toHex(id))!.tiers.map(({ rev, tier }) => `${rev} ${tier}`)).to.deep.equal(['1 pro', '2 enterprise'])
  })
})

describe('decisions about money that comes in', () => {
  it('are taken by the home hub, once, for known accounts', () => {
    const world = createCoreWorld()
    const { id } = world.account(2)
    const grant = (amount: bigint, source: string) => (hub: HubState) => decideGrant(hub, { account: id, amountMicroCredits: amount, source })
    const buy = (payment: string) => (hub: HubState) => decidePurchase(hub, { account: id, amountMicroCredits: 500n * CREDIT, payment, product: 'pack-5' })
    const back = (payment: string, amount: bigint) => (hub: HubState) => decideChargeback(hub, { account: id, amountMicroCredits: amount, payment })
    const steps: [number, string, (hub: HubState) => Intent][] = [
      [0, 'NOT_HOME', grant(5n, 'a')],
      [2, 'ENTRY_INVALID', (hub) => decideGrant(hub, { account: bytes(77), amountMicroCredits: 5n, source: 'a' })],
      [2, 'Grant', grant(5n * CREDIT, 'a')],
      [2, 'ENTRY_CONFLICT', grant(6n * CREDIT, 'a')],
      [1, 'NOT_HOME', buy('pay1')],
      [2, 'Purchase', buy('pay1')],
      [2, 'ENTRY_INVALID', back('pay2', 500n * CREDIT)],
      [2, 'Chargeback', back('pay1', 500n * CREDIT)],
    ]
    for (const [place, [hub, expected, make]] of steps.entries()) expect(outcome(world, hub, make), `step ${place}`).to.equal(expected)
    expect(world.hubs[0]!.hub.state.accounts.get(toHex(id))!.rights.get('2/1')).to.equal(5n * CREDIT)
  })

  it('name the home hub where another one is asked', () => {
    const world = createCoreWorld()
    const { id } = world.account(2)
    try {
      world.done(0, decideGrant(world.hubs[0]!.hub, { account: id, amountMicroCredits: 1n, source: 'x' }))
      expect.fail('it was logged')
    } catch (error) {
      expect((error as { context: object }).context).to.deep.equal({ hub: 2 })
    }
  })

  it('keep to the daily budget, beyond which two hubs must have signed exactly this grant', () => {
    const world = createCoreWorld()
    const { id } = world.account(0)
    const amount = GRANTS_PER_DAY_MICRO_CREDITS
    expect(outcome(world, 0, (hub) => decideGrant(hub, { account: id, amountMicroCredits: amount, source: 'all of it' }))).to.equal('Grant')
    expect(outcome(world, 0, (hub) => decideGrant(hub, { account: id, amountMicroCredits: 1n, source: 'more' }))).to.equal('BUDGET_EXCEEDED')

    const change: AdminChange = { v: 1, network: 'core-test', change: { type: 'grant', account: id, amount: 7n, source: 'more' }, createdAt: START_MS }
    const approved = changeIdOf(encodeAdminChange(change))
    const more = (hub: HubState) => decideGrant(hub, { account: id, amountMicroCredits: 7n, source: 'more', approved })
    expect(outcome(world, 0, more)).to.equal('NEEDS_SECOND_HUB')
    const sign = (index: number) => (hub: HubState) => decideApproval(hub, signDocument(testKey(new Uint8Array(32).fill(index + 1)).signer, 'adminChange', change))
    expect(outcome(world, 1, sign(1))).to.equal('Approval')
    expect(outcome(world, 0, more)).to.equal('NEEDS_SECOND_HUB')
    expect(outcome(world, 2, sign(2))).to.equal('Approval')
    expect(outcome(world, 0, (hub) => decideGrant(hub, { account: id, amountMicroCredits: 8n, source: 'more', approved }))).to.equal('ENTRY_INVALID')
    // The home hub logs it by itself.
    world.tick()
    world.settle()
    expect(world.hubs[1]!.hub.state.accounts.get(toHex(id))!.minted).to.equal(amount + 7n)
    expect(outcome(world, 0, more)).to.equal('Grant')
    expect(world.hubs[1]!.hub.state.accounts.get(toHex(id))!.minted).to.equal(amount + 7n)
  })
})

describe('changes of tables', () => {
  it('are signed for the next revision only, one content for each hub', () => {
    const world = createCoreWorld()
    const dearer = (rev: number, extra: bigint): AdminChange => ({
      v: 1, network: 'core-test', createdAt: START_MS,
      change: { type: 'table', table: 'prices', rev, content: { ...plan.prices, rows: plan.prices.rows.map((row) => ({ ...row, completionMicroCredits: row.completionMicroCredits + extra })) } },
    })
    const sign = (index: number, change: AdminChange) => (hub: HubState) => decideApproval(hub, signDocument(testKey(new Uint8Array(32).fill(index + 1)).signer, 'adminChange', change))
    expect(outcome(world, 0, sign(0, dearer(2, 1n)))).to.equal('ENTRY_INVALID')
    expect(outcome(world, 0, sign(0, { ...dearer(1, 1n), network: 'elsewhere' }))).to.equal('ENTRY_INVALID')
    expect(outcome(world, 0, sign(0, dearer(1, 1n)))).to.equal('Approval')
    expect(outcome(world, 0, sign(0, dearer(1, 2n)))).to.equal('ENTRY_CONFLICT')
    expect(world.hubs[2]!.hub.state.tables.size).to.equal(0)
    expect(outcome(world, 1, sign(1, dearer(1, 1n)))).to.equal('Approval')
    expect([...world.hubs[2]!.hub.state.tables.keys()]).to.deep.equal(['prices/1'])
  })
})

describe('holds', () => {
  it('take the quota first, then credits, and pin price and tier', () => {
    const world = createCoreWorld()
    const { id, hex } = world.account(0)
    world.done(0, decideGrant(world.hubs[0]!.hub, { account: id, amountMicroCredits: 100n * CREDIT, source: 'a' }))
    world.cut(0, 1)
    world.cut(0, 2)
    // 5,000 of the 10,000 free tokens are this hub's share; 7,000 more cost 10 credits for 1,000.
    const { entries } = world.done(0, decideHold(world.hubs[0]!.hub, ask(id, 1, { provider: 'anthropic', model: 'claude-3-5-sonnet', promptTokens: 6_000, completionTokensMax: 6_000 })))
    const entry = entries.at(-1)!.entry
    if (entry.k !== 'Hold') return expect.fail('no hold')
    expect({ credits: entry.credits, quota: entry.quota!.tokens, tier: entry.quota!.tier, row: entry.priceRow, rev: entry.priceRev })
      .to.deep.equal({ credits: 70n * CREDIT, quota: 5_000, tier: 'free', row: 'claude-sonnet', rev: 0 })
    const state = world.hubs[0]!.hub.state.accounts.get(hex)!
    expect([state.held, state.rights.get('0/1')]).to.deep.equal([70n * CREDIT, 30n * CREDIT])
    world.done(0, decideSettle(world.hubs[0]!.hub, { hold: hold(0, 1), promptTokens: 6_000, completionTokens: 51 }))
    // 1,051 tokens beyond the quota.
    expect(world.hubs[0]!.hub.state.holds.get(toHex(hold(0, 1)))!.outcome).to.deep.include({ charge: 10_510_000n, quotaTokens: 5_000 })
    expect(state.rights.get('0/1')).to.equal(100n * CREDIT - 10_510_000n)
  })

  it('cost nothing for local models, and no quota', () => {
    const world = createCoreWorld()
    const { id, hex } = world.account(0, 'nothing')
    expect(outcome(world, 1, (hub) => decideHold(hub, ask(id, 1, { provider: 'ollama', model: 'llama3' })))).to.equal('Hold')
    expect(world.hubs[0]!.hub.state.accounts.get(hex)!.quota.size).to.equal(0)
  })

  it('have no bound of tokens under an unlimited tier', () => {
    const world = createCoreWorld()
    const { id } = world.account(0, 'unlimited')
    expect(outcome(world, 1, (hub) => decideHold(hub, ask(id, 1, { completionTokensMax: 5_000_000 })))).to.equal('Hold')
  })

  it('are one for one request, at one hub', () => {
    const world = createCoreWorld()
    const { id } = world.account(0)
    expect(outcome(world, 0, (hub) => decideHold(hub, ask(id, 1)))).to.equal('Hold')
    expect(world.done(0, decideHold(world.hubs[0]!.hub, ask(id, 1))).known).to.equal(true)
    expect(outcome(world, 0, (hub) => decideHold(hub, ask(id, 1, { requestHash: bytes(9, 32) })))).to.equal('ENTRY_CONFLICT')
  })

  const refusals: [string, string, (world: CoreWorld, id: Uint8Array) => void, Partial<HoldAsk>][] = [
    ['neither quota nor credits', 'QUOTA_EXCEEDED', () => {}, { completionTokensMax: 20_000 }],
    ['too few credits', 'INSUFFICIENT_CREDITS', (world, id) => { world.done(0, decideGrant(world.hubs[0]!.hub, { account: id, amountMicroCredits: 5n, source: 'a' })) }, { completionTokensMax: 20_000 }],
    ['credits at a hub that does not answer', 'RIGHTS_UNREACHABLE', (world, id) => {
      world.done(0, decideGrant(world.hubs[0]!.hub, { account: id, amountMicroCredits: 50n * CREDIT, source: 'a' }))
      world.cut(0, 1)
    }, { completionTokensMax: 20_000 }],
    ['a debt', 'ACCOUNT_IN_DEBT', (world, id) => {
      world.done(0, decidePurchase(world.hubs[0]!.hub, { account: id, amountMicroCredits: 50n * CREDIT, payment: 'p', product: 'pack-5' }))
      world.done(1, decideHold(world.hubs[1]!.hub, ask(id, 200, { completionTokensMax: 30_000 })))
      world.done(0, decideChargeback(world.hubs[0]!.hub, { account: id, amountMicroCredits: 50n * CREDIT, payment: 'p' }))
    }, {}],
    ['a hold of this hub named as superseded', 'ENTRY_INVALID', () => {}, { supersedes: { hub: 1, hold: hold(1, 5) } }],
  ]
  for (const [name, code, prepare, more] of refusals) {
    it(`are refused for ${name}: ${code}`, () => {
      const world = createCoreWorld()
      const { id } = world.account(0)
      prepare(world, id)
      expect(outcome(world, 1, (hub) => decideHold(hub, ask(id, 1, more)))).to.equal(code)
    })
  }

  it('are refused for an unknown account', () => {
    expect(outcome(createCoreWorld(), 1, (hub) => decideHold(hub, ask(bytes(5), 1)))).to.equal('ENTRY_INVALID')
  })

  it('are shorter where the asker takes less', () => {
    const world = createCoreWorld()
    const { id } = world.account(0, 'nothing')
    world.done(0, decideGrant(world.hubs[0]!.hub, { account: id, amountMicroCredits: 3n * CREDIT, source: 'a' }))
    expect(outcome(world, 0, (hub) => decideHold(hub, ask(id, 1, { completionTokensMax: 10_000 })))).to.equal('INSUFFICIENT_CREDITS')
    const { entries } = world.done(0, decideHold(world.hubs[0]!.hub, ask(id, 2, { completionTokensMax: 10_000, completionTokensMin: 500 })))
    expect(entries.at(-1)!.entry).to.deep.include({ k: 'Hold', credits: 3n * CREDIT })
  })

  it('that another hub has settled are answered with what it cost', () => {
    const world = createCoreWorld()
    const { id } = world.account(0)
    world.done(0, decideHold(world.hubs[0]!.hub, ask(id, 1)))
    const again = ask(id, 1, { supersedes: { hub: 0, hold: hold(0, 1) } })
    expect(outcome(world, 2, (hub) => decideHold(hub, { ...again, requestHash: bytes(3, 32) }))).to.equal('ENTRY_CONFLICT')
    world.done(0, decideSettle(world.hubs[0]!.hub, { hold: hold(0, 1), promptTokens: 0, completionTokens: 10 }))
    expect(outcome(world, 1, (hub) => decideHold(hub, again))).to.equal('HOLD_DONE')
  })

  it('are refused where the request was begun too often', () => {
    const world = createCoreWorld()
    const { id } = world.account(0)
    const again = { supersedes: { hub: 0, hold: hold(0, 99) }, requestHash: bytes(3, 32), provider: 'local' }
    for (let number = 1; number <= 32; number += 1) world.done(1, decideHold(world.hubs[1]!.hub, ask(id, number, again)))
    expect(outcome(world, 1, (hub) => decideHold(hub, ask(id, 33, again)))).to.equal('ENTRY_INVALID')
  })

  it('that two hubs settled are paid back by the first', () => {
    const world = createCoreWorld()
    const { id } = world.account(0)
    world.done(0, decideHold(world.hubs[0]!.hub, ask(id, 1)))
    world.done(1, decideHold(world.hubs[1]!.hub, ask(id, 1, { supersedes: { hub: 0, hold: hold(0, 1) } })))
    for (const hub of [0, 1]) world.done(hub, decideSettle(world.hubs[hub]!.hub, { hold: hold(hub, 1), promptTokens: 0, completionTokens: 10 + hub }))
    world.tick()
    world.settle()
    const { holds } = world.hubs[2]!.hub.state
    expect([holds.get(toHex(hold(0, 1)))!.refundedTokens, holds.get(toHex(hold(1, 1)))!.refundedTokens]).to.deep.equal([10, 0])
  })
})

describe('a running hold', () => {
  function running() {
    const world = createCoreWorld()
    const { id, hex } = world.account(0, 'nothing')
    world.done(0, decideGrant(world.hubs[0]!.hub, { account: id, amountMicroCredits: 10n * CREDIT, source: 'a' }))
    world.done(0, decideHold(world.hubs[0]!.hub, ask(id, 1)))
    return { world, id, hex, hold: hold(0, 1), rights: () => world.hubs[1]!.hub.state.accounts.get(hex)!.rights.get('0/1') }
  }

  it('is extended step by step, settled once for what was used, and never beyond what is held', () => {
    const { world, hold, rights } = running()
    const steps: [string, (hub: HubState) => Intent][] = [
      ['HOLD_UNKNOWN', (hub) => decideExtend(hub, { hold: bytes(9), step: 1, promptTokens: 0, completionTokensMax: 2_000 })],
      ['ENTRY_INVALID', (hub) => decideExtend(hub, { hold, step: 2, promptTokens: 0, completionTokensMax: 2_000 })],
      ['Extend', (hub) => decideExtend(hub, { hold, step: 1, promptTokens: 0, completionTokensMax: 2_000 })],
      ['INSUFFICIENT_CREDITS', (hub) => decideExtend(hub, { hold, step: 2, promptTokens: 0, completionTokensMax: 20_000 })],
      ['Progress', (hub) => decideProgress(hub, { hold, step: 1, promptTokens: 0, completionTokens: 700 })],
      ['ENTRY_INVALID', (hub) => decideProgress(hub, { hold, step: 2, promptTokens: 0, completionTokens: 600 })],
      ['Progress', (hub) => decideProgress(hub, { hold, step: 3, promptTokens: 0, completionTokens: 900 })],
      ['nothing', (hub) => decideProgress(hub, { hold, step: 2, promptTokens: 0, completionTokens: 800 })],
      ['ENTRY_INVALID', (hub) => decideRefund(hub, { hold, amountMicroCredits: 1n, reason: 'r' })],
      ['Settle', (hub) => decideSettle(hub, { hold, promptTokens: 0, completionTokens: 1_000_000 })],
      ['Settle', (hub) => decideSettle(hub, { hold, promptTokens: 0, completionTokens: 1_000_000 })],
      ['ENTRY_CONFLICT', (hub) => decideSettle(hub, { hold, promptTokens: 0, completionTokens: 3 })],
      ['HOLD_OVER', (hub) => decideExpire(hub, { hold })],
      ['HOLD_OVER', (hub) => decideExtend(hub, { hold, step: 2, promptTokens: 0, completionTokensMax: 2_500 })],
      ['ENTRY_INVALID', (hub) => decideRefund(hub, { hold, amountMicroCredits: 3n * CREDIT, reason: 'too much' })],
      ['Refund', (hub) => decideRefund(hub, { hold, amountMicroCredits: CREDIT, reason: 'a part' })],
      ['Refund', (hub) => decideRefund(hub, { hold, amountMicroCredits: 'all', reason: 'the rest' })],
      ['nothing', (hub) => decideRefund(hub, { hold, amountMicroCredits: 'all', reason: 'again' })],
    ]
    for (const [place, [expected, make]] of steps.entries()) {
      expect(outcome(world, 0, make), `step ${place}`).to.equal(expected)
      if (place === 9) expect(rights(), 'two credits for two thousand tokens').to.equal(8n * CREDIT)
    }
    expect(rights()).to.equal(10n * CREDIT)
  })

  it('is acted on by its own hub only', () => {
    const { world, hold } = running()
    for (const make of [
      (hub: HubState) => decideSettle(hub, { hold, promptTokens: 0, completionTokens: 1 }), (hub: HubState) => decideExpire(hub, { hold }),
      (hub: HubState) => decideExtend(hub, { hold, step: 1, promptTokens: 0, completionTokensMax: 5 }),
    ]) expect(outcome(world, 1, make)).to.equal('NOT_HOME')
  })

  it('rounds up once, on all tokens together', () => {
    const { world, hold } = running()
    world.done(0, decideSettle(world.hubs[0]!.hub, { hold, promptTokens: 0, completionTokens: 333 }))
    expect(world.hubs[0]!.hub.state.holds.get(toHex(hold))!.outcome!.charge).to.equal(333_000n)
  })
})

describe('what time earns', () => {
  const gpu = { name: 'NVIDIA GeForce RTX 4090', vramBytes: 24 * 1024 ** 3 }

  it('is the rate of the device, nothing for the own account and nothing without a signature', () => {
    const world = createCoreWorld()
    const earner = world.account(0)
    const payer = world.account(1)
    const contributor = testKey().signer.publicKey
    const { hub } = world.hubs[0]!
    const facts = { contributor, payer: payer.id, half: { device: 'gpu0' }, announced: [{ device: 'gpu0', hardware: gpu }] }
    expect(receiptRate(hub, facts, START_MS), 'a key of no account').to.equal(0n)
    world.done(0, decideAddKey(hub, { publicKey: contributor, account: earner.id, name: 'gpu' }))
    expect(receiptRate(hub, facts, START_MS)).to.equal(40n * CREDIT)
    expect(receiptRate(hub, { ...facts, announced: [{ device: 'gpu0', hardware: undefined }] }, START_MS)).to.equal(CREDIT)
    expect(receiptRate(hub, { ...facts, payer: earner.id }, START_MS)).to.equal(0n)
    expect(receiptRate(hub, { ...facts, half: undefined }, START_MS)).to.equal(0n)
    world.done(0, decideSetTier(hub, { account: earner.id, tier: 'unlimited' }))
    expect(receiptRate(hub, facts, START_MS)).to.equal(80n * CREDIT)
    world.done(0, decideRevokeKey(hub, { publicKey: contributor }))
    expect(receiptRate(hub, facts, START_MS)).to.equal(0n)
  })

  it('of several devices is a rate of each that was announced, once, in the order of the half', () => {
    const world = createCoreWorld()
    const earner = world.account(0)
    const contributor = testKey().signer.publicKey
    const { hub } = world.hubs[0]!
    world.done(0, decideAddKey(hub, { publicKey: contributor, account: earner.id, name: 'gpus' }))
    const facts = {
      contributor, payer: world.account(1).id, half: { device: 'b', devices: ['b', 'unheard of', 'a', 'b', 'a'] },
      announced: [{ device: 'a', hardware: gpu }, { device: 'b', hardware: { ...gpu, name: 'NVIDIA A100 80GB', vramBytes: 80 * 1024 ** 3 } }, { device: 'c', hardware: gpu }],
    }
    expect(receiptRate(hub, facts, START_MS)).to.deep.equal([{ device: 'b', rate: 150n * CREDIT }, { device: 'a', rate: 40n * CREDIT }])
    expect(receiptRate(hub, { ...facts, half: { device: 'b' } }, START_MS), 'one device').to.equal(150n * CREDIT)
    expect(receiptRate(hub, { ...facts, announced: [] }, START_MS), 'nothing announced').to.deep.equal([])
    expect(receiptRate(hub, { ...facts, half: { device: 'x', devices: ['x', 'y'] } }, START_MS)).to.deep.equal([])
    expect(receiptRate(hub, { ...facts, payer: earner.id }, START_MS), 'the own account').to.equal(0n)
    world.done(0, decideRevokeKey(hub, { publicKey: contributor }))
    expect(receiptRate(hub, facts, START_MS), 'a key of no account').to.deep.equal([])
  })

  it('is 30 % for standing by, logged for devices that earn', () => {
    const world = createCoreWorld()
    const earner = world.account(0)
    const contributor = testKey().signer.publicKey
    const presence = (hub: HubState) => decidePresence(hub, {
      contributor, boot: bytes(1), deviceFromMs: 0, deviceToMs: 60_000, wallFromMs: START_MS - 60_000, wallToMs: START_MS, devices: [{ device: 'gpu0', hardware: gpu }],
    })
    expect(outcome(world, 1, presence)).to.equal('nothing')
    world.done(0, decideAddKey(world.hubs[0]!.hub, { publicKey: contributor, account: earner.id, name: 'gpu' }))
    const { entries } = world.done(1, presence(world.hubs[1]!.hub))
    expect(entries[0]!.entry).to.deep.include({ k: 'Presence', devices: [{ device: 'gpu0', rate: 12n * CREDIT }] })
  })
})
