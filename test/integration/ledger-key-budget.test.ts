/** Budgets of API keys at three real ledgers: one log counts, however many ask at once and wherever. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'chai'
import type { HubLedger } from '../../ledger/interface.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { toTriforceError } from '../../protocol/errors.ts'
import type { KeyTerms } from '../../protocol/key-terms.ts'
import { MICRO_CREDITS_PER_CREDIT } from '../../protocol/units.ts'
import { codeOf } from '../support/code-of.ts'
import { testKey } from '../support/federation.ts'
import { join2, openTestLedger, temporaryDir, testWorld } from '../support/ledger-world.ts'
import { until } from '../support/until.ts'

const credits = (amount: number) => BigInt(amount) * MICRO_CREDITS_PER_CREDIT

describe('ledger: budgets of keys', function () {
  this.timeout(30_000)
  const world = testWorld()
  let dir: Awaited<ReturnType<typeof temporaryDir>>
  let hubs: HubLedger[] = []

  before(async () => {
    dir = await temporaryDir()
    hubs = await Promise.all([0, 1, 2].map((index) => openTestLedger(world, index, join(dir.path, String(index)))))
    for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) join2(hubs[a]!, a, hubs[b]!, b)
    await Promise.all(hubs.map((hub) => hub.whenWritable({ signal: AbortSignal.timeout(20_000) })))
  })
  after(async () => {
    await Promise.all(hubs.map((hub) => hub.close()))
    await dir.remove()
  })

  async function accountWithKey(terms: KeyTerms) {
    const owner = testKey()
    const key = testKey().signer.publicKey
    const account = accountIdOf(owner.signer.publicKey)
    await hubs[0]!.openAccount({ publicKey: owner.signer.publicKey, name: 'spender', tier: 'pro' })
    await hubs[0]!.addKey({ publicKey: key, account, name: 'limited', terms })
    await hubs[0]!.grant({ account, amountMicroCredits: credits(10_000), source: 'test' })
    await until('all hubs know the key and the money', () => hubs.every((hub) => hub.apiKey(key) !== undefined && (hub.account(account)?.balanceMicroCredits ?? 0n) === credits(10_000)))
    const home = hubs.findIndex((hub, index) => hub.clearingHub(account) === index)
    expect(home).to.be.at.least(0)
    /** 1,000 tokens of gpt-4o, which cost 10 credits where the quota of the day is used up. */
    const hold = (hub: number, tokens = 1_000) => {
      const request = new Uint8Array(randomBytes(16))
      return hubs[hub]!.hold({ request, requestHash: sha256(request), account, provider: 'openai', model: 'gpt-4o', promptTokens: 0, completionTokensMax: tokens, completionTokensMin: tokens, key })
    }
    // The quota is used first; what the budget counts is credits.
    const quota = await hubs[home]!.hold({ request: new Uint8Array(randomBytes(16)), requestHash: sha256(key), account, provider: 'openai', model: 'gpt-4o', promptTokens: 0, completionTokensMax: 250_000 })
    await hubs[home]!.settle({ hold: quota.hold, promptTokens: 0, completionTokens: 250_000 })
    return { key, account, home, hold }
  }

  it('is never exceeded by 64 holds at once, of which exactly those that fit are taken', async () => {
    const { key, home, hold } = await accountWithKey({ dayBudget: credits(95) })
    const outcomes = await Promise.all(Array.from({ length: 64 }, () => hold(home).then((held) => held, (reason: unknown) => toTriforceError(reason).code)))
    const held = outcomes.filter((outcome) => typeof outcome !== 'string')
    expect([held.length, new Set(outcomes.filter((outcome) => typeof outcome === 'string'))]).to.deep.equal([9, new Set(['KEY_BUDGET_SPENT'])])
    expect(hubs[home]!.keyUse(key)).to.deep.equal({ today: credits(90), total: credits(90) })
    // What a hold did not use comes back to the budget.
    for (const { hold: id } of held.slice(0, 2)) await hubs[home]!.settle({ hold: id, promptTokens: 0, completionTokens: 100 })
    await hubs[home]!.expire(held[2]!.hold)
    expect(hubs[home]!.keyUse(key).today).to.equal(credits(62))
    expect((await hold(home, 3_000)).creditsMicroCredits).to.equal(credits(30))
    expect(await codeOf(hold(home))).to.equal('KEY_BUDGET_SPENT')
  })

  it('is counted at the home of the account only, and told to all', async () => {
    const { key, account, home, hold } = await accountWithKey({ totalBudget: credits(20) })
    for (const other of [0, 1, 2].filter((index) => index !== home)) expect(await codeOf(hold(other))).to.equal('NOT_HOME')
    const { hold: id } = await hold(home)
    await hubs[home]!.settle({ hold: id, promptTokens: 0, completionTokens: 500 })
    await until('every hub knows the use', () => hubs.every((hub) => hub.keyUse(key).total === credits(5)))
    await hubs[home]!.refund({ hold: id, amountMicroCredits: credits(2), reason: 'test' })
    expect(hubs[home]!.keyUse(key).total).to.equal(credits(3))
    // A shorter answer is offered where the budget covers no more.
    const request = new Uint8Array(randomBytes(16))
    const shorter = await hubs[home]!.hold({ request, requestHash: sha256(request), account, provider: 'openai', model: 'gpt-4o', promptTokens: 0, completionTokensMax: 10_000, completionTokensMin: 100, key })
    expect([shorter.completionTokensMax, shorter.creditsMicroCredits]).to.deep.equal([1_700, credits(17)])
    expect(await codeOf(hubs[home]!.extend({ hold: shorter.hold, step: 1, promptTokens: 0, completionTokensMax: 2_000 }))).to.equal('KEY_BUDGET_SPENT')
  })
})
