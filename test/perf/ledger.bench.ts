/**
 * Question: what does the ledger cost over its bare parts (a signature, a hash, LevelDB, an fsync), with 100,000 accounts
 * loaded and three hubs as processes on this machine? Each ratio is of one run; the bare parts are measured in the
 * process that they are compared with, before and after.
 *
 * BENCH_ACCOUNTS, BENCH_RECEIPTS and BENCH_PROFILE_DIR change the size, and write CPU profiles.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../../ledger/store/open.ts'
import { testWorld } from '../support/ledger-world.ts'
import { until } from '../support/until.ts'
import { startBenchHub, type BenchHub } from './support/ledger-hubs.ts'
import { median, ratioRow, type BenchRow } from './support/report.ts'

const ACCOUNTS = Number(process.env['BENCH_ACCOUNTS'] ?? 100_000)
const RECEIPTS = Number(process.env['BENCH_RECEIPTS'] ?? 12_000)
const AT_ONCE = 2_000
const ROUNDS = 3
const TOUCHED = 10_000

export async function run(say: (text: string) => void): Promise<readonly BenchRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'triforce-bench-ledger-'))
  const world = testWorld()
  const dirOf = (hub: number) => join(dir, String(hub))
  const profileDir = process.env['BENCH_PROFILE_DIR']
  const rows: BenchRow[] = []
  const start = (hub: number, name = dirOf(hub)) => startBenchHub(world, hub, name, profileDir)
  const hubs = await Promise.all([0, 1, 2].map((hub) => start(hub)))
  const [a, b, c] = hubs as [BenchHub, BenchHub, BenchHub]
  try {
    await a.ask('dial', 1, b.port)
    await a.ask('dial', 2, c.port)
    await b.ask('dial', 2, c.port)
    await Promise.all(hubs.map((hub) => hub.ask('whenWritable')))
    say(`opening ${ACCOUNTS} accounts and giving each credits`)
    const loadSeconds = await a.ask('load', ACCOUNTS)
    await agree(hubs)
    say(`${await a.ask('isolated')} of them had to be repeated, since no other hub answered in 2 s`)
    rows.push({ measure: 'accounts opened and paid for, on two disks', unit: '/s', value: ACCOUNTS / loadSeconds })

    say('receipts')
    const receipts = await rounds(async () => {
      const { took, replicated } = await a.ask('receipts', RECEIPTS, AT_ONCE)
      if (replicated < RECEIPTS) say(`${RECEIPTS - replicated} of ${RECEIPTS} receipts were on one disk only when they were acknowledged, and do not count`)
      return replicated / took
    }, () => a.ask('verifyRate'))
    rows.push(ratioRow('receipts on two disks / Ed25519 verifications', '/s', receipts.value, receipts.bare, '>= 0.45'))

    say('spends')
    const spends = await rounds(async () => 2 * RECEIPTS / await a.ask('spends', RECEIPTS, AT_ONCE), () => a.ask('levelRate'))
    rows.push(ratioRow('entries of holds and settlements, on two disks / LevelDB rows in batches of 1,000', '/s', spends.value, spends.bare, '>= 0.25'))

    say('latency')
    await agree(hubs)
    const latencies = await a.ask('latencies', 300)
    const bareMs = median(await a.ask('syncs', 300)) + median(await roundTrips(300))
    rows.push(ratioRow('one hold on two disks, median / fsync and round trip', 'ms', median(latencies), bareMs, '<= 2.5'))

    say('audit: everything folded anew')
    await agree(hubs)
    const audit = await a.ask('audit')
    rows.push({ measure: 'entries folded anew (audit of the whole ledger)', unit: '/s', value: audit.entries / audit.took, goal: '>= 150,000' })

    say('state tree')
    rows.push({ measure: `state tree, ${TOUCHED} of ${ACCOUNTS} accounts changed`, unit: 'ms', value: median(await b.ask('stateTree', ACCOUNTS, TOUCHED)), goal: '<= 150' })

    say('catching up: a hub with an empty disk')
    await c.close()
    const empty = await start(2, join(dir, 'empty'))
    hubs[2] = empty
    const hashRate = await empty.ask('hashRate')
    const caughtMs = performance.now()
    await empty.ask('dial', 0, a.port)
    await empty.ask('dial', 1, b.port)
    const wanted = await a.ask('entries')
    await until('the empty hub has everything', async () => await empty.ask('entries') >= wanted, 400_000)
    const caughtSeconds = (performance.now() - caughtMs) / 1_000
    rows.push(ratioRow('entries caught up with / SHA-256 of 300 bytes', '/s', wanted / caughtSeconds, hashRate, '>= 0.1'))

    say('opening again')
    await Promise.all(hubs.map((hub) => hub.close()))
    const again = await start(0)
    const openSeconds = await again.ask('openedAfterMs') / 1_000
    rows.push({ measure: 'entries verified and folded when a hub starts', unit: '/s', value: wanted / openSeconds })
    await again.close()

    say('bytes')
    rows.push({ measure: 'bytes on disk of a receipt, with its ticket and all indexes', unit: 'B', value: await bytesOfReceipt(world, join(dir, 'bytes')), goal: '<= 450' })
  } finally {
    await Promise.all(hubs.map((hub) => hub.close()))
    rmSync(dir, { recursive: true, force: true })
  }
  return rows
}

/** Medians of some rounds, after one that warms up; what is compared is measured right after each. */
async function rounds(measure: () => Promise<number>, bare: () => Promise<number>): Promise<{ readonly value: number; readonly bare: number }> {
  const values: number[] = []
  const bares: number[] = []
  for (let round = 0; round <= ROUNDS; round += 1) {
    const value = await measure()
    const compared = await bare()
    if (round === 0) continue
    values.push(value)
    bares.push(compared)
  }
  return { value: median(values), bare: median(bares) }
}

async function agree(hubs: readonly BenchHub[]): Promise<void> {
  await until('all hubs have everything', async () => new Set(await Promise.all(hubs.map((hub) => hub.ask('heads')))).size === 1, 120_000)
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

/** A ledger of one hub without other things: what more receipts add to its database once it is compacted. */
async function bytesOfReceipt(world: ReturnType<typeof testWorld>, dir: string): Promise<number> {
  const sizes: number[] = []
  for (const count of [2_000, 12_000]) {
    const folder = join(dir, String(count))
    const hubs = await Promise.all([0, 1, 2].map((hub) => startBenchHub(world, hub, join(folder, String(hub)))))
    for (const [from, to] of [[0, 1], [0, 2], [1, 2]] as const) await hubs[from]!.ask('dial', to, hubs[to]!.port)
    await Promise.all(hubs.map((hub) => hub.ask('whenWritable')))
    await hubs[0]!.ask('load', 500)
    await hubs[0]!.ask('receipts', count, AT_ONCE)
    await Promise.all(hubs.map((hub) => hub.close()))
    const db = await openDatabase(join(folder, '0', 'db'))
    await (db as unknown as { compactRange(from: Uint8Array, to: Uint8Array): Promise<void> }).compactRange(Uint8Array.of(0), Uint8Array.of(255))
    await db.close()
    sizes.push(sizeOf(join(folder, '0', 'db')))
  }
  return (sizes[1]! - sizes[0]!) / 10_000
}

function sizeOf(dir: string): number {
  return readdirSync(dir).filter((name) => name.endsWith('.ldb')).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0)
}
