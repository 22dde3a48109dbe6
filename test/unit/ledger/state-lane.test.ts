/** The live state takes frames in the order of causes, whatever the order in which they come, and from the store where they do not fit in memory. */
import { expect } from 'chai'
import * as fc from 'fast-check'
import { encodeEntry, type EncodedEntry } from '../../../ledger/entries/entry.ts'
import { createState, type LedgerState } from '../../../ledger/fold/state.ts'
import { buildFrame, emptyTail, type CheckedFrame, type LogTail, type Seen } from '../../../ledger/frame.ts'
import { createStateLane } from '../../../ledger/state-lane.ts'
import { logName } from '../../../ledger/store/log-store.ts'
import { accountIdOf } from '../../../protocol/api-key.ts'
import { toHex } from '../../../protocol/bytes.ts'
import type { LogId } from '../../../protocol/messages/ledger.ts'
import { testKey } from '../../support/federation.ts'
import { epochOpen } from '../../support/ledger-frames.ts'
import { testWorld } from '../../support/ledger-world.ts'

const world = testWorld()
const hubKeys = world.hubs.map(({ signer }) => signer.publicKey)
const nothing: Seen = [0, 1, 2].map(() => ({ epoch: 0, no: 0 }))

/** Writes one log; `next` gives its following frame, which says that its author had folded `seen`. */
function author(hub: number) {
  const logKey = testKey().signer
  let tail: LogTail = emptyTail({ hub, epoch: 1 })
  return {
    get no() { return tail.no },
    next(entries: readonly EncodedEntry[], seen = nothing): CheckedFrame {
      const all = tail.no === 0 ? [epochOpen(world, hub, 1, logKey), ...entries] : entries
      const frame = buildFrame(tail, all, { network: world.federation.network, signer: logKey, nowMs: 1_800_000_000_000, seen: seen.map((of, index) => index === hub ? { epoch: 1, no: tail.no } : of) })
      tail = frame.tail
      return frame
    },
  }
}

function laneWorld() {
  const stored = new Map<string, CheckedFrame[]>()
  const tails = new Map<string, LogTail>()
  const reads: string[] = []
  let state: LedgerState = createState(world.federation.network, hubKeys)
  const folded: string[] = []
  const lane = createStateLane({
    me: 2, state: () => state, onFolded: ({ log, header }) => folded.push(`${log.hub}:${header.no}`),
    store: {
      tails,
      frameBytes: (log: LogId, from: number, { framesMax }) => {
        reads.push(`${log.hub}:${from}`)
        return Promise.resolve((stored.get(logName(log)) ?? []).slice(from - 1, from - 1 + framesMax).map(({ bytes }) => bytes))
      },
    },
  })
  return {
    lane, folded, reads,
    get state() { return state },
    set state(next) { state = next },
    /** On the disk, in the order of its log. */
    store: (frame: CheckedFrame) => {
      const name = logName(frame.log)
      stored.set(name, [...stored.get(name) ?? [], frame])
      tails.set(name, frame.tail)
    },
  }
}

const keyOf = (byte: number) => new Uint8Array(32).fill(byte)
const accountOpen = (byte: number) => encodeEntry({ k: 'AccountOpen', publicKey: keyOf(byte), account: accountIdOf(keyOf(byte)), name: `n${byte}`, tier: 'free' })
const keyAdd = (byte: number, owner: number) => encodeEntry({ k: 'KeyAdd', publicKey: keyOf(byte), account: accountIdOf(keyOf(owner)), name: 'k' })
const seeing = (...nos: readonly number[]): Seen => nos.map((no) => ({ epoch: no === 0 ? 0 : 1, no }))

describe('ledger/state-lane', () => {
  it('lets a frame wait for what its author had folded, and then takes all that waited', async () => {
    const { lane, folded, state } = laneWorld()
    const [a, b] = [author(0), author(1)]
    const a1 = a.next([accountOpen(1)])
    const b1 = b.next([])
    const b2 = b.next([keyAdd(9, 1)], seeing(1, 0, 0))
    const b3 = b.next([keyAdd(8, 1)], seeing(1, 0, 0))
    await lane.take([b1, b2])
    await lane.take([b3])
    expect(folded).to.deep.equal(['1:1'])
    expect(state.keys.size).to.equal(0)
    expect(lane.seen()).to.deep.equal(seeing(0, 1, 0))
    await lane.take([a1])
    expect(folded).to.deep.equal(['1:1', '0:1', '1:2', '1:3'])
    expect(state.keys.size).to.equal(2)
    expect(lane.seen()).to.deep.equal(seeing(1, 3, 0))
  })

  it('gives one state for every order in which the frames of three logs come', async () => {
    const [a, b, c] = [author(0), author(1), author(2)]
    const frames = [
      a.next([accountOpen(1)]), b.next([accountOpen(2)]),
      c.next([keyAdd(3, 1)], seeing(1, 0, 0)),
      a.next([keyAdd(4, 2)], seeing(0, 1, 1)),
      b.next([keyAdd(5, 1)], seeing(2, 0, 1)),
      c.next([keyAdd(6, 2)], seeing(2, 2, 0)),
    ]
    const keysOf = (state: LedgerState) => [...state.keys].map(([key, { account, at }]) => `${key} ${account} ${at.hub}`).sort()
    const straight = laneWorld()
    await straight.lane.take(frames)
    expect(straight.folded).to.have.length(6)
    await fc.assert(fc.asyncProperty(fc.shuffledSubarray([0, 1, 2, 0, 1, 2], { minLength: 6 }), fc.array(fc.nat(3), { maxLength: 6 }), async (shuffled, cuts) => {
      const logs = [0, 1, 2].map((hub) => frames.filter(({ log }) => log.hub === hub))
      // The order of the logs among each other is that of the shuffle; each log keeps its own.
      const order = shuffled.map((hub) => logs[hub]!.shift()!)
      const { lane, state } = laneWorld()
      for (let at = 0, turn = 0; at < order.length; turn += 1) {
        const count = 1 + (cuts[turn] ?? 0)
        await lane.take(order.slice(at, at + count))
        at += count
      }
      expect(keysOf(state)).to.deep.equal(keysOf(straight.state))
    }), { numRuns: 60 })
  })

  it('reads what does not fit in memory again from the store, once its turn comes', async () => {
    const { lane, folded, store, reads } = laneWorld()
    const [a, b] = [author(0), author(1)]
    const a1 = a.next([accountOpen(1)])
    const first = b.next([], seeing(1, 0, 0))
    const waiting = [first, ...Array.from({ length: 1_100 }, (_, index) => b.next([keyAdd(index % 250, 1)], seeing(1, 0, 0)))]
    expect(await lane.take(waiting)).to.equal(true)
    expect(folded).to.deep.equal([])
    for (const frame of waiting) store(frame)
    expect(await lane.take([])).to.equal(false)
    expect(folded).to.deep.equal([])
    await lane.take([a1])
    expect(folded).to.have.length(1 + waiting.length)
    expect(reads.length).to.be.greaterThan(0)
  })

  it('folds all that is stored in causal order at open, and leaves what rests on a frame that is not here', async () => {
    const { lane, store } = laneWorld()
    const [a, b, c] = [author(0), author(1), author(2)]
    const a1 = a.next([accountOpen(1)])
    const b1 = b.next([keyAdd(3, 1)], seeing(1, 0, 1))
    const c1 = c.next([keyAdd(4, 1)], seeing(1, 0, 0))
    const a2 = a.next([keyAdd(5, 1)], seeing(0, 1, 1))
    const c2 = c.next([keyAdd(6, 1)], seeing(3, 0, 0))
    for (const frame of [a1, a2, b1, c1, c2]) store(frame)
    const state = createState(world.federation.network, hubKeys)
    await lane.foldStored(state)
    expect([...state.logs.values()].map(({ log, frame }) => `${log.hub}:${frame}`).sort()).to.deep.equal(['0:2', '1:1', '2:1'])
    expect([...state.keys.keys()].sort()).to.deep.equal([3, 4, 5].map((byte) => toHex(keyOf(byte))))
  })

  it('goes on with what is stored when the missing frame comes after the open', async () => {
    const built = laneWorld()
    const [a, c] = [author(0), author(2)]
    const a1 = a.next([accountOpen(1)])
    const c1 = c.next([keyAdd(6, 1)], seeing(1, 0, 0))
    built.store(c1)
    const state = createState(world.federation.network, hubKeys)
    await built.lane.foldStored(state)
    built.state = state
    expect(state.keys.size).to.equal(0)
    await built.lane.take([a1])
    expect(built.folded).to.deep.equal(['0:1', '2:1'])
    expect(built.state.keys.size).to.equal(1)
  })

  it('takes nothing of a log from the entry on that no honest hub logs', async () => {
    const { lane, state, store } = laneWorld()
    const a = author(0)
    const good = a.next([accountOpen(1)])
    const mintForAnother = ([1, 2, 3, 4, 5, 6, 7, 8].map((byte) => encodeEntry({ k: 'Grant', account: accountIdOf(keyOf(byte)), amount: 1n, source: 's' })))
    const bad = a.next(mintForAnother)
    const after = a.next([accountOpen(3)])
    await lane.take([good, bad, after])
    for (const frame of [good, bad, after]) store(frame)
    await lane.take([])
    expect(state.logs.get('0/1')!.status.is).to.equal('refused')
    expect(state.accounts.get(toHex(accountIdOf(keyOf(3))))?.opened).to.equal(undefined)
    expect(state.accounts.get(toHex(accountIdOf(keyOf(1))))?.opened?.name).to.equal('n1')
  })
})
