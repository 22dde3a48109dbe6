/** What a job and standing by earn, from the node's side to three real ledgers: rates, accounts and devices. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'chai'
import type { DeviceHardware, HubLedger, ListCursor } from '../../ledger/interface.ts'
import { devicesOf } from '../../node/capacity/devices.ts'
import { startPresence } from '../../node/settlement/presence.ts'
import { settleJob } from '../../node/settlement/settle.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { ticketHashOf, type ReceiptHalf } from '../../protocol/messages/receipt.ts'
import type { Clock } from '../../protocol/ports.ts'
import { signDocument } from '../../protocol/signed.ts'
import { aCapacity } from '../support/completions.ts'
import { testKey, type TestKey } from '../support/federation.ts'
import { cryptoRandom, join2, openTestLedger, realClock, temporaryDir, testWorld } from '../support/ledger-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'
import { issuedNow } from '../support/issued-ticket.ts'

const HOUR = 3_600_000n
const RTX = { name: 'NVIDIA GeForce RTX 4090', vramBytes: 24 * 2 ** 30 - 2 ** 20 }

describe('settlement: earning', function () {
  this.timeout(60_000)
  const world = testWorld()
  let dir: Awaited<ReturnType<typeof temporaryDir>>
  let hubs: HubLedger[] = []

  before(async () => {
    dir = await temporaryDir()
    hubs = await Promise.all([0, 1, 2].map((index) => openTestLedger(world, index, join(dir.path, String(index)))))
    for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) join2(hubs[a]!, a, hubs[b]!, b)
    await Promise.all(hubs.map((hub) => hub.whenWritable({ signal: AbortSignal.timeout(30_000) })))
  })
  after(async () => {
    await Promise.all(hubs.map((hub) => hub.close()))
    await dir.remove()
  })

  interface Lender {
    readonly account: Uint8Array
    readonly node: TestKey
    readonly boot: Uint8Array
  }

  async function lenderOf(tier: string): Promise<Lender> {
    const { publicKey } = testKey().signer
    const node = testKey()
    const account = accountIdOf(publicKey)
    await hubs[0]!.openAccount({ publicKey, name: 'lender', tier })
    await hubs[0]!.addKey({ publicKey: node.signer.publicKey, account, name: 'box' })
    await until('every hub knows the key', () => hubs.every((hub) => hub.apiKey(node.signer.publicKey) !== undefined))
    return { account, node, boot: cryptoRandom.bytes(16) }
  }

  /** A job of `ms` on this device at hub 0, from `startMs` of the lender's boot on. */
  async function serve({ node, boot }: Lender, part: { payer?: Uint8Array; device?: string; on?: readonly string[]; devices?: readonly DeviceHardware[] | undefined; startMs?: number; ms?: number; signs?: boolean }): Promise<void> {
    const { signer } = world.hubs[0]!
    const { devices = devicesOf([RTX]), device = RTX.name, startMs = 5_000, ms = 2_000 } = part
    const issued = issuedNow({ signer, clock: realClock, random: cryptoRandom }, world.federation.network, {
      contributor: node.signer.publicKey, account: part.payer ?? new Uint8Array(16), model: 'tiny', requestHash: new Uint8Array(32), priority: 0,
    })
    const outputHash = new Uint8Array(createHash('sha256').update('Hi').digest())
    const usage = { promptTokens: 4, completionTokens: 2 }
    const half: ReceiptHalf = {
      v: 1, ticketHash: ticketHashOf(issued.signed), jobId: issued.ticket.jobId, modelDigest: 'ab'.repeat(32), device, ...(part.on === undefined ? {} : { devices: [...part.on] }), boot, startMs, endMs: startMs + ms, usage,
      outputHash, finish: 'stop',
    }
    await settleJob({ ledger: hubs[0]!, clock: realClock, log: quietLog() }, {
      issued, path: 'hub', devices: 'devices' in part ? part.devices : devices,
      seen: { usage, finish: 'stop', outputHash, observedMs: ms, half: part.signs === false ? undefined : signDocument(node.signer, 'receiptHalf', half) },
    })
  }

  const due = ({ account }: Lender): bigint => hubs[0]!.money(account)!.earnedUnpaid
  const credits = (perHour: bigint, ms: bigint): bigint => perHour * 1_000_000n * ms / HOUR

  it('pays an hour of work by the class of the announced hardware, twice for Unlimited', async () => {
    const [free, unlimited, cpu] = [await lenderOf('contributor'), await lenderOf('unlimited'), await lenderOf('contributor')]
    await serve(free, {})
    await serve(unlimited, {})
    await serve(cpu, { device: 'cpu', devices: devicesOf([]) })
    expect([due(free), due(unlimited), due(cpu)]).to.deep.equal([credits(40n, 2_000n), credits(80n, 2_000n), credits(1n, 2_000n)])
  })

  it('tells what hardware earns, and what each device has done at which rate', async () => {
    const hub = hubs[0]!
    expect(hub.earningRate(RTX, 'unlimited')).to.deep.equal({ class: 'rtx-4090', busyMicroCreditsPerHour: 80_000_000n, standbyMicroCreditsPerHour: 24_000_000n })
    expect(hub.earningRate(undefined, 'contributor')).to.deep.equal({ class: 'cpu', busyMicroCreditsPerHour: 1_000_000n, standbyMicroCreditsPerHour: 300_000n })
    expect(hub.earningRate(RTX, 'no such tier')).to.equal(undefined)
    const lender = await lenderOf('contributor')
    expect(hub.lending(new Uint8Array(16))).to.equal(undefined)
    expect(hub.lending(lender.account)).to.deep.include({ devices: [] })
    await serve(lender, { startMs: 10_000, ms: 3_000 })
    hub.presence({ contributor: lender.node.signer.publicKey, boot: lender.boot, deviceFromMs: 5_000, deviceToMs: 15_000, wallFromMs: Date.now() - 10_000, wallToMs: Date.now(), devices: devicesOf([RTX]) })
    await until('standby is logged', () => hub.lending(lender.account)!.devices[0]?.time.length === 2)
    const { devices: [device], probation } = hub.lending(lender.account)!
    expect(device).to.deep.include({ contributor: lender.node.signer.publicKey, device: RTX.name, receipts: 1, paid: 0n, earned: due(lender) })
    // The job lies within the ten seconds; on the wall clock it may reach out of them by as long as it took to get here.
    expect(device!.time.map(({ microCreditsPerHour }) => microCreditsPerHour)).to.deep.equal([40_000_000n, 12_000_000n])
    expect(device!.time[0]!.ms).to.equal(3_000)
    expect(device!.time[1]!.ms).to.be.within(6_900, 7_000)
    expect(probation).to.deep.include({ active: false, receipts: 1, receiptsMin: 50, ageMsMin: 7 * 86_400_000 })
    expect(probation.firstAt).to.equal(device!.firstAt)
  })

  it('pays nothing for one\'s own jobs, unsigned ones, unknown hardware, or a device that was not announced', async () => {
    const lender = await lenderOf('contributor')
    await serve(lender, { payer: lender.account })
    await serve(lender, { signs: false })
    await serve(lender, { devices: undefined })
    await serve(lender, { device: 'another RTX 4090' })
    await serve(lender, { device: `${RTX.name} #2` })
    expect(due(lender)).to.equal(0n)
  })

  it('pays each announced GPU of a job on several, none twice', async () => {
    const gpus = devicesOf([RTX, RTX])
    const names = gpus.map(({ device }) => device)
    const [both, repeated, own, bad] = [await lenderOf('contributor'), await lenderOf('contributor'), await lenderOf('contributor'), await lenderOf('contributor')]
    await serve(both, { on: names, devices: gpus })
    await serve(both, { on: names, devices: gpus })
    await serve(repeated, { on: [RTX.name, RTX.name, `${RTX.name} #2`], devices: devicesOf([RTX]) })
    await serve(own, { on: names, devices: gpus, payer: own.account })
    await serve(bad, { on: names.toReversed(), devices: gpus })
    expect([due(both), due(repeated), due(own), due(bad)]).to.deep.equal([2n * credits(40n, 2_000n), credits(40n, 2_000n), 0n, 0n])
  })

  it('pays one hour once, however many jobs fill it', async () => {
    const lender = await lenderOf('contributor')
    for (let job = 0; job < 4; job += 1) await serve(lender, { startMs: 10_000, ms: 3_000 })
    expect(due(lender)).to.equal(credits(40n, 3_000n))
  })

  it('lists receipts and statement page by page, none twice and none left out, also of one frame', async () => {
    const payer = testKey().signer
    const account = accountIdOf(payer.publicKey)
    await hubs[0]!.openAccount({ publicKey: payer.publicKey, name: 'payer', tier: 'free' })
    const lender = await lenderOf('contributor')
    await Promise.all(Array.from({ length: 23 }, async () => serve(lender, { payer: account })))
    await Promise.all(Array.from({ length: 23 }, async (_, index) => hubs[0]!.grant({ account, amountMicroCredits: 5n, source: `gift ${index}` })))
    for (const hub of hubs) {
      await until('the hub knows all', () => hub.money(account)?.balance.available === 115n)
      const readAll = async <Row extends { readonly id: Uint8Array }>(page: (after: ListCursor | undefined) => Promise<readonly Row[]>, atOf: (row: Row) => number) => {
        const rows: Row[] = []
        for (;;) {
          const last = rows.at(-1)
          const next = await page(last === undefined ? undefined : { at: atOf(last), id: last.id })
          rows.push(...next)
          if (next.length < 5) return rows
        }
      }
      // The first page of receipts has whole frames, since it has no cursor.
      const receipts = await readAll((after) => hub.receipts({ account, limit: 5, ...(after === undefined ? {} : { after }) }), (row) => row.loggedAt)
      const lines = await readAll((after) => hub.statement({ account, limit: 5, ...(after === undefined ? {} : { after }) }), (row) => row.at)
      const grants = lines.filter(({ kind }) => kind === 'Grant')
      for (const [rows, at] of [[receipts, receipts.map((row) => row.loggedAt)], [lines, lines.map((row) => row.at)]] as const) {
        expect(new Set(rows.map(({ id }) => toHex(id))).size).to.equal(rows.length)
        expect(at).to.deep.equal(at.toSorted((a, b) => b - a))
      }
      expect([receipts.length, grants.length, new Set(grants.map(({ why }) => why)).size]).to.deep.equal([23, 23, 23])
    }
  })

  it('pays 30 % for standing by, for each GPU, and the full rate for the part that was work', async () => {
    const lender = await lenderOf('contributor')
    const gpus = [RTX, RTX].map((gpu) => ({ ...gpu, vramFreeBytes: 0 }))
    let nowMs = Date.now() - 1_000_000
    const clock: Clock = { now: () => nowMs, monotonicMs: () => nowMs, after: () => () => {} }
    const presences = hubs.map((ledger) => startPresence({ ledger, clock, log: quietLog(), isConnected: () => true }))
    for (let deviceMs = 100_000; deviceMs <= 700_000; deviceMs += 10_000) {
      for (const presence of presences) presence.heard(aCapacity({ peer: lender.node.signer.publicKey, gpus, clock: { boot: lender.boot, ms: deviceMs } }, nowMs))
      nowMs += 10_000
    }
    // All three hubs saw the same ten minutes.
    for (const presence of presences) presence.stop()
    const standby = 2n * credits(12n, 600_000n)
    await until('standing by is in the ledger', () => due(lender) === standby)
    await serve(lender, { startMs: 200_000, ms: 60_000, devices: devicesOf(gpus) })
    // The job's time on the hub's clock is not that of the presence here, so only its device's clock overlaps.
    await until('work is in the ledger', () => due(lender) > standby)
    expect(due(lender)).to.equal(standby + credits(28n, 60_000n))
  })
})
