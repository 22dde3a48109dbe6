/**
 * Question: what does the ledger cost over its bare parts (a signature, a hash, LevelDB, an fsync), with 100,000 accounts
 * loaded and three hubs as processes on this machine? Each ratio is of one run; the bare parts are measured in the
 * process that they are compared with, right after it.
 *
 * Two lines for each rate. "clock": all three hubs, with this machine's cores to share. "core": by the processor time of
 * the one hub that is measured, which is what it could do with a core of its own and says the same on a busy machine.
 *
 * BENCH_ACCOUNTS, BENCH_RECEIPTS and BENCH_PROFILE_DIR change the size, and write CPU profiles.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HubLedger } from '../../ledger/interface.ts'
import { openDatabase } from '../../ledger/store/open.ts'
import { createSigner, sha256 } from '../../protocol/crypto.ts'
import type { TestFederation } from '../support/federation.ts'
import { cryptoRandom, join2, openTestLedger, testReceipt, testWorld } from '../support/ledger-world.ts'
import { until } from '../support/until.ts'
import type { Took } from './support/ledger-hub.ts'
import { startBenchHub, type BenchHub } from './support/ledger-hubs.ts'
import { median, ratioRow, type BenchRow } from './support/report.ts'

const ACCOUNTS = Number(process.env['BENCH_ACCOUNTS'] ?? 100_000)
const RECEIPTS = Number(process.env['BENCH_RECEIPTS'] ?? 4_000)
/** Of the accounts; the others are there and have nothing. */
const SPENDERS_MAX = 10_000
const AT_ONCE = 2_000
const ROUNDS = 3
const TOUCHED = 10_000
const BYTES_BASE = 500
const BYTES_MORE = 3_000

export async function run(say: (text: string) => void): Promise<readonly BenchRow[]> {
  const rows: BenchRow[] = []
  /** Told at once too: a run on a busy machine may be ended before its end. */
  const put = (...more: readonly BenchRow[]) => {
    rows.push(...more)
    for (const { measure, value, unit, ratio } of more) say(`  ${measure}: ${Number(value.toPrecision(4))} ${unit}${ratio === undefined ? '' : `, ratio ${ratio.toPrecision(3)}`}`)
  }
  const dir = mkdtempSync(join(tmpdir(), 'triforce-bench-ledger-'))
  const world = testWorld()
  const dirOf = (hub: number) => join(dir, String(hub))
  const profileDir = process.env['BENCH_PROFILE_DIR']
  const start = (hub: number, name = dirOf(hub)) => startBenchHub(world, hub, name, profileDir)
  const hubs = await Promise.all([0, 1, 2].map((hub) => start(hub)))
  const [a, b, c] = hubs as [BenchHub, BenchHub, BenchHub]
  try {
    await connectAll(hubs)
    const paid = Math.min(ACCOUNTS, SPENDERS_MAX)
    say(`opening ${ACCOUNTS} accounts and giving ${paid} of them credits`)
    const load = await a.ask('load', ACCOUNTS, paid)
    await agree(hubs)
    say(`${await a.ask('isolated')} orders had to be repeated, since no other hub answered in time`)
    put({ measure: 'accounts opened and paid for, on two disks (clock)', unit: 'entries/s', value: 1 / load.seconds })

    say('receipts')
    const copied: number[] = []
    put(...await rates('receipts on two disks / Ed25519 verifications', '>= 0.45', async () => {
      const before = await b.ask('cpuSeconds')
      const { receipt, replicated } = await a.ask('receipts', RECEIPTS, AT_ONCE)
      if (replicated < RECEIPTS) throw new Error(`${RECEIPTS - replicated} of ${RECEIPTS} receipts were on one disk only when they were acknowledged`)
      await agree(hubs)
      copied.push((await b.ask('cpuSeconds') - before) / RECEIPTS)
      return receipt
    }, () => a.ask('verifications')))
    put({ measure: 'processor time of a receipt at a copying hub', unit: 'µs', value: median(copied.slice(1)) * 1e6 })

    say('spends')
    put(...await rates('entries of holds and settlements, on two disks / LevelDB rows in batches of 1,000', '>= 0.25', () => a.ask('spends', RECEIPTS, AT_ONCE), () => a.ask('rows')))

    say('latency')
    await agree(hubs)
    const latencies = await a.ask('latencies', 300)
    const bareMs = median(await a.ask('syncs', 300)) + median(await roundTrips(300))
    put(ratioRow('one hold on two disks, median / fsync and round trip', 'ms', median(latencies), bareMs, '<= 2.5'))

    say('audit: everything folded anew')
    const audit = await a.ask('audit')
    put({ measure: 'entries folded anew: audit of the whole ledger, one core (core)', unit: '/s', value: 1 / audit.cpuSeconds, goal: '>= 150,000 on two' })

    say('state tree')
    put({ measure: `state tree of a checkpoint, ${TOUCHED} of ${ACCOUNTS} accounts changed`, unit: 'ms', value: median(await b.ask('stateTree', ACCOUNTS, TOUCHED)), goal: '<= 150' })

    say('catching up: a hub with an empty disk')
    await c.close()
    const empty = await start(2, join(dir, 'empty'))
    hubs[2] = empty
    const hash = await empty.ask('hashes')
    const wanted = await a.ask('entries')
    const cpuBefore = await empty.ask('cpuSeconds')
    const startedMs = performance.now()
    await empty.ask('dial', 0, a.port)
    await empty.ask('dial', 1, b.port)
    await until('the empty hub has everything', async () => await empty.ask('entries') >= wanted, 400_000)
    const caughtUp: Took = { seconds: (performance.now() - startedMs) / 1_000 / wanted, cpuSeconds: (await empty.ask('cpuSeconds') - cpuBefore) / wanted }
    put(...rateRows('entries caught up with / SHA-256 of 300 bytes', '>= 0.1', caughtUp, hash))

    say('opening again')
    await Promise.all(hubs.map((hub) => hub.close()))
    const again = await start(0)
    put({ measure: 'entries verified and folded when a hub starts (core)', unit: '/s', value: wanted / (await again.ask('opened')).cpuSeconds })
    await again.close()

    say('bytes')
    put({ measure: 'bytes on disk of a receipt, with its ticket and all indexes', unit: 'B', value: await bytesOfReceipt(world, join(dir, 'bytes')), goal: '<= 450' })
  } finally {
    await Promise.all(hubs.map((hub) => hub.close()))
    rmSync(dir, { recursive: true, force: true })
  }
  return rows
}

async function connectAll(hubs: readonly BenchHub[]): Promise<void> {
  for (const [from, to] of [[0, 1], [0, 2], [1, 2]] as const) await hubs[from]!.ask('dial', to, hubs[to]!.port)
  await Promise.all(hubs.map((hub) => hub.ask('whenWritable')))
}

/** Medians of some rounds, after one that warms up; what is compared is measured right after each. */
async function rates(measure: string, goal: string, work: () => Promise<Took>, bare: () => Promise<Took>): Promise<readonly BenchRow[]> {
  const works: Took[] = []
  const bares: Took[] = []
  for (let round = 0; round <= ROUNDS; round += 1) {
    const value = await work()
    const compared = await bare()
    if (round === 0) continue
    works.push(value)
    bares.push(compared)
  }
  const middle = (all: readonly Took[]): Took => ({ seconds: median(all.map(({ seconds }) => seconds)), cpuSeconds: median(all.map(({ cpuSeconds }) => cpuSeconds)) })
  return rateRows(measure, goal, middle(works), middle(bares))
}

/** Both of one piece of work. */
function rateRows(measure: string, goal: string, work: Took, bare: Took): readonly BenchRow[] {
  return [
    ratioRow(`${measure} (clock)`, '/s', 1 / work.seconds, 1 / bare.seconds, goal),
    ratioRow(`${measure} (core)`, '/s', 1 / work.cpuSeconds, 1 / bare.cpuSeconds, goal),
  ]
}

async function agree(hubs: readonly BenchHub[]): Promise<void> {
  await until('all hubs have everything', async () => new Set(await Promise.all(hubs.map((hub) => hub.ask('heads')))).size === 1, 240_000)
}
/** Milliseconds of 1 KiB there and back between two sockets of this process. */
async function roundTrips(count: number): Promise<readonly number[]> {
  const server = createServer((socket) => { socket.setNoDelay(true).on('data', (bytes) => { socket.write(bytes) }) })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').setNoDelay(true)
  const bytes = Buffer.alloc(1_024)
  const times: number[] = []
  for (let index = 0; index < count; index += 1) {
    const startedMs = performance.now()
    let back = 0
    await new Promise<void>((resolve) => {
      const take = (chunk: Buffer) => {
        back += chunk.byteLength
        if (back < bytes.byteLength) return
        socket.off('data', take)
        resolve()
      }
      socket.on('data', take)
      socket.write(bytes)
    })
    times.push(performance.now() - startedMs)
  }
  socket.destroy()
  server.close()
  return times
}

/** Two ledgers in this process, with nothing but receipts: what more of them add to a database once it is compacted. */
async function bytesOfReceipt(world: TestFederation, dir: string): Promise<number> {
  const hub = world.hubs[0]!.signer
  const contributors = Array.from({ length: 64 }, (_, index) => createSigner(sha256(Buffer.from(`contributor ${index}`))))
  const accounts = Array.from({ length: 500 }, () => cryptoRandom.bytes(16))
  const sizes: number[] = []
  for (const count of [BYTES_BASE, BYTES_BASE + BYTES_MORE]) {
    const ledgers = await Promise.all([0, 1].map((of) => openTestLedger(world, of, join(dir, String(count), String(of)))))
    const [first, second] = ledgers as [HubLedger, HubLedger]
    join2(first, 0, second, 1)
    await Promise.all(ledgers.map((ledger) => ledger.whenWritable({ signal: AbortSignal.timeout(60_000) })))
    for (let done = 0; done < count; done += BYTES_BASE) {
      await Promise.all(Array.from({ length: Math.min(BYTES_BASE, count - done) }, (_, index) => first.appendReceipt(testReceipt(world.federation.network, hub, {
        account: accounts[index % accounts.length]!, contributor: contributors[index % contributors.length]!,
      }))))
    }
    await Promise.all(ledgers.map((ledger) => ledger.close()))
    const folder = join(dir, String(count), '0', 'db')
    const db = await openDatabase(folder)
    await (db as unknown as { compactRange(from: Uint8Array, to: Uint8Array): Promise<void> }).compactRange(Uint8Array.of(0), Uint8Array.of(255))
    await db.close()
    sizes.push(sizeOf(folder))
  }
  return (sizes[1]! - sizes[0]!) / BYTES_MORE
}

function sizeOf(dir: string): number {
  return readdirSync(dir).filter((name) => name.endsWith('.ldb')).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0)
}
