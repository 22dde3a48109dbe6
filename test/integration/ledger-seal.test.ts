/** A hub is gone: the two others retire its log, spend what stood idle in it, and take the hub in again when it comes back. */
import { expect } from 'chai'
import { Level } from 'level'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { homeOf } from '../../ledger/fold/homes.ts'
import type { HubLedger } from '../../ledger/interface.ts'
import type { LedgerOptions } from '../../ledger/ledger.ts'
import { promiseCountKey } from '../../ledger/promise-rows.ts'
import { keptKey } from '../../ledger/store/buckets.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import { testKey } from '../support/federation.ts'
import { join2, openTestLedger, temporaryDir, testReceipt, testWorld, type TestLink } from '../support/ledger-world.ts'
import { until } from '../support/until.ts'

const world = testWorld()
const { network } = world.federation
const CREDIT = 1_000_000n
const pairs = [[0, 1], [0, 2], [1, 2]] as const
const bytes16 = (name: string) => sha256(Buffer.from(name)).slice(0, 16)
const codeOf = (promise: Promise<unknown>) => promise.then(() => 'none', (error: TriforceError) => error.code)

/** 10 credits for 1,000 tokens. */
const sonnet = { provider: 'anthropic', model: 'claude-sonnet-4' }

async function hubsWorld(options: Partial<LedgerOptions> = {}) {
  const dir = await temporaryDir()
  const hubs: (HubLedger | undefined)[] = []
  const links = new Map<string, TestLink>()
  const self = {
    dir: (index: number) => join(dir.path, String(index)),
    hub: (index: number) => hubs[index]!,
    open: async (index: number) => { hubs[index] = await openTestLedger(world, index, self.dir(index), options) },
    join: (a: number, b: number) => { links.set(`${a}${b}`, join2(hubs[a]!, a, hubs[b]!, b)) },
    cut: (index: number) => { for (const [a, b] of pairs) if (a === index || b === index) links.get(`${a}${b}`)?.cut() },
    close: async (index: number) => {
      self.cut(index)
      await hubs[index]?.close()
      hubs[index] = undefined
    },
    /** All three, joined and writable. */
    start: async () => {
      for (const index of [0, 1, 2]) await self.open(index)
      for (const [a, b] of pairs) self.join(a, b)
      await Promise.all([0, 1, 2].map((index) => self.hub(index).whenWritable({ signal: AbortSignal.timeout(30_000) })))
    },
    equal: () => until('heads are equal', () => new Set([0, 1, 2].map((index) => JSON.stringify(self.hub(index).heads()))).size === 1, 15_000),
    /** An account whose home is hub 2, with 1,000 credits there and nothing left of its quota. */
    account: async (name: string) => {
      for (let turn = 0; ; turn += 1) {
        const { publicKey } = testKey(sha256(Buffer.from(`${name} ${turn}`))).signer
        const id = accountIdOf(publicKey)
        if (homeOf(world.hubs.map(({ signer }) => signer.publicKey), toHex(id)) !== 2) continue
        await self.hub(2).openAccount({ publicKey, name, tier: 'free' })
        await self.hub(2).grant({ account: id, amountMicroCredits: 1_000n * CREDIT, source: 'test' })
        const { hold } = await self.hold(2, id, `${name} quota`, 10_000, 0)
        await self.hub(2).settle({ hold, promptTokens: 10_000, completionTokens: 0 })
        await self.equal()
        return id
      }
    },
    hold: (index: number, account: Uint8Array, name: string, promptTokens: number, completionTokensMax: number) => self.hub(index).hold({
      request: bytes16(name), requestHash: sha256(Buffer.from(name)), account, ...sonnet, promptTokens, completionTokensMax,
    }),
    balance: (index: number, account: Uint8Array) => self.hub(index).money(account)!.balance,
    ownEpochs: (index: number) => self.hub(index).heads().filter(({ hub }) => hub === index).length,
    /** The account stands so at every hub, and no hub finds a broken rule. */
    whole: async (account: Uint8Array, available: bigint) => {
      // Fresh money is spread at any moment, so all of this is looked at together.
      const stands = () => [0, 1, 2].map((index) => self.balance(index, account))
      const expected = { available, held: 0n, inflight: 0n, frozen: 0n, back: 0n, debt: 0n }
      const text = (value: unknown) => JSON.stringify(value, (_, item: unknown) => typeof item === 'bigint' ? String(item) : item)
      const wanted = text([expected, expected, expected])
      await until('nothing is frozen, held or under way', () => text(stands()) === wanted, 30_000).catch(() => {})
      expect(stands()).to.deep.equal([expected, expected, expected])
      await self.equal()
      for (const index of [0, 1, 2]) {
        const report = await self.hub(index).audit()
        expect(report.problems).to.deep.equal([])
      }
    },
    end: async () => {
      for (const index of [0, 1, 2]) await self.close(index)
      await dir.remove()
    },
  }
  return self
}

describe('ledger: seals', function () {
  this.timeout(100_000)

  it("retires a lost hub's log, spends its rights, charges what it spent alone, and hands back when it returns", async () => {
    const hubs = await hubsWorld()
    await hubs.start()
    const account = await hubs.account('returns')
    const shared = await hubs.hold(2, account, 'shared', 1_000, 1_000)
    expect(shared).to.deep.include({ creditsMicroCredits: 20n * CREDIT, durability: 'replicated' })
    const abandoned = await hubs.hold(2, account, 'abandoned', 1_000, 0)
    await hubs.equal()

    hubs.cut(2)
    const alone = await hubs.hold(2, account, 'alone', 2_000, 1_000)
    expect(alone).to.deep.include({ creditsMicroCredits: 30n * CREDIT, durability: 'local' })
    await hubs.hub(2).settle({ hold: alone.hold, promptTokens: 2_000, completionTokens: 1_000 })
    await hubs.hub(2).settle({ hold: shared.hold, promptTokens: 1_000, completionTokens: 500 })
    const receipt = testReceipt(network, world.hubs[2]!.signer, { account })
    const logged = await hubs.hub(2).appendReceipt(receipt)
    expect(logged.durability).to.equal('local')

    await Promise.all([0, 1].map((index) => hubs.hub(index).seal(2, { forced: false, signal: AbortSignal.timeout(60_000) })))
    for (const index of [0, 1]) {
      await until(`hub ${index} knows`, () => hubs.balance(index, account).frozen > 0n)
      const { available, inflight, held, frozen } = hubs.balance(index, account)
      // Rights also move between the hubs by themselves.
      expect({ free: available + inflight, held, frozen }).to.deep.equal({ free: 770n * CREDIT, held: 30n * CREDIT, frozen: 200n * CREDIT })
    }
    const spent = await hubs.hold(0, account, 'inherited', 10_000, 0)
    await hubs.hub(0).settle({ hold: spent.hold, promptTokens: 10_000, completionTokens: 0 })
    const charged = 100n * CREDIT

    hubs.join(0, 2)
    hubs.join(1, 2)
    await until('hub 2 has a new log', () => hubs.ownEpochs(2) === 2 && hubs.hub(2).writable, 15_000)
    await hubs.whole(account, 1_000n * CREDIT - charged - 30n * CREDIT - 15n * CREDIT)
    const [record] = await hubs.hub(0).receipts({ account, limit: 10 })
    expect(record).to.deep.include({ hub: 2 })
    for (const index of [0, 1, 2]) expect(await hubs.hub(index).receiptFile(record!.id), `receipt at hub ${index}`).to.be.a('string')
    expect(await codeOf(hubs.hub(2).settle({ hold: abandoned.hold, promptTokens: 1_000, completionTokens: 0 }))).to.equal('NOT_HOME')

    // It clears for its accounts again, in its new log.
    await hubs.hub(2).grant({ account, amountMicroCredits: CREDIT, source: 'after' })
    await hubs.equal()
    await hubs.whole(account, 956n * CREDIT - charged)
    await hubs.end()
  })

  it('goes on with what two hubs had where the disk of the third is lost', async () => {
    const hubs = await hubsWorld()
    await hubs.start()
    const account = await hubs.account('loses its disk')
    hubs.cut(2)
    const alone = await hubs.hold(2, account, 'alone', 2_000, 1_000)
    await hubs.hub(2).settle({ hold: alone.hold, promptTokens: 2_000, completionTokens: 1_000 })
    await hubs.hub(0).seal(2, { forced: false, signal: AbortSignal.timeout(60_000) })
    await hubs.close(2)
    await rm(hubs.dir(2), { recursive: true })
    await hubs.open(2)
    hubs.join(0, 2)
    hubs.join(1, 2)
    await until('hub 2 has a new log', () => hubs.ownEpochs(2) === 2 && hubs.hub(2).writable, 15_000)
    await hubs.whole(account, 1_000n * CREDIT)
    await hubs.hub(2).grant({ account, amountMicroCredits: CREDIT, source: 'after' })
    await hubs.end()
  })

  it('a hub that lost its disk is nobody\'s second copy, and writes nothing, before both others have told what it had promised', async () => {
    const hubs = await hubsWorld({ ownLog: { firstLogPeers: 2, aloneWaitMs: 50 } })
    await hubs.start()
    const open = (name: string) => hubs.hub(1).openAccount({ publicKey: testKey(sha256(Buffer.from(name))).signer.publicKey, name, tier: 'free' })
    expect((await open('before')).durability).to.equal('replicated')
    await hubs.equal()
    await hubs.close(0)
    hubs.cut(2)
    await rm(hubs.dir(0), { recursive: true })
    await hubs.open(0)
    hubs.join(0, 1)
    expect((await open('while hub 2 is away')).durability).to.equal('local')
    await until('its frames are there all the same', () => hubs.hub(0).account(accountIdOf(testKey(sha256(Buffer.from('while hub 2 is away'))).signer.publicKey)) !== undefined)
    expect(hubs.hub(0).writable).to.equal(false)
    hubs.join(0, 2)
    await hubs.hub(0).whenWritable({ signal: AbortSignal.timeout(30_000) })
    // Hub 1 still has no other peer.
    expect((await open('when hub 2 has told')).durability).to.equal('replicated')
    hubs.join(1, 2)
    await hubs.equal()
    await hubs.end()
  })

  it('so is a hub whose disk lost nothing but what it had promised last', async () => {
    const hubs = await hubsWorld({ ownLog: { firstLogPeers: 2, aloneWaitMs: 50 } })
    await hubs.start()
    const open = (name: string) => hubs.hub(1).openAccount({ publicKey: testKey(sha256(Buffer.from(name))).signer.publicKey, name, tier: 'free' })
    await open('before')
    await hubs.equal()
    hubs.cut(1)
    hubs.cut(0)
    const given = new AbortController()
    const sealing = hubs.hub(0).seal(1, { forced: false, signal: given.signal }).catch(() => {})
    const anchored = async () => (JSON.parse(await readFile(join(hubs.dir(0), 'anchor.json'), 'utf8')) as { promises?: number }).promises
    const before = await anchored() ?? 0
    await until('the promise is known outside of the database', async () => (await anchored() ?? 0) > before)
    given.abort()
    await sealing
    await hubs.close(0)
    const db = new Level<Uint8Array, Uint8Array>(join(hubs.dir(0), 'db'), { keyEncoding: 'view', valueEncoding: 'view' })
    await db.open()
    const promised = await db.keys({ gte: keptKey('seal/'), lt: keptKey('seal0') }).all()
    expect(promised).to.have.lengthOf(1)
    for (const key of [...promised, keptKey(promiseCountKey)]) await db.del(key)
    await db.close()

    await hubs.open(0)
    hubs.join(0, 1)
    expect((await open('while hub 2 is away')).durability).to.equal('local')
    hubs.join(0, 2)
    await until('hub 2 has told', async () => (await open('when hub 2 has told')).durability === 'replicated')
    hubs.join(1, 2)
    await hubs.equal()
    await hubs.end()
  })

  it('a hub that lost its end and opened a new log gets its rights back without anybody asking for it', async () => {
    const hubs = await hubsWorld()
    await hubs.start()
    const account = await hubs.account('forgets')
    await hubs.close(2)
    await rm(join(hubs.dir(2), 'anchor.json'))
    await hubs.open(2)
    hubs.join(0, 2)
    hubs.join(1, 2)
    await until('hub 2 has a new log', () => hubs.ownEpochs(2) === 2 && hubs.hub(2).writable, 15_000)
    await until('the old log is sealed', () => hubs.balance(1, account).frozen > 0n || hubs.balance(1, account).available === 1_000n * CREDIT, 15_000)
    await hubs.whole(account, 1_000n * CREDIT)
    await until('it may mint again', async () => await codeOf(hubs.hub(2).grant({ account, amountMicroCredits: CREDIT, source: 'after' })) === 'none', 20_000)
    await hubs.end()
  })

  it('seals by itself where a hub is away and somebody is short of the rights in its log', async () => {
    const hubs = await hubsWorld({ seal: { unreachableMs: 1_500 } })
    await hubs.start()
    const account = await hubs.account('is short')
    hubs.cut(2)
    // Some rights may have moved by themselves before; hub 0 spends until it is short, and no more than there is.
    const codes: string[] = []
    let spent = 0
    await until('it is sealed and spent', async () => {
      const code = await codeOf(hubs.hold(0, account, `hold ${spent}`, 10_000, 0))
      codes.push(code)
      if (code === 'none') spent += 1
      return spent === 8
    }, 30_000)
    expect(codes.filter((code) => code !== 'none' && code !== 'RIGHTS_UNREACHABLE')).to.deep.equal([])
    expect(codes).to.include('RIGHTS_UNREACHABLE')
    expect(hubs.balance(1, account)).to.deep.include({ frozen: 200n * CREDIT })
    expect(await codeOf(hubs.hold(0, account, 'too much', 10_000, 0))).to.not.equal('none')
    await hubs.end()
  })

  it('keeps its promise over a restart and goes on with the seal', async () => {
    const hubs = await hubsWorld()
    await hubs.start()
    const account = await hubs.account('restarts')
    hubs.cut(2)
    hubs.cut(0)
    const controller = new AbortController()
    const sealing = hubs.hub(0).seal(2, { forced: false, signal: controller.signal }).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 300))
    controller.abort()
    await sealing
    await hubs.close(0)
    await hubs.open(0)
    // The promise stands: what hub 2 writes now is not taken by hub 0.
    hubs.join(1, 2)
    await hubs.hub(2).grant({ account, amountMicroCredits: CREDIT, source: 'more' })
    const before = hubs.hub(0).heads().find(({ hub }) => hub === 2)!.frames
    hubs.join(0, 2)
    await until('hub 0 writes', () => hubs.hub(0).writable)
    await hubs.hub(2).grant({ account, amountMicroCredits: CREDIT, source: 'still more' })
    expect(hubs.hub(0).heads().find(({ hub }) => hub === 2)!.frames).to.equal(before)
    // Its hub is there again and nothing was signed: the promise is taken back, and the frames come.
    hubs.join(0, 1)
    await hubs.equal()
    await hubs.whole(account, 1_002n * CREDIT)
    await hubs.end()
  })

  it('is refused while the hub is connected, unless the admins of both others want it', async () => {
    const hubs = await hubsWorld()
    await hubs.start()
    const account = await hubs.account('is forced')
    expect(await codeOf(hubs.hub(0).seal(2, { forced: false, signal: AbortSignal.timeout(60_000) }))).to.equal('BAD_REQUEST')
    const one = hubs.hub(0).seal(2, { forced: true, signal: AbortSignal.timeout(60_000) })
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(hubs.balance(1, account).frozen).to.equal(0n)
    await Promise.all([one, hubs.hub(1).seal(2, { forced: true, signal: AbortSignal.timeout(60_000) })])
    await until('hub 2 has a new log', () => hubs.ownEpochs(2) === 2 && hubs.hub(2).writable, 15_000)
    await hubs.whole(account, 1_000n * CREDIT)
    await hubs.end()
  })
})
