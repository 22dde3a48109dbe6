/**
 * Every part of a ledger's folder is spoilt in every way, on a real disk: each time the hub finds it, at open or when it
 * reads, serves nothing wrong meanwhile, gets everything back from a peer, and writes on without a second history.
 */
import { expect } from 'chai'
import { Level } from 'level'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { HubLedger, ReceiptRecord } from '../../ledger/interface.ts'
import { openLedger } from '../../ledger/ledger.ts'
import { eidKey, frameKey, positionValue } from '../../ledger/store/buckets.ts'
import { openHubFiles } from '../../ledger/store/hub-files.ts'
import { createLogStore } from '../../ledger/store/log-store.ts'
import { openDatabase, type Database } from '../../ledger/store/open.ts'
import { verifyLogs } from '../../ledger/store/verification.ts'
import { toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { contextOf } from '../support/ledger-frames.ts'
import { cryptoRandom, join2, realClock, temporaryDir, testReceipt, testWorld } from '../support/ledger-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { until } from '../support/until.ts'
import { SEED } from '../support/seed.ts'

const seed = SEED
const random = seededRandom(seed)
const below = (count: number) => Math.floor(random.unit() * count)

const world = testWorld()
const { network } = world.federation
const account = new Uint8Array(16).fill(1)

const kinds = ['bit flip', 'zero', 'truncate', 'swap with older'] as const
type Kind = typeof kinds[number]

function openHub(dir: string, hub: number): Promise<HubLedger> {
  const runtime = { dir: join(dir, '..'), boot: 'this run' }
  const disk = { openDatabase, openHubFiles: (path: string, owner: { readonly network: string; readonly hub: number }) => openHubFiles(path, owner, runtime) }
  return openLedger({ clock: realClock, random: cryptoRandom, log: quietLog(`hub${hub}`), signer: world.hubs[hub]!.signer, disk },
    { dir, federation: world.federation, hubIndex: hub, ownLog: { aloneWaitMs: 20, firstLogPeers: 1 } })
}

/** Writes into both logs until each has `frames` more. */
async function write(ledgers: readonly HubLedger[], round: number): Promise<void> {
  for (const [hub, ledger] of ledgers.entries()) {
    for (let at = 0; at < 3; at += 1) {
      const name = `${round} ${hub} ${at}`
      await ledger.openAccount({ publicKey: sha256(Buffer.from(name)), name, tier: 'free' })
      await ledger.appendReceipt(testReceipt(network, world.hubs[hub]!.signer, { account }))
    }
  }
  await until('both know all', () => JSON.stringify(ledgers[0]!.heads()) === JSON.stringify(ledgers[1]!.heads()))
}

/** Hub 0's folder as it was earlier and as it is; once with all rows in LevelDB's log, once with all in tables. */
async function prepared() {
  const dir = await temporaryDir()
  const at = (name: string) => join(dir.path, name)
  const session = async (round: number) => {
    const ledgers = [await openHub(at('0'), 0), await openHub(at('1'), 1)]
    join2(ledgers[0]!, 0, ledgers[1]!, 1)
    await Promise.all(ledgers.map((ledger) => ledger.whenWritable({ signal: AbortSignal.timeout(30_000) })))
    await write(ledgers, round)
    const result = { heads: ledgers[0]!.heads().filter(({ frames }) => frames > 0), receipts: await ledgers[0]!.receipts({ account, limit: 100 }) }
    for (const ledger of ledgers) await ledger.close()
    return result
  }
  await session(1)
  await cp(at('0'), at('older'), { recursive: true })
  const { heads, receipts } = await session(2)
  await cp(at('0'), at('tables'), { recursive: true })
  for (const name of ['tables', 'older']) await edit(at(name), () => Promise.resolve())
  return { dir, at, heads, receipts, logs: heads.slice(0, 2).map(({ hub, epoch }) => ({ hub, epoch })) }
}

async function edit(dir: string, change: (db: Database) => Promise<void>): Promise<void> {
  const db: Database = new Level(join(dir, 'db'), { keyEncoding: 'view', valueEncoding: 'view' })
  await db.open()
  await change(db)
  await db.close()
}

const read = async (db: Database, key: Uint8Array) => Uint8Array.from(await db.get(key) ?? [])

/** The bytes spoilt, somewhere in [from, to). */
function spoil(kind: Kind, bytes: Uint8Array, older: Uint8Array, from = 0, to = bytes.byteLength): Uint8Array {
  const result = Uint8Array.from(bytes)
  const place = from + below(Math.max(1, to - from))
  switch (kind) {
    case 'bit flip':
      result[place] = result[place]! ^ 1 << below(8)
      return result
    case 'zero':
      return result.fill(0, place, Math.min(to, place + 64))
    case 'truncate':
      return result.slice(0, place)
    case 'swap with older':
      return older
  }
}

async function fileOf(dir: string, pattern: RegExp): Promise<string> {
  const sizes = await Promise.all((await readdir(dir)).filter((name) => pattern.test(name)).map(async (name) => ({ name, bytes: (await readFile(join(dir, name))).byteLength })))
  return join(dir, sizes.toSorted((one, other) => other.bytes - one.bytes || (one.name < other.name ? 1 : -1))[0]!.name)
}

async function spoilFile(path: string, olderPath: string, kind: Kind, part: readonly [number, number] = [0, 1]): Promise<void> {
  const bytes = new Uint8Array(await readFile(path))
  const older = new Uint8Array(await readFile(olderPath))
  const spoilt = spoil(kind, bytes, older, Math.floor(bytes.byteLength * part[0]), Math.floor(bytes.byteLength * part[1]))
  await writeFile(path, spoilt)
  const file = await open(path, 'r+')
  await file.sync()
  await file.close()
}

type World = Awaited<ReturnType<typeof prepared>>
interface Part {
  /** The folder that is spoilt: rows in LevelDB's log, or in tables. */
  readonly from: '0' | 'tables'
  spoil(world: World, dir: string, kind: Kind): Promise<void>
}

const fileIn = (pattern: RegExp, from: Part['from'], part?: readonly [number, number]): Part => ({
  from, spoil: async ({ at }, dir, kind) => { await spoilFile(await fileOf(join(dir, 'db'), pattern), await fileOf(at('older/db'), pattern), kind, part) },
})

const row = (which: (world: World) => { readonly key: Uint8Array; readonly older: Uint8Array }): Part => ({
  from: '0',
  spoil: async (given, dir, kind) => {
    const { key, older } = which(given)
    await edit(dir, async (db) => {
      const other = await db.get(older)
      await db.put(key, spoil(kind, await read(db, key), other ?? older))
    })
  },
})

const parts: Readonly<Record<string, Part>> = {
  'frame of the own log': row(({ logs }) => ({ key: frameKey(logs[0]!, 4), older: frameKey(logs[0]!, 3) })),
  'last frame of the own log': row(({ logs, heads }) => ({ key: frameKey(logs[0]!, heads[0]!.frames), older: frameKey(logs[0]!, 2) })),
  'first frame of the own log': row(({ logs }) => ({ key: frameKey(logs[0]!, 1), older: frameKey(logs[1]!, 1) })),
  'frame of a copy': row(({ logs }) => ({ key: frameKey(logs[1]!, 4), older: frameKey(logs[1]!, 3) })),
  'index row of an id': row(({ receipts, logs }) => ({ key: eidKey(receipts[below(receipts.length)]!.id), older: positionValue({ log: logs[0]!, no: 1, index: 0 }) })),
  'index row of a listing': {
    from: '0',
    spoil: async (_, dir, kind) => {
      await edit(dir, async (db) => {
        const rows = await db.iterator({ gte: Uint8Array.of(4), lt: Uint8Array.of(6) }).all()
        const [key, value] = rows[below(rows.length)]!
        await db.del(key)
        // Also the key may be spoilt: then the row belongs to somebody else.
        await db.put(kind === 'bit flip' ? spoil(kind, key, key, 1) : key, kind === 'bit flip' ? value : spoil(kind, value, Uint8Array.of(0, 0, 0, 1)))
      })
    },
  },
  'anchor': { from: '0', spoil: async ({ at }, dir, kind) => { await spoilFile(join(dir, 'anchor.json'), at('older/anchor.json'), kind) } },
  'key of the own log': {
    from: '0', spoil: async ({ at }, dir, kind) => { await spoilFile(join(dir, 'epoch-key.json'), kind === 'swap with older' ? at('1/epoch-key.json') : at('older/epoch-key.json'), kind) },
  },
  'CURRENT': fileIn(/^CURRENT$/, 'tables'),
  'MANIFEST': fileIn(/^MANIFEST-/, 'tables'),
  'middle of the write-ahead log': fileIn(/\.log$/, '0', [0.2, 0.8]),
  'end of the write-ahead log': fileIn(/\.log$/, '0', [0.9, 1]),
  'block of a table': fileIn(/\.(?:ldb|sst)$/, 'tables', [0, 0.9]),
  'index of a table': fileIn(/\.(?:ldb|sst)$/, 'tables', [0.9, 1]),
}

const isChild = process.env['CORRUPTION_CHILD'] !== undefined

/** Runs one test of this file in a process of its own, which may end by LevelDB's assertion but in no other bad way. */
async function inOwnProcess(title: string): Promise<void> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve('mocha/bin/mocha.js')), '--exit', '--fgrep', title, fileURLToPath(import.meta.url)], {
    env: { ...process.env, CORRUPTION_CHILD: '1', SEED: String(seed) }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { output += text })
  const [code, signal] = await once(child, 'close') as [number | null, NodeJS.Signals | null]
  if (signal === 'SIGABRT' && /leveldb.*Assertion/.test(output)) return
  expect(code, output).to.equal(0)
}

const textOf = (receipts: readonly ReceiptRecord[]) => receipts.map(({ id, hub, seq }) => `${toHex(id)} ${hub} ${seq}`).toSorted()

describe('ledger: corruption of every part', function () {
  this.timeout(100_000)
  let given: World

  before(async () => {
    process.stderr.write(`      corruption: SEED=${seed}\n`)
    given = await prepared()
  })

  after(() => given.dir.remove())

  for (const [name, part] of Object.entries(parts)) {
    for (const kind of kinds) {
      // LevelDB ends the whole process at some broken tables, by an assertion of its own: wrong answers are none, but it takes the tests along.
      if (name.endsWith('of a table') && !isChild) {
        it(`${name}: ${kind}`, async () => { await inOwnProcess(`${name}: ${kind}`) })
        continue
      }
      it(`${name}: ${kind}`, async () => {
        const { at, heads, receipts } = given
        const dir = at('spoilt')
        await cp(at(part.from), dir, { recursive: true })
        await cp(at('1'), at('peer'), { recursive: true })
        await part.spoil(given, dir, kind)
        const ledger = await openHub(dir, 0)
        const peer = await openHub(at('peer'), 1)
        const all = textOf(receipts)
        const right = new Set(all)
        const headOf = (of: HubLedger, { hub, epoch }: { readonly hub: number; readonly epoch: number }) => of.heads().find((head) => head.hub === hub && head.epoch === epoch)

        // Alone: what is served is right.
        const served = textOf(await ledger.receipts({ account, limit: 100 }))
        expect(served.filter((text) => !right.has(text)), 'wrong answers').to.deep.equal([])
        for (const known of heads) {
          const head = headOf(ledger, known)
          if (head?.frames === known.frames) expect(head.hash).to.deep.equal(known.hash)
        }

        join2(ledger, 0, peer, 1)
        await ledger.whenWritable({ signal: AbortSignal.timeout(8_000) })
        await until('everything is back', () => heads.every((known) => (headOf(ledger, known)?.frames ?? 0) >= known.frames), 8_000)
        expect(textOf(await ledger.receipts({ account, limit: 100 })), 'all receipts').to.deep.equal(all)
        for (const { id, seq } of receipts) expect((await ledger.receipt(id))?.seq, toHex(id)).to.equal(seq)
        const result = await ledger.openAccount({ publicKey: sha256(Buffer.from('after')), name: 'after', tier: 'free' })
        expect(result.durability).to.equal('replicated')
        await until('both are equal', () => JSON.stringify(ledger.heads()) === JSON.stringify(peer.heads()))
        await ledger.close()
        await peer.close()

        // What it made of it is whole: nothing is left to be repaired.
        const db = await openDatabase(join(dir, 'db'), (text) => { throw new Error(text) })
        const found = await verifyLogs(createLogStore(db), { hub: 0, context: contextOf(world), hubNames: [] })
        expect([found.damages, found.rowsRepaired]).to.deep.equal([[], 0])
        await db.close()
        await rm(dir, { recursive: true })
        await rm(at('peer'), { recursive: true })
        for (const left of await readdir(given.dir.path)) if (left.endsWith('.json')) await rm(join(given.dir.path, left))
      })
    }
  }

  for (const kind of kinds) {
    it(`marker: ${kind}`, async () => {
      const { at } = given
      const place = at('marked')
      await cp(at('0'), join(place, '0'), { recursive: true })
      await cp(at('1'), join(place, '1'), { recursive: true })
      const peer = await openHub(join(place, '1'), 1)
      const ledger = await openHub(join(place, '0'), 0)
      join2(ledger, 0, peer, 1)
      await ledger.whenWritable({ signal: AbortSignal.timeout(8_000) })
      const append = (of: HubLedger, name: string) => of.openAccount({ publicKey: sha256(Buffer.from(name)), name, tier: 'free' })
      await append(ledger, 'one')
      const isMarker = async (name: string) => name.endsWith('.json') && (JSON.parse(await readFile(join(place, name), 'utf8')) as { hub: number }).hub === 0
      let path = ''
      await until('the marker is written', async () => {
        for (const name of await readdir(place)) if (await isMarker(name)) path = join(place, name)
        return path !== ''
      })
      const older = new Uint8Array(await readFile(path))
      await append(ledger, 'two')
      await ledger.close()
      const before = ledger.heads()
      await writeFile(path, spoil(kind, new Uint8Array(await readFile(path)), older))

      const again = await openHub(join(place, '0'), 0)
      await new Promise((resolve) => setTimeout(resolve, 100))
      // An older marker of this run names a frame that is still there: only the process was away. Any other says nothing.
      expect(again.writable).to.equal(kind === 'swap with older')
      join2(again, 0, peer, 1)
      await again.whenWritable({ signal: AbortSignal.timeout(8_000) })
      await append(again, 'three')
      const [own] = again.heads()
      expect([own!.epoch, own!.frames]).to.deep.equal([before[0]!.epoch, before[0]!.frames + 1])
      await until('the peer has it', () => JSON.stringify(peer.heads()) === JSON.stringify(again.heads()))
      await again.close()
      await peer.close()
      await rm(place, { recursive: true })
    })
  }

  it('leaves out what the core kept where it is spoilt, and blobs too', async () => {
    const dir = given.at('kept')
    const db = await openDatabase(dir)
    const store = createLogStore(db)
    for (const kind of kinds) {
      const value = sha256(Buffer.from(kind))
      await store.commit([], [{ key: 'seal/0/1', value }, { key: 'seal/1/1', value }])
      await store.putBlob('snapshot/1', value)
      expect((await store.kept()).rows.size).to.equal(2)
      expect(await store.blob('snapshot/1')).to.deep.equal(Uint8Array.from(value))
      for (const key of [Buffer.from('\u0006seal/0/1'), Buffer.from('\u0008snapshot/1')]) {
        const other = await read(db, Buffer.from('\u0006seal/1/1'))
        await db.put(key, spoil(kind, await read(db, key), other))
      }
      expect([...(await store.kept()).rows.keys()], kind).to.deep.equal(['seal/1/1'])
      expect(await store.blob('snapshot/1'), kind).to.equal(undefined)
    }
    await db.close()
  })
})
