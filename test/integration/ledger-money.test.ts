/** Money in three ledgers in one process: orders find the hub that clears, rights move, and what is logged is there after a restart. */
import { expect } from 'chai'
import { join } from 'node:path'
import type { HubLedger } from '../../ledger/interface.ts'
import { homeOf } from '../../ledger/fold/homes.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import { cryptoRandom, join2, openTestLedger, temporaryDir, testWorld, type TestLink } from '../support/ledger-world.ts'
import { until } from '../support/until.ts'

const world = testWorld()
const hubKeys = world.hubs.map(({ signer }) => signer.publicKey)
const pairs = [[0, 1], [0, 2], [1, 2]] as const
const codeOf = (promise: Promise<unknown>) => promise.then(() => 'none', (error: TriforceError) => error.code)

/** A key whose account has its home at this hub. */
function keyAt(home: number): { readonly publicKey: Uint8Array; readonly account: Uint8Array } {
  for (;;) {
    const publicKey = cryptoRandom.bytes(32)
    const account = accountIdOf(publicKey)
    if (homeOf(hubKeys, toHex(account)) === home) return { publicKey, account }
  }
}

async function threeHubs() {
  const dir = await temporaryDir()
  const hubs = new Map<number, HubLedger>()
  const links = new Map<string, TestLink>()
  const problems: unknown[] = []
  const self = {
    problems,
    at: (index: number) => hubs.get(index)!,
    open: async (index: number) => {
      hubs.set(index, await openTestLedger(world, index, join(dir.path, String(index)), { ownLog: { aloneWaitMs: 50, mayBeginAlone: true }, core: { spread: false } }))
    },
    connect: (a: number, b: number) => { links.set(`${a}${b}`, join2(self.at(a), a, self.at(b), b, (error) => problems.push(error))) },
    connectAll: () => { for (const [a, b] of pairs) self.connect(a, b) },
    cutOff: (index: number) => { for (const [a, b] of pairs) if (a === index || b === index) links.get(`${a}${b}`)?.cut() },
    ready: () => Promise.all([...hubs.values()].map((hub) => hub.whenWritable({ signal: AbortSignal.timeout(10_000) }))),
    close: async () => {
      for (const link of links.values()) link.cut()
      for (const hub of hubs.values()) await hub.close()
      hubs.clear()
    },
    equal: () => until('heads are equal', () => new Set([...hubs.values()].map((hub) => JSON.stringify(hub.heads()))).size === 1),
    end: async () => {
      await self.close()
      await dir.remove()
    },
  }
  for (const index of [0, 1, 2]) await self.open(index)
  self.connectAll()
  await self.ready()
  // A hub that has not heard of another one's log yet cannot ask it.
  await self.equal()
  return self
}

const spend = { requestHash: new Uint8Array(32), provider: 'openai', model: 'gpt-4-turbo' }

describe('ledger: money at three hubs', function () {
  this.timeout(60_000)

  it('logs a mint at the home of the account, whichever hub is asked, once, and every hub shows it', async () => {
    const hubs = await threeHubs()
    const { publicKey, account } = keyAt(2)
    await hubs.at(0).openAccount({ publicKey, name: 'Ada', tier: 'free' })
    const grant = { account, amountMicroCredits: 7_000_000n, source: 'welcome' }
    const first = await hubs.at(0).grant(grant)
    expect(first).to.deep.include({ hub: 2, known: false, durability: 'replicated' })
    // The hub that was asked has it in its state when it answers.
    expect(hubs.at(0).money(account)!.balance.available).to.equal(7_000_000n)
    for (const index of [1, 2]) expect(await hubs.at(index).grant(grant)).to.deep.equal({ ...first, known: true })
    expect(await codeOf(hubs.at(1).grant({ ...grant, amountMicroCredits: 1n }))).to.equal('ENTRY_CONFLICT')
    expect(await codeOf(hubs.at(1).grant({ ...grant, account: cryptoRandom.bytes(16) }))).to.equal('ENTRY_INVALID')
    expect((await hubs.at(1).purchase({ account, amountMicroCredits: 3_000_000n, payment: 'pi_1', product: 'pack' })).hub).to.equal(2)
    expect((await hubs.at(0).chargeback({ account, amountMicroCredits: 3_000_000n, payment: 'pi_1' })).hub).to.equal(2)
    expect((await hubs.at(0).setTier({ account, tier: 'pro' })).hub).to.equal(2)
    expect((await hubs.at(1).setTier({ account, tier: 'pro' })).known).to.equal(true)
    await hubs.equal()
    for (const index of [0, 1, 2]) {
      expect(hubs.at(index).account(account)).to.deep.include({ tier: 'pro', balanceMicroCredits: 7_000_000n })
      expect((await hubs.at(index).audit()).problems).to.deep.equal([])
    }
    expect(hubs.problems).to.deep.equal([])
    await hubs.end()
  })

  it('spends at every hub what was minted at one, and the same after all were closed and opened', async () => {
    const hubs = await threeHubs()
    const { publicKey, account } = keyAt(0)
    await hubs.at(1).openAccount({ publicKey, name: 'Ada', tier: 'free' })
    await hubs.at(1).grant({ account, amountMicroCredits: 1_000_000_000n, source: 'welcome' })
    for (const index of [0, 1, 2]) {
      const request = cryptoRandom.bytes(16)
      const ask = { ...spend, request, account, promptTokens: 20_000, completionTokensMax: 1_000 }
      const held = await hubs.at(index).hold(ask)
      expect(held).to.deep.include({ hub: index, durability: 'replicated', known: false })
      expect(await hubs.at(index).hold(ask)).to.deep.include({ known: true, creditsMicroCredits: held.creditsMicroCredits })
      const settled = await hubs.at(index).settle({ hold: held.hold, promptTokens: 20_000, completionTokens: 500 })
      expect(settled.chargeMicroCredits > 0n).to.equal(true)
    }
    await hubs.equal()
    await until('nothing is on its way', () => hubs.at(0).money(account)!.balance.inflight === 0n)
    await hubs.equal()
    const before = hubs.at(0).money(account)!
    const audits = await Promise.all([0, 1, 2].map((index) => hubs.at(index).audit()))
    expect(new Set(audits.map(({ root }) => toHex(root))).size).to.equal(1)
    expect(audits.flatMap(({ problems }) => problems)).to.deep.equal([])

    // Page by page, newest first, nothing twice and nothing left out.
    const to = Date.now()
    await hubs.equal()
    const whole = await hubs.at(2).statement({ account, limit: 1_000, to })
    const paged = []
    for (let after = undefined as { at: number; id: Uint8Array } | undefined; ;) {
      const page = await hubs.at(2).statement({ account, limit: 2, to, ...(after === undefined ? {} : { after }) })
      if (page.length === 0) break
      paged.push(...page)
      after = { at: page.at(-1)!.at, id: page.at(-1)!.id }
    }
    expect(paged.map(({ id }) => toHex(id))).to.deep.equal(whole.map(({ id }) => toHex(id)))
    expect(whole.reduce((sum, { amount }) => sum + amount, 0n)).to.equal(before.balance.available)
    expect(whole.reduce((sum, { held }) => sum + held, 0n)).to.equal(0n)
    expect(await hubs.at(2).statement({ account, limit: 10, to: whole.at(-1)!.at })).to.deep.equal([])
    expect(await hubs.at(2).statement({ account, limit: 1_000, from: whole[0]!.at, to: whole[0]!.at + 1 })).to.have.length(whole.filter(({ at }) => at === whole[0]!.at).length)

    await hubs.close()
    for (const index of [0, 1, 2]) await hubs.open(index)
    const owned = (index: number) => { const { available, inflight } = hubs.at(index).money(account)!.balance; return available + inflight }
    for (const index of [0, 1, 2]) expect(owned(index)).to.equal(before.balance.available)
    hubs.connectAll()
    await hubs.ready()
    await hubs.at(2).grant({ account, amountMicroCredits: 1n, source: 'after' })
    expect(owned(2)).to.equal(before.balance.available + 1n)
    expect(hubs.problems).to.deep.equal([])
    await hubs.end()
  })

  it('reports no mint that only one disk has, and logs it once when it is repeated', async () => {
    const hubs = await threeHubs()
    const { publicKey, account } = keyAt(0)
    await hubs.at(0).openAccount({ publicKey, name: 'Ada', tier: 'free' })
    await hubs.equal()
    hubs.cutOff(0)
    const grant = { account, amountMicroCredits: 5n, source: 'alone' }
    expect(await codeOf(hubs.at(0).grant(grant))).to.equal('HUB_ISOLATED')
    // The others cannot log it, and say whose turn it is.
    expect(await codeOf(hubs.at(1).grant(grant))).to.equal('NOT_HOME')
    hubs.connectAll()
    await until('the hubs are joined', async () => (await codeOf(hubs.at(1).grant(grant))) === 'none')
    await hubs.equal()
    for (const index of [0, 1, 2]) expect(hubs.at(index).money(account)!.balance.available).to.equal(5n)
    await hubs.end()
  })

  it('holds the same request once, also when it is asked for many times at once', async () => {
    const hubs = await threeHubs()
    const { publicKey, account } = keyAt(1)
    await hubs.at(1).openAccount({ publicKey, name: 'Ada', tier: 'free' })
    await hubs.at(1).grant({ account, amountMicroCredits: 900_000_000n, source: 'welcome' })
    const ask = { ...spend, request: cryptoRandom.bytes(16), account, promptTokens: 20_000, completionTokensMax: 100 }
    const holds = await Promise.all(Array.from({ length: 20 }, () => hubs.at(0).hold(ask)))
    expect(new Set(holds.map(({ hold }) => toHex(hold))).size).to.equal(1)
    expect(hubs.at(0).money(account)!.balance.held).to.equal(holds[0]!.creditsMicroCredits)
    expect(await codeOf(hubs.at(0).hold({ ...ask, requestHash: new Uint8Array(32).fill(1) }))).to.equal('ENTRY_CONFLICT')
    await hubs.at(0).expire(holds[0]!.hold)
    expect(hubs.at(0).money(account)!.balance).to.deep.include({ held: 0n, available: 900_000_000n - hubs.at(0).money(account)!.balance.inflight })
    await hubs.end()
  })

  it('lets a table change hold once two hubs have signed it, and not before', async () => {
    const hubs = await threeHubs()
    const { rev, content } = hubs.at(0).table('prices')
    const proposed = await hubs.at(0).proposeChange({ type: 'table', table: 'prices', rev: rev + 1, content })
    await until('hub 1 knows the change', () => hubs.at(1).changes().length === 1)
    expect(hubs.at(1).changes()[0]!.hubs).to.deep.equal([0])
    expect(hubs.at(1).table('prices').rev).to.equal(rev)
    const approved = await hubs.at(1).approveChange(proposed.id)
    expect(approved.hubs).to.deep.equal([0, 1])
    await hubs.equal()
    for (const index of [0, 1, 2]) expect(hubs.at(index).table('prices').rev).to.equal(rev + 1)
    expect(await codeOf(hubs.at(2).approveChange(new Uint8Array(16)))).to.equal('NOT_FOUND')
    expect(await codeOf(hubs.at(2).proposeChange({ type: 'table', table: 'prices', rev: rev + 1, content }))).to.equal('ENTRY_INVALID')
    expect(await codeOf(hubs.at(2).proposeChange({ type: 'table', table: 'prices', rev: rev + 2, content: { nonsense: true } }))).to.equal('ENTRY_INVALID')
    await hubs.end()
  })
})
