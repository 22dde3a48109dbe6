import { expect } from 'chai'
import * as fc from 'fast-check'
import { createGate, dependenciesMet } from '../../../../ledger/fold/causal.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import { foldFrame } from '../../../../ledger/fold/frame-fold.ts'
import { createState } from '../../../../ledger/fold/state.ts'
import type { FoldableFrame } from '../../../../ledger/frame.ts'
import { createFoldWorld, foldHubKeys, foldInOrder, foldNetwork, type FoldWorld } from '../../../support/fold-world.ts'
import { live } from '../../../support/fold-workload.ts'
import { seededUnit } from '../../../support/seeded-random.ts'

const fresh = () => createState(foldNetwork, foldHubKeys)
const key = (byte: number) => new Uint8Array(32).fill(byte)
const tapeOf = (seed: number, length: number) => {
  const unit = seededUnit(seed)
  return Array.from({ length }, () => Math.floor(unit() * 2 ** 30))
}

function revoke(world: FoldWorld, hub: number, byte: number): void {
  world.say(hub, { k: 'KeyRevoke', publicKey: key(byte) })
  world.commit(hub)
}

describe('ledger/fold/causal', () => {
  it('lets a frame wait for what its author had folded', () => {
    const world = createFoldWorld()
    revoke(world, 0, 1)
    world.send('0/1', 1)
    revoke(world, 1, 2)
    const [zero, one] = [world.logs.get('0/1')!, world.logs.get('1/1')!]
    const state = fresh()
    foldFrame(state, one[0]!)
    expect(dependenciesMet(state, one[1]!)).to.equal(false)
    foldFrame(state, zero[0]!)
    expect(dependenciesMet(state, one[1]!)).to.equal(false)
    foldFrame(state, zero[1]!)
    expect(dependenciesMet(state, one[1]!)).to.equal(true)
  })

  it('gives what can be folded and keeps what cannot, until all is folded, in whatever order it comes', () => {
    fc.assert(fc.property(fc.nat(), fc.integer({ min: 100, max: 3_000 }), fc.integer({ min: 1, max: 40 }), (seed, length, framesMax) => {
      const { world } = live(tapeOf(seed, length))
      const unit = seededUnit(seed + 1)
      const state = fresh()
      const gate = createGate<FoldableFrame>(state, { framesMax })
      const all = [...world.logs.values()].flat()
      for (let rounds = 0; rounds < 400 && [...world.logs].some(([name, frames]) => (state.logs.get(name)?.frame ?? 0) < frames.length); rounds += 1) {
        const frame = all[Math.floor(unit() * all.length)]!
        // Some come as they like, twice or too early; some as the gate wants them.
        const name = `${frame.log.hub}/${frame.log.epoch}`
        const offered = unit() < 0.2 ? frame : world.logs.get(name)![gate.wanted(name) - 1] ?? frame
        for (let next = gate.offer(offered); next.length > 0; next = gate.ready()) for (const one of next) foldFrame(state, one)
        expect(gate.waiting).to.be.at.most(framesMax + world.logs.size)
      }
      for (let moved = true; moved;) {
        moved = false
        for (const [name, frames] of world.logs) {
          const folded = state.logs.get(name)?.frame ?? 0
          for (const frame of frames.slice(gate.wanted(name) - 1)) gate.offer(frame)
          for (let next = gate.ready(); next.length > 0; next = gate.ready()) for (const one of next) foldFrame(state, one)
          moved ||= (state.logs.get(name)?.frame ?? 0) > folded
        }
      }
      expect(dumpState(state)).to.equal(dumpState(foldInOrder(world.logs, () => 0)))
      for (const [name, frames] of world.logs) expect(state.logs.get(name)!.frame, name).to.equal(frames.length)
      expect(gate.waiting).to.equal(0)
    }), { numRuns: 30 })
  }).timeout(30_000)

  it('takes each frame once and none out of turn', () => {
    const world = createFoldWorld()
    revoke(world, 0, 1)
    const [first, second] = world.logs.get('0/1')!
    const state = fresh()
    const gate = createGate<FoldableFrame>(state)
    expect(gate.offer(second!)).to.deep.equal([])
    expect([gate.waiting, gate.wanted('0/1')]).to.deep.equal([0, 1])
    expect(gate.offer(first!)).to.deep.equal([first])
    foldFrame(state, first!)
    expect(gate.offer(first!)).to.deep.equal([])
    expect(gate.offer(second!)).to.deep.equal([second])
    expect(gate.offer(second!), 'offered twice before it is folded').to.deep.equal([second])
    foldFrame(state, second!)
    expect([gate.ready(), gate.waiting, gate.wanted('0/1')]).to.deep.equal([[], 0, 3])
  })

  it('keeps a bounded number of frames, and says which one it wants again', () => {
    const world = createFoldWorld()
    revoke(world, 0, 1)
    world.send('0/1', 1)
    for (let byte = 2; byte < 12; byte += 1) revoke(world, 1, byte)
    const state = fresh()
    const gate = createGate<FoldableFrame>(state, { framesMax: 3 })
    const frames = world.logs.get('1/1')!
    for (const frame of gate.offer(frames[0]!)) foldFrame(state, frame)
    for (const frame of frames.slice(1)) gate.offer(frame)
    expect([gate.waiting, gate.wanted('1/1')]).to.deep.equal([3, 5])
    const drain = (next: readonly FoldableFrame[]) => {
      for (; next.length > 0; next = gate.ready()) for (const frame of next) foldFrame(state, frame)
    }
    for (const frame of world.logs.get('0/1')!) drain(gate.offer(frame))
    expect(gate.waiting).to.equal(0)
    while (gate.wanted('1/1') <= frames.length) drain(gate.offer(frames[gate.wanted('1/1') - 1]!))
    expect(dumpState(state)).to.equal(dumpState(foldInOrder(new Map([...world.logs].filter(([name]) => name !== '2/1')), () => 0)))
  })
})

describe('ledger/fold/frame-fold', () => {
  it('ends a log at an entry that no honest hub logs: what stood before it counts', () => {
    const world = createFoldWorld()
    revoke(world, 0, 1)
    revoke(world, 0, 2)
    const frames = world.logs.get('0/1')!
    const bad = { ...frames[1]!, entries: [frames[1]!.entries[0]!, { k: 'Expire' as const, eid: key(0).slice(16), hold: key(0).slice(16) }, frames[2]!.entries[0]!], entryBytes: [key(1), key(2), key(3)] }
    const state = fresh()
    foldFrame(state, frames[0]!)
    foldFrame(state, bad)
    expect(state.logs.get('0/1')).to.deep.include({ frame: 2, status: { is: 'refused', frame: 2, problem: 'its hold is not known' } })
    expect([...state.revokedKeys]).to.deep.equal(['01'.repeat(32)])
    foldFrame(state, frames[2]!)
    expect([...state.revokedKeys], 'nothing after it').to.have.lengthOf(1)
    const own = fresh()
    foldFrame(own, frames[0]!, { me: 0 })
    expect(() => { foldFrame(own, bad, { me: 0 }) }).to.throw('its hold is not known')
  })

  it('takes no frame out of turn', () => {
    const world = createFoldWorld()
    revoke(world, 0, 1)
    expect(() => { foldFrame(fresh(), world.logs.get('0/1')![1]!) }).to.throw(RangeError)
  })
})
