/**
 * What clients do: an open loop of orders, so that a hub that stands still does not stop them. Spends go from the hold to
 * the end or are left lying; some are repeated, some are tried again at another hub; what was answered goes into the tally.
 */
import { expectedEid, eidOfOnce, holdEidOf } from '../../ledger/entries/entry.ts'
import type { HoldAsk } from '../../ledger/hub/decide/hold.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { receiptIdOf } from '../../protocol/messages/receipt.ts'
import type { Random } from '../../protocol/ports.ts'
import { testKey, type TestFederation } from '../support/federation.ts'
import { testReceipt, ticketIn } from '../support/ledger-world.ts'
import { HubGone, HubRefused, type Hub } from './hubs.ts'
import type { AskedHold, OpKind, Tally } from './tally.ts'

export interface LoadAccount {
  readonly id: Uint8Array
  readonly publicKey: Uint8Array
  readonly name: string
  readonly tier: string
  /** `rich`: never short of credits; `poor`: overdrawn all the time; `quota`: lives on the day's tokens. */
  readonly kind: 'rich' | 'poor' | 'quota'
  /** Hub that its owner uses; undefined: any. */
  readonly hub: number | undefined
}

export interface LoadOptions {
  readonly ordersPerSecond: number
  /** Orders without an answer; above it a client is told that all lines are busy, which counts as nothing. */
  readonly openMax: number
  /** A client gives up then, and does not know. */
  readonly patienceMs: number
}

export const loadDefaults: LoadOptions = Object.freeze({ ordersPerSecond: 250, openMax: 1_500, patienceMs: 4_000 })

export interface Load {
  readonly accounts: readonly LoadAccount[]
  /** Opens all accounts and gives them their first credits. */
  prepare(): Promise<void>
  start(options?: { readonly hubs?: readonly number[]; readonly only?: 'spends' }): void
  stop(): void
  /** Resolves when every order has its answer, or can have none. */
  idle(): Promise<void>
  readonly open: number
}

const RICH_MICRO_CREDITS = 4_000_000_000n
const POOR_MICRO_CREDITS = 6_000_000n

export function createLoad(world: TestFederation, hubs: readonly Hub[], tally: Tally, random: Random, options: LoadOptions = loadDefaults): Load {
  const { unit } = random
  const { network } = world.federation
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(unit() * items.length)]!
  const accounts = (['rich', 'poor', 'quota'] as const).flatMap((kind) => Array.from({ length: kind === 'rich' ? 18 : 4 }, (_, index): LoadAccount => {
    const { publicKey } = testKey(random.bytes(32)).signer
    // A third of the rich is used at one hub each, as people do; the others at any.
    const hub = kind === 'rich' && index < 12 ? index % 3 : undefined
    return { id: accountIdOf(publicKey), publicKey, name: `${kind} ${index}`, tier: kind === 'quota' ? 'pro' : 'free', kind, hub }
  }))
  let running = false
  let timer: NodeJS.Timeout | undefined
  let open = 0
  let idleWaiters: (() => void)[] = []
  let serial = 0
  let allowed: readonly number[] = [0, 1, 2]
  let spendsOnly = false

  /** Counts the answer. Gives it, or undefined where there is none in time; a late one counts too, by `onLate`. */
  async function ask<Result>(kind: OpKind, hub: number, call: () => Promise<Result>, late: (result: Result) => void): Promise<Result | HubRefused | undefined> {
    const phase = tally.now()
    const answer = call()
    open += 1
    void answer.catch(() => {}).then(() => {
      open -= 1
      if (open === 0) for (const wake of idleWaiters.splice(0)) wake()
    })
    let given: NodeJS.Timeout | undefined
    const patience = new Promise<undefined>((resolve) => { given = setTimeout(() => { resolve(undefined) }, options.patienceMs) })
    try {
      const result = await Promise.race([answer, patience])
      if (result === undefined && await isPending(answer)) {
        tally.note(kind, hub, 'indeterminate', 'no answer', phase)
        void answer.then(late, () => {})
        return undefined
      }
      late(result as Result)
      tally.note(kind, hub, 'ok', undefined, phase)
      return result
    } catch (error) {
      if (error instanceof HubRefused) {
        tally.note(kind, hub, 'refused', error.code, phase)
        return error
      }
      if (!(error instanceof HubGone)) throw error
      tally.note(kind, hub, 'indeterminate', 'hub gone', phase)
      return undefined
    } finally {
      clearTimeout(given)
    }
  }

  async function prepare(): Promise<void> {
    for (const account of accounts) await hubs[0]!.call('openAccount', { publicKey: account.publicKey, name: account.name, tier: account.tier })
    for (const account of accounts) {
      if (account.kind !== 'quota') await grant(account, account.hub ?? 0, account.kind === 'rich' ? RICH_MICRO_CREDITS : POOR_MICRO_CREDITS)
    }
  }

  async function grant(account: LoadAccount, hub: number, amount: bigint): Promise<void> {
    serial += 1
    const source = `grant ${serial}`
    const eid = toHex(expectedEid({ k: 'Grant', account: account.id, amount, source }))
    const asked = { account: toHex(account.id), amount, acked: false }
    tally.grants.set(eid, asked)
    await ask('grant', hub, () => hubs[hub]!.call('grant', { account: account.id, amountMicroCredits: amount, source }), ({ durability }) => {
      asked.acked = true
      tally.acked.set(eid, durability)
    })
  }

  async function logReceipt(account: LoadAccount, hub: number): Promise<void> {
    const receipt = testReceipt(network, world.hubs[hub]!.signer, { account: account.id, jobId: random.bytes(16) })
    const id = toHex(receiptIdOf(ticketIn(receipt.ticket).jobId))
    await ask('receipt', hub, () => hubs[hub]!.call('appendReceipt', receipt), ({ durability }) => {
      tally.acked.set(id, durability)
      tally.receipts.push(id)
    })
  }

  function askOf(account: LoadAccount): HoldAsk {
    const request = random.bytes(16)
    return {
      request, requestHash: sha256(request), account: account.id, provider: 'groq', model: 'llama-3.1-8b', promptTokens: 1 + Math.floor(unit() * 600),
      completionTokensMax: 1 + Math.floor(unit() * 900), holdMs: unit() < 0.05 ? 1_500 : 20_000,
    }
  }

  function register(hub: number, asked: HoldAsk, request: string): AskedHold {
    const hold = toHex(holdEidOf(hub, asked.request))
    const known = tally.holds.get(hold)
    const record: AskedHold = known ?? {
      hold, account: toHex(asked.account), request, hub, standing: 'asked', settleAsked: false, progressAsked: false, settled: undefined, expireAcked: false,
    }
    tally.holds.set(hold, record)
    return record
  }

  async function hold(kind: OpKind, hub: number, asked: HoldAsk, record: AskedHold): Promise<boolean> {
    const result = await ask(kind, hub, () => hubs[hub]!.call('hold', asked), ({ durability }) => {
      record.standing = 'held'
      tally.acked.set(record.hold, durability)
    })
    if (result instanceof HubRefused && record.standing === 'asked') record.standing = 'refused'
    return result !== undefined && !(result instanceof HubRefused) && result.settled === undefined
  }

  async function spend(account: LoadAccount, hub: number, moved: boolean): Promise<void> {
    const kind: OpKind = moved ? 'moved spend' : account.kind === 'rich' ? 'spend' : account.kind === 'poor' ? 'poor spend' : 'quota spend'
    const asked = askOf(account)
    const request = toHex(asked.request)
    const record = register(hub, asked, request)
    const twice = unit() < 0.05 ? hold('retry elsewhere', hub, asked, record) : undefined
    const held = await hold(kind, hub, asked, record)
    await twice
    const lost = record.standing === 'asked' && unit() < 0.7
    if (lost || held && unit() < 0.06) {
      const elsewhere = pick([0, 1, 2].filter((other) => other !== hub && allowed.includes(other) && hubs[other]!.alive))
      if (elsewhere !== undefined) await retryAt(elsewhere, hub, asked, record)
      // The first hub may have served it all the same.
      if (!held || unit() < 0.5) return
    }
    if (held) await finish(hub, asked, record)
  }

  async function retryAt(hub: number, first: number, asked: HoldAsk, former: AskedHold): Promise<void> {
    const again: HoldAsk = { ...asked, request: random.bytes(16), supersedes: { hub: first, hold: Buffer.from(former.hold, 'hex') } }
    const record = register(hub, again, former.request)
    if (await hold('retry elsewhere', hub, again, record)) await finish(hub, again, record)
  }

  async function finish(hub: number, asked: HoldAsk, record: AskedHold): Promise<void> {
    const id = new Uint8Array(Buffer.from(record.hold, 'hex'))
    const die = unit()
    // The client is gone: the hub lets it lapse.
    if (die < 0.06) return
    const usage = { promptTokens: asked.promptTokens, completionTokens: Math.floor(unit() * 1.1 * asked.completionTokensMax) }
    if (unit() < 0.2) {
      const more = { hold: id, step: 1, promptTokens: asked.promptTokens, completionTokensMax: asked.completionTokensMax + Math.floor(unit() * 400), holdMs: 20_000 }
      await ask('extend', hub, () => hubs[hub]!.call('extend', more), () => {})
    }
    if (unit() < 0.3) {
      record.progressAsked = true
      const note = { hold: id, step: 1, promptTokens: usage.promptTokens, completionTokens: Math.floor(usage.completionTokens / 2) }
      await ask('progress', hub, () => hubs[hub]!.call('progress', note), () => {})
    }
    if (die < 0.16) {
      await ask('expire', hub, () => hubs[hub]!.call('expire', id), () => { record.expireAcked = true })
      return
    }
    await settle(hub, id, usage, record)
    if (record.settled !== undefined && unit() < 0.05) await settle(hub, id, usage, record)
    if (record.settled !== undefined && record.settled.charge > 0n && unit() < 0.03) {
      await ask('refund', hub, () => hubs[hub]!.call('refund', { hold: id, amountMicroCredits: 'all', reason: 'complaint' }), () => {})
    }
  }

  async function settle(hub: number, id: Uint8Array, usage: { promptTokens: number; completionTokens: number }, record: AskedHold): Promise<void> {
    record.settleAsked = true
    await ask('settle', hub, () => hubs[hub]!.call('settle', { hold: id, ...usage }), ({ chargeMicroCredits, quotaTokens }) => {
      record.settled = { charge: chargeMicroCredits, quotaTokens }
      // Whether it was on two disks the answer does not tell; a killed process loses neither.
      tally.acked.set(toHex(eidOfOnce('Settle', id)), 'local')
    })
  }

  function order(): void {
    const usable = allowed.filter((hub) => hubs[hub]!.alive)
    if (open >= options.openMax || usable.length === 0) return
    const account = pick(accounts)
    const moved = account.hub !== undefined && !usable.includes(account.hub)
    const hub = account.hub === undefined || moved ? pick(usable) : account.hub
    const die = unit()
    const done = spendsOnly || die < 0.72 ? spend(account, hub, moved) : die < 0.8 ? grant(account, hub, 1n + BigInt(Math.floor(unit() * 3_000_000))) : logReceipt(account, hub)
    done.catch((error: unknown) => { setImmediate(() => { throw error }) })
  }

  function next(): void {
    // Orders come at random times, on average so many a second.
    timer = setTimeout(() => {
      order()
      if (running) next()
    }, -Math.log(1 - unit()) * 1_000 / options.ordersPerSecond)
  }

  return {
    accounts, prepare,
    get open() { return open },
    start: ({ hubs: chosen = [0, 1, 2], only } = {}) => {
      allowed = chosen
      spendsOnly = only === 'spends'
      running = true
      next()
    },
    stop: () => {
      running = false
      clearTimeout(timer)
    },
    idle: () => open === 0 ? Promise.resolve() : new Promise((resolve) => { idleWaiters.push(resolve) }),
  }
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending')
  return await Promise.race([promise, Promise.resolve(pending)]) === pending
}
