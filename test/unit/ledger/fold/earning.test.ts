import { expect } from 'chai'
import { payOf } from '../../../../ledger/earning/pay.ts'
import { decodeEntry, type ReceiptRate } from '../../../../ledger/entries/entry.ts'
import { homeOf } from '../../../../ledger/fold/homes.ts'
import { checkState } from '../../../../ledger/fold/invariants.ts'
import { deviceKeyOf } from '../../../../ledger/fold/state.ts'
import { balanceOf, systemTotals } from '../../../../ledger/fold/views.ts'
import { CONTRIBUTOR_EXPENSE, MS_PER_HOUR, NEWCOMER_RECEIPTS } from '../../../../ledger/rules.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { encode } from '../../../../protocol/codec.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { createFoldWorld, foldHubKeys, foldInOrder, foldReceipt, type FoldWorld } from '../../../support/fold-world.ts'

const account = new Uint8Array(16).fill(1)
const id = toHex(account)
const home = homeOf(foldHubKeys, id)
const away = (home + 1) % 3
const contributor = new Uint8Array(32).fill(9)
const key = deviceKeyOf(toHex(contributor), 'gpu0')
const RATE = 40_000_000n

function receipt(world: FoldWorld, hub: number, number: number, {
  rate = RATE, ms = MS_PER_HOUR, half = true, startMs = 0, devices,
}: { rate?: ReceiptRate; ms?: number; half?: boolean; startMs?: number; devices?: readonly string[] } = {}): string | undefined {
  const jobId = new Uint8Array(16)
  new DataView(jobId.buffer).setUint32(0, number)
  return world.say(hub, foldReceipt(jobId, {
    ...(half ? { half: { device: 'gpu0', ...(devices === undefined ? {} : { devices }), boot: new Uint8Array(16), startMs, endMs: startMs + ms } } : {}),
    contributor, observedMs: ms, endedAt: world.nowMs - 10 * MS_PER_HOUR + startMs + ms,
  }, rate))
}

const vest = (world: FoldWorld, hub: number, total: bigint, delta: bigint, back = 0n, to = account) =>
  world.say(hub, { k: 'Vest', contributor, device: 'gpu0', account: to, round: 1, total, delta, back })

const deviceAt = (world: FoldWorld, hub: number) => world.hubs[hub]!.state.devices.get(key)

describe('ledger/fold: pay', () => {
  it('comes from receipts that both sides signed and that earn', () => {
    const world = createFoldWorld()
    receipt(world, home, 1, { half: false })
    receipt(world, home, 2, { rate: 0n })
    expect(deviceAt(world, home)).to.equal(undefined)
    receipt(world, home, 3)
    expect(payOf(deviceAt(world, home)!)).to.equal(RATE)
    expect(deviceAt(world, home)).to.deep.include({ receipts: 1, firstAt: world.nowMs - 10 * MS_PER_HOUR })
  })

  const devices = ['gpu0', 'gpu1']
  const rates = devices.map((device) => ({ device, rate: RATE }))

  it('comes to each device of a job on several, and the job is one receipt', () => {
    const world = createFoldWorld()
    expect(receipt(world, home, 1, { devices, rate: rates })).to.equal(undefined)
    const known = devices.map((device) => world.hubs[home]!.state.devices.get(deviceKeyOf(toHex(contributor), device))!)
    expect(known.map(payOf)).to.deep.equal([RATE, RATE])
    expect(known.map((device) => device.receipts)).to.deep.equal([1, 0])
    // Only the second one was announced: it is one receipt still, and nothing is known of the first.
    const lone = createFoldWorld()
    receipt(lone, home, 1, { devices, rate: rates.slice(1) })
    expect([...lone.hubs[home]!.state.devices.values()].map((device) => [device.device, payOf(device), device.receipts])).to.deep.equal([['gpu1', RATE, 1]])
  })

  it('never comes to a device that the half does not name, or twice to one', () => {
    const world = createFoldWorld()
    expect(receipt(world, home, 1, { devices, rate: [{ device: 'gpu7', rate: RATE }] })).to.equal('it has a rate for a device that its half does not name')
    expect(receipt(world, home, 1, { rate: rates })).to.equal('it has a rate for a device that its half does not name')
    expect(receipt(world, home, 1, { devices, rate: [rates[0]!, rates[0]!] })).to.equal('it has two rates for one device')
    expect(receipt(world, home, 1, { devices: ['gpu1', 'gpu0'], rate: rates })).to.equal("the contributor's half cannot be read")
    expect(receipt(world, home, 1, { half: false, rate: rates }), 'nobody signed for it').to.equal(undefined)
    expect(world.hubs[home]!.state.devices.size).to.equal(0)
    const both = { ...foldReceipt(new Uint8Array(16), { observedMs: 1, endedAt: 2 }, RATE).entry, rates }
    expect(() => decodeEntry(encode(both))).to.throw(TriforceError).with.nested.property('context.problem', 'has either rate or rates')
  })

  it('is paid by the clearing log, exactly what was earned since, never more', () => {
    const world = createFoldWorld()
    receipt(world, home, 1)
    expect(vest(world, away, RATE, RATE)).to.equal('its log does not clear for the account')
    expect(vest(world, home, RATE + 1n, RATE + 1n)).to.equal('it pays more than the facts earn')
    expect(vest(world, home, 10n, 9n)).to.equal('it pays what was paid already')
    expect(vest(world, home, 10n, 10n, 11n)).to.equal('it holds back more than it pays')
    expect(vest(world, home, 10n, 10n)).to.equal(undefined)
    expect(vest(world, home, RATE, RATE)).to.equal('it pays what was paid already')
    expect(vest(world, home, RATE, RATE - 10n)).to.equal(undefined)
    expect(vest(world, home, RATE, RATE - 10n), 'again').to.equal(undefined)
    expect(world.say(home, { k: 'Vest', contributor: new Uint8Array(32), device: 'gpu0', account, round: 1, total: 1n, delta: 1n, back: 0n })).to.equal('its device has done nothing')
    expect(balanceOf(world.hubs[home]!.state, id).available).to.equal(RATE)
    expect(systemTotals(world.hubs[home]!.state).get(CONTRIBUTOR_EXPENSE)).to.equal(-RATE)
    expect(checkState(world.hubs[home]!.state)).to.deep.equal([])
  })

  it('of a newcomer is held back in part, and released later', () => {
    const world = createFoldWorld()
    receipt(world, home, 1)
    vest(world, home, RATE, RATE, RATE / 2n)
    const release = (step: number, amount: bigint) => world.say(home, { k: 'BackRelease', account, step, amount })
    expect(balanceOf(world.hubs[home]!.state, id)).to.deep.include({ available: RATE / 2n, back: RATE / 2n })
    expect(release(1, RATE)).to.equal('it releases more than is held back')
    expect(release(1, RATE / 2n)).to.equal(undefined)
    expect(release(1, RATE / 2n), 'again').to.equal(undefined)
    expect(balanceOf(world.hubs[home]!.state, id)).to.deep.include({ available: RATE, back: 0n })
  })

  it('repays a debt before it can be spent', () => {
    const world = createFoldWorld()
    world.say(home, { k: 'Purchase', account, amount: 30_000_000n, payment: 'p', product: 'pack-5' })
    world.say(home, { k: 'Give', request: new Uint8Array(16), account, unit: 0, target: { hub: away, epoch: 1 }, amount: 30_000_000n })
    world.say(home, { k: 'Chargeback', account, amount: 30_000_000n, payment: 'p' })
    receipt(world, home, 1)
    vest(world, home, RATE, RATE, RATE / 2n)
    expect(balanceOf(world.hubs[home]!.state, id)).to.deep.include({ available: 0n, back: 20_000_000n, debt: 10_000_000n })
    world.say(home, { k: 'BackRelease', account, step: 1, amount: 20_000_000n })
    expect(balanceOf(world.hubs[home]!.state, id)).to.deep.include({ available: 10_000_000n, back: 0n, debt: 0n })
    expect(checkState(world.hubs[home]!.state)).to.deep.equal([])
  })

  it('counts receipts up to the number that makes a newcomer no newcomer, the same one once', () => {
    const world = createFoldWorld()
    for (let number = 0; number < NEWCOMER_RECEIPTS + 10; number += 1) {
      for (const hub of [home, away]) receipt(world, hub, number, { ms: 10, startMs: number * 20 })
    }
    for (const hub of [home, away]) world.commit(hub)
    for (const choose of [() => 0, (count: number) => count - 1]) {
      const device = foldInOrder(world.logs, choose).devices.get(key)!
      expect(device.receipts).to.equal(NEWCOMER_RECEIPTS)
      expect(device.receiptIds.size).to.equal(0)
    }
  })

  it('of a presence counts for each device, at most to the moment it was logged', () => {
    const world = createFoldWorld()
    const presence = (fromMs: number, toMs: number) => world.say(home, {
      k: 'Presence', hub: home, contributor, boot: new Uint8Array(16), deviceFromMs: 0, deviceToMs: 2 * MS_PER_HOUR, wallFromMs: fromMs, wallToMs: toMs,
      devices: [{ device: 'gpu0', rate: 12_000_000n }, { device: 'gpu1', rate: 3_000_000n }],
    })
    expect(presence(world.nowMs, world.nowMs - 1)).to.equal('it ends before it begins')
    expect(presence(world.nowMs - MS_PER_HOUR, world.nowMs + MS_PER_HOUR)).to.equal(undefined)
    const [first, second] = ['gpu0', 'gpu1'].map((device) => world.hubs[home]!.state.devices.get(deviceKeyOf(toHex(contributor), device))!)
    expect([payOf(first!) / 1_000n, payOf(second!) / 1_000n]).to.deep.equal([12_000n, 3_000n])
    expect(world.say(away, { k: 'Presence', hub: home, contributor, boot: new Uint8Array(16), deviceFromMs: 0, deviceToMs: 1, wallFromMs: 0, wallToMs: 1, devices: [{ device: 'x', rate: 1n }] }))
      .to.equal('another hub saw it')
  })

  it('for a device whose key moved to another account is never paid twice for long: the later account waits until more is earned', () => {
    const other = new Uint8Array(16).fill(2)
    const otherHome = homeOf(foldHubKeys, toHex(other))
    const world = createFoldWorld()
    receipt(world, home, 1)
    world.commit(home)
    world.settleDown()
    vest(world, home, 30_000_000n, 30_000_000n)
    expect(vest(world, otherHome, 10_000_000n, 10_000_000n, 0n, other)).to.equal(undefined)
    for (const { hub } of world.hubs) world.commit(hub)
    const state = foldInOrder(world.logs, () => 0)
    expect(state.devices.get(key)).to.deep.include({ vested: 40_000_000n, vestedBy: new Map([[id, 30_000_000n], [toHex(other), 10_000_000n]]) })
    expect(checkState(state)).to.deep.equal([])
  })
})
