/** Three hubs' ledgers in one process, joined by links that can be cut, and makers of what is logged. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeReceipt, type EncodedEntry, type ReceiptRate } from '../../ledger/entries/entry.ts'
import type { HubLedger } from '../../ledger/interface.ts'
import { openLedger, type LedgerOptions } from '../../ledger/ledger.ts'
import { decode } from '../../protocol/codec.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { ticketHashOf, type Observation, type Receipt, type ReceiptHalf } from '../../protocol/messages/receipt.ts'
import { ticketSchema, type Ticket } from '../../protocol/messages/ticket.ts'
import type { Clock, Signer } from '../../protocol/ports.ts'
import { signDocument, type Signed } from '../../protocol/signed.ts'
import { testFederation, testKey, type TestFederation } from './federation.ts'
import { quietLog } from './quiet-log.ts'

export const realClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs)
    return () => { clearTimeout(timer) }
  },
}

export const cryptoRandom = { bytes: (length: number) => new Uint8Array(randomBytes(length)), unit: () => Math.random() }

export function openTestLedger(world: TestFederation, hubIndex: number, dir: string, options: Partial<LedgerOptions> = {}): Promise<HubLedger> {
  return openLedger({ clock: realClock, random: cryptoRandom, log: quietLog(`hub${hubIndex}`), signer: world.hubs[hubIndex]!.signer },
    // Tests open hubs one by one; the rule for very first logs has tests of its own.
    { dir, federation: world.federation, hubIndex, ...options, ownLog: { firstLogPeers: 1, ...options.ownLog } })
}

export async function temporaryDir(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'triforce-ledger-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

export interface TestLink {
  cut(): void
}

/** Joins two ledgers as two streams would: messages arrive in order, later, one at a time; `onMessage` may look at them. */
export function join2(a: HubLedger, aIndex: number, b: HubLedger, bIndex: number, onError: (error: unknown) => void = (error) => { throw error }): TestLink {
  const link = { alive: true }
  const direction = (to: HubLedger, from: number) => {
    const queue: Uint8Array[] = []
    let running = false
    const pump = async () => {
      running = true
      while (link.alive && queue.length > 0) await to.sync.receive(from, queue.shift()!)
      running = false
    }
    return (message: Uint8Array) => {
      if (!link.alive) return false
      queue.push(message)
      if (!running) void Promise.resolve().then(pump).catch(onError)
      return true
    }
  }
  const toB = direction(b, aIndex)
  const toA = direction(a, bIndex)
  a.sync.connected(bIndex, toB)
  b.sync.connected(aIndex, toA)
  return {
    cut: () => {
      if (!link.alive) return
      link.alive = false
      a.sync.disconnected(bIndex)
      b.sync.disconnected(aIndex)
    },
  }
}

export interface TestJob {
  readonly contributor?: Signer
  readonly account?: Uint8Array
  readonly jobId?: Uint8Array
  readonly ticket?: Partial<Ticket>
  readonly half?: Partial<ReceiptHalf> | null
  readonly observation?: Partial<Observation>
}

const zeros = new Uint8Array(16)
const someContributor = testKey(new Uint8Array(32).fill(7)).signer

export function testTicket(network: string, hub: Signer, job: TestJob = {}): Signed {
  const issuedAt = 1_800_000_000_000
  const ticket: Ticket = {
    v: 1, network, jobId: job.jobId ?? new Uint8Array(randomBytes(16)), hub: hub.publicKey, contributor: (job.contributor ?? someContributor).publicKey,
    account: job.account ?? zeros, model: 'triforce-demo:1m', requestHash: sha256(randomBytes(8)), tokensMax: 512, msMax: 60_000, priority: 1,
    priceRev: 1, classRev: 1, issuedAt, expiresAt: issuedAt + 60_000, ...job.ticket,
  }
  return signDocument(hub, 'ticket', ticket)
}

export function testReceipt(network: string, hub: Signer, job: TestJob = {}, ticket: Signed = testTicket(network, hub, job), jobId = jobIdOf(ticket)): Receipt {
  const seen = { outputHash: sha256(jobId), finish: 'stop' as const, usage: { promptTokens: 12, completionTokens: 40 } }
  const half: ReceiptHalf = {
    v: 1, ticketHash: ticketHashOf(ticket), jobId, modelDigest: 'ab'.repeat(32), device: 'cpu', boot: zeros, startMs: 1_000, endMs: 2_500, ...seen, ...job.half,
  }
  const observation: Observation = { observedMs: 1_600, path: 'hub', endedAt: 1_800_000_002_000, ...seen, ...job.observation }
  return {
    ticket: ticket.body, observation,
    ...(job.half === null ? {} : { half: signDocument(job.contributor ?? someContributor, 'receiptHalf', half) }),
  }
}

function jobIdOf(ticket: Signed): Uint8Array {
  return ticketIn(ticket.body).jobId
}

export function ticketIn(body: Uint8Array): Ticket {
  return decode(ticketSchema, body)
}

export function receiptEntry(receipt: Receipt, rate?: ReceiptRate): EncodedEntry {
  return encodeReceipt(ticketIn(receipt.ticket), receipt, rate)
}

export function testWorld(): TestFederation {
  return testFederation({ network: 'ledger-test' })
}
