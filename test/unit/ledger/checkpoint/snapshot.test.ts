import { expect } from 'chai'
import * as fc from 'fast-check'
import { chunkKey, loadSnapshot, manifestKey, snapshotRows } from '../../../../ledger/checkpoint/snapshot.ts'
import { createStateReader, dumpChunks, dumpedFields } from '../../../../ledger/checkpoint/state-dump.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import { createState, type LedgerState } from '../../../../ledger/fold/state.ts'
import { sha256 } from '../../../../protocol/crypto.ts'
import { createCheckpointWorld, type CheckpointWorld } from '../../../support/checkpoint-world.ts'
import { foldInOrder } from '../../../support/fold-world.ts'
import { live } from '../../../support/fold-workload.ts'
import { seededUnit } from '../../../support/seeded-random.ts'

function tape(seed: number, length: number): readonly number[] {
  const unit = seededUnit(seed)
  return Array.from({ length }, () => Math.floor(unit() * 2 ** 30))
}

function restored(chunks: Iterable<Uint8Array>): LedgerState {
  const reader = createStateReader()
  for (const chunk of chunks) reader.add(chunk)
  return reader.state()
}

/** Grants in small frames at hub 0, with checkpoints between. */
function busy(world: CheckpointWorld, rounds: number): void {
  const { id } = world.account(0)
  for (let round = 0; round < rounds; round += 1) {
    for (let count = 0; count < 5; count += 1) {
      world.say(0, { k: 'Grant', account: id, amount: 3n, source: `round ${world.nowMs} ${count}` })
      world.commit(0)
    }
    world.deliverAll()
    world.pass(2)
  }
}

describe('ledger/checkpoint: snapshots', () => {
  it('dumps equal states to equal bytes, whatever order they came to be in, and restores them', () => {
    fc.assert(fc.property(fc.nat(), fc.integer({ min: 1, max: 4_000 }), (seed, length) => {
      const { world } = live(tape(seed, length))
      const unit = seededUnit(seed)
      const [one, two] = [0, 1].map(() => foldInOrder(world.logs, (count) => Math.floor(unit() * count)))
      const chunks = [...dumpChunks(one!)]
      expect([...dumpChunks(two!)].map((chunk) => Buffer.from(sha256(chunk)).toString('hex'))).to.deep.equal(chunks.map((chunk) => Buffer.from(sha256(chunk)).toString('hex')))
      const back = restored(chunks)
      expect(dumpState(back)).to.equal(dumpState(one!))
      expect(Object.keys(back).sort()).to.deep.equal(Object.keys(createState('', [])).sort())
      expect([...dumpChunks(back)]).to.deep.equal(chunks)
    }), { numRuns: 15 })
  }).timeout(60_000)

  it('dumps every field of the state', () => {
    expect(dumpedFields).to.deep.equal(Object.keys(createState('', [])).filter((field) => field !== 'touched').sort())
    const { world } = live(tape(3, 4_000))
    const state = foldInOrder(world.logs, () => 0)
    const back = restored(dumpChunks(state)) as unknown as Record<string, unknown>
    for (const field of dumpedFields) expect(back[field], field).to.deep.equal((state as unknown as Record<string, unknown>)[field])
  })

  it('is written at a final checkpoint, in two places in turn, and gives the state at it', async () => {
    const world = createCheckpointWorld({ snapshotFrames: 10 })
    busy(world, 3)
    expect(world.hubs[1]!.blobs.has(manifestKey(0))).to.equal(true)
    busy(world, 4)
    expect(world.hubs[1]!.blobs.has(manifestKey(1))).to.equal(true)
    const warnings: string[] = []
    const found = await loadSnapshot(world.source(1), world.context, (text) => { warnings.push(text) })
    expect(warnings).to.deep.equal([])
    const { live: state, start, final } = found!
    expect(start.state).to.not.equal(state)
    expect(dumpState(start.state)).to.equal(dumpState(state))
    expect(state.logs.get('0/1')!.frame).to.equal(start.tails.get('0/1')!.no)
    expect(final.checkpoint.round).to.equal(start.round)
    // A start from it folds only what came after, and comes to the same.
    const before = dumpState(world.hubs[1]!.hub.state)
    world.restart(1, found)
    expect(dumpState(world.hubs[1]!.hub.state)).to.equal(before)
    busy(world, 2)
    expect(world.hubs[1]!.warnings).to.deep.equal([])
    expect(world.hubs[1]!.hub.final?.round).to.equal(world.hubs[0]!.machine.latest!.checkpoint.round)
    const again = await loadSnapshot(world.source(1), world.context, (text) => { warnings.push(text) })
    expect(again!.final.checkpoint.round).to.be.greaterThan(final.checkpoint.round)
    expect(again!.start.slot).to.not.equal(start.slot)
  })

  it('is not used where a byte of it is wrong, a part is missing, or its frames are not on the disk; the older one is', async () => {
    const world = createCheckpointWorld({ snapshotFrames: 10 })
    busy(world, 7)
    const { blobs } = world.hubs[2]!
    const good = new Map(blobs)
    const newest = (await loadSnapshot(world.source(2), world.context, () => {}))!
    const older = 1 - newest.start.slot
    const attempt = async (change: () => void) => {
      blobs.clear()
      for (const [key, value] of good) blobs.set(key, value)
      change()
      const warnings: string[] = []
      const found = await loadSnapshot(world.source(2), world.context, (text) => { warnings.push(text) })
      return { found, warnings }
    }
    const flip = (key: string, at: number) => {
      const value = Uint8Array.from(good.get(key)!)
      value[at % value.byteLength]! ^= 1
      blobs.set(key, value)
    }
    const unit = seededUnit(4)
    const keys = [...good.keys()].filter((key) => key === manifestKey(newest.start.slot) || key.startsWith(`${manifestKey(newest.start.slot)}/`))
    expect(keys.length).to.be.greaterThan(2)
    for (let round = 0; round < 60; round += 1) {
      const key = keys[Math.floor(unit() * keys.length)]!
      const { found, warnings } = await attempt(() => { flip(key, Math.floor(unit() * 1e6)) })
      expect(found?.start.slot, `${key} flipped`).to.equal(older)
      expect(warnings).to.have.length(1)
      expect(warnings[0]).to.match(/^snapshot [01] is not used: .+; the state is computed from the logs instead$/)
    }
    expect((await attempt(() => { blobs.delete(chunkKey(newest.start.slot, 1)) })).found?.start.slot).to.equal(older)
    const none = await attempt(() => {
      flip(manifestKey(0), 50)
      flip(manifestKey(1), 50)
    })
    expect(none.found).to.equal(undefined)
    expect(none.warnings).to.have.length(2)

    // Frames that were cut off again.
    const { frames } = world.hubs[2]!
    const stored = frames.get('0/1')!
    const cut = await attempt(() => { frames.set('0/1', stored.slice(0, newest.start.tails.get('0/1')!.no - 1)) })
    expect(cut.found?.start.slot).to.equal(older)
    expect(cut.warnings[0]).to.match(/frame \d+ of log 0\/1, up to which it goes, is not on the disk/)
    frames.set('0/1', stored)
  })

  it('is not used where it was written from a wrong state: root, sums and invariants tell', async () => {
    const world = createCheckpointWorld({ snapshotFrames: 10 })
    busy(world, 3)
    const changes: readonly (readonly [RegExp, (state: LedgerState) => void])[] = [
      [/available is \d+ there/, (state) => {
        const [account] = [...state.accounts.values()]
        account!.rights.set('0/1', account!.rights.get('0/1')! + 1n)
        account!.minted += 1n
      }],
      [/system:PROMO is -\d+ there/, (state) => { state.system.set('system:PROMO', -1n) }],
      [/I1: account \w+ has \d+ under way, its gives 5/, (state) => {
        const [id] = [...state.accounts.keys()]
        const at = { tsMs: 1, hub: 0, epoch: 1, frame: 1, seq: 0 }
        state.gives.set('ab'.repeat(16), { eid: 'ab'.repeat(16), account: id!, unit: 0, from: '0/1', to: '1/1', amount: 5n, at })
      }],
      [/another federation/, (state) => { (state as { network: string }).network = 'other' }],
    ]
    for (const [reason, change] of changes) {
      const { blobs } = world.hubs[0]!
      const { start, final } = (await loadSnapshot(world.source(0), world.context, () => {}))!
      change(start.state)
      const good = new Map(blobs)
      for (const { key, value } of snapshotRows(start.slot, final, start)) if (value !== undefined) blobs.set(key, value)
      const warnings: string[] = []
      const found = await loadSnapshot(world.source(0), world.context, (text) => { warnings.push(text) })
      expect(warnings[0]).to.match(reason)
      expect(found?.start.slot).to.not.equal(start.slot)
      for (const [key, value] of good) blobs.set(key, value)
    }
  })
})
