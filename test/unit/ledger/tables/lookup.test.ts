import { expect } from 'chai'
import { hardwareRate, newestRev, priceOf, priceRowOf, tableKeyOf, tableOf, tierRow } from '../../../../ledger/tables/lookup.ts'
import { matches } from '../../../../ledger/tables/pattern.ts'
import { plan } from '../../../../ledger/tables/plan.ts'
import { tableSchemas } from '../../../../ledger/tables/tables.ts'
import { encode } from '../../../../protocol/codec.ts'

const GIB = 1024 ** 3
const builtIn = { tables: new Map<string, Uint8Array>() }
const classOf = (name: string, gib: number, tokensPerSecond?: number) =>
  hardwareRate(builtIn, 0, { name, vramBytes: gib * GIB, ...(tokensPerSecond === undefined ? {} : { tokensPerSecond }) }, 'free')!.class

describe('ledger/tables/lookup', () => {
  it('gives unlisted hardware the nearest class at or below its memory', () => {
    expect(classOf('NVIDIA GeForce RTX 3090', 24)).to.equal('rtx-4090')
    expect(classOf('NVIDIA RTX A5000', 23)).to.equal('rtx-4090')
    expect(classOf('NVIDIA GeForce RTX 5080', 16)).to.equal('rtx-4080')
    expect(classOf('AMD Radeon RX 7900 XT', 20)).to.equal('rtx-4080')
    expect(classOf('NVIDIA GeForce RTX 4070', 12)).to.equal('rtx-3060')
    expect(classOf('NVIDIA GeForce RTX 2080 Ti', 11)).to.equal('rtx-3080')
    expect(classOf('NVIDIA H100', 80)).to.equal('a100-80')
  })

  it('does not take a name for the memory: a mobile 4090 with 16 GB is no 4090', () => {
    expect(classOf('NVIDIA GeForce RTX 4090 Laptop GPU', 16)).to.equal('rtx-4080')
    expect(classOf('NVIDIA A100-PCIE-40GB', 39.5)).to.equal('a100-40')
    expect(classOf('NVIDIA GeForce RTX 3080', 12)).to.equal('rtx-3080')
  })

  it('compares shared memory with shared memory only', () => {
    expect(classOf('Apple M4 Max', 96)).to.equal('mac-m2-ultra')
    expect(classOf('Apple M3 Max', 96)).to.equal('mac-m3-max')
    expect(classOf('Apple M1', 12)).to.equal('rtx-3060')
  })

  it("pays a GPU of the plan's minimum as the lowest class, a smaller one and none as a CPU", () => {
    expect(classOf('NVIDIA GeForce RTX 3060', 8)).to.equal('rtx-3060')
    expect(classOf('NVIDIA GeForce GTX 1660', 6)).to.equal('cpu')
    const cpu = hardwareRate(builtIn, 0, undefined, 'free')!
    expect(cpu).to.deep.equal({ class: 'cpu', busyMicroCreditsPerHour: 1_000_000n, standbyMicroCreditsPerHour: 300_000n })
    expect(hardwareRate(builtIn, 0, undefined, 'unlimited')!.busyMicroCreditsPerHour).to.equal(2_000_000n)
  })

  it('asks for the speed of a class where table and device know one', () => {
    const rows = plan.hardware.rows.map((row) => row.class === 'rtx-4090' ? { ...row, tokensPerSecond: 100 } : row)
    const state = { tables: new Map([[tableKeyOf('hardware', 1), encode({ ...plan.hardware, rows })]]) }
    const at = (tokensPerSecond?: number) => hardwareRate(state, 1, { name: 'Other', vramBytes: 24 * GIB, ...(tokensPerSecond === undefined ? {} : { tokensPerSecond }) }, 'free')!.class
    expect([at(), at(100), at(99)]).to.deep.equal(['rtx-4090', 'rtx-4090', 'rtx-4080'])
  })

  it('finds the newest revision without a gap, and nothing of one that is not approved', () => {
    expect(newestRev(builtIn, 'prices')).to.equal(0)
    const bytes = encode(plan.prices)
    const state = { tables: new Map([['prices/1', bytes], ['prices/2', bytes], ['prices/4', bytes], ['tiers/1', encode(plan.tiers)]]) }
    expect(newestRev(state, 'prices')).to.equal(2)
    expect(newestRev(state, 'hardware')).to.equal(0)
    expect(tableOf(state, 'prices', 3)).to.equal(undefined)
    expect(priceOf(state, 3, 'groq')).to.equal(undefined)
    expect(priceOf(state, 2, 'nothing')).to.equal(undefined)
    expect(tierRow(state, 2, 'free')).to.equal(undefined)
    expect(tierRow(state, 1, 'no-tier')).to.equal(undefined)
    expect(() => priceRowOf(state, 3, 'groq', 'x')).to.throw(RangeError)
    expect(hardwareRate(state, 0, undefined, 'no-tier')).to.equal(undefined)
  })

  it('reads an approved table as it was, amounts as bigints', () => {
    const state = { tables: new Map([['prices/1', encode(plan.prices)], ['tiers/1', encode(plan.tiers)], ['hardware/1', encode(plan.hardware)]]) }
    for (const kind of ['prices', 'tiers', 'hardware'] as const) expect(tableOf(state, kind, 1)).to.deep.equal(plan[kind])
  })

  it('refuses tables with two rows of one name, without the row for unlisted models, and with unreadable patterns', () => {
    const { prices, tiers, hardware } = plan
    expect(tableSchemas.prices.safeParse({ ...prices, unlisted: 'none' }).success).to.equal(false)
    expect(tableSchemas.prices.safeParse({ ...prices, rows: [...prices.rows, prices.rows[0]] }).success).to.equal(false)
    expect(tableSchemas.prices.safeParse({ ...prices, rows: prices.rows.map((row) => ({ ...row, models: ['GPT'] })) }).success).to.equal(false)
    expect(tableSchemas.tiers.safeParse({ rows: [...tiers.rows, tiers.rows[0]] }).success).to.equal(false)
    expect(tableSchemas.hardware.safeParse({ ...hardware, rows: [...hardware.rows, hardware.rows[0]] }).success).to.equal(false)
  })

  it('matches patterns over the whole text', () => {
    const yes: readonly [string, string][] = [['*', ''], ['*', 'x'], ['a*', 'a'], ['a*c', 'abc'], ['a*c', 'ac'], ['*b*', 'abc'], ['gpt-4o', 'GPT-4o'], ['a*b*b', 'abb']]
    const no: readonly [string, string][] = [['a', 'ab'], ['a', ''], ['a*', 'ba'], ['a*a', 'a'], ['*b', 'bc'], ['a*b*b', 'ab'], ['', 'a']]
    for (const [pattern, text] of yes) expect(matches(pattern, text), `${pattern} ${text}`).to.equal(true)
    for (const [pattern, text] of no) expect(matches(pattern, text), `${pattern} ${text}`).to.equal(false)
  })
})
