import { expect } from 'chai'
import { holdEidOf } from '../../../../ledger/entries/entry.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import { homeOf } from '../../../../ledger/fold/homes.ts'
import { checkState } from '../../../../ledger/fold/invariants.ts'
import { balanceOf, clearingLogOf, rightsOf } from '../../../../ledger/fold/views.ts'
import { dayOf, ISLAND_CAP_MICRO_CREDITS as CAP, MS_PER_DAY } from '../../../../ledger/rules.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { createFoldWorld, foldHubKeys, foldInOrder, unsigned, type FoldWorld } from '../../../support/fold-world.ts'

const account = new Uint8Array(16).fill(1)
const id = toHex(account)
const home = homeOf(foldHubKeys, id)
const next = (home + 1) % 3
const third = (home + 2) % 3
const sealedLog = { hub: home, epoch: 1 }
const newLog = { hub: home, epoch: 2 }
const holdId = holdEidOf(home, new Uint8Array(16))

const sealEntry = (frame: number, log = sealedLog) =>
  ({ k: 'Seal' as const, log, frame, hash: new Uint8Array(32), signatures: [unsigned({}), unsigned({})] })

/** The account's home hub is gone, with 300 credits and a hold of 10 in its log. */
function bereft(): FoldWorld {
  const world = createFoldWorld()
  world.say(home, { k: 'Grant', account, amount: CAP + 100_000_000n, source: 'start' })
  world.say(home, { k: 'Hold', hub: home, request: new Uint8Array(16), requestHash: new Uint8Array(32), account, priceRow: 'groq', priceRev: 0, credits: 10_000_000n, expiresAt: 0 })
  world.commit(home)
  world.settleDown()
  world.hubs[home]!.gone = true
  return world
}

const stateOf = (world: FoldWorld) => world.hubs[next]!.state

function sealed(): FoldWorld {
  const world = bereft()
  expect(world.say(next, sealEntry(2))).to.equal(undefined)
  return world
}

describe('ledger/fold: a seal', () => {
  it('moves all rights of the log to the successor, but what its lost end may have spent', () => {
    const world = sealed()
    expect(balanceOf(stateOf(world), id)).to.deep.equal({ available: 90_000_000n, held: 10_000_000n, inflight: 0n, frozen: CAP, back: 0n, debt: 0n })
    expect(rightsOf(stateOf(world), id, `${next}/1`, 0)).to.equal(90_000_000n)
    expect(clearingLogOf(stateOf(world), id)).to.equal(`${next}/1`)
    expect(stateOf(world).outstandingSeal).to.equal(`${home}/1`)
    expect(world.say(next, { k: 'Grant', account, amount: 5n, source: 'again' }), 'the successor mints now').to.equal(undefined)
    expect(checkState(stateOf(world))).to.deep.equal([])
  })

  it('is taken from the successor alone, at the frame that is known, one at a time', () => {
    const world = bereft()
    expect(world.say(third, sealEntry(2))).to.equal('its hub is not the successor')
    expect(world.say(next, sealEntry(3))).to.equal('the sealed log ends at frame 2 here')
    expect(world.say(next, sealEntry(1))).to.equal('the sealed log ends at frame 2 here')
    expect(world.say(next, sealEntry(1, { hub: home, epoch: 7 }))).to.equal('the sealed log is not known')
    world.say(next, sealEntry(2))
    const before = dumpState(stateOf(world))
    expect(world.say(next, sealEntry(2)), 'again').to.equal(undefined)
    expect(dumpState(stateOf(world))).to.equal(before)
    world.commit(next)
    world.settleDown()
    const frames = stateOf(world).logs.get(`${next}/1`)!.frame
    expect(world.say(third, sealEntry(frames, { hub: next, epoch: 1 }))).to.equal('another log is sealed and its hub not back')
  })

  it('ends the log: nothing of it is folded any more', () => {
    const world = sealed()
    world.commit(next)
    world.send(`${next}/1`, third)
    expect(world.hubs[third]!.state.logs.get(`${home}/1`)!.status).to.deep.include({ is: 'sealed', frame: 2, successor: `${next}/1`, returned: false })
  })

  it('lets the successor act for the log: it settles the holds, the lost end, and frees the rest', () => {
    const world = sealed()
    const say = (fields: Parameters<FoldWorld['say']>[1]) => world.say(next, fields)
    expect(say({ k: 'Handback', log: sealedLog, target: newLog })).to.equal('the new log is not known')
    expect(say({ k: 'IslandSettle', log: sealedLog, account, amount: CAP + 1n })).to.equal('it takes more than is frozen')
    expect(world.say(third, { k: 'IslandRelease', log: sealedLog })).to.equal('its log does not stand in for that one')
    for (const amount of [30n, 40n]) expect(say({ k: 'IslandSettle', log: sealedLog, account, amount }), 'once for each account').to.equal(undefined)
    expect(balanceOf(stateOf(world), id).frozen).to.equal(CAP - 30n)
    world.commit(next)

    world.open(home, { epoch: 1, no: 2 })
    world.send(`${home}/2`, next)
    expect(say({ k: 'Handback', log: sealedLog, target: newLog })).to.equal('something is still frozen')
    expect(say({ k: 'IslandRelease', log: sealedLog })).to.equal(undefined)
    expect(say({ k: 'Handback', log: sealedLog, target: newLog })).to.equal('a hold is still open')
    expect(say({ k: 'Settle', hold: holdId, promptTokens: 5_000, completionTokens: 0, charge: 5_000_000n, quotaTokens: 0 })).to.equal(undefined)
    expect(say({ k: 'Handback', log: sealedLog, target: newLog })).to.equal(undefined)
    expect(say({ k: 'Refund', hold: holdId, account, amount: 5_000_000n, quotaTokens: 0, reason: 'later' }), 'also after the return').to.equal(undefined)
    expect(balanceOf(stateOf(world), id)).to.deep.equal({ available: CAP + 100_000_000n - 30n, held: 0n, inflight: 0n, frozen: 0n, back: 0n, debt: 0n })
    expect(stateOf(world).outstandingSeal).to.equal(undefined)
    expect(clearingLogOf(stateOf(world), id)).to.equal(`${home}/2`)
    expect(say({ k: 'Grant', account, amount: 5n, source: 'x' })).to.equal('its log does not clear for the account')
    world.commit(next)
    expect(checkState(foldInOrder(world.logs, () => 0))).to.deep.equal([])
  })

  it('gives the share of quotas to the successor from the next day on, and back from the day after the return', () => {
    const world = sealed()
    const day = dayOf(world.nowMs)
    const shares = (from: number) => [0, 1, 2].map((plus) => [`${home}/1`, `${next}/1`, `${home}/2`].map((log) => Number(rightsOf(stateOf(world), id, log, from + plus, 10_000))))
    expect(shares(day)).to.deep.equal([[5_000, 2_500, 0], [0, 7_500, 0], [0, 7_500, 0]])
    world.say(next, { k: 'IslandRelease', log: sealedLog })
    world.say(next, { k: 'Expire', hold: holdId })
    world.commit(next)
    world.open(home, { epoch: 1, no: 2 })
    world.send(`${home}/2`, next)
    world.nowMs += MS_PER_DAY
    world.say(next, { k: 'Handback', log: sealedLog, target: newLog })
    expect(shares(day)).to.deep.equal([[5_000, 2_500, 0], [0, 7_500, 0], [0, 2_500, 5_000]])
  })

  it('counts no day of a share twice where the successor\'s clock is a day behind', () => {
    const world = createFoldWorld()
    const day = dayOf(world.nowMs)
    world.nowMs += MS_PER_DAY
    world.say(home, { k: 'Grant', account, amount: 5n, source: 'start' })
    world.commit(home)
    world.settleDown()
    world.hubs[home]!.gone = true
    world.nowMs -= MS_PER_DAY
    const sharesOfHome = () => [day, day + 1, day + 2].map((on) => [`${home}/1`, `${next}/1`, `${home}/2`].filter((log) =>
      stateOf(world).logs.get(log)?.shares.some(({ hub, from, until = Infinity }) => hub === home && from <= on && on <= until) === true))
    world.say(next, sealEntry(2))
    expect(sharesOfHome()).to.deep.equal([[`${home}/1`], [`${home}/1`], [`${next}/1`]])
    world.say(next, { k: 'IslandRelease', log: sealedLog })
    world.commit(next)
    world.open(home, { epoch: 1, no: 2 })
    world.send(`${home}/2`, next)
    world.say(next, { k: 'Handback', log: sealedLog, target: newLog })
    expect(sharesOfHome()).to.deep.equal([[`${home}/1`], [`${home}/1`], [`${home}/2`]])
  })

  it('lets the returned hub mint and spend only after it has seen that it may', () => {
    const world = sealed()
    world.say(next, { k: 'IslandRelease', log: sealedLog })
    world.say(next, { k: 'Expire', hold: holdId })
    world.commit(next)
    world.settleDown()
    world.open(home, { epoch: 1, no: 2 })
    world.send(`${next}/1`, home)
    expect(world.say(home, { k: 'Grant', account, amount: 5n, source: 'x' })).to.equal('its log does not clear for the account')
    world.send(`${home}/2`, next)
    world.say(next, { k: 'Handback', log: sealedLog, target: newLog })
    world.commit(next)
    world.send(`${next}/1`, home)
    expect(world.say(home, { k: 'Grant', account, amount: 5n, source: 'x' })).to.equal(undefined)
    world.commit(home)
    const state = foldInOrder(world.logs, () => 0)
    expect([...state.logs.values()].every(({ status }) => status.is !== 'refused')).to.equal(true)
    expect(dumpState(foldInOrder(world.logs, (count) => count - 1))).to.equal(dumpState(state))
  })

  it('refuses a mint whose author cannot have seen that it clears, in whatever order the frames come', () => {
    const world = sealed()
    world.say(next, { k: 'IslandRelease', log: sealedLog })
    world.say(next, { k: 'Expire', hold: holdId })
    world.commit(next)
    world.settleDown()
    world.open(home, { epoch: 1, no: 2 })
    world.send(`${next}/1`, home)
    world.send(`${home}/2`, next)
    // A dishonest hub mints before the handback has reached it.
    world.hubs[home]!.state.clearing[home] = `${home}/2`
    expect(world.say(home, { k: 'Grant', account, amount: 5n, source: 'x' })).to.equal(undefined)
    world.commit(home)
    world.say(next, { k: 'Handback', log: sealedLog, target: newLog })
    world.commit(next)
    const states = [() => 0, (count: number) => count - 1].map((choose) => foldInOrder(world.logs, choose))
    for (const state of states) expect(state.logs.get(`${home}/2`)!.status).to.deep.include({ is: 'refused', frame: 2 })
  })

  it('lets a handback count though the new log was refused meanwhile: its author had not seen that', () => {
    const world = sealed()
    world.say(next, { k: 'IslandRelease', log: sealedLog })
    world.say(next, { k: 'Expire', hold: holdId })
    world.commit(next)
    world.settleDown()
    world.open(home, { epoch: 1, no: 2 })
    world.send(`${home}/2`, next)
    world.say(next, { k: 'Handback', log: sealedLog, target: newLog })
    world.commit(next)
    // A dishonest hub mints before the handback has reached it.
    world.hubs[home]!.state.clearing[home] = `${home}/2`
    expect(world.say(home, { k: 'Grant', account, amount: 5n, source: 'x' })).to.equal(undefined)
    world.commit(home)
    for (const choose of [() => 0, (count: number) => count - 1]) {
      const state = foldInOrder(world.logs, choose)
      expect([state.logs.get(`${home}/2`)!.status.is, state.logs.get(`${next}/1`)!.status.is]).to.deep.equal(['refused', 'live'])
    }
  })

  it('lets a successor that lost its own log act in its new one, in whatever order the logs come', () => {
    const world = sealed()
    world.say(next, { k: 'IslandSettle', log: sealedLog, account, amount: 30n })
    world.commit(next)
    world.settleDown()
    // Its new log begins after all that the third hub has of the former one.
    world.open(next, { epoch: 1, no: world.logs.get(`${next}/1`)!.length })
    expect(stateOf(world).logs.get(`${home}/1`)!.status).to.deep.include({ is: 'sealed', successor: `${next}/2`, returned: false })
    expect(clearingLogOf(stateOf(world), id)).to.equal(`${next}/2`)
    expect(world.say(next, { k: 'Grant', account, amount: 5n, source: 'in the new log' })).to.equal(undefined)
    expect(world.say(next, { k: 'IslandRelease', log: sealedLog })).to.equal(undefined)
    expect(world.say(next, { k: 'Expire', hold: holdId })).to.equal(undefined)
    world.commit(next)
    world.open(home, { epoch: 1, no: 2 })
    world.send(`${home}/2`, next)
    expect(world.say(next, { k: 'Handback', log: sealedLog, target: newLog })).to.equal(undefined)
    world.commit(next)
    world.send(`${next}/1`, home)
    world.send(`${next}/2`, home)
    expect(world.say(home, { k: 'Grant', account, amount: 5n, source: 'back' })).to.equal(undefined)
    world.commit(home)
    world.settleDown()
    // The former log can be sealed now, and its rights come back as well.
    const frames = world.logs.get(`${next}/1`)!.length
    expect(world.say(third, sealEntry(frames, { hub: next, epoch: 1 }))).to.equal(undefined)
    world.commit(third)
    const states = [() => 0, (count: number) => count - 1, (count: number) => count >> 1].map((choose) => foldInOrder(world.logs, choose))
    for (const state of states) {
      expect(checkState(state)).to.deep.equal([])
      expect([...state.logs.values()].some(({ status }) => status.is === 'refused')).to.equal(false)
      expect(dumpState(state)).to.equal(dumpState(states[0]!))
    }
    expect(world.say(next, { k: 'IslandRelease', log: { hub: next, epoch: 1 } })).to.equal('its log does not stand in for that one')
  })
})
