import { expect } from 'chai'
import { addFact, createDevice, payOf } from '../../../../ledger/earning/pay.ts'
import { chargeOf } from '../../../../ledger/fold/charge.ts'
import { deviceKeyOf } from '../../../../ledger/fold/state.ts'
import { hardwareRate, packOf, priceOf, priceRowOf, tierRow } from '../../../../ledger/tables/lookup.ts'
import { plan } from '../../../../ledger/tables/plan.ts'
import { tableSchemas } from '../../../../ledger/tables/tables.ts'
import { MS_PER_HOUR } from '../../../../ledger/rules.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { createFoldWorld, foldInOrder, foldReceipt } from '../../../support/fold-world.ts'

const state = { tables: new Map<string, Uint8Array>() }
const CREDIT = 1_000_000n
const GIB = 1024 ** 3
const rtx4090 = { name: 'NVIDIA GeForce RTX 4090', vramBytes: 24_564 * 1024 ** 2 }

function creditsPerHour(hardware: Parameters<typeof hardwareRate>[2], tier = 'contributor'): bigint {
  return hardwareRate(state, 0, hardware, tier)!.busyMicroCreditsPerHour / CREDIT
}

/** µcr for 1,000 tokens of this model, read and written alike. */
function creditsPer1k(provider: string, model: string): bigint {
  const price = priceOf(state, 0, priceRowOf(state, 0, provider, model))!
  expect(price.promptMicroCredits).to.equal(price.completionMicroCredits)
  expect(chargeOf({ promptTokens: 400, completionTokens: 600 }, 0, price).charge).to.equal(price.promptMicroCredits)
  return price.promptMicroCredits / CREDIT
}

describe("ledger/tables: the plan's numbers", () => {
  describe('Earn Credits (Hardware beitragen)', () => {
    const rows: readonly [row: string, name: string, gib: number, credits: bigint][] = [
      ['RTX 3060 (12GB): 10 Credits/Stunde', 'NVIDIA GeForce RTX 3060', 12, 10n],
      ['RTX 3080 (10GB): 15 Credits/Stunde', 'NVIDIA GeForce RTX 3080', 10, 15n],
      ['RTX 4080 (16GB): 25 Credits/Stunde', 'NVIDIA GeForce RTX 4080', 16, 25n],
      ['RTX 4090 (24GB): 40 Credits/Stunde', 'NVIDIA GeForce RTX 4090', 24, 40n],
      ['A100 (40GB): 100 Credits/Stunde', 'NVIDIA A100-SXM4-40GB', 40, 100n],
      ['A100 (80GB): 150 Credits/Stunde', 'NVIDIA A100 80GB PCIe', 80, 150n],
      ['Mac M2 Ultra: 30 Credits/Stunde', 'Apple M2 Ultra', 48, 30n],
      ['Mac M3 Max: 35 Credits/Stunde', 'Apple M3 Max', 27, 35n],
    ]
    for (const [row, name, gib, credits] of rows) it(row, () => { expect(creditsPerHour({ name, vramBytes: gib * GIB })).to.equal(credits) })

    // The plan's third column: what an hour buys at 2 credits for 1,000 tokens.
    const worth: readonly [row: string, credits: bigint, tokens: number][] = [
      ['RTX 3060: 5k Tokens', 10n, 5_000], ['RTX 3080: 7.5k Tokens', 15n, 7_500], ['RTX 4080: 12.5k Tokens', 25n, 12_500], ['RTX 4090: 20k Tokens', 40n, 20_000],
      ['A100 (40GB): 50k Tokens', 100n, 50_000], ['A100 (80GB): 75k Tokens', 150n, 75_000], ['Mac M2 Ultra: 15k Tokens', 30n, 15_000], ['Mac M3 Max: 17.5k Tokens', 35n, 17_500],
    ]
    for (const [row, credits, tokens] of worth) {
      it(row, () => {
        const price = priceOf(state, 0, priceRowOf(state, 0, 'mistral', 'mistral-small-latest'))!
        expect(chargeOf({ promptTokens: tokens, completionTokens: 0 }, 0, price).charge).to.equal(credits * CREDIT)
      })
    }

    it('2x A100: two devices, each paid for itself', () => {
      const contributor = 'aa'.repeat(32)
      const both = ['gpu0', 'gpu1'].map((gpu) => {
        const device = createDevice(contributor, gpu)
        addFact(device, { rate: creditsPerHour({ name: 'NVIDIA A100 80GB', vramBytes: 80 * GIB }) * CREDIT, boot: 'b', deviceFromMs: 0, deviceToMs: MS_PER_HOUR, wallFromMs: 0, wallToMs: MS_PER_HOUR })
        return payOf(device)
      })
      expect(both).to.deep.equal([150n * CREDIT, 150n * CREDIT])
    })
  })

  describe('Spend Credits (Cloud APIs nutzen)', () => {
    const rows: readonly [row: string, provider: string, model: string, credits: bigint][] = [
      ['Ollama (lokal): 0 (immer frei)', 'ollama', 'llama3.1:70b', 0n],
      ['Groq: 1 Credit', 'groq', 'llama-3.3-70b-versatile', 1n],
      ['Cerebras: 1 Credit', 'cerebras', 'llama3.1-8b', 1n],
      ['Mistral Small: 2 Credits', 'mistral', 'mistral-small-latest', 2n],
      ['Gemini Flash: 2 Credits', 'gemini', 'gemini-2.0-flash', 2n],
      ['Mistral Large: 5 Credits', 'mistral', 'mistral-large-2411', 5n],
      ['Gemini Pro: 5 Credits', 'gemini', 'gemini-1.5-pro-002', 5n],
      ['Claude Sonnet: 10 Credits', 'anthropic', 'claude-3-5-sonnet-20241022', 10n],
      ['GPT-4o: 10 Credits', 'openai', 'gpt-4o-2024-08-06', 10n],
      ['Claude Opus: 25 Credits', 'anthropic', 'claude-opus-4-20250514', 25n],
      ['GPT-4 Turbo: 15 Credits', 'openai', 'gpt-4-turbo', 15n],
    ]
    for (const [row, provider, model, credits] of rows) it(row, () => { expect(creditsPer1k(provider, model)).to.equal(credits) })

    it('local models cost 0, whatever they are called', () => {
      for (const provider of ['local', 'ollama', 'embedded']) expect(creditsPer1k(provider, 'gpt-4o')).to.equal(0n)
    })

    it("an unlisted cloud model takes its provider's dearest price", () => {
      expect(creditsPer1k('anthropic', 'claude-3-haiku')).to.equal(25n)
      expect(creditsPer1k('openai', 'o3')).to.equal(15n)
      expect(creditsPer1k('openai', 'gpt-4o-mini')).to.equal(15n)
      expect(creditsPer1k('mistral', 'codestral')).to.equal(5n)
      expect(creditsPer1k('gemini', 'gemma-9')).to.equal(5n)
    })

    it('an unlisted cloud model of an unlisted provider costs 25', () => {
      for (const provider of ['openrouter', 'xai', 'Somebody']) expect(creditsPer1k(provider, 'llama-3')).to.equal(25n)
    })
  })

  describe('packs', () => {
    const packs: readonly [euro: number, credits: bigint][] = [[5, 500n], [20, 2_500n], [50, 7_500n]]
    for (const [euro, credits] of packs) {
      it(`EUR ${euro} = ${credits} credits`, () => { expect(packOf(state, `pack-${euro}`)).to.deep.equal({ product: `pack-${euro}`, euroCents: euro * 100, microCredits: credits * CREDIT }) })
    }
  })

  describe('tiers', () => {
    it('Free: EUR 0, 10k tokens a day', () => { expect(tierRow(state, 0, 'free')).to.deep.include({ tokensPerDay: 10_000, euroCentsPerMonth: 0 }) })
    it('Pro: EUR 17.99, 250k tokens a day', () => { expect(tierRow(state, 0, 'pro')).to.deep.include({ tokensPerDay: 250_000, euroCentsPerMonth: 1_799 }) })
    it('Unlimited: EUR 59.99, no bound', () => { expect(tierRow(state, 0, 'unlimited')).to.deep.include({ tokensPerDay: null, euroCentsPerMonth: 5_999 }) })
    it('Contributor: EUR 0, as Free', () => { expect(tierRow(state, 0, 'contributor')).to.deep.include({ tokensPerDay: 10_000, euroCentsPerMonth: 0 }) })
    it('Enterprise: by contract', () => { expect(tierRow(state, 0, 'enterprise')).to.deep.include({ euroCentsPerMonth: null }) })
    it('Unlimited doubles the credits for own hardware, no other tier does', () => {
      expect(creditsPerHour(rtx4090, 'unlimited')).to.equal(80n)
      for (const tier of ['free', 'contributor', 'pro', 'enterprise']) expect(creditsPerHour(rtx4090, tier)).to.equal(40n)
    })
    it('priority: Unlimited before Enterprise and Pro before Contributor before Free', () => {
      const priority = (tier: string) => tierRow(state, 0, tier)!.priority
      expect([priority('unlimited'), priority('enterprise'), priority('pro'), priority('contributor'), priority('free')]).to.deep.equal([0, 1, 1, 2, 3])
    })
  })

  describe('Beispiel', () => {
    const hours = (count: number, rate: bigint) => {
      const device = createDevice('aa'.repeat(32), 'gpu0')
      addFact(device, { rate, boot: 'b', deviceFromMs: 0, deviceToMs: count * MS_PER_HOUR, wallFromMs: 0, wallToMs: count * MS_PER_HOUR })
      return payOf(device)
    }
    const rate = hardwareRate(state, 0, rtx4090, 'contributor')!

    it('RTX 4090, 8 h standby = 96 credits', () => { expect(hours(8, rate.standbyMicroCreditsPerHour)).to.equal(96n * CREDIT) })
    it('RTX 4090, 8 h busy = 320 credits', () => { expect(hours(8, rate.busyMicroCreditsPerHour)).to.equal(320n * CREDIT) })

    it('two overlapping hours on one GPU through two hubs pay one hour', () => {
      const world = createFoldWorld()
      const contributor = new Uint8Array(32).fill(9)
      const now = world.nowMs
      for (const hub of [0, 1]) {
        const half = { device: 'gpu0', boot: new Uint8Array(16), startMs: 0, endMs: MS_PER_HOUR }
        const seen = { half, contributor, observedMs: MS_PER_HOUR, endedAt: now }
        expect(world.say(hub, foldReceipt(new Uint8Array(16).fill(hub + 1), seen, rate.busyMicroCreditsPerHour))).to.equal(undefined)
        world.commit(hub)
      }
      const device = foldInOrder(world.logs, () => 0).devices.get(deviceKeyOf(toHex(contributor), 'gpu0'))!
      expect(device.receipts).to.equal(2)
      expect(payOf(device)).to.equal(40n * CREDIT)
    })

    const devices = ['NVIDIA A100 80GB', 'NVIDIA A100 80GB #2']
    const a100 = hardwareRate(state, 0, { name: devices[0]!, vramBytes: 80 * GIB }, 'contributor')!.busyMicroCreditsPerHour

    /** One busy hour on both, as these hubs saw it; their pay, and the receipts that count. */
    const busyHour = (hubs: readonly number[], jobOf: (hub: number) => number, choose: (count: number) => number) => {
      const world = createFoldWorld()
      const contributor = new Uint8Array(32).fill(9)
      const half = { device: devices[0], devices, boot: new Uint8Array(16), startMs: 0, endMs: MS_PER_HOUR }
      const seen = { half, contributor, observedMs: MS_PER_HOUR, endedAt: world.nowMs }
      for (const hub of hubs) {
        const entry = foldReceipt(new Uint8Array(16).fill(jobOf(hub)), seen, devices.map((device) => ({ device, rate: a100 })))
        expect(world.say(hub, entry)).to.equal(undefined)
        world.commit(hub)
      }
      const known = devices.map((device) => foldInOrder(world.logs, choose).devices.get(deviceKeyOf(toHex(contributor), device))!)
      return { pay: known.map(payOf), receipts: known.reduce((sum, { receipts }) => sum + receipts, 0) }
    }

    it('2 × A100 busy for one hour = 300 credits (2 × 150)', () => {
      const { pay, receipts } = busyHour([0], () => 1, () => 0)
      expect(pay).to.deep.equal([150n * CREDIT, 150n * CREDIT])
      expect(pay.reduce((sum, one) => sum + one)).to.equal(300n * CREDIT)
      expect(receipts).to.equal(1)
    })

    it('one job on two GPUs through two hubs pays each GPU once', () => {
      for (const choose of [() => 0, (count: number) => count - 1]) {
        expect(busyHour([0, 1], () => 1, choose), 'the same receipt').to.deep.equal({ pay: [150n * CREDIT, 150n * CREDIT], receipts: 1 })
        expect(busyHour([0, 1], (hub) => hub + 1, choose), 'two receipts of one hour').to.deep.equal({ pay: [150n * CREDIT, 150n * CREDIT], receipts: 2 })
      }
    })
  })

  it('fits the form that every later revision must have', () => {
    for (const kind of ['prices', 'tiers', 'hardware'] as const) expect(tableSchemas[kind].safeParse(plan[kind]).success, kind).to.equal(true)
  })
})
