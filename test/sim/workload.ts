/** What callers do: they open accounts, give, log receipts, repeat what they asked, contradict themselves, and look. */
import type { AppendResult, HubLedger } from '../../ledger/interface.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { toTriforceError } from '../../protocol/errors.ts'
import { receiptIdOf } from '../../protocol/messages/receipt.ts'
import { ticketOf } from '../../ledger/entries/entry.ts'
import { testKey } from '../support/federation.ts'
import { testReceipt, testTicket } from '../support/ledger-world.ts'
import { told, untold, type Oracle, type Told } from './oracle.ts'
import { count } from './sim-report.ts'
import type { SimWorld } from './sim-world.ts'
import type { OperationKind } from './swarm.ts'

export interface Workload {
  /** One operation, now. */
  operate(): void
  /** Answers still awaited from processes that live. */
  readonly pending: number
  /** Operations that were answered well. */
  readonly done: number
}

/** Errors that a caller must be ready for; any other is a bug. */
const expectedErrors = new Set(['LEDGER_READ_ONLY', 'STOPPING', 'LOG_DAMAGED', 'LOG_FORKED', 'ENTRY_CONFLICT', 'QUEUE_FULL', 'NOT_FOUND', 'RECEIPT_INVALID', 'NOT_HOME', 'HUB_ISOLATED'])

interface Repeatable {
  readonly kind: OperationKind
  /** Hub where alone it makes sense, if any. */
  readonly hub: number | undefined
  again(hub: number, ledger: HubLedger): void
}

const contributors = [7, 8].map((number) => testKey(new Uint8Array(32).fill(number)).signer)

export function createWorkload(world: SimWorld, oracle: Oracle): Workload {
  const { swarm, report, scheduler } = world
  const random = world.random('workload')
  const pick = <Item>(items: readonly Item[]): Item | undefined => items[Math.floor(random.unit() * items.length)]
  const repeatables: Repeatable[] = []
  const pendingOf = new Map<object, number>()
  let serial = 0
  let done = 0

  const open = () => world.slots.flatMap(({ process }) => process?.ledger === undefined || process.life.paused ? [] : [process])

  /** Calls, and writes down what the caller is told. */
  function call(hub: number, name: string, thing: Told, result: (ledger: HubLedger) => Promise<AppendResult>, conflictExpected = false): void {
    const { process } = world.slots[hub]!
    if (process?.ledger === undefined) return
    count(report.operations, name)
    pendingOf.set(process, (pendingOf.get(process) ?? 0) + 1)
    const answered = () => { pendingOf.set(process, pendingOf.get(process)! - 1) }
    result(process.ledger).then(({ durability, known, seq, epoch, hub: at }) => {
      if (!process.life.alive) return
      answered()
      done += 1
      scheduler.note(`${process.name} ${name}: ${durability}${known ? ' known' : ''} ${at}/${epoch}:${seq}`)
      if (durability === 'local') count(report.sometimes, 'answered local')
      if (known) count(report.sometimes, 'answered known')
      told(thing, at, durability)
    }, (error: unknown) => {
      if (!process.life.alive) return
      answered()
      const { code } = toTriforceError(error)
      scheduler.note(`${process.name} ${name}: ${code}`)
      count(report.operations, `${name} ${code}`)
      if (code === 'ENTRY_CONFLICT') count(report.sometimes, 'conflict refused')
      if (!expectedErrors.has(code) || code === 'ENTRY_CONFLICT' && !conflictExpected) world.violation('unexpected error', `${name}: ${String(error)}`)
    })
  }

  /** An account by how often it is used: the first ones are hot. */
  function someAccount() {
    const all = [...oracle.accounts.values()]
    if (all.length === 0) return undefined
    return all[Math.min(all.length - 1, Math.floor(all.length * random.unit() ** (1 + swarm.zipf)))]
  }

  function grant(hub: number, account: Uint8Array, source: string, amount: bigint, conflict: boolean): void {
    const key = `${toHex(account)} ${source}`
    const known = oracle.grants.get(key) ?? { account: toHex(account), amounts: new Map<bigint, Told>() }
    oracle.grants.set(key, known)
    const thing = known.amounts.get(amount) ?? untold()
    known.amounts.set(amount, thing)
    call(hub, conflict ? 'conflict' : 'grant', thing, async (ledger) => await ledger.grant({ account, amountMicroCredits: amount, source }), known.amounts.size > 1)
  }

  const operations: Record<OperationKind, (hub: number) => void> = {
    'open-account'(hub) {
      if (oracle.accounts.size >= swarm.accounts) return
      const { publicKey } = testKey(random.bytes(32)).signer
      const id = accountIdOf(publicKey)
      const account = { ...untold(), publicKey, id, name: `account ${oracle.accounts.size}`, tier: 'free' }
      oracle.accounts.set(toHex(id), account)
      const again = (at: number) => { call(at, 'open-account', account, async (ledger) => await ledger.openAccount(account)) }
      repeatables.push({ kind: 'open-account', hub: undefined, again })
      again(hub)
    },
    'add-key'(hub) {
      const account = someAccount()
      if (account === undefined) return
      const publicKey = sha256(random.bytes(8))
      const key = { ...untold(), account: toHex(account.id), publicKey, revoked: untold(), mayBeRevoked: false }
      oracle.keys.set(toHex(publicKey), key)
      const again = (at: number) => { call(at, 'add-key', key, async (ledger) => await ledger.addKey({ publicKey, account: account.id, name: 'key' })) }
      repeatables.push({ kind: 'add-key', hub: undefined, again })
      again(hub)
    },
    'revoke-key'(hub) {
      const key = pick([...oracle.keys.values()])
      if (key === undefined) return
      key.mayBeRevoked = true
      call(hub, 'revoke-key', key.revoked, async (ledger) => await ledger.revokeKey({ publicKey: key.publicKey }))
    },
    grant(hub) {
      const account = someAccount()
      if (account === undefined) return
      serial += 1
      const source = `grant ${serial}`
      const amount = BigInt(1 + Math.floor(random.unit() * 1_000_000))
      repeatables.push({ kind: 'grant', hub: undefined, again: (at) => { grant(at, account.id, source, amount, false) } })
      grant(hub, account.id, source, amount, false)
    },
    ticket(hub) {
      const signed = testTicket('sim', world.federation.hubs[hub]!.signer, { jobId: random.bytes(16), contributor: pick(contributors)!, ticket: { requestHash: sha256(random.bytes(8)) } })
      count(report.operations, 'ticket')
      const { process } = world.slots[hub]!
      process!.ledger!.logTicket(signed)
      if (random.unit() < 0.8) logReceipt(hub, signed)
    },
    receipt(hub) {
      const account = someAccount()
      const signed = testTicket('sim', world.federation.hubs[hub]!.signer, {
        jobId: random.bytes(16), contributor: pick(contributors)!, ticket: { requestHash: sha256(random.bytes(8)) },
        ...(account === undefined ? {} : { account: account.id }),
      })
      logReceipt(hub, signed)
    },
    repeat() {
      const thing = pick(repeatables)
      const process = pick(open().filter(({ hub }) => thing?.hub === undefined || hub === thing.hub))
      if (thing !== undefined && process !== undefined) thing.again(process.hub, process.ledger!)
    },
    conflict(hub) {
      const known = pick([...oracle.grants])
      if (known === undefined) return
      const [key, { account }] = known
      grant(hub, oracle.accounts.get(account)!.id, key.slice(account.length + 1), BigInt(1 + Math.floor(random.unit() * 1_000)), true)
    },
    read(hub) {
      const { process } = world.slots[hub]!
      const receipt = pick([...oracle.receipts.values()])
      if (receipt === undefined || process?.ledger === undefined) return
      count(report.operations, 'read')
      process.ledger.receipt(receipt.id).catch((error: unknown) => {
        const { code } = toTriforceError(error)
        scheduler.note(`${process.name} read: ${code}`)
        // A broken row is told as such; it may be repaired later.
        if (process.life.alive && code !== 'LOG_DAMAGED') world.violation('unexpected error', `read: ${String(error)}`)
      })
    },
  }

  function logReceipt(hub: number, signed: ReturnType<typeof testTicket>): void {
    const { signer } = world.federation.hubs[hub]!
    const { jobId, contributor, account } = ticketOf(signed)
    const worker = contributors.find(({ publicKey }) => toHex(publicKey) === toHex(contributor))!
    const receipt = testReceipt('sim', signer, { contributor: worker, ...(random.unit() < 0.1 ? { half: null } : {}) }, signed)
    const id = receiptIdOf(jobId)
    const thing = { ...untold(), id, account: toHex(account) }
    oracle.receipts.set(toHex(id), thing)
    const again = (at: number) => { call(at, 'receipt', thing, async (ledger) => await ledger.appendReceipt(receipt)) }
    repeatables.push({ kind: 'receipt', hub, again })
    again(hub)
  }

  return {
    operate() {
      const process = pick(open())
      const kind = pick(swarm.operations)
      if (process === undefined || kind === undefined) return
      operations[kind](process.hub)
    },
    get pending() {
      return [...pendingOf].reduce((sum, [process, waiting]) => sum + ((process as { life: { alive: boolean } }).life.alive ? waiting : 0), 0)
    },
    get done() { return done },
  }
}
