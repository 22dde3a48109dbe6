/**
 * One hub of the ledger bench, in a process of its own: loads accounts, appends, spends, and measures the bare parts
 * (signatures, hashes, LevelDB, fsync) in the same process. Asked by its parent over the channel.
 */
import { hash } from 'node:crypto'
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createStateTree } from '../../../ledger/checkpoint/state-tree.ts'
import { createState, emptyAccount, type AccountId, type AccountState } from '../../../ledger/fold/state.ts'
import { homeOf } from '../../../ledger/fold/homes.ts'
import { openLedger } from '../../../ledger/ledger.ts'
import { openDatabase } from '../../../ledger/store/open.ts'
import { accountIdOf } from '../../../protocol/api-key.ts'
import { fromHex, toHex } from '../../../protocol/bytes.ts'
import { createSigner, sha256, verifySignature } from '../../../protocol/crypto.ts'
import { readFederation } from '../../../protocol/federation.ts'
import type { Receipt } from '../../../protocol/messages/receipt.ts'
import { publicKeyOf } from '../../../protocol/peer-key.ts'
import { openLedgerSockets } from '../../support/ledger-socket.ts'
import { cryptoRandom, realClock, testReceipt } from '../../support/ledger-world.ts'
import { quietLog } from '../../support/quiet-log.ts'

export interface BenchHubSettings {
  readonly hub: number
  readonly dir: string
  readonly federation: string
  readonly seed: string
}

const MESSAGE_BYTES = 300
const settings = JSON.parse(process.argv[2]!) as BenchHubSettings
const federation = readFederation(settings.federation)
const signer = createSigner(fromHex(settings.seed)!)
const hubKeys = federation.hubs.map(({ peerId }) => publicKeyOf(peerId)!)
process.on('disconnect', () => { process.exit(0) })

const openedFrom = { ms: performance.now(), cpu: process.cpuUsage() }
const ledger = await openLedger({ clock: realClock, random: cryptoRandom, log: quietLog(`hub${settings.hub}`), signer }, {
  dir: settings.dir, federation, hubIndex: settings.hub, onFailed: (error) => { throw error },
  // On a machine whose cores are shared by three hubs and others an acknowledgement may take longer than between machines.
  writer: { peerWaitMs: 30_000, replicatedWaitMs: 60_000 },
})
const opening = process.cpuUsage(openedFrom.cpu)
const opened: Took = { seconds: (performance.now() - openedFrom.ms) / 1_000, cpuSeconds: (opening.user + opening.system) / 1_000_000 }
const sockets = await openLedgerSockets(ledger.sync, { hub: settings.hub, port: 0 }, (error) => { throw error })
const entriesNow = () => ledger.heads().reduce((sum, { entries }) => sum + entries, 0)

/** How long something took: on the clock, and on this process's cores (all threads, so LevelDB's too). */
export interface Took {
  readonly seconds: number
  readonly cpuSeconds: number
}

async function took(run: () => Promise<void>): Promise<Took> {
  const startedMs = performance.now()
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return { seconds: (performance.now() - startedMs) / 1_000, cpuSeconds: (user + system) / 1_000_000 }
}

/** The same for `count` pieces of work, each. */
const each = async (count: number, run: () => Promise<void>): Promise<Took> => {
  const { seconds, cpuSeconds } = await took(run)
  return { seconds: seconds / count, cpuSeconds: cpuSeconds / count }
}

/** So many at once, until all are done. */
async function windowed(count: number, atOnce: number, one: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < count) {
      next += 1
      await one(next - 1)
    }
  }))
}

/** An order that no other hub confirmed in time is repeated, as callers do: it is one entry. */
async function repeated<Result>(order: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await order()
    } catch (error) {
      if ((error as { readonly code?: string }).code !== 'HUB_ISOLATED') throw error
      isolated += 1
    }
  }
}

let isolated = 0
let accounts: { readonly publicKey: Uint8Array; readonly id: Uint8Array }[] = []
let spenders = accounts
const contributors = Array.from({ length: 64 }, (_, index) => createSigner(sha256(Buffer.from(`contributor ${index}`))))

const commands = {
  dial: async (hub: number, port: number) => { sockets.dial(hub, port) },
  whenWritable: async () => { await ledger.whenWritable({ signal: AbortSignal.timeout(60_000) }) },
  heads: async () => ledger.heads().filter(({ frames }) => frames > 0).map(({ hub, epoch, frames, hash: head }) => `${hub}/${epoch}:${frames}:${toHex(head)}`).join(' '),
  entries: async () => entriesNow(),
  opened: async () => opened,
  /** Orders that had to be repeated. */
  isolated: async () => isolated,

  /** Accounts of which this hub is the home; the first `paid` get credits. */
  load: async (count: number, paid: number) => {
    while (accounts.length < count) {
      const publicKey = cryptoRandom.bytes(32)
      const id = accountIdOf(publicKey)
      if (homeOf(hubKeys, toHex(id)) === settings.hub) accounts.push({ publicKey, id })
    }
    spenders = accounts.slice(0, paid)
    return await each(count + paid, () => windowed(count, 4_000, async (index) => {
      const { publicKey, id } = accounts[index]!
      await ledger.openAccount({ publicKey, name: `account ${index}`, tier: 'free' })
      if (index < paid) await repeated(() => ledger.purchase({ account: id, amountMicroCredits: 100_000_000n, payment: `bench ${index}`, product: 'bench' }))
    }))
  },

  /** Receipts with their tickets; those are made before, since making them is not the ledger's work. */
  receipts: async (count: number, atOnce: number) => {
    const made: Receipt[] = Array.from({ length: count }, (_, index) => testReceipt(federation.network, signer, {
      jobId: cryptoRandom.bytes(16), account: accounts[index % accounts.length]!.id, contributor: contributors[index % contributors.length]!,
      half: { startMs: index * 2_000, endMs: index * 2_000 + 1_500 },
    }))
    let replicated = 0
    const receipt = await each(count, () => windowed(count, atOnce, async (index) => {
      if ((await ledger.appendReceipt(made[index]!)).durability === 'replicated') replicated += 1
    }))
    return { receipt, replicated }
  },

  /** Each a hold and a settlement: two entries. */
  spends: async (count: number, atOnce: number) => await each(2 * count, () => windowed(count, atOnce, async (index) => {
    const { hold } = await ledger.hold(askOf(index))
    await ledger.settle({ hold, promptTokens: 100, completionTokens: 300 })
  })),

  /** Milliseconds of each of `count` holds, one after the other. */
  latencies: async (count: number) => {
    const all: number[] = []
    for (let index = 0; index < count; index += 1) {
      const startedMs = performance.now()
      const { durability } = await ledger.hold(askOf(index))
      if (durability === 'replicated') all.push(performance.now() - startedMs)
    }
    return all
  },

  /** Everything read from the disk, folded and compared. */
  audit: async () => {
    const entries = entriesNow()
    return await each(entries, async () => {
      const report = await ledger.audit()
      if (report.problems.length > 0) throw new Error(report.problems.join('; '))
    })
  },

  /** Root of the state tree after `touched` of `count` accounts changed: milliseconds. */
  stateTree: async (count: number, touched: number) => {
    const state = createState(federation.network, hubKeys)
    const all = new Map<AccountId, AccountState>()
    for (let index = 0; index < count; index += 1) {
      const id = toHex(cryptoRandom.bytes(16))
      const account = emptyAccount(state, id)
      account.rights.set('0/1', 1_000n).set('1/1', 500n)
      account.minted = 1_500n
      account.chains.set('0/1', { entries: 3, head: sha256(fromHex(id)!) })
      all.set(id, account)
    }
    const tree = createStateTree()
    const ids = [...all.keys()]
    tree.update(all, ids)
    const times: number[] = []
    for (let round = 0; round < 5; round += 1) {
      const changed = ids.filter((_, index) => index % Math.floor(count / touched) === round % Math.floor(count / touched)).slice(0, touched)
      for (const id of changed) all.get(id)!.rights.set('0/1', BigInt(2_000 + round))
      const startedMs = performance.now()
      tree.update(all, changed)
      times.push(performance.now() - startedMs)
    }
    return times
  },

  /** Processor seconds that this process has used, all threads. */
  cpuSeconds: async () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000_000
  },

  verifications: async () => {
    const message = cryptoRandom.bytes(MESSAGE_BYTES)
    const signature = signer.sign(message)
    const count = 4_000
    return await each(count, async () => {
      for (let index = 0; index < count; index += 1) if (!verifySignature(signer.publicKey, message, signature)) throw new Error('not valid')
    })
  },
  hashes: async () => {
    const message = cryptoRandom.bytes(MESSAGE_BYTES)
    const count = 200_000
    return await each(count, async () => {
      for (let index = 0; index < count; index += 1) hash('sha256', message, 'buffer')
    })
  },
  /** Rows in synced batches of 1,000. */
  rows: async () => {
    const dir = mkdtempSync(join(tmpdir(), 'triforce-bench-level-'))
    const db = await openDatabase(dir)
    const value = cryptoRandom.bytes(MESSAGE_BYTES)
    const batches = 30
    const row = await each(batches * 1_000, async () => {
      for (let batch = 0; batch < batches; batch += 1) {
        await db.batch(Array.from({ length: 1_000 }, () => ({ type: 'put' as const, key: cryptoRandom.bytes(17), value })), { sync: true })
      }
    })
    await db.close()
    rmSync(dir, { recursive: true, force: true })
    return row
  },
  /** Milliseconds of an append of 1 KiB and its fdatasync, each. */
  syncs: async (count: number) => {
    const dir = mkdtempSync(join(settings.dir, 'sync-'))
    const file = openSync(join(dir, 'file'), 'a')
    const bytes = cryptoRandom.bytes(1_024)
    const times = Array.from({ length: count }, () => {
      const startedMs = performance.now()
      writeSync(file, bytes)
      fdatasyncSync(file)
      return performance.now() - startedMs
    })
    closeSync(file)
    rmSync(dir, { recursive: true, force: true })
    return times
  },
  close: async () => {
    await ledger.close()
    setImmediate(() => { process.exit(0) })
  },
}

function askOf(index: number) {
  const request = cryptoRandom.bytes(16)
  return {
    request, requestHash: sha256(request), account: spenders[(index * 7_919) % spenders.length]!.id, provider: 'groq', model: 'llama-3.1-8b',
    promptTokens: 100, completionTokensMax: 400,
  }
}

export type BenchCommands = typeof commands

process.send!({ ready: sockets.port })
process.on('message', (message) => {
  const { id, name, args } = message as { readonly id: number; readonly name: keyof BenchCommands; readonly args: readonly unknown[] }
  const command = commands[name] as (...given: readonly unknown[]) => Promise<unknown>
  command(...args).then((result) => { process.send!({ id, result }) }, (error: Error) => { process.send!({ id, error: error.stack ?? error.message }) })
})
