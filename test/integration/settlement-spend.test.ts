/** Spends of paid answers against three real ledgers in one process. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'chai'
import type { HubLedger } from '../../ledger/interface.ts'
import { startSpend, type Spend, type SpendOptions, type SpendOrder } from '../../node/settlement/spend.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { MICRO_CREDITS_PER_CREDIT } from '../../protocol/units.ts'
import { codeOf } from '../support/code-of.ts'
import { testKey } from '../support/federation.ts'
import { join2, openTestLedger, realClock, temporaryDir, testWorld } from '../support/ledger-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'

const credits = (amount: number) => BigInt(Math.round(amount * 1_000)) * MICRO_CREDITS_PER_CREDIT / 1_000n

describe('node/settlement/spend', function () {
  this.timeout(60_000)
  const world = testWorld()
  let dir: Awaited<ReturnType<typeof temporaryDir>>
  let hubs: HubLedger[] = []

  before(async () => {
    dir = await temporaryDir()
    hubs = await Promise.all([0, 1, 2].map((index) => openTestLedger(world, index, join(dir.path, String(index)))))
    const failed: unknown[] = []
    for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) join2(hubs[a]!, a, hubs[b]!, b, (error) => failed.push(error))
    await Promise.all(hubs.map((hub) => hub.whenWritable({ signal: AbortSignal.timeout(30_000) })))
    expect(failed).to.deep.equal([])
  })
  after(async () => {
    await Promise.all(hubs.map((hub) => hub.close()))
    await dir.remove()
  })

  /** A new account that every hub knows. */
  async function accountWith(amount: number): Promise<Uint8Array> {
    const { publicKey } = testKey().signer
    const account = accountIdOf(publicKey)
    await hubs[0]!.openAccount({ publicKey, name: 'spender', tier: 'free' })
    if (amount > 0) await hubs[0]!.grant({ account, amountMicroCredits: credits(amount), source: 'test' })
    await until('all hubs know the account', () => hubs.every((_, hub) => hubs[hub]!.money(account) !== undefined && leftOf(account, hub).free === credits(amount)))
    return account
  }

  function orderOf(account: Uint8Array, part: Partial<SpendOrder> = {}): SpendOrder {
    const request = new Uint8Array(randomBytes(16))
    return { account, request, requestHash: sha256(request), provider: 'openai', model: 'gpt-4o', promptTokens: 1_000, completionTokensMax: 4_000, ...part }
  }

  const spendAt = (hub: number, order: SpendOrder, options: SpendOptions = {}, ledger: Pick<HubLedger, 'hold' | 'extend' | 'progress' | 'settle' | 'expire'> = hubs[hub]!): Promise<Spend> =>
    startSpend({ ledger, clock: realClock, log: quietLog() }, order, options)
  const money = (account: Uint8Array, hub = 0) => hubs[hub]!.money(account)!
  /** What can be spent, also where it is on its way from one hub to another just now. */
  function leftOf(account: Uint8Array, hub = 0) {
    const { available, inflight, held } = money(account, hub).balance
    return { free: available + inflight, held }
  }

  /** Uses up the quota of today, so that credits are needed. */
  async function withoutQuota(amount: number): Promise<Uint8Array> {
    const account = await accountWith(amount)
    for (const hub of [0, 1, 2]) {
      for (;;) {
        const left = 10_000 - money(account, hub).quota.usedTokens
        if (left <= 0) break
        const spend = await spendAt(hub, orderOf(account, { promptTokens: left - 1, completionTokensMax: 1 }))
        const settled = await spend.settle({ promptTokens: left - 1, completionTokens: 1 })
        expect(settled.chargeMicroCredits).to.equal(0n)
      }
    }
    // What one hub gave another is spendable nowhere until that one has accepted it.
    await until('the quota is used up everywhere and no credits are on their way', () => hubs.every((hub) => {
      const { balance, quota } = hub.money(account)!
      return quota.usedTokens === 10_000 && balance.inflight === 0n
    }))
    return account
  }

  it('takes the quota of the day first, then credits, and charges the exact use at the plan\'s price', async () => {
    const account = await withoutQuota(100)
    const spend = await spendAt(0, orderOf(account))
    expect([spend.priceRow, spend.settled]).to.deep.equal(['gpt-4o', undefined])
    // 1,000 of the prompt, 2,048 of the answer, and 258 in case the prompt was longer than it seemed.
    expect(leftOf(account)).to.deep.equal({ free: credits(100 - 33.06), held: credits(33.06) })
    expect(spend.used(700)).to.equal(true)
    const { chargeMicroCredits, quotaTokens } = await spend.settle({ promptTokens: 1_000, completionTokens: 1_234 })
    // 2,234 tokens at 10 credits for a thousand.
    expect([chargeMicroCredits, quotaTokens]).to.deep.equal([credits(22.34), 0])
    expect(leftOf(account)).to.deep.equal({ free: credits(77.66), held: 0n })
    await until('the others know it', () => [1, 2].every((hub) => leftOf(account, hub).free === credits(77.66)))
  })

  it('charges a prompt that was a little longer than it seemed without another entry', async () => {
    const account = await withoutQuota(100)
    const spend = await spendAt(0, orderOf(account, { promptTokens: 100, completionTokensMax: 16 }))
    const written = () => hubs[0]!.heads().reduce((sum, head) => sum + (head.hub === 0 ? head.frames : 0), 0)
    const before = written()
    const { chargeMicroCredits } = await spend.settle({ promptTokens: 125, completionTokens: 16 })
    expect([chargeMicroCredits, written() - before]).to.deep.equal([credits(1.41), 1])
  })

  it('holds a part first and more while the answer grows, up to what was asked for', async () => {
    const account = await accountWith(1_000)
    const spend = await spendAt(1, orderOf(account, { promptTokens: 20_000, completionTokensMax: 3_000 }), { firstTokens: 512, aheadTokens: 128 })
    expect(spend.coveredTokens).to.equal(512)
    let used = 0
    while (used < 3_000) {
      used = Math.min(3_000, used + 100)
      const goOn = spend.used(used)
      if (goOn !== true) expect(await goOn).to.equal(used < 3_000)
      expect(spend.coveredTokens).to.be.within(used, 3_000)
    }
    expect(spend.used(3_000)).to.equal(false)
    const settled = await spend.settle({ promptTokens: 20_000, completionTokens: 3_000 })
    expect(settled.chargeMicroCredits).to.equal(BigInt(23_000 - settled.quotaTokens) * 10_000n)
    expect(money(account, 1).balance.held).to.equal(0n)
  })

  it('ends the answer where the account can pay for no more, to the last credit, and never charges more than is there', async () => {
    const account = await withoutQuota(15)
    const spend = await spendAt(0, orderOf(account, { promptTokens: 1_000, completionTokensMax: 8_000 }), { firstTokens: 300, leastTokens: 100, aheadTokens: 100 })
    let used = 0
    for (;;) {
      const goOn = spend.used(used)
      if (goOn !== true && !await goOn) break
      used += 10
      expect(used).to.be.at.most(501)
    }
    // 15 credits pay for 1,500 tokens; up to a step too small for an extension is left over.
    expect(used).to.be.within(500 - 64, 500)
    expect((await spend.settle({ promptTokens: 1_000, completionTokens: 600 })).chargeMicroCredits <= credits(15)).to.equal(true)
    expect(money(account).balance.held).to.equal(0n)
  })

  it('refuses before the first byte where there is neither quota nor credit', async () => {
    const account = await withoutQuota(0)
    expect(await codeOf(spendAt(2, orderOf(account)))).to.be.oneOf(['QUOTA_EXCEEDED', 'INSUFFICIENT_CREDITS'])
    const poor = await withoutQuota(5)
    expect(await codeOf(spendAt(2, orderOf(poor, { promptTokens: 1_000 })))).to.equal('INSUFFICIENT_CREDITS')
    expect(leftOf(poor)).to.deep.equal({ free: credits(5), held: 0n })
  })

  it('gives everything back where nothing was delivered', async () => {
    const account = await withoutQuota(50)
    const spend = await spendAt(0, orderOf(account))
    expect(money(account).balance.held > 0n).to.equal(true)
    await spend.cancel()
    expect(leftOf(account)).to.deep.equal({ free: credits(50), held: 0n })
    expect(spend.used(1)).to.equal(false)
  })

  it('is one hold and one charge where the request is repeated', async () => {
    const account = await withoutQuota(50)
    const order = orderOf(account)
    const [first, same] = await Promise.all([spendAt(0, order), spendAt(0, order)])
    expect(Buffer.compare(first.hold, same.hold)).to.equal(0)
    const settled = await first.settle({ promptTokens: 1_000, completionTokens: 0 })
    const late = await spendAt(0, order)
    expect(late.settled).to.deep.include({ chargeMicroCredits: settled.chargeMicroCredits })
    expect(await late.settle({ promptTokens: 1_000, completionTokens: 0 })).to.deep.equal(settled)
    expect(leftOf(account)).to.deep.equal({ free: credits(40), held: 0n })
    expect(await codeOf(late.settle({ promptTokens: 1_000, completionTokens: 5 }))).to.be.oneOf(['HOLD_OVER', 'ENTRY_CONFLICT'])
  })

  it('spends at every hub what came in at one', async () => {
    const account = await withoutQuota(60)
    for (const hub of [0, 1, 2]) {
      const spend = await spendAt(hub, orderOf(account, { completionTokensMax: 500 }))
      expect((await spend.settle({ promptTokens: 1_000, completionTokens: 500 })).chargeMicroCredits).to.equal(credits(15))
    }
    await until('all hubs agree on what is left', () => [0, 1, 2].every((hub) => leftOf(account, hub).free === credits(15)))
  })

  it('tries a settlement again that fails for the moment, and no other', async () => {
    const account = await withoutQuota(50)
    const tries: string[] = []
    const failing = (code: 'LEDGER_READ_ONLY' | 'HOLD_OVER', times: number) => ({
      ...boundTo(hubs[0]!),
      settle: (ask: Parameters<HubLedger['settle']>[0]) => {
        tries.push(code)
        return tries.length <= times ? Promise.reject(new TriforceError(code)) : hubs[0]!.settle(ask)
      },
    })
    const spend = await spendAt(0, orderOf(account), {}, failing('LEDGER_READ_ONLY', 1))
    expect((await spend.settle({ promptTokens: 1_000, completionTokens: 0 })).chargeMicroCredits).to.equal(credits(10))
    expect(tries).to.have.length(2)
    tries.length = 0
    const other = await spendAt(0, orderOf(account), {}, failing('HOLD_OVER', 1))
    expect(await codeOf(other.settle({ promptTokens: 1_000, completionTokens: 0 }))).to.equal('HOLD_OVER')
    expect(tries).to.have.length(1)
    await other.cancel()
  })

  it('notes the use, which counts where the hub dies before it settles', async () => {
    const account = await withoutQuota(50)
    const notes: Parameters<HubLedger['progress']>[0][] = []
    const ledger = { ...boundTo(hubs[0]!), progress: (note: Parameters<HubLedger['progress']>[0]) => { notes.push(note); return hubs[0]!.progress(note) } }
    const spend = await spendAt(0, orderOf(account, { completionTokensMax: 1_000 }), { noteTokens: 100 }, ledger)
    for (let used = 0; used <= 450; used += 50) expect(spend.used(used)).to.equal(true)
    expect(notes.map(({ step, promptTokens, completionTokens }) => [step, promptTokens, completionTokens])).to.deep.equal([
      [1, 1_000, 100], [2, 1_000, 200], [3, 1_000, 300], [4, 1_000, 400],
    ])
    await spend.settle({ promptTokens: 1_000, completionTokens: 450 })
    expect(leftOf(account)).to.deep.equal({ free: credits(35.5), held: 0n })
  })
})

function boundTo(ledger: HubLedger) {
  return {
    hold: (ask: Parameters<HubLedger['hold']>[0]) => ledger.hold(ask), extend: (ask: Parameters<HubLedger['extend']>[0]) => ledger.extend(ask),
    progress: (note: Parameters<HubLedger['progress']>[0]) => ledger.progress(note), settle: (ask: Parameters<HubLedger['settle']>[0]) => ledger.settle(ask),
    expire: (hold: Uint8Array) => ledger.expire(hold),
  }
}
