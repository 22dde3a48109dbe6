/** One hub's folder is copied and both copies run: the others prove it, settle on one history, and the hub comes back with an empty disk. */
import { expect } from 'chai'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { dumpState } from '../../ledger/fold/dump.ts'
import { homeOf } from '../../ledger/fold/homes.ts'
import { checkState } from '../../ledger/fold/invariants.ts'
import type { LedgerState } from '../../ledger/fold/state.ts'
import type { HubLedger } from '../../ledger/interface.ts'
import { openLedger } from '../../ledger/ledger.ts'
import { lossOf } from '../../ledger/rules.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import { testKey } from '../support/federation.ts'
import { cryptoRandom, join2, realClock, temporaryDir, testWorld, type TestLink } from '../support/ledger-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'

const world = testWorld()
const CREDIT = 1_000_000n
const bytes16 = (name: string) => sha256(Buffer.from(name)).slice(0, 16)
const codeOf = (promise: Promise<unknown>) => promise.then(() => 'none', (error: TriforceError) => error.code)

/** 10 credits for 1,000 tokens. */
const sonnet = { provider: 'anthropic', model: 'claude-sonnet-4' }
/** The hub whose folder is copied; the successor of its log, and the other one. */
const FORKED = 2
const NEXT = 0
const OTHER = 1

interface Running {
  readonly ledger: HubLedger
  readonly state: () => LedgerState
  readonly failed: () => TriforceError | undefined
}

async function run(hub: number, dir: string): Promise<Running> {
  let state: (() => LedgerState) | undefined
  let failed: TriforceError | undefined
  const ledger = await openLedger(
    { clock: realClock, random: cryptoRandom, log: quietLog(`hub${hub}`), signer: world.hubs[hub]!.signer, observe: (live) => { state = live } },
    { dir, federation: world.federation, hubIndex: hub, onFailed: (error) => { failed = error } },
  )
  return { ledger, state: () => state!(), failed: () => failed }
}

function accountAt(home: number) {
  for (let turn = 0; ; turn += 1) {
    const { publicKey } = testKey(sha256(Buffer.from(`account of ${home} ${turn}`))).signer
    const id = accountIdOf(publicKey)
    if (homeOf(world.hubs.map(({ signer }) => signer.publicKey), toHex(id)) === home) return { publicKey, id }
  }
}

function hold({ ledger }: Running, account: Uint8Array, name: string, promptTokens: number) {
  return ledger.hold({ request: bytes16(name), requestHash: sha256(Buffer.from(name)), account, ...sonnet, promptTokens, completionTokensMax: 0 })
}

async function spend(hub: Running, account: Uint8Array, name: string, promptTokens: number): Promise<void> {
  const made = await hold(hub, account, name, promptTokens)
  await hub.ledger.settle({ hold: made.hold, promptTokens, completionTokens: 0 })
}

const heads = ({ ledger }: Running) => JSON.stringify(ledger.heads(), (_, value: unknown) => value instanceof Uint8Array ? toHex(value) : value)
const untilEqual = (hubs: readonly Running[]) => until('heads are equal', () => new Set(hubs.map(heads)).size === 1, 20_000)

/** `more`: spends that the copy at the successor, and the one at the other hub, make beyond the rest. */
async function forkAndMend(more: readonly [number, number]): Promise<void> {
  const dir = await temporaryDir()
  const dirOf = (name: string) => join(dir.path, name)
  const signal = AbortSignal.timeout(90_000)
  const links: TestLink[] = []
  const link = (a: Running, ai: number, b: Running, bi: number) => { links.push(join2(a.ledger, ai, b.ledger, bi, () => {})) }
  const cutAll = () => { for (const one of links.splice(0)) one.cut() }

  const next = await run(NEXT, dirOf('next'))
  const other = await run(OTHER, dirOf('other'))
  const whole = await run(FORKED, dirOf('one'))
  link(next, NEXT, other, OTHER)
  link(next, NEXT, whole, FORKED)
  link(other, OTHER, whole, FORKED)
  await Promise.all([next, other, whole].map(({ ledger }) => ledger.whenWritable({ signal })))
  const account = accountAt(FORKED)
  await whole.ledger.openAccount({ publicKey: account.publicKey, name: 'somebody', tier: 'free' })
  await whole.ledger.grant({ account: account.id, amountMicroCredits: 2_000n * CREDIT, source: 'before' })
  await spend(whole, account.id, 'quota', 10_000)
  // What is on its way now would reach a peer after the fork, which then needs nothing from its copy.
  await until('nothing is on its way', () => [next, other, whole].every(({ state }) => state().gives.size === 0), 20_000)
  await untilEqual([next, other, whole])
  cutAll()
  await whole.ledger.close()
  await cp(dirOf('one'), dirOf('two'), { recursive: true })

  // The operator starts both copies; each meets one hub and thinks that all is well.
  const one = await run(FORKED, dirOf('one'))
  const two = await run(FORKED, dirOf('two'))
  link(next, NEXT, one, FORKED)
  link(other, OTHER, two, FORKED)
  for (const [copy, peer, name, extra] of [[one, next, 'one', more[0]], [two, other, 'two', more[1]]] as const) {
    await copy.ledger.whenWritable({ signal })
    await copy.ledger.grant({ account: account.id, amountMicroCredits: 100n * CREDIT, source: `at ${name}` })
    await spend(copy, account.id, `here at ${name}`, 5_000)
    await hold(copy, account.id, `open at ${name}`, 1_000)
    // More than was spread: rights move from the copy to its peer.
    const before = peer.state().accounts.get(toHex(account.id))!.rights.get(`${NEXT === (peer === next ? NEXT : OTHER) ? NEXT : OTHER}/${peer.ledger.heads().find(({ hub }) => hub === (peer === next ? NEXT : OTHER))!.epoch}`) ?? 0n
    await spend(peer, account.id, `elsewhere at ${name}`, Number(before / CREDIT) * 100 + 20_000)
    for (let turn = 0; turn < extra; turn += 1) await spend(copy, account.id, `${name} ${turn}`, 100)
  }
  await until('all is replicated', () => {
    const reached = (peer: Running, copy: Running) => peer.ledger.heads().find(({ hub }) => hub === FORKED)!.frames === copy.ledger.heads().find(({ hub }) => hub === FORKED)!.frames
    return reached(next, one) && reached(other, two)
  })

  link(next, NEXT, other, OTHER)
  await until('both copies stop', () => one.failed()?.code === 'LOG_FORKED' && two.failed()?.code === 'LOG_FORKED', 20_000)
  expect(await codeOf(one.ledger.grant({ account: account.id, amountMicroCredits: CREDIT, source: 'no' }))).to.equal('LOG_FORKED')
  await one.ledger.close()
  await two.ledger.close()
  for (const { state } of [next, other]) expect([...state().logs.values()].filter(({ forked }) => forked).map(({ log }) => log.hub)).to.deep.equal([FORKED])
  // The two others go on.
  for (const hub of [next, other]) expect(hub.ledger.writable).to.equal(true)
  const local = accountAt(NEXT)
  await next.ledger.openAccount({ publicKey: local.publicKey, name: 'neighbour', tier: 'free' })
  await next.ledger.grant({ account: local.id, amountMicroCredits: CREDIT, source: 'goes on' })

  await Promise.all([next, other].map(({ ledger }) => ledger.seal(FORKED, { forced: true, signal })))
  await untilEqual([next, other])
  await until('both write', () => next.ledger.writable && other.ledger.writable, 10_000)
  await until('both have all in the state', () => dumpState(next.state()) === dumpState(other.state()), 10_000)
  expect(checkState(next.state())).to.deep.equal([])
  // What the other hub got from the history that does not count stays, at the cost of the hub that has two.
  const loss = next.state().system.get(lossOf(FORKED)) ?? 0n
  expect(loss < 0n, `loss ${loss}`).to.equal(true)
  for (const hub of [next, other]) {
    for (const [, { rights, held, inflight }] of hub.state().accounts) for (const amount of [...rights.values(), held, inflight]) expect(amount >= 0n).to.equal(true)
    const report = await hub.ledger.audit()
    expect(report.problems).to.deep.equal([])
    await until('the other one has all of it', async () => {
      const same = await next.ledger.audit({ heads: report.heads }).catch(() => undefined)
      return same !== undefined && toHex(same.root) === toHex(report.root)
    })
  }
  await spend(other, account.id, 'after the seal', 1_000)
  // It is the same after a start from the disk.
  await untilEqual([next, other])
  cutAll()
  await other.ledger.close()
  const again = await run(OTHER, dirOf('other'))
  expect(dumpState(again.state())).to.equal(dumpState(next.state()))
  link(next, NEXT, again, OTHER)
  await again.ledger.whenWritable({ signal })

  // The hub comes back with nothing.
  for (const name of ['one', 'two']) await rm(dirOf(name), { recursive: true })
  const back = await run(FORKED, dirOf('one'))
  link(next, NEXT, back, FORKED)
  link(again, OTHER, back, FORKED)
  await back.ledger.whenWritable({ signal })
  await until('it is handed back', () => [next, again, back].every(({ state }) => state().outstandingSeal === undefined), 30_000)
  await back.ledger.grant({ account: account.id, amountMicroCredits: 7n * CREDIT, source: 'after' })
  await spend(back, account.id, 'after the return', 500)
  await untilEqual([next, again, back])
  await until('all states are equal', () => new Set([next, again, back].map(({ state }) => dumpState(state()))).size === 1, 10_000)
  const reports = await Promise.all([next, again, back].map(({ ledger }) => ledger.audit()))
  expect(new Set(reports.map(({ root }) => toHex(root))).size).to.equal(1)
  expect(reports.flatMap(({ problems }) => problems)).to.deep.equal([])
  cutAll()
  for (const { ledger } of [next, again, back]) await ledger.close()
  await dir.remove()
}

describe('ledger: two histories of one log', function () {
  this.timeout(120_000)

  it('are settled on the successor\'s where that is the longer one', () => forkAndMend([12, 0]))
  it('are settled on the successor\'s where the other one is longer', () => forkAndMend([0, 12]))
})
