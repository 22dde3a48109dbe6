/** Disks that lie: every broken, missing or older record is found at open, said by name, and healed from a peer where it can be. */
import { expect } from 'chai'
import { Level } from 'level'
import { cp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HubLedger } from '../../ledger/interface.ts'
import { createAudit } from '../../ledger/audit.ts'
import { decodeEntry } from '../../ledger/entries/entry.ts'
import { createState } from '../../ledger/fold/state.ts'
import { checkFrame, decodeFrame } from '../../ledger/frame.ts'
import { createHub } from '../../ledger/hub/step.ts'
import { frameKey, orphanKey } from '../../ledger/store/buckets.ts'
import { createLogStore, logName } from '../../ledger/store/log-store.ts'
import { openDatabase, type Database } from '../../ledger/store/open.ts'
import { verifyLogs } from '../../ledger/store/verification.ts'
import { sha256 } from '../../protocol/crypto.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import { contextOf } from '../support/ledger-frames.ts'
import { join2, openTestLedger, temporaryDir, testReceipt, testWorld } from '../support/ledger-world.ts'
import { until } from '../support/until.ts'

const world = testWorld()
const { network } = world.federation
const account = new Uint8Array(16).fill(1)

const openHub = (dir: string, hub: number, options = {}) => openTestLedger(world, hub, dir, { ownLog: { aloneWaitMs: 50 }, ...options })

async function edit(dir: string, change: (db: Database) => Promise<void>): Promise<void> {
  const db: Database = new Level(join(dir, 'db'), { keyEncoding: 'view', valueEncoding: 'view' })
  await db.open()
  await change(db)
  await db.close()
}

/** Each name becomes a frame with one entry. */
const log = async (ledger: HubLedger, names: readonly string[]) => {
  for (const name of names) await ledger.openAccount({ publicKey: sha256(Buffer.from(name)), name, tier: 'free' })
}

/** Two hubs that wrote a few frames each and know all of them. */
async function twoHubs() {
  const dir = await temporaryDir()
  const dirs = [join(dir.path, '0'), join(dir.path, '1')]
  const ledgers = [await openHub(dirs[0]!, 0), await openHub(dirs[1]!, 1)]
  join2(ledgers[0]!, 0, ledgers[1]!, 1)
  await Promise.all(ledgers.map((ledger) => ledger.whenWritable({ signal: AbortSignal.timeout(30_000) })))
  for (const [index, ledger] of ledgers.entries()) {
    await log(ledger, ['a', 'b', 'c', 'd'].map((name) => `${name}${index}`))
    for (let job = 0; job < 3; job += 1) await ledger.appendReceipt(testReceipt(network, world.hubs[index]!.signer, { account }))
  }
  await until('both know all', () => JSON.stringify(ledgers[0]!.heads()) === JSON.stringify(ledgers[1]!.heads()))
  const heads = ledgers[0]!.heads()
  for (const ledger of ledgers) await ledger.close()
  return { dir, dirs: [dirs[0]!, dirs[1]!] as const, heads, logs: heads.slice(0, 2).map(({ hub, epoch }) => ({ hub, epoch })) }
}

type Damage = (db: Database, log: { hub: number; epoch: number }, no: number) => Promise<void>
const read = async (db: Database, log: { hub: number; epoch: number }, no: number) => Uint8Array.from(await db.get(frameKey(log, no)) ?? [])

const flipEntry: Damage = async (db, log, no) => {
  const bytes = await read(db, log, no)
  bytes[20] = bytes[20]! ^ 1
  await db.put(frameKey(log, no), bytes)
}

const damages: Readonly<Record<string, Damage>> = {
  'a flipped bit in an entry': flipEntry,
  'a flipped bit in the signature': async (db, log, no) => {
    const bytes = await read(db, log, no)
    bytes[bytes.length - 3] = bytes[bytes.length - 3]! ^ 1
    await db.put(frameKey(log, no), bytes)
  },
  'a cut frame': async (db, log, no) => { await db.put(frameKey(log, no), (await read(db, log, no)).subarray(0, 100)) },
  'a zeroed frame': async (db, log, no) => { await db.put(frameKey(log, no), new Uint8Array((await read(db, log, no)).byteLength)) },
  'a missing frame': async (db, log, no) => { await db.del(frameKey(log, no)) },
  'two frames swapped': async (db, log, no) => {
    const [one, two] = [await read(db, log, no), await read(db, log, no + 1)]
    await db.put(frameKey(log, no), two)
    await db.put(frameKey(log, no + 1), one)
  },
  "another log's frame": async (db, log, no) => {
    const other = { ...log, hub: 1 - log.hub }
    const [found] = await db.values({ gte: frameKey(other, no), limit: 1 }).all()
    await db.put(frameKey(log, no), found!)
  },
}

describe('ledger: damaged disks', function () {
  this.timeout(60_000)

  it('finds every kind of damage in its own log at open, writes nothing, takes the frame back from a peer, and goes on in the same log', async () => {
    const { dir, dirs, heads, logs } = await twoHubs()
    const peer = await openHub(dirs[1], 1)
    for (const [name, damage] of Object.entries(damages)) {
      const copy = join(dir.path, 'copy')
      await cp(dirs[0], copy, { recursive: true })
      await edit(copy, (db) => damage(db, logs[0]!, 3))
      const ledger = await openHub(copy, 0)
      expect(ledger.heads()[0]!.frames, name).to.equal(2)
      expect(ledger.writable, name).to.equal(false)
      const link = join2(ledger, 0, peer, 1)
      await ledger.whenWritable({ signal: AbortSignal.timeout(30_000) })
      expect(ledger.heads()[0], name).to.deep.equal(heads[0])
      expect(ledger.heads().filter(({ hub }) => hub === 0), name).to.have.length(1)
      expect(await ledger.receipts({ account, limit: 100 }), name).to.have.length(6)
      link.cut()
      await ledger.close()
      await rm(copy, { recursive: true })
    }
    await peer.close()
    await dir.remove()
  })

  it('keeps its own frames behind a broken one, though no peer has them', async () => {
    const { dir, dirs, logs } = await twoHubs()
    const peer = await openHub(dirs[1], 1)
    const ledger = await openHub(dirs[0], 0)
    const link = join2(ledger, 0, peer, 1)
    await ledger.whenWritable({ signal: AbortSignal.timeout(30_000) })
    link.cut()
    await log(ledger, ['only here 1', 'only here 2'])
    const [whole] = ledger.heads()
    await ledger.close()
    await edit(dirs[0], (db) => flipEntry(db, logs[0]!, 3))
    const again = await openHub(dirs[0], 0)
    expect(again.heads()[0]!.frames).to.equal(2)
    join2(again, 0, peer, 1)
    await again.whenWritable({ signal: AbortSignal.timeout(30_000) })
    expect(again.heads()[0]).to.deep.equal(whole)
    await until('the peer gets them too', () => peer.heads()[0]!.frames === whole!.frames)
    await again.close()
    await peer.close()
    await dir.remove()
  })

  it('repairs what breaks while it runs: a frame of its own log or of a copy is fetched again and nothing broken is served', async () => {
    const { dir, dirs, heads, logs } = await twoHubs()
    for (const victim of [0, 1]) {
      const db = await openDatabase(join(dirs[0], 'db'))
      const store = createLogStore(db)
      await verifyLogs(store, { hub: 0, context: contextOf(world), hubNames: [] })
      const other = await openDatabase(join(dirs[1], 'db'))
      const peer = createLogStore(other)
      await verifyLogs(peer, { hub: 1, context: contextOf(world), hubNames: [] })
      const repaired: number[] = []
      store.repairWith(async (id, no) => (await peer.frame(id, no))?.bytes, (_, no) => repaired.push(no))
      const whole = await store.frameBytes(logs[victim]!, 1, { bytesMax: 2 ** 20, framesMax: 100 })
      expect(whole).to.have.length(heads[victim]!.frames)
      await db.put(frameKey(logs[victim]!, 4), new Uint8Array(200))
      await db.del(frameKey(logs[victim]!, 5))
      const served = await store.frameBytes(logs[victim]!, 4, { bytesMax: 2 ** 20, framesMax: 100 })
      expect(served[0]).to.deep.equal(whole[3])
      expect((await store.frame(logs[victim]!, 5))!.bytes).to.deep.equal(whole[4])
      expect(repaired.toSorted((one, other) => one - other)).to.deep.equal([4, 5])
      expect(Uint8Array.from(await db.get(frameKey(logs[victim]!, 4)) ?? [])).to.deep.equal(Uint8Array.from(whole[3]!))
      // The next header vouches for a frame whose signature is broken, so only who looks at signatures finds it.
      await damages['a flipped bit in the signature']!(db, logs[victim]!, 3)
      const audit = createAudit({ hub: createHub({ network, me: 0, state: createState(network, contextOf(world).hubKeys) }), store }, contextOf(world))
      expect((await audit.audit({ heads: heads.filter(({ frames }) => frames > 0) })).problems).to.deep.equal([])
      expect(repaired.at(-1)).to.equal(3)
      // A peer that gives another frame is not believed.
      store.repairWith(() => Promise.resolve(whole[0]), () => {})
      await db.put(frameKey(logs[victim]!, 2), new Uint8Array(200))
      expect(await store.frameBytes(logs[victim]!, 2, { bytesMax: 2 ** 20, framesMax: 9 }).then(() => 'served', (error: TriforceError) => error.code)).to.equal('LOG_DAMAGED')
      await db.put(frameKey(logs[victim]!, 2), whole[1]!)
      await db.close()
      await other.close()
    }
    await dir.remove()
  })

  it('moves frames aside that do not count any more, and finds everything else as before', async () => {
    const { dir, dirs, heads, logs } = await twoHubs()
    const db = await openDatabase(join(dirs[0], 'db'))
    const store = createLogStore(db)
    const context = contextOf(world)
    await verifyLogs(store, { hub: 0, context, hubNames: [] })
    const before = await store.listing({ account }, undefined, 100)
    const log = logs[1]!
    const end = heads[1]!.frames
    const gone = await store.frame(log, end)
    const kept = await store.frame(log, end - 2)
    expect(await store.truncate(log, end - 2)).to.equal(2)
    expect(store.tails.get(logName(log))).to.deep.include({ no: end - 2, hash: kept!.hash })
    expect(await store.frame(log, end)).to.equal(undefined)
    expect(await store.locate([decodeEntry(gone!.entryBytes[0]!).eid])).to.deep.equal([undefined])
    expect((await store.listing({ account }, undefined, 100)).length).to.equal(before.length - 2)
    const orphans = await store.orphans(log, end - 1, { bytesMax: 2 ** 20, framesMax: 10 })
    expect([orphans.frames.length, orphans.last]).to.deep.equal([2, true])
    expect(orphans.frames[1]).to.deep.equal(gone!.bytes)
    expect((await store.orphans(log, end - 1, { bytesMax: 1, framesMax: 10 })).last).to.equal(false)
    // What is broken there, nobody else has: it and what stands behind it is gone, and not handed over.
    for (const place of [1, 0]) {
      const { header, hash, bytes } = decodeFrame(orphans.frames[place]!)
      const spoilt = Uint8Array.from(bytes)
      spoilt[spoilt.byteLength - 3]! ^= 1
      await db.put(orphanKey(log, header.no, hash), spoilt)
      const found = await store.orphans(log, end - 1, { bytesMax: 2 ** 20, framesMax: 10 })
      expect([found.frames.length, found.last, found.broken]).to.deep.equal([place, true, header.no])
    }
    await db.close()
    // The next start finds nothing to repair, and the log grows again from there.
    const again = await openDatabase(join(dirs[0], 'db'))
    const reopened = createLogStore(again)
    const found = await verifyLogs(reopened, { hub: 0, context, hubNames: [] })
    expect([found.damages, found.rowsRepaired, reopened.tails.get(logName(log))!.no]).to.deep.equal([[], 0, end - 2])
    const tail = reopened.tails.get(logName(log))!
    const next = checkFrame(decodeFrame(orphans.frames[0]!), tail, context)
    expect(next.ok).to.equal(true)
    await again.close()
    await dir.remove()
  })

  it("finds every kind of damage in its copy of another hub's log, serves nothing of it, and fetches it again", async () => {
    const { dir, dirs, heads, logs } = await twoHubs()
    const author = await openHub(dirs[0], 0)
    for (const [name, damage] of Object.entries(damages)) {
      const copy = join(dir.path, 'copy')
      await cp(dirs[1], copy, { recursive: true })
      await edit(copy, (db) => damage(db, logs[0]!, 3))
      const ledger = await openHub(copy, 1)
      expect(ledger.heads().find(({ hub }) => hub === 0)!.frames, name).to.equal(2)
      const link = join2(author, 0, ledger, 1)
      await until(`${name} is healed`, () => JSON.stringify(ledger.heads()[0]) === JSON.stringify(heads[0]))
      expect(await ledger.receipts({ account, limit: 100 }), name).to.have.length(6)
      link.cut()
      await ledger.close()
      const again = await openHub(copy, 1)
      expect(again.heads()[0], name).to.deep.equal(heads[0])
      await again.close()
      await rm(copy, { recursive: true })
    }
    await author.close()
    await dir.remove()
  })

  it('repairs index rows that are missing or wrong', async () => {
    const { dir, dirs } = await twoHubs()
    const ledger = await openHub(dirs[0], 0)
    const before = await ledger.receipts({ account, limit: 100 })
    await ledger.close()
    await edit(dirs[0], async (db) => {
      const keys = await db.keys({ gte: Uint8Array.of(3), lt: Uint8Array.of(6) }).all()
      for (const [index, key] of keys.entries()) {
        if (index % 3 === 0) await db.del(key)
        else if (index % 3 === 1 && key[0] === 3) await db.put(key, new Uint8Array(13))
      }
    })
    const repaired = await openHub(dirs[0], 0)
    expect(await repaired.receipts({ account, limit: 100 })).to.deep.equal(before)
    for (const { id } of before) expect(await repaired.receipt(id)).to.not.equal(undefined)
    await repaired.close()
    await dir.remove()
  })

  it('takes its own log back from a peer after its end was lost, and goes on in a new epoch', async () => {
    const { dir, dirs, heads, logs } = await twoHubs()
    const end = heads[0]!.frames
    await edit(dirs[0], async (db) => { for (const no of [end - 1, end]) await db.del(frameKey(logs[0]!, no)) })
    const ledger = await openHub(dirs[0], 0)
    expect(ledger.heads()[0]!.frames).to.equal(end - 2)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(ledger.writable, 'alone with a lost end').to.equal(false)
    const peer = await openHub(dirs[1], 1)
    join2(ledger, 0, peer, 1)
    await ledger.whenWritable({ signal: AbortSignal.timeout(30_000) })
    await log(ledger, ['after'])
    const own = ledger.heads().filter(({ hub }) => hub === 0)
    expect(own[0]).to.deep.equal(heads[0])
    expect(own[1]!.epoch).to.be.greaterThan(own[0]!.epoch)
    await until('equal', () => JSON.stringify(ledger.heads()) === JSON.stringify(peer.heads()))
    await ledger.close()
    await peer.close()
    await dir.remove()
  })

  it('starts with an empty folder, gets everything back, and goes on in a new epoch', async () => {
    const { dir, dirs, heads } = await twoHubs()
    await rm(dirs[0], { recursive: true })
    const ledger = await openHub(dirs[0], 0, { ownLog: { aloneWaitMs: 5_000 } })
    const peer = await openHub(dirs[1], 1)
    join2(ledger, 0, peer, 1)
    await ledger.whenWritable({ signal: AbortSignal.timeout(30_000) })
    expect(ledger.heads().slice(0, 1)).to.deep.equal(heads.slice(0, 1))
    await log(ledger, ['after'])
    await until('equal', () => JSON.stringify(ledger.heads()) === JSON.stringify(peer.heads()))
    expect(ledger.heads().filter(({ hub }) => hub === 0)).to.have.length(2)
    expect(await ledger.receipts({ account, limit: 100 })).to.have.length(6)
    await ledger.close()
    await peer.close()
    await dir.remove()
  })

  it('never continues a log whose key is gone', async () => {
    const { dir, dirs, heads } = await twoHubs()
    await rm(join(dirs[0], 'epoch-key.json'))
    const peer = await openHub(dirs[1], 1)
    const ledger = await openHub(dirs[0], 0)
    join2(ledger, 0, peer, 1)
    await ledger.whenWritable({ signal: AbortSignal.timeout(30_000) })
    await log(ledger, ['after'])
    const own = ledger.heads().filter(({ hub }) => hub === 0)
    expect(own).to.have.length(2)
    expect(own[0]).to.deep.equal(heads[0])
    expect((await stat(join(dirs[0], 'epoch-key.json'))).mode & 0o777).to.equal(0o600)
    await ledger.close()
    await peer.close()
    await dir.remove()
  })

  it('stops writing when a copy of its folder was written to: two histories', async () => {
    const { dir, dirs } = await twoHubs()
    const copy = join(dir.path, 'copy')
    await cp(dirs[0], copy, { recursive: true })
    const peer = await openHub(dirs[1], 1)

    const original = await openHub(dirs[0], 0)
    const link = join2(original, 0, peer, 1)
    await original.whenWritable({ signal: AbortSignal.timeout(30_000) })
    await log(original, ['original'])
    await until('the peer has it', () => JSON.stringify(original.heads()) === JSON.stringify(peer.heads()))
    link.cut()
    await original.close()

    let failed: TriforceError | undefined
    const clone = await openHub(copy, 0, { onFailed: (error: TriforceError) => { failed = error } })
    // A hub that knows nothing of the original cannot warn it.
    const third = await openHub(join(dir.path, '2'), 2)
    const aside = join2(clone, 0, third, 2)
    await clone.whenWritable({ signal: AbortSignal.timeout(30_000) })
    await log(clone, ['clone'])
    aside.cut()
    await third.close()
    join2(clone, 0, peer, 1, () => {})
    await until('the fork is seen', () => failed !== undefined)
    expect(failed!.code).to.equal('LOG_FORKED')
    expect(clone.writable).to.equal(false)
    const late = (ledger: HubLedger) => ledger.openAccount({ publicKey: sha256(Buffer.from('late')), name: 'late', tier: 'free' }).then(() => 'none', (error: TriforceError) => error.code)
    expect(await late(clone)).to.equal('LOG_FORKED')
    await clone.close()

    // Started again, it finds out before it writes.
    failed = undefined
    const again = await openHub(copy, 0, { ownLog: { aloneWaitMs: 5_000, sealWaitMs: 300 }, onFailed: (error: TriforceError) => { failed = error } })
    const frames = again.heads()[0]!.frames
    join2(again, 0, peer, 1, () => {})
    await until('the fork is seen again', () => failed !== undefined)
    expect(failed!.code).to.equal('LOG_FORKED')
    expect(again.heads().filter(({ hub }) => hub === 0).map((head) => head.frames)).to.deep.equal([frames])
    await again.close()
    await peer.close()
    await dir.remove()
  })

  it('does not write as an older copy of itself until a peer comes, takes the rest back and opens a new epoch', async () => {
    const { dir, dirs } = await twoHubs()
    const copy = join(dir.path, 'copy')
    await cp(dirs[0], copy, { recursive: true })
    const peer = await openHub(dirs[1], 1)
    const original = await openHub(dirs[0], 0)
    const link = join2(original, 0, peer, 1)
    await original.whenWritable({ signal: AbortSignal.timeout(30_000) })
    await log(original, ['later'])
    await until('the peer has it', () => JSON.stringify(original.heads()) === JSON.stringify(peer.heads()))
    const latest = original.heads()[0]!
    link.cut()
    await original.close()

    const restored = await openHub(copy, 0)
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(restored.writable, 'alone').to.equal(false)
    join2(restored, 0, peer, 1)
    await until('a new epoch is open', () => restored.writable && restored.heads().filter(({ hub }) => hub === 0).length === 2)
    expect(restored.heads()[0]).to.deep.equal(latest)
    await log(restored, ['after'])
    await restored.close()
    await peer.close()
    await dir.remove()
  })

  it('refuses a folder that is in use, of another hub, or of an unknown format, with the way out', async () => {
    const { dir, dirs } = await twoHubs()
    const errorOf = (promise: Promise<HubLedger>) => promise.then(() => undefined, (thrown: TriforceError) => thrown)
    const ledger = await openHub(dirs[0], 0)
    const locked = await errorOf(openHub(dirs[0], 0))
    expect(locked?.code).to.equal('CONFIG_INVALID')
    expect(locked!.message).to.contain('in use by another process')
    await ledger.close()

    const foreign = await errorOf(openHub(dirs[0], 1))
    expect(foreign?.code).to.equal('CONFIG_INVALID')
    expect(foreign!.message).to.contain('is that of hub')

    await edit(dirs[0], (db) => db.put(Buffer.from('\u0001format'), Buffer.from('2')))
    const newer = await errorOf(openHub(dirs[0], 0))
    expect(newer?.code).to.equal('CONFIG_INVALID')
    expect(newer!.message).to.match(/has format 2, but this program reads format 1/)
    await dir.remove()
  })

  it('treats an anchor that cannot be read as a lost one', async () => {
    const { dir, dirs } = await twoHubs()
    const path = join(dirs[0], 'anchor.json')
    expect(JSON.parse(await readFile(path, 'utf8'))).to.deep.include({ v: 2, hub: 0, network })
    await writeFile(path, '{"v":2')
    const ledger = await openHub(dirs[0], 0)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(ledger.writable).to.equal(false)
    await ledger.close()
    await dir.remove()
  })
})
