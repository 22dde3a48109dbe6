import { expect } from 'chai'
import { changeIdOf, encodeAdminChange, readAdminChange, type AdminChange } from '../../../../ledger/admin-change.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import { newestRev, priceOf, tierRow } from '../../../../ledger/tables/lookup.ts'
import { plan } from '../../../../ledger/tables/plan.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { createFoldWorld, foldHubKeys, foldInOrder, foldNetwork, unsigned, type FoldWorld } from '../../../support/fold-world.ts'

const tiersTimes = (factor: number): AdminChange => ({
  v: 1, network: foldNetwork, createdAt: 1,
  change: { type: 'table', table: 'tiers', rev: 1, content: { rows: plan.tiers.rows.map((row) => ({ ...row, tokensPerDay: row.tokensPerDay === null ? null : row.tokensPerDay * factor })) } },
})

function approve(world: FoldWorld, hub: number, change: AdminChange, key = foldHubKeys[hub]!): string | undefined {
  const body = encodeAdminChange(change)
  return world.say(hub, { k: 'Approval', hub, change: changeIdOf(body), document: { body, key, signature: new Uint8Array(64) } })
}

describe('ledger/fold: changes that two hubs must sign', () => {
  it('hold with the second hub, whichever it is and in whatever order they come', () => {
    for (const [a, b] of [[0, 1], [2, 0]] as const) {
      const world = createFoldWorld()
      expect(approve(world, a, tiersTimes(2))).to.equal(undefined)
      expect(approve(world, a, tiersTimes(2)), 'again').to.equal(undefined)
      expect(newestRev(world.hubs[a]!.state, 'tiers'), 'one hub').to.equal(0)
      approve(world, b, tiersTimes(2))
      for (const hub of [a, b]) world.commit(hub)
      const state = foldInOrder(world.logs, () => 0)
      expect(newestRev(state, 'tiers')).to.equal(1)
      expect(tierRow(state, 1, 'free')!.tokensPerDay).to.equal(20_000)
      expect(tierRow(state, 0, 'free')!.tokensPerDay, 'revisions never change').to.equal(10_000)
      expect(dumpState(foldInOrder(world.logs, (count) => count - 1))).to.equal(dumpState(state))
    }
  })

  it('have one content for each revision: no hub signs two', () => {
    const world = createFoldWorld()
    approve(world, 0, tiersTimes(2))
    expect(approve(world, 0, tiersTimes(3))).to.equal('its hub has signed another content for that revision')
    expect(approve(world, 1, tiersTimes(3)), 'another hub may').to.equal(undefined)
    approve(world, 2, tiersTimes(2))
    for (const { hub } of world.hubs) world.commit(hub)
    expect(tierRow(foldInOrder(world.logs, () => 0), 1, 'free')!.tokensPerDay).to.equal(20_000)
  })

  it('are signed by the hub whose log it is, name their id and network, and can be read', () => {
    const world = createFoldWorld()
    const change = tiersTimes(2)
    const body = encodeAdminChange(change)
    expect(approve(world, 0, change, foldHubKeys[1])).to.equal('another hub has signed it')
    expect(world.say(0, { k: 'Approval', hub: 1, change: changeIdOf(body), document: { ...unsigned({}, foldHubKeys[1]), body } })).to.equal('another hub has signed it')
    expect(world.say(0, { k: 'Approval', hub: 0, change: new Uint8Array(16), document: { ...unsigned({}), body } })).to.equal('it does not have the id of its change')
    expect(approve(world, 0, { ...change, network: 'other' })).to.equal('its change is of another network')
    const unreadable = unsigned({ v: 1 })
    expect(world.say(0, { k: 'Approval', hub: 0, change: changeIdOf(unreadable.body), document: unreadable })).to.equal('its change cannot be read')
  })

  it('let a hold pin a revision, and charge by it', () => {
    const world = createFoldWorld()
    const rows = plan.prices.rows.map((row) => ({ ...row, promptMicroCredits: row.promptMicroCredits * 3n }))
    const change: AdminChange = { v: 1, network: foldNetwork, createdAt: 1, change: { type: 'table', table: 'prices', rev: 1, content: { ...plan.prices, rows } } }
    const hold = (priceRev: number, number: number) => world.say(0, {
      k: 'Hold', hub: 0, request: new Uint8Array(16).fill(number), requestHash: new Uint8Array(32), account: new Uint8Array(16), priceRow: 'groq', priceRev, credits: 0n, expiresAt: 0,
    })
    expect(hold(1, 1)).to.equal('it names a price that is not approved')
    approve(world, 0, change)
    approve(world, 1, change)
    world.commit(1)
    world.send('1/1', 0)
    expect(hold(1, 1)).to.equal(undefined)
    expect(hold(0, 2)).to.equal(undefined)
    expect(priceOf(world.hubs[0]!.state, 1, 'groq')!.promptMicroCredits).to.equal(3_000_000n)
  })

  it('come back from their bytes as they were', () => {
    const change = tiersTimes(2)
    expect(readAdminChange(encodeAdminChange(change))).to.deep.equal(change)
    expect(toHex(changeIdOf(encodeAdminChange(change)))).to.have.lengthOf(32)
    expect(() => encodeAdminChange(change) && readAdminChange(new Uint8Array([0xa0]))).to.throw()
  })
})

describe('ledger/fold: a proof of two histories', () => {
  it('marks the log, from whichever hub it comes', () => {
    const world = createFoldWorld()
    world.settleDown()
    const header = { header: new Uint8Array(1), signature: new Uint8Array(64) }
    const proof = (hub: number) => world.say(1, { k: 'EquivProof', fork: { hub, epoch: 1, no: 1 }, first: header, second: header })
    expect(proof(0)).to.equal(undefined)
    expect(world.hubs[1]!.state.logs.get('0/1')!.forked).to.equal(true)
    expect(world.say(1, { k: 'EquivProof', fork: { hub: 0, epoch: 7, no: 1 }, first: header, second: header })).to.equal('the forked log is not known')
  })
})
