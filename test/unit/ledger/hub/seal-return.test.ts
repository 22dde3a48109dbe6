/** What the successor charges for the lost end of a sealed log. */
import { expect } from 'chai'
import { encodeEntry, expectedEid, holdEidOf, type EncodedEntry, type Entry } from '../../../../ledger/entries/entry.ts'
import { applyEntry } from '../../../../ledger/fold/apply.ts'
import { accountFor, createState, nameOf } from '../../../../ledger/fold/state.ts'
import { createCase } from '../../../../ledger/hub/seal-case.ts'
import { createReturns } from '../../../../ledger/hub/seal-return.ts'
import { createHub } from '../../../../ledger/hub/step.ts'
import { plan } from '../../../../ledger/tables/plan.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { contextOf, logBuilder } from '../../../support/ledger-frames.ts'
import { testWorld } from '../../../support/ledger-world.ts'

const world = testWorld()
const context = contextOf(world)
const log = { hub: 2, epoch: 1 }
const account = new Uint8Array(16).fill(1)
const START = 1_800_000_000_000
const START_DAY = START / 86_400_000 | 0
const FROZEN = 1_000n
const paidRow = plan.prices.rows.find(({ promptMicroCredits }) => promptMicroCredits > 0n)!.row
const freeRow = plan.prices.rows.find(({ promptMicroCredits, completionMicroCredits }) => promptMicroCredits + completionMicroCredits === 0n)!.row

interface Spend { readonly row?: string; readonly tier?: string; readonly credits?: bigint; readonly quotaTokens?: number; readonly extended?: bigint; readonly charge: bigint }

/** The hub whose log was sealed, with a new one. `folded`: the Seal is in its state. */
function cameBack({ folded = true } = {}) {
  const written = logBuilder(world, 2)
  written.next()
  const { tail } = written
  const hub = createHub({ network: context.network, me: 2, state: createState(context.network, context.hubKeys), machines: [] })
  const sealed = () => {
    hub.state.logs.set(nameOf(log), {
      log, frame: tail.no, tsMs: START, seen: { frame: 0, vector: [] }, shares: [], forked: false,
      status: { is: 'sealed', frame: tail.no, successor: '0/1', sealedDay: START_DAY, returned: false, at: { tsMs: START, hub: 0, epoch: 1, frame: 1, seq: 1 } },
    })
  }
  if (folded) sealed()
  hub.writing = { hub: 2, epoch: 2 }
  hub.connected.add(0)
  const returns = createReturns({ me: 2, context, tailOf: () => tail })
  const known = { ...createCase(log), certificate: { log, no: tail.no, hash: tail.hash, signatures: [] } }
  const cases = new Map([[nameOf(log), known]])
  return { returns, hub, known, sealed, tick: (nowMs: number) => returns.tick(hub, cases, nowMs), from: tail.no + 1 }
}

/** Entries of one request. */
function spend(number: number, { row = paidRow, tier = 'free', credits = 0n, quotaTokens = 0, extended, charge }: Spend): EncodedEntry[] {
  const request = new Uint8Array(16).fill(number)
  const hold = holdEidOf(2, request)
  return [
    encodeEntry({
      k: 'Hold', hub: 2, request, requestHash: new Uint8Array(32), account, priceRow: row, priceRev: 0, credits, expiresAt: START + 1,
      ...quotaTokens === 0 ? {} : { quota: { day: START_DAY, tokens: quotaTokens, tier, tierRev: 0 } },
    }),
    ...extended === undefined ? [] : [encodeEntry({ k: 'Extend', hold, step: 1, credits: extended, quotaTokens: 0, expiresAt: START + 2 })],
    encodeEntry({ k: 'Settle', hold, promptTokens: 1, completionTokens: 1, charge, quotaTokens: 0 }),
  ]
}

/** µcr that the successor settles for these entries, which only the sealed log's hub had. */
function settledFor(spends: readonly Spend[]): bigint {
  const written = logBuilder(world, 2)
  written.next()
  const { tail } = written
  const frames = spends.map((each, number) => written.next(spend(number, each)).bytes)

  const state = createState(context.network, context.hubKeys)
  state.logs.set(nameOf(log), {
    log, frame: tail.no, tsMs: START, seen: { frame: 0, vector: [] }, shares: [], forked: false,
    status: { is: 'sealed', frame: tail.no, successor: '0/1', sealedDay: START_DAY, returned: false, at: { tsMs: START, hub: 0, epoch: 1, frame: 1, seq: 1 } },
  })
  accountFor(state, toHex(account)).frozen.set(nameOf(log), FROZEN)
  const hub = createHub({ network: context.network, me: 0, state, machines: [] })
  hub.writing = { hub: 0, epoch: 1 }
  const returns = createReturns({ me: 0, context, tailOf: () => tail })
  const known = { ...createCase(log), certificate: { log, no: tail.no, hash: tail.hash, signatures: [] } }
  const effects = returns.takeOrphans(hub, 2, { t: 'orphans', log, from: tail.no + 1, frames, last: true, lost: false }, known, START)
  const eid = toHex(expectedEid({ k: 'IslandSettle', log, account, amount: 1n }))
  for (const effect of effects) {
    if (effect.type !== 'append' || toHex(effect.intent.eid) !== eid) continue
    const decision = effect.intent.decide({ nowMs: START, tsMs: START, log: { hub: 0, epoch: 1 } })
    if (decision.type !== 'entries') throw new Error(`decided: ${decision.type}`)
    return decision.entries.reduce((sum, { entry }) => sum + (entry.k === 'IslandSettle' ? entry.amount : 0n), 0n)
  }
  return 0n
}

/**
 * What the successor logs for a request whose hold (and what is `known`) the others have, and the rest of which only the sealed log's hub had.
 * `early`: the lost end comes for the first time before any of that is in the successor's state.
 */
function logged(known: readonly EncodedEntry[], lost: readonly EncodedEntry[], { early = false } = {}): Entry[] {
  const written = logBuilder(world, 2)
  written.next()
  const { tail } = written
  const frames = [written.next([...lost]).bytes]
  const state = createState(context.network, context.hubKeys)
  const hub = createHub({ network: context.network, me: 0, state, machines: [] })
  hub.writing = { hub: 0, epoch: 1 }
  const returns = createReturns({ me: 0, context, tailOf: () => tail })
  const sealed = { ...createCase(log), certificate: { log, no: tail.no, hash: tail.hash, signatures: [] } }
  const handOver = () => returns.takeOrphans(hub, 2, { t: 'orphans', log, from: tail.no + 1, frames, last: true, lost: false }, sealed, START)
  if (early) expect(handOver()).to.deep.equal([])
  for (const id of [{ hub: 0, epoch: 1 }, log]) {
    state.logs.set(nameOf(id), { log: id, frame: 1, tsMs: START, seen: { frame: 0, vector: [] }, shares: [{ hub: id.hub, from: 0, until: undefined, since: undefined }], forked: false, status: { is: 'live' } })
  }
  accountFor(state, toHex(account)).rights.set(nameOf(log), 10_000_000n)
  for (const [seq, entry] of known.entries()) applyEntry(state, entry, { tsMs: START, ...log, frame: 1, seq })
  state.logs.get(nameOf(log))!.status = { is: 'sealed', frame: tail.no, successor: '0/1', sealedDay: START_DAY, returned: false, at: { tsMs: START, hub: 0, epoch: 1, frame: 1, seq: 1 } }
  state.outstandingSeal = nameOf(log)
  const frozen = accountFor(state, toHex(account)).rights
  accountFor(state, toHex(account)).frozen.set(nameOf(log), frozen.get(nameOf(log)) ?? 0n)
  frozen.delete(nameOf(log))

  const entries: Entry[] = []
  for (const effect of handOver()) {
    if (effect.type !== 'append') continue
    const decision = effect.intent.decide({ nowMs: START, tsMs: START, log: { hub: 0, epoch: 1 } })
    if (decision.type === 'refuse') throw decision.error
    if (decision.type !== 'entries') throw new Error(`decided: ${decision.type}`)
    for (const encoded of decision.entries) {
      applyEntry(state, encoded, { tsMs: START, hub: 0, epoch: 1, frame: 2, seq: entries.length })
      entries.push(encoded.entry)
    }
  }
  return entries
}

describe('ledger/hub/seal-return: what an island spent', () => {
  it('is charged, at most what is frozen', () => {
    expect(settledFor([{ credits: 500n, charge: 300n }])).to.equal(300n)
    expect(settledFor([{ credits: 900n, charge: 900n }, { credits: 300n, charge: 200n }])).to.equal(FROZEN)
  })

  it('is charged too where a quota covered the hold at first, and an extension went beyond it', () => {
    expect(settledFor([{ quotaTokens: 100, extended: 400n, charge: 250n }])).to.equal(250n)
    expect(settledFor([{ extended: 400n, charge: 250n }]), 'a hold of nothing').to.equal(250n)
  })

  it('leaves out what costs nothing whatever comes of it', () => {
    expect(settledFor([{ row: freeRow, charge: 0n }, { tier: 'unlimited', quotaTokens: 100, charge: 0n }])).to.equal(0n)
  })
})

describe('ledger/hub/seal-return: the lost end of a hold that the others know', () => {
  const request = new Uint8Array(16).fill(9)
  const hold = holdEidOf(2, request)
  const { promptMicroCredits, completionMicroCredits, row } = plan.prices.rows.find((each) => each.promptMicroCredits > 0n && each.completionMicroCredits > 0n)!
  const held = (credits: bigint, quotaTokens: number) => encodeEntry({
    k: 'Hold', hub: 2, request, requestHash: new Uint8Array(32), account, priceRow: row, priceRev: 0, credits, expiresAt: START + 1,
    ...quotaTokens === 0 ? {} : { quota: { day: START_DAY, tokens: quotaTokens, tier: 'free', tierRev: 0 } },
  })
  const extended = (credits: bigint, quotaTokens: number) => encodeEntry({ k: 'Extend', hold, step: 1, credits, quotaTokens, expiresAt: START + 2 })
  const settled = (promptTokens: number, completionTokens: number, charge: bigint, quotaTokens: number) => (
    encodeEntry({ k: 'Settle', hold, promptTokens, completionTokens, charge, quotaTokens }))
  const refunded = (amount: bigint, quotaTokens: number, reason = 'r') => encodeEntry({ k: 'Refund', hold, account, amount, quotaTokens, reason })
  const money = (entries: readonly Entry[]) => entries.flatMap((entry) => (
    entry.k === 'Settle' ? [`charged ${entry.charge}, ${entry.quotaTokens} tokens`] : entry.k === 'Refund' ? [`back ${entry.amount}, ${entry.quotaTokens} tokens`]
      : entry.k === 'IslandSettle' ? [`island ${entry.amount}`] : []))
  const price = (promptTokens: number, completionTokens: number) => (BigInt(promptTokens) * promptMicroCredits + BigInt(completionTokens) * completionMicroCredits + 999n) / 1_000n

  it('costs what the caller was told, also where more of the quota was reserved in the lost end', () => {
    const told = price(0, 500)
    expect(money(logged([held(1_000_000n, 1_000)], [extended(100n, 100), settled(600, 1_000, told, 1_100)]))).to.deep.equal([`charged ${told}, 1000 tokens`])
    expect(money(logged([held(1_000_000n, 1_000)], [settled(600, 900, told, 1_000)])), 'nothing reserved').to.deep.equal([`charged ${told}, 1000 tokens`])
  })

  it('is charged in two parts where more credits were reserved in the lost end, and paid back of both', () => {
    const told = price(1_000, 1_000)
    const known = told / 2n
    const end = [extended(told - known, 0), settled(1_000, 1_000, told, 0)]
    expect(money(logged([held(known, 0)], end))).to.deep.equal([`island ${told - known}`, `charged ${known}, 0 tokens`])
    expect(money(logged([held(known, 0)], [...end, refunded(told, 0)]))).to.deep.equal([`charged ${known}, 0 tokens`, `back ${known}, 0 tokens`])
    expect(money(logged([held(known, 0)], [...end, refunded(known, 0), refunded(5n, 0, 's')])), 'in two parts')
      .to.deep.equal([`island ${told - known - 5n}`, `charged ${known}, 0 tokens`, `back ${known}, 0 tokens`])
  })

  it('is asked for again where its hub cannot read it yet, and not taken for none', () => {
    const { returns, hub, known, tick, from } = cameBack()
    expect(tick(START)).to.deep.equal([{ type: 'loadOrphans', log, from }])
    expect(returns.loaded(hub, { type: 'orphans', log, from, frames: [], last: false }, known, START)).to.deep.equal([])
    expect(tick(START + 1)).to.deep.equal([{ type: 'loadOrphans', log, from }])
    const [sent] = returns.loaded(hub, { type: 'orphans', log, from, frames: [], last: true }, known, START + 1)
    expect(sent).to.deep.include({ type: 'send', hub: 0, message: { t: 'orphans', log, from, frames: [], last: true, lost: true } })
  })

  it('is handed over after a while though the Seal is not in the state of its hub, and again when it is', () => {
    const { returns, hub, known, tick, from, sealed } = cameBack({ folded: false })
    expect([tick(START), tick(START + 4_999)]).to.deep.equal([[], []])
    expect(tick(START + 5_000)).to.deep.equal([{ type: 'loadOrphans', log, from }])
    expect(returns.loaded(hub, { type: 'orphans', log, from, frames: [], last: true }, known, START + 5_000)).to.have.length(1)
    expect(tick(START + 5_250)).to.deep.equal([])
    sealed()
    expect(tick(START + 5_500)).to.deep.equal([{ type: 'loadOrphans', log, from }])
    expect(returns.loaded(hub, { type: 'orphans', log, from, frames: [], last: true }, known, START + 5_500)).to.have.length(1)
    expect(tick(START + 5_750)).to.deep.equal([])
  })

  it('is charged by a successor that lost its disk, and gets the lost end before it knows the hold again', () => {
    const told = price(100, 100)
    expect(money(logged([held(1_000_000n, 0)], [settled(100, 100, told, 0)], { early: true }))).to.deep.equal([`charged ${told}, 0 tokens`])
  })

  it('gives no more of the quota back than the others know of', () => {
    expect(money(logged([held(1_000_000n, 1_000)], [extended(0n, 100), settled(600, 500, 0n, 1_100), refunded(0n, 1_100)])))
      .to.deep.equal(['charged 0, 1000 tokens', 'back 0, 1000 tokens'])
  })
})
