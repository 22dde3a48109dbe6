import { expect } from 'chai'
import * as fc from 'fast-check'
import { decideChargeback, decideGrant, decidePurchase } from '../../../../ledger/hub/decide/money.ts'
import { decideHold } from '../../../../ledger/hub/decide/hold.ts'
import { decideExpire, decideExtend, decideProgress, decideRefund, decideSettle } from '../../../../ledger/hub/decide/running.ts'
import { holdEidOf } from '../../../../ledger/entries/entry.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import { checkState } from '../../../../ledger/fold/invariants.ts'
import type { HoldState, LedgerState } from '../../../../ledger/fold/state.ts'
import { tierOn } from '../../../../ledger/fold/views.ts'
import { tierRow } from '../../../../ledger/tables/lookup.ts'
import { createCoreWorld, START_MS, type CoreWorld, type Submission } from '../../../support/core-world.ts'
import { times } from '../../../support/thorough.ts'

const CREDIT = 1_000_000n
const RUNS = times(100, 400)

/** What the clients of three hubs have done; the world is the real thing. */
interface Clients {
  readonly holds: { readonly hub: number; readonly request: number; readonly account: number; readonly prompt: number; readonly completion: number; readonly after?: number }[]
  readonly asked: Submission[]
  readonly payments: { readonly payment: string; readonly account: number; readonly amount: bigint }[]
  grants: number
  requests: number
}

interface Real {
  readonly world: CoreWorld
  readonly accounts: readonly { readonly id: Uint8Array; readonly hex: string }[]
}

const bytes = (value: number, length: number) => { const out = new Uint8Array(length); new DataView(out.buffer).setUint32(0, value); return out }

function command(text: string, act: (clients: Clients, real: Real) => void): fc.Command<Clients, Real> {
  return {
    check: () => true,
    run: (clients, real) => {
      act(clients, real)
      for (const { hub } of real.world.hubs) for (const { hex } of real.accounts) expectNothingNegative(hub.state, hex)
    },
    toString: () => text,
  }
}

function expectNothingNegative(state: LedgerState, hex: string): void {
  const account = state.accounts.get(hex)
  if (account === undefined) return
  const amounts = [...account.rights.values(), account.held, account.inflight, account.back, account.debt]
  expect(amounts.every((amount) => amount >= 0n), 'no amount is negative').to.equal(true)
  const owned = [...account.rights.values()].reduce((sum, amount) => sum + amount, 0n) + account.held + account.inflight + account.back
  expect(owned - account.debt, 'what came in less what went out is what is there').to.equal(account.minted - account.spent)
}

const hubOf = fc.nat({ max: 2 })
const accountOf = fc.nat({ max: 2 })
const pick = fc.nat({ max: 1_000 })

const commands = [
  fc.tuple(hubOf, accountOf, fc.nat({ max: 200 }), fc.nat({ max: 3 })).map(([away, account, credits, lost]) => command(`grant(account ${account}, ${credits}, ${lost})`, (clients, { world, accounts }) => {
    // Account n is at home at hub n.
    const hub = lost === 0 ? away : account
    clients.grants += 1
    const ask = { account: accounts[account]!.id, amountMicroCredits: BigInt(credits + 1) * CREDIT }
    const intent = clients.grants % 3 === 0 ? decidePurchase(world.hubs[hub]!.hub, { ...ask, payment: `p${clients.grants}`, product: 'pack-5' })
      : decideGrant(world.hubs[hub]!.hub, { ...ask, source: `g${clients.grants}` })
    if (clients.grants % 3 === 0) clients.payments.push({ payment: `p${clients.grants}`, account, amount: ask.amountMicroCredits })
    clients.asked.push(world.submit(hub, intent))
  })),
  fc.tuple(hubOf, accountOf, pick, fc.nat({ max: 7 })).map(([away, other, number, wrong]) => command(`chargeback(hub ${away}, account ${other}, ${number}, ${wrong})`, (clients, { world, accounts }) => {
    const paidOnce = clients.payments[number % Math.max(1, clients.payments.length)]
    if (paidOnce === undefined) return
    const { payment, amount } = paidOnce
    const account = wrong === 0 ? other : paidOnce.account
    const hub = wrong === 1 ? away : account
    clients.asked.push(world.submit(hub, decideChargeback(world.hubs[hub]!.hub, { account: accounts[account]!.id, amountMicroCredits: amount, payment })))
  })),
  fc.tuple(hubOf, accountOf, fc.nat({ max: 4_000 }), fc.nat({ max: 20_000 }), fc.boolean()).map(([hub, account, prompt, completion, less]) => {
    return command(`hold(hub ${hub}, account ${account}, ${prompt} + ${completion})`, (clients, { world, accounts }) => {
      clients.requests += 1
      const request = clients.requests
      clients.holds.push({ hub, request, account, prompt, completion })
      clients.asked.push(world.submit(hub, decideHold(world.hubs[hub]!.hub, {
        request: bytes(request, 16), requestHash: bytes(request, 32), account: accounts[account]!.id, provider: request % 2 === 0 ? 'groq' : 'anthropic',
        model: 'claude-3-sonnet', promptTokens: prompt, completionTokensMax: completion, holdMs: 30_000, ...(less ? { completionTokensMin: 0 } : {}),
      })))
    })
  }),
  fc.tuple(pick, hubOf).map(([number, hub]) => command(`again(${number}, hub ${hub})`, (clients, { world, accounts }) => {
    const before = clients.holds[number % Math.max(1, clients.holds.length)]
    if (before === undefined) return
    // A client names the hold that it asked for first, whichever hubs it tried since.
    const first = clients.holds.find(({ request }) => request === before.request)!
    const elsewhere = hub !== first.hub
    const again = elsewhere ? { ...first, hub, after: first.hub } : first
    if (elsewhere) clients.holds.push(again)
    clients.asked.push(world.submit(hub, decideHold(world.hubs[hub]!.hub, {
      request: bytes(first.request, 16), requestHash: bytes(first.request, 32), account: accounts[first.account]!.id, provider: 'groq', model: 'x',
      promptTokens: first.prompt, completionTokensMax: first.completion, holdMs: 30_000,
      ...(again.after === undefined ? {} : { supersedes: { hub: again.after, hold: holdEidOf(again.after, bytes(first.request, 16)) } }),
    })))
  })),
  fc.tuple(pick, fc.constantFrom('extend', 'progress', 'settle', 'settle', 'settle', 'expire', 'refund'), fc.nat({ max: 30_000 })).map(([number, what, tokens]) => {
    return command(`${what}(${number}, ${tokens})`, (clients, { world }) => {
      const known = clients.holds[number % Math.max(1, clients.holds.length)]
      if (known === undefined) return
      const { hub } = world.hubs[known.hub]!
      const hold = holdEidOf(known.hub, bytes(known.request, 16))
      const state = hub.state.holds.get(Buffer.from(hold).toString('hex'))
      const use = { promptTokens: known.prompt, completionTokens: tokens }
      const intent = what === 'extend' ? decideExtend(hub, { hold, step: (state?.extensions ?? 0) + 1, promptTokens: known.prompt, completionTokensMax: known.completion + tokens })
        : what === 'progress' ? decideProgress(hub, { hold, step: (state?.progress?.step ?? 0) + 1, ...use })
        : what === 'settle' ? decideSettle(hub, { hold, ...use })
        : what === 'expire' ? decideExpire(hub, { hold })
        : decideRefund(hub, { hold, amountMicroCredits: BigInt(tokens) * 100n, reason: `r${tokens % 3}` })
      clients.asked.push(world.submit(known.hub, intent))
    })
  }),
  hubOf.map((hub) => command(`commit(${hub})`, (_, { world }) => { world.commit(hub) })),
  hubOf.map((hub) => command(`commit(${hub})`, (_, { world }) => { world.commit(hub) })),
  fc.tuple(hubOf, hubOf, fc.nat({ max: 6 })).map(([from, to, count]) => command(`deliver(${from} to ${to}, ${count})`, (_, { world }) => {
    for (let left = count; left >= 0 && world.deliver(from, to);) left -= 1
  })),
  fc.tuple(hubOf, hubOf).map(([from, to]) => command(`deliver(${from} to ${to})`, (_, { world }) => { while (world.deliver(from, to)) continue })),
  fc.tuple(hubOf, hubOf).map(([a, b]) => command(`link(${a}, ${b})`, (_, { world }) => {
    if (a === b) return
    if (world.connected(a, b)) world.cut(a, b)
    else world.connect(a, b)
  })),
  fc.nat({ max: 3_000 }).map((ms) => command(`tick(${ms})`, (_, { world }) => { world.tick(ms + 1) })),
  fc.tuple(hubOf, fc.nat({ max: 7 })).map(([hub, luck]) => command(`restart(${hub}, ${luck})`, (_, { world }) => { if (luck === 0) world.restart(hub) })),
  ...[1, 2, 3].map(() => fc.constant(command('calm()', (_, { world }) => { world.settle(3) }))),
]

function paid({ outcome, refunded, refundedTokens }: HoldState): boolean {
  return outcome?.settled === true && (outcome.charge > refunded || outcome.quotaTokens > refundedTokens)
}

function expectQuiet({ world, accounts }: Real, clients: Clients): void {
  const states = world.hubs.map(({ hub }) => hub.state)
  for (const state of states) expect(checkState(state)).to.deep.equal([])
  expect(dumpState(states[1]!)).to.equal(dumpState(states[0]!))
  expect(dumpState(states[2]!)).to.equal(dumpState(states[0]!))
  const [state] = states
  expect([...state!.gives.keys()], 'everything given has arrived').to.deep.equal([])
  expect([...state!.openHolds], 'every hold is over').to.deep.equal([])
  for (const { hex } of accounts) {
    const account = state!.accounts.get(hex)!
    const charged = [...state!.holds.values()].filter((hold) => hold.account === hex).reduce((sum, hold) => sum + (hold.outcome?.charge ?? 0n) - hold.refunded, 0n)
    expect(charged <= account.minted + account.debt, 'no more is spent than came in').to.equal(true)
    for (const [day, { logs }] of account.quota) {
      const perDay = tierRow(state!, 0, tierOn(state!, hex, day))?.tokensPerDay
      const used = [...logs.values()].reduce((sum, log) => sum + log.used, 0)
      expect(perDay === null || used <= (perDay ?? 0), `${used} tokens of ${perDay}`).to.equal(true)
    }
  }
  const requests = new Map<string, number>()
  for (const hold of state!.holds.values()) if (paid(hold)) requests.set(hold.requestHash, (requests.get(hold.requestHash) ?? 0) + 1)
  expect([...requests.values()].filter((times) => times > 1), 'no request is paid twice').to.deep.equal([])
  for (const { result, error } of clients.asked) expect(result ?? error, 'everybody is answered').to.not.equal(undefined)
  for (const { error } of clients.asked) expect(error?.code).to.not.equal('INTERNAL')
}

/** What has happened at least once in all runs together: a test that never gets there proves nothing. */
const sometimes = new Map<string, number>()

function count({ world }: Real, clients: Clients): void {
  const note = (name: string, times = 1) => { sometimes.set(name, (sometimes.get(name) ?? 0) + times) }
  const [state] = world.hubs.map(({ hub }) => hub.state)
  for (const hold of state!.holds.values()) {
    if (hold.outcome?.settled === true) note(hold.outcome.charge > 0n ? 'charged' : 'covered by quota')
    if (hold.outcome?.settled === false) note('expired')
    if (hold.refundReasons.includes('superseded')) note('paid back since another hub served it')
    if (hold.extensions > 0) note('extended')
  }
  for (const { logged } of [world.hubs[0]!]) for (const { entry } of logged.values()) if (entry.k === 'Accept') note(entry.unit === 0 ? 'credits moved' : 'quota moved')
  for (const { error } of clients.asked) if (error !== undefined) note(error.code)
  for (const { debt } of state!.accounts.values()) if (debt > 0n) note('debt')
}

describe('three cores under any history', () => {
  it('spend nothing twice, lose nothing, and agree in the end', function () {
    this.timeout(120_000)
    const seed = Number(process.env['SEED'] ?? 20_261_124)
    fc.assert(fc.property(fc.commands(commands, { maxCommands: 120, size: 'max' }), (cmds) => {
      const world = createCoreWorld()
      const accounts = [world.account(0), world.account(1, 'nothing'), world.account(2, 'pro')]
      const clients: Clients = { holds: [], asked: [], payments: [], grants: 0, requests: 0 }
      const real = { world, accounts }
      fc.modelRun(() => ({ model: clients, real }), cmds)
      for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) world.connect(a, b)
      world.settle()
      // Holds end, duties find what is left to do.
      for (const ms of [700_000, 6_000, 6_000, 6_000]) {
        world.tick(ms)
        world.settle()
      }
      expect(world.nowMs).to.be.greaterThan(START_MS)
      expectQuiet(real, clients)
      count(real, clients)
    }), { seed, numRuns: RUNS, verbose: false })
    if (process.env['SHOW'] !== undefined) console.log(sometimes)
    expect([...sometimes.keys()]).to.include.members([
      'charged', 'covered by quota', 'expired', 'paid back since another hub served it', 'extended', 'credits moved', 'quota moved', 'debt',
      'HOLD_DONE', 'HOLD_OVER', 'NOT_HOME', 'ACCOUNT_IN_DEBT', 'INSUFFICIENT_CREDITS', 'QUOTA_EXCEEDED', 'RIGHTS_UNREACHABLE',
    ])
  })
})
