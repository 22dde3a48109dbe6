import { expect } from 'chai'
import { decideGrant } from '../../../../ledger/hub/decide/money.ts'
import { decideHold, type HoldAsk } from '../../../../ledger/hub/decide/hold.ts'
import { decideGive, generosity } from '../../../../ledger/hub/decide/moves.ts'
import { hourlyDemand } from '../../../../ledger/hub/rights.ts'
import { MS_PER_HOUR } from '../../../../ledger/rules.ts'
import { createCoreWorld, type CoreWorld } from '../../../support/core-world.ts'

const CREDIT = 1_000_000n

const bytes = (value: number, length = 16) => new Uint8Array(length).fill(value)

function holdAsk(account: Uint8Array, request: number, more: Partial<HoldAsk> = {}): HoldAsk {
  return { request: bytes(request), requestHash: bytes(request, 32), account, provider: 'groq', model: 'llama', promptTokens: 0, completionTokensMax: 10_000, ...more }
}

function rights(world: CoreWorld, account: string): bigint[] {
  return [0, 1, 2].map((hub) => world.hubs[0]!.hub.state.accounts.get(account)?.rights.get(`${hub}/1`) ?? 0n)
}

/** An account without quota, with these µcr in the logs of the three hubs. */
function spread(...amounts: readonly [bigint, bigint, bigint]) {
  const world = createCoreWorld()
  const { id, hex } = world.account(0, 'nothing')
  world.done(0, decideGrant(world.hubs[0]!.hub, { account: id, amountMicroCredits: amounts[0] + amounts[1] + amounts[2], source: 'start' }))
  for (const hub of [1, 2]) {
    const amount = amounts[hub]!
    if (amount > 0n) world.done(0, decideGive(world.hubs[0]!.hub, { request: bytes(200 + hub), account: id, unit: 0, target: { hub, epoch: 1 }, min: amount, want: amount }))
  }
  world.tick()
  world.settle()
  expect(rights(world, hex)).to.deep.equal(amounts)
  return { world, id, hex }
}

describe('rights that are short', () => {
  it('come from the donor that has them, accepted in the frame of the hold', () => {
    const { world, id, hex } = spread(100n * CREDIT, 0n, 0n)
    const { entries } = world.done(1, decideHold(world.hubs[1]!.hub, holdAsk(id, 1)))
    expect(entries.map(({ entry }) => entry.k)).to.deep.equal(['Accept', 'Hold'])
    // Ten credits are needed, twice as much comes.
    expect(rights(world, hex)).to.deep.equal([80n * CREDIT, 10n * CREDIT, 0n])
  })

  it('come from two donors where none has enough alone', () => {
    const { world, id, hex } = spread(6n * CREDIT, 0n, 7n * CREDIT)
    const { entries } = world.done(1, decideHold(world.hubs[1]!.hub, holdAsk(id, 1)))
    expect(entries.map(({ entry }) => entry.k)).to.deep.equal(['Accept', 'Accept', 'Hold'])
    expect(rights(world, hex).reduce((sum, each) => sum + each, 0n)).to.equal(3n * CREDIT)
  })

  it('come to the last µcr, the floor of the donor stands back', () => {
    const { world, id, hex } = spread(10n * CREDIT, 0n, 0n)
    world.done(2, decideHold(world.hubs[2]!.hub, holdAsk(id, 1)))
    expect(rights(world, hex)).to.deep.equal([0n, 0n, 0n])
  })

  it('of a day are moved too, before credits are taken', () => {
    const world = createCoreWorld()
    const { id, hex } = world.account(0)
    world.done(0, decideGrant(world.hubs[0]!.hub, { account: id, amountMicroCredits: 10n * CREDIT, source: 'start' }))
    // All of the day's 10,000 tokens at a hub whose share is 2,500.
    const { entries } = world.done(1, decideHold(world.hubs[1]!.hub, holdAsk(id, 1)))
    const hold = entries.at(-1)!.entry
    expect(hold.k === 'Hold' && [hold.quota?.tokens, hold.credits]).to.deep.equal([10_000, 0n])
    expect(rights(world, hex)).to.deep.equal([10n * CREDIT, 0n, 0n])
    world.done(2, decideHold(world.hubs[2]!.hub, holdAsk(id, 2, { completionTokensMax: 1_000 })))
    expect(rights(world, hex).reduce((sum, each) => sum + each, 0n), 'then credits').to.equal(9n * CREDIT)
  })

  it('are asked of the next donor where one is silent, and given up in time', () => {
    const { world, id } = spread(20n * CREDIT, 0n, 5n * CREDIT)
    const item = world.submit(1, decideHold(world.hubs[1]!.hub, holdAsk(id, 1)))
    const startMs = world.nowMs
    while (item.result === undefined && item.error === undefined && world.nowMs - startMs < 10_000) {
      world.commit(1)
      // Hub 0, which has most, hears nothing; hub 2 answers.
      for (const [from, to] of [[1, 2], [2, 1]] as const) while (world.deliver(from, to)) continue
      world.commit(2)
      world.tick()
    }
    expect(item.error?.code).to.equal('RIGHTS_UNREACHABLE')
    expect(world.nowMs - startMs).to.be.within(800, 2_600)
  })

  it('wait for what is on its way between two other hubs, and come from there', () => {
    const { world, id } = spread(100n * CREDIT, 0n, 0n)
    // All of it is given to hub 2, which cannot accept it while hub 1 asks.
    world.submit(0, decideGive(world.hubs[0]!.hub, { request: bytes(9), account: id, unit: 0, target: { hub: 2, epoch: 1 }, min: 100n * CREDIT, want: 100n * CREDIT }))
    world.cut(0, 2)
    world.commit(0)
    while (world.deliver(0, 1)) { /* hub 1 knows of the give */ }
    const hold = world.submit(1, decideHold(world.hubs[1]!.hub, holdAsk(id, 1)))
    world.commit(1)
    world.settle(3)
    expect([hold.error, hold.result], 'neither refused nor held').to.deep.equal([undefined, undefined])
    world.connect(0, 2)
    world.settle()
    expect(hold.result?.entries.map(({ entry }) => entry.k)).to.deep.equal(['Accept', 'Hold'])
  })

  it('that stay on their way are unreachable, not insufficient', () => {
    const { world, id } = spread(100n * CREDIT, 0n, 0n)
    world.submit(0, decideGive(world.hubs[0]!.hub, { request: bytes(9), account: id, unit: 0, target: { hub: 2, epoch: 1 }, min: 100n * CREDIT, want: 100n * CREDIT }))
    world.cut(0, 2)
    world.commit(0)
    while (world.deliver(0, 1)) { /* hub 1 knows of the give */ }
    world.cut(1, 2)
    const startedMs = world.nowMs
    const hold = world.submit(1, decideHold(world.hubs[1]!.hub, holdAsk(id, 1)))
    while (hold.error === undefined && hold.result === undefined) world.settle(1)
    expect([hold.error?.code, hold.error?.context.elsewhereMicroCredits]).to.deep.equal(['RIGHTS_UNREACHABLE', String(100n * CREDIT)])
    expect(world.nowMs - startedMs).to.be.within(2_000, 3_500)
  })

  it('are given up in few steps where the clock was set back while they were waited for and nobody is left to ask', () => {
    const { world, id } = spread(100n * CREDIT, 0n, 0n)
    const hold = world.submit(1, decideHold(world.hubs[1]!.hub, holdAsk(id, 1)))
    world.commit(1)
    expect([hold.error, hold.result], 'it waits').to.deep.equal([undefined, undefined])
    world.nowMs -= 40_000
    world.cut(0, 1)
    world.cut(1, 2)
    // No time passes meanwhile: what asks again at once would do so for ever.
    for (let commits = 0; commits < 4; commits += 1) world.commit(1)
    expect(hold.error?.code).to.equal('RIGHTS_UNREACHABLE')
  })

  it('are given once, however often the same request comes', () => {
    const { world, id, hex } = spread(100n * CREDIT, 0n, 0n)
    const message = { t: 'rightsAsk', request: bytes(5), log: { hub: 1, epoch: 1 }, account: id, unit: 0, min: 1n, want: 10n * CREDIT } as const
    for (let times = 0; times < 3; times += 1) {
      world.run(0, { type: 'message', hub: 1, message })
      world.commit(0)
    }
    world.settle()
    expect(rights(world, hex)).to.deep.equal([90n * CREDIT, 10n * CREDIT, 0n])
  })

  it('are not given to a log that is not the asker\'s newest one', () => {
    const { world, id, hex } = spread(100n * CREDIT, 0n, 0n)
    for (const log of [{ hub: 1, epoch: 2 }, { hub: 2, epoch: 1 }]) {
      world.run(0, { type: 'message', hub: 1, message: { t: 'rightsAsk', request: bytes(5), log, account: id, unit: 0, min: 1n, want: 10n * CREDIT } })
    }
    world.settle()
    expect(rights(world, hex)).to.deep.equal([100n * CREDIT, 0n, 0n])
  })

  it('that only this disk knows of are not given', () => {
    const world = createCoreWorld()
    const { id, hex } = world.account(0, 'nothing')
    world.submit(0, decideGrant(world.hubs[0]!.hub, { account: id, amountMicroCredits: 10n * CREDIT, source: 'start' }))
    world.commit(0)
    const message = { t: 'rightsAsk', request: bytes(5), log: { hub: 1, epoch: 1 }, account: id, unit: 0, min: 1n, want: CREDIT } as const
    world.run(0, { type: 'message', hub: 1, message })
    world.commit(0)
    expect(world.hubs[0]!.hub.state.gives.size).to.equal(0)
    world.settle()
    world.run(0, { type: 'message', hub: 1, message })
    world.settle()
    expect(rights(world, hex)).to.deep.equal([9n * CREDIT, CREDIT, 0n])
  })

  it('are fetched ahead for who spends here', () => {
    const { world, id, hex } = spread(1_000n * CREDIT, 22n * CREDIT, 0n)
    world.done(1, decideHold(world.hubs[1]!.hub, holdAsk(id, 1)))
    world.done(1, decideHold(world.hubs[1]!.hub, holdAsk(id, 2)))
    expect(rights(world, hex)[1]).to.equal(2n * CREDIT)
    // Twenty credits an hour are needed here: two are less than a fifth of that.
    world.tick()
    world.settle()
    world.tick()
    world.settle()
    expect(rights(world, hex)[1]).to.equal(42n * CREDIT)
  })
})

describe('generosity', () => {
  const cases: [have: bigint, min: bigint, want: bigint, given: bigint | undefined][] = [
    [100n, 10n, 20n, 20n], [100n, 10n, 200n, 90n], [100n, 95n, 200n, 95n], [100n, 100n, 100n, 100n], [100n, 101n, 101n, undefined], [0n, 0n, 5n, undefined],
    [5n, 1n, 10n, 5n], [1n, 1n, 1n, 1n],
  ]
  for (const [have, min, want, given] of cases) {
    it(`gives ${given} of ${have} to who needs ${min} and would like ${want}`, () => { expect(generosity({ have, min, want })).to.equal(given) })
  }
})

describe('hourly demand', () => {
  it('forgets evenly what was an hour ago', () => {
    const demand = { hour: 100, now: 60n, before: 0n, askedMs: undefined }
    const at = (minutes: number) => hourlyDemand(demand, 100 * MS_PER_HOUR + minutes * 60_000)
    expect([at(0), at(59), at(60), at(90), at(105), at(120), at(300)]).to.deep.equal([60n, 60n, 60n, 30n, 15n, 0n, 0n])
  })
})
