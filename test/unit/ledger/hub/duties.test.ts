import { expect } from 'chai'
import { toHex } from '../../../../protocol/bytes.ts'
import { encodeEntry, holdEidOf } from '../../../../ledger/entries/entry.ts'
import { decideAddKey } from '../../../../ledger/hub/decide/accounts.ts'
import { decidePresence } from '../../../../ledger/hub/decide/earning.ts'
import { decideHold, type HoldAsk } from '../../../../ledger/hub/decide/hold.ts'
import { decideGrant } from '../../../../ledger/hub/decide/money.ts'
import { decideGive } from '../../../../ledger/hub/decide/moves.ts'
import { decideExtend, decideProgress, decideSettle } from '../../../../ledger/hub/decide/running.ts'
import { checkState } from '../../../../ledger/fold/invariants.ts'
import { ISLAND_RELEASE_MS, MS_PER_DAY } from '../../../../ledger/rules.ts'
import { popDue, pushDue, type Due } from '../../../../ledger/hub/expiry-heap.ts'
import { createCoreWorld, START_MS, type CoreWorld } from '../../../support/core-world.ts'
import { testKey } from '../../../support/federation.ts'

const CREDIT = 1_000_000n
const bytes = (value: number, length = 16) => new Uint8Array(length).fill(value)

function ask(account: Uint8Array, request: number, more: Partial<HoldAsk> = {}): HoldAsk {
  return { request: bytes(request), requestHash: bytes(request, 32), account, provider: 'groq', model: 'llama', promptTokens: 0, completionTokensMax: 1_000, ...more }
}

const outcomeOf = (world: CoreWorld, hub: number, request: number) => world.hubs[0]!.hub.state.holds.get(toHex(holdEidOf(hub, bytes(request))))!.outcome

function after(world: CoreWorld, ...waits: readonly number[]): void {
  for (const ms of waits) {
    world.tick(ms)
    world.settle()
  }
}

/** The successor logs it; who signed it is judged elsewhere. */
function seal(world: CoreWorld, hub: number): void {
  const { log, no, hash } = world.hubs[hub]!.tail
  const document = { body: bytes(1), key: bytes(1, 32), signature: bytes(1, 64) }
  const entry = encodeEntry({ k: 'Seal', log, frame: no, hash, signatures: [document, document] })
  world.submit((hub + 1) % 3, { eid: bytes(7), decide: () => ({ type: 'entries', entries: [entry] }) })
}

describe('what a hub does by itself', () => {
  it('lets go what is over, and nothing that was extended', () => {
    const world = createCoreWorld()
    const { id } = world.account(0)
    for (const request of [1, 2]) world.done(0, decideHold(world.hubs[0]!.hub, ask(id, request, { holdMs: 10_000 })))
    world.done(0, decideExtend(world.hubs[0]!.hub, { hold: holdEidOf(0, bytes(2)), step: 1, promptTokens: 0, completionTokensMax: 1_500, holdMs: 60_000 }))
    after(world, 9_000)
    expect(world.hubs[1]!.hub.state.openHolds.size).to.equal(2)
    after(world, 2_000)
    expect([outcomeOf(world, 0, 1)?.settled, outcomeOf(world, 0, 2)]).to.deep.equal([false, undefined])
    after(world, 60_000)
    expect(outcomeOf(world, 0, 2)?.settled).to.equal(false)
  })

  it('settles what a former process left at its last note, and lets the rest go', () => {
    const world = createCoreWorld()
    const { id } = world.account(0)
    for (const request of [1, 2]) world.done(0, decideHold(world.hubs[0]!.hub, ask(id, request)))
    world.done(0, decideProgress(world.hubs[0]!.hub, { hold: holdEidOf(0, bytes(1)), step: 1, promptTokens: 3, completionTokens: 40 }))
    // A log that was only paused is no other process.
    world.run(0, { type: 'writing', log: undefined })
    world.run(0, { type: 'writing', log: { hub: 0, epoch: 1 } })
    world.settle()
    expect(world.hubs[1]!.hub.state.openHolds.size).to.equal(2)
    world.restart(0)
    world.settle()
    expect(outcomeOf(world, 0, 1)).to.deep.include({ settled: true, promptTokens: 3, completionTokens: 40, quotaTokens: 43 })
    expect(outcomeOf(world, 0, 2)).to.deep.include({ settled: false, charge: 0n })
  })

  it('takes in gives that nobody waits for', () => {
    const world = createCoreWorld()
    const { id, hex } = world.account(0)
    world.done(0, decideGrant(world.hubs[0]!.hub, { account: id, amountMicroCredits: 10n * CREDIT, source: 'a' }))
    world.done(0, decideGive(world.hubs[0]!.hub, { request: bytes(9), account: id, unit: 0, target: { hub: 1, epoch: 1 }, min: 1n, want: CREDIT }))
    after(world, 200)
    expect(world.hubs[2]!.hub.state.accounts.get(hex)!.rights.get('1/1')).to.equal(CREDIT)
    expect(world.hubs[2]!.hub.state.accounts.get(hex)!.inflight).to.equal(0n)
  })

  it('takes lost gives back after a seal, releases what was frozen in time, and ends the holds of the sealed log', () => {
    const world = createCoreWorld()
    const { id, hex } = world.account(2, 'nothing')
    world.done(2, decideGrant(world.hubs[2]!.hub, { account: id, amountMicroCredits: 500n * CREDIT, source: 'a' }))
    world.done(2, decideGive(world.hubs[2]!.hub, { request: bytes(8), account: id, unit: 0, target: { hub: 1, epoch: 1 }, min: 1n, want: 50n * CREDIT }))
    after(world, 200)
    world.done(2, decideHold(world.hubs[2]!.hub, ask(id, 1, { holdMs: 3_600_000 })))
    world.done(2, decideProgress(world.hubs[2]!.hub, { hold: holdEidOf(2, bytes(1)), step: 1, promptTokens: 0, completionTokens: 300 }))
    world.cut(0, 2)
    world.cut(1, 2)
    world.done(1, decideGive(world.hubs[1]!.hub, { request: bytes(9), account: id, unit: 0, target: { hub: 2, epoch: 1 }, min: 1n, want: 20n * CREDIT }))
    expect(world.hubs[0]!.hub.state.accounts.get(hex)!.inflight).to.equal(20n * CREDIT)

    seal(world, 2)
    after(world, 200, 200)
    const account = world.hubs[1]!.hub.state.accounts.get(hex)!
    expect([account.inflight, account.rights.get('1/1'), account.frozen.get('2/1'), account.held]).to.deep.equal([0n, 50n * CREDIT, 200n * CREDIT, CREDIT])
    // Held until it is known what the lost end says.
    after(world, ISLAND_RELEASE_MS - 10_000)
    expect([account.frozen.get('2/1'), account.held]).to.deep.equal([200n * CREDIT, CREDIT])
    after(world, 20_000, 6_000)
    expect([account.frozen.get('2/1') ?? 0n, account.held]).to.deep.equal([0n, 0n])
    expect(outcomeOf(world, 2, 1)).to.deep.include({ settled: true, charge: 300_000n })
    expect(account.rights.get('0/1')).to.equal(450n * CREDIT - 300_000n)
    expect(checkState(world.hubs[1]!.hub.state)).to.deep.equal([])
  })

  it('pays a request that was paid twice back for a hub that was sealed before it could', () => {
    const world = createCoreWorld()
    const { id } = world.account(0)
    const [first, second] = [holdEidOf(2, bytes(1)), holdEidOf(0, bytes(1))]
    world.done(2, decideHold(world.hubs[2]!.hub, ask(id, 1)))
    world.cut(0, 2)
    world.cut(1, 2)
    world.done(0, decideHold(world.hubs[0]!.hub, ask(id, 1, { supersedes: { hub: 2, hold: first } })))
    // What it settles still comes to the others, and it hears nothing any more.
    world.submit(2, decideSettle(world.hubs[2]!.hub, { hold: first, promptTokens: 0, completionTokens: 10 }))
    world.commit(2)
    world.connect(0, 2)
    while (world.deliver(2, 0)) continue
    world.cut(0, 2)
    world.done(0, decideSettle(world.hubs[0]!.hub, { hold: second, promptTokens: 0, completionTokens: 20 }))
    after(world, 200, 200)
    const { state } = world.hubs[0]!.hub
    const refunded = () => [first, second].map((hold) => state.holds.get(toHex(hold))!.refundedTokens)
    expect(refunded(), 'its own hub may still do it').to.deep.equal([0, 0])
    seal(world, 2)
    after(world, 200, 200)
    expect(refunded()).to.deep.equal([10, 0])
    expect(checkState(state)).to.deep.equal([])
  })
})

describe('pay', () => {
  const gpu = { name: 'NVIDIA GeForce RTX 4090', vramBytes: 24 * 1024 ** 3 }

  function earner(holdBack: boolean) {
    const world = createCoreWorld({ holdBack, vestEveryMs: 600_000 })
    const account = world.account(1)
    const contributor = testKey().signer.publicKey
    world.done(0, decideAddKey(world.hubs[0]!.hub, { publicKey: contributor, account: account.id, name: 'gpu' }))
    let atMs = START_MS - 8 * MS_PER_DAY
    return {
      world, hex: account.hex, contributor,
      standBy: (ms: number) => {
        const deviceFromMs = atMs - START_MS + 8 * MS_PER_DAY
        world.done(2, decidePresence(world.hubs[2]!.hub, {
          contributor, boot: bytes(1), deviceFromMs, deviceToMs: deviceFromMs + ms, wallFromMs: atMs, wallToMs: atMs + ms, devices: [{ device: 'gpu0', hardware: gpu }],
        }))
        atMs += ms
      },
      final: (round: number) => {
        for (const { hub } of world.hubs) hub.final = { round, state: hub.state }
        world.tick()
        world.settle()
      },
      moneyOf: () => {
        const { rights, back } = world.hubs[0]!.hub.state.accounts.get(account.hex)!
        return [rights.get('1/1') ?? 0n, back]
      },
    }
  }

  it('comes at a final checkpoint, from the home hub, for what is new, and not too often', () => {
    const { world, standBy, final, moneyOf } = earner(false)
    standBy(3_600_000)
    expect(moneyOf()).to.deep.equal([0n, 0n])
    final(1)
    expect(moneyOf(), 'an hour of standing by').to.deep.equal([12n * CREDIT, 0n])
    standBy(1_800_000)
    final(2)
    expect(moneyOf(), 'too early').to.deep.equal([12n * CREDIT, 0n])
    world.run(1, { type: 'vest' })
    world.settle()
    expect(moneyOf(), 'asked for').to.deep.equal([18n * CREDIT, 0n])
    standBy(1_800_000)
    world.tick(700_000)
    final(3)
    expect(moneyOf()).to.deep.equal([24n * CREDIT, 0n])
    final(4)
    expect(moneyOf()).to.deep.equal([24n * CREDIT, 0n])
  })

  it('of a newcomer is held back by half until seven days and fifty receipts', () => {
    const { world, standBy, final, moneyOf } = earner(true)
    standBy(3_600_000)
    final(1)
    expect(moneyOf()).to.deep.equal([6n * CREDIT, 6n * CREDIT])
    for (const { hub } of world.hubs) for (const device of hub.state.devices.values()) device.receipts = 50
    standBy(3_600_000)
    world.tick(700_000)
    final(2)
    expect(moneyOf(), 'eight days and fifty receipts').to.deep.equal([24n * CREDIT, 0n])
    expect(checkState(world.hubs[0]!.hub.state)).to.deep.equal([])
  })

  it('waits, and what was held back with it, while the contributor may not be paid; then all of it comes', () => {
    const { world, contributor, standBy, final, moneyOf } = earner(true)
    standBy(3_600_000)
    final(1)
    expect(moneyOf()).to.deep.equal([6n * CREDIT, 6n * CREDIT])
    let paid = false
    for (const { hub } of world.hubs) hub.mayPay = (key) => paid || key !== toHex(contributor)
    for (const { hub } of world.hubs) for (const device of hub.state.devices.values()) device.receipts = 50
    standBy(3_600_000)
    world.tick(700_000)
    final(2)
    expect(moneyOf(), 'neither pay nor what was held back').to.deep.equal([6n * CREDIT, 6n * CREDIT])
    paid = true
    world.tick(700_000)
    final(3)
    expect(moneyOf()).to.deep.equal([24n * CREDIT, 0n])
  })
})

describe('the heap of expiries', () => {
  it('gives everything in order, and nothing before its time', () => {
    const heap: Due[] = []
    const times = [5, 3, 9, 1, 7, 3, 8, 2, 6, 4]
    for (const [place, atMs] of times.entries()) pushDue(heap, { atMs, hold: String(place) })
    const popped = []
    for (let due = popDue(heap, 8); due !== undefined; due = popDue(heap, 8)) popped.push(due.atMs)
    expect(popped).to.deep.equal([1, 2, 3, 3, 4, 5, 6, 7])
    expect(heap.map(({ atMs }) => atMs)).to.have.members([8, 9])
  })
})
