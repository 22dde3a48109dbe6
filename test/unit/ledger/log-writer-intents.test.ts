/** Intents: decided when their frame is built, refused, parked while rights are short, and reported once a peer has them. */
import { expect } from 'chai'
import type { EncodedEntry } from '../../../ledger/entries/entry.ts'
import { EntryRefused } from '../../../ledger/fold/refused.ts'
import type { Position } from '../../../ledger/fold/state.ts'
import { emptyTail, type CheckedFrame } from '../../../ledger/frame.ts'
import type { Decision, Intent, Moment } from '../../../ledger/hub/events.ts'
import { createLogWriter, intentOf, type Short } from '../../../ledger/log-writer.ts'
import { PARKED_TIMES_MAX } from '../../../ledger/parking.ts'
import type { StoredPosition } from '../../../ledger/store/buckets.ts'
import type { StoredEntry } from '../../../ledger/store/log-store.ts'
import { toHex } from '../../../protocol/bytes.ts'
import { TriforceError } from '../../../protocol/errors.ts'
import { fakeClock, settled } from '../../support/fake-clock.ts'
import { testKey } from '../../support/federation.ts'
import { epochOpen, grantOf } from '../../support/ledger-frames.ts'
import { testWorld } from '../../support/ledger-world.ts'

const world = testWorld()
const log = { hub: 0, epoch: 1 }

/** A writer whose live state is the list of entries that were applied. */
function intentsWorld({ peers = 0, parkedMax = 3, refused = new Set<string>() } = {}) {
  const clock = fakeClock()
  const stored = new Map<string, StoredEntry & StoredPosition>()
  const applied: { readonly encoded: EncodedEntry; readonly at: Position }[] = []
  const order: string[] = []
  const shorts: Short[] = []
  const acked = { no: 0 }
  const writer = createLogWriter({
    clock, kick: () => {}, peers: () => peers, peersHave: () => acked.no, seen: () => [0, 1, 2].map(() => ({ epoch: 0, no: 0 })),
    apply: (encoded, at) => {
      if (refused.has(toHex(encoded.entry.eid))) throw new EntryRefused('no honest hub logs this')
      applied.push({ encoded, at })
    },
    onBuilt: (frame) => { order.push(`built ${frame.header.no}`) },
    onShort: (short) => {
      shorts.push(short)
      order.push('short')
    },
    store: {
      locate: (eids) => Promise.resolve(eids.map((eid) => stored.get(toHex(eid)))),
      entryAt: (position) => Promise.resolve([...stored.values()].find((entry) => entry.no === position.no && entry.index === position.index)!),
    },
  }, { network: world.federation.network, hub: 0, parkedMax })
  const logKey = testKey().signer
  writer.open(emptyTail(log), logKey, epochOpen(world, 0, 1, logKey))

  async function commit(): Promise<CheckedFrame | undefined> {
    const frame = await writer.take()
    if (frame === undefined) return undefined
    for (const [index, entry] of frame.entries.entries()) {
      stored.set(toHex(entry.eid), { entry, bytes: frame.entryBytes[index]!, frame, index, log, no: frame.header.no })
    }
    writer.durable(frame)
    return frame
  }
  const ack = (no: number) => {
    acked.no = no
    writer.acked(log, no)
  }
  return { clock, writer, commit, ack, applied, shorts, order }
}

const outcomeOf = (promise: Promise<{ readonly known: boolean; readonly durability: string; readonly seq: number }>) => {
  const seen: { now: string; seq?: number } = { now: 'waiting' }
  promise.then(({ known, durability, seq }) => Object.assign(seen, { now: known ? 'known' : durability, seq }), (error: TriforceError) => { seen.now = error.code })
  return seen
}

const short: Decision = { type: 'short', account: 'aa', unit: 0, min: 5n, want: 9n }

function deciding(encoded: EncodedEntry, decide: (moment: Moment) => Decision): Intent {
  return { ...intentOf(encoded), decide }
}

describe('ledger/log-writer: intents', () => {
  it('decides each when its frame is built, on everything that came before it, at its final position', async () => {
    const { writer, commit, applied, clock } = intentsWorld()
    const seen: number[] = []
    const moments: Moment[] = []
    for (const source of ['a', 'b', 'c']) {
      void writer.submit(deciding(grantOf(source), (moment) => {
        seen.push(applied.length)
        moments.push(moment)
        return { type: 'entries', entries: [grantOf(source)] }
      }))
    }
    expect(seen).to.deep.equal([])
    clock.advance(10)
    const frame = (await commit())!
    // The EpochOpen is applied before the first one is decided.
    expect(seen).to.deep.equal([1, 2, 3])
    expect(new Set(moments.map(({ tsMs }) => tsMs))).to.deep.equal(new Set([frame.header.tsMs]))
    expect(applied.map(({ at }) => at)).to.deep.equal(frame.entries.map((_, seq) => ({ ...log, frame: 1, seq, tsMs: frame.header.tsMs })))
    void writer.submit(intentOf(grantOf('d')))
    const next = (await commit())!
    expect(applied.at(-1)!.at).to.deep.equal({ ...log, frame: 2, seq: 4, tsMs: next.header.tsMs })
    expect(next.header.tsMs).to.be.greaterThan(frame.header.tsMs)
  })

  it('refuses at once what the decision refuses, and logs nothing for it', async () => {
    const { writer, commit } = intentsWorld()
    await commit()
    const refusing = outcomeOf(writer.submit(deciding(grantOf('a'), () => ({ type: 'refuse', error: new TriforceError('INSUFFICIENT_CREDITS') }))))
    const broken = outcomeOf(writer.submit(deciding(grantOf('b'), () => { throw new TypeError('a fault') })))
    expect(await commit()).to.equal(undefined)
    await settled()
    expect([refusing.now, broken.now]).to.deep.equal(['INSUFFICIENT_CREDITS', 'INTERNAL'])
  })

  it('answers an intent that finds nothing to do with the end of the log', async () => {
    const { writer, commit } = intentsWorld()
    void writer.submit(intentOf(grantOf('a')))
    await commit()
    const idle = outcomeOf(writer.submit(deciding(grantOf('b'), () => ({ type: 'entries', entries: [] }))))
    expect(await commit()).to.equal(undefined)
    await settled()
    expect(idle).to.deep.equal({ now: 'known', seq: 1 })
  })

  it('puts several entries of one intent into one frame, and answers with the last', async () => {
    const { writer, commit } = intentsWorld()
    await commit()
    const both = outcomeOf(writer.submit(deciding(grantOf('hold'), () => ({ type: 'entries', entries: [grantOf('accept'), grantOf('hold')] }))))
    const frame = (await commit())!
    await settled()
    expect(frame.entries).to.have.length(2)
    expect(both).to.deep.equal({ now: 'local', seq: 2 })
    const again = outcomeOf(writer.submit(intentOf(grantOf('hold'))))
    await commit()
    await settled()
    expect(again).to.deep.equal({ now: 'known', seq: 2 })
  })

  it('lets an entry that the fold refuses cost its own caller only', async () => {
    const { writer, commit } = intentsWorld({ refused: new Set([toHex(grantOf('bad').entry.eid)]) })
    const bad = outcomeOf(writer.submit(intentOf(grantOf('bad'))))
    const good = outcomeOf(writer.submit(intentOf(grantOf('good'))))
    const frame = (await commit())!
    await settled()
    expect(frame.entries.map(({ k }) => k)).to.deep.equal(['EpochOpen', 'Grant'])
    expect([bad.now, good.now]).to.deep.equal(['ENTRY_INVALID', 'local'])
  })

  it('parks what is short of rights, tells so after the frame, and decides it again on retry, in order', async () => {
    const { writer, commit, shorts, order } = intentsWorld()
    const rights = { here: false }
    const wanting = (source: string) => deciding(grantOf(source), () => rights.here ? { type: 'entries', entries: [grantOf(source)] } : short)
    const first = outcomeOf(writer.submit(wanting('a')))
    const second = outcomeOf(writer.submit(wanting('b')))
    expect((await commit())!.entries).to.have.length(1)
    expect(order).to.deep.equal(['built 1', 'short', 'short'])
    expect([shorts.length, writer.parked, first.now]).to.deep.equal([2, 2, 'waiting'])
    expect(await commit()).to.equal(undefined)

    void writer.submit(intentOf(grantOf('later')))
    rights.here = true
    writer.retry()
    const frame = (await commit())!
    await settled()
    expect(frame.entries.map((entry) => entry.k === 'Grant' ? entry.source : '')).to.deep.equal(['a', 'b', 'later'])
    expect([writer.parked, first.now, second.now]).to.deep.equal([0, 'local', 'local'])
  })

  it('gives up on rights after 5 s, not one millisecond earlier, also when it was tried again meanwhile', async () => {
    const { writer, commit, clock } = intentsWorld()
    let tries = 0
    const wanting = outcomeOf(writer.submit(deciding(grantOf('a'), () => {
      tries += 1
      return short
    })))
    await commit()
    clock.advance(3_000)
    writer.retry()
    await commit()
    clock.advance(1_999)
    await commit()
    await settled()
    expect([tries, wanting.now]).to.deep.equal([2, 'waiting'])
    clock.advance(1)
    await commit()
    await settled()
    // Decided a last time when the time is over.
    expect([tries, wanting.now, writer.parked]).to.deep.equal([3, 'RIGHTS_UNREACHABLE', 0])
  })

  it('ends what would be decided again and again without end', async () => {
    const { writer, commit } = intentsWorld()
    await commit()
    let tries = 0
    const wanting = outcomeOf(writer.submit(deciding(grantOf('a'), () => {
      tries += 1
      return short
    })))
    for (let lap = 0; wanting.now === 'waiting' && lap < 2 * PARKED_TIMES_MAX; lap += 1) {
      await commit()
      writer.retry()
    }
    expect([tries, wanting.now, writer.parked]).to.deep.equal([PARKED_TIMES_MAX + 1, 'INTERNAL', 0])
  })

  it('parks a bounded number', async () => {
    const { writer, commit } = intentsWorld({ parkedMax: 2 })
    const outcomes = ['a', 'b', 'c'].map((source) => outcomeOf(writer.submit(deciding(grantOf(source), () => short))))
    await commit()
    await settled()
    expect(outcomes.map(({ now }) => now)).to.deep.equal(['waiting', 'waiting', 'QUEUE_FULL'])
    writer.fail(new TriforceError('STOPPING'))
    await settled()
    expect(outcomes.map(({ now }) => now)).to.deep.equal(['STOPPING', 'STOPPING', 'QUEUE_FULL'])
  })

  it('reports what must be replicated only when a peer has it; without one it is HUB_ISOLATED after 2 s, and may be repeated', async () => {
    const { writer, commit, clock, ack } = intentsWorld({ peers: 0 })
    const lone = outcomeOf(writer.submit(intentOf(grantOf('a')), { replicated: true }))
    await commit()
    clock.advance(1_999)
    await settled()
    expect(lone.now).to.equal('waiting')
    clock.advance(1)
    await settled()
    expect(lone.now).to.equal('HUB_ISOLATED')

    const again = outcomeOf(writer.submit(intentOf(grantOf('a')), { replicated: true }))
    expect(await commit()).to.equal(undefined)
    await settled()
    expect(again.now).to.equal('waiting')
    ack(1)
    await settled()
    expect(again).to.deep.equal({ now: 'known', seq: 1 })
  })

  it('waits for a frame to be replicated on request', async () => {
    const { writer, commit, ack, clock } = intentsWorld()
    await commit()
    let done = 'waiting'
    void writer.whenReplicated(log, 1).then(() => { done = 'replicated' }, (error: TriforceError) => { done = error.code })
    await settled()
    expect(done).to.equal('waiting')
    ack(1)
    await settled()
    expect(done).to.equal('replicated')
    void writer.whenReplicated(log, 2).catch((error: TriforceError) => { done = error.code })
    clock.advance(2_000)
    await settled()
    expect(done).to.equal('HUB_ISOLATED')
  })

  it('decides again what did not fit, in the next frame', async () => {
    const { writer, commit } = intentsWorld()
    let tries = 0
    const many = (name: string, count: number) => deciding(grantOf(`${name}${count - 1}`), () => {
      tries += 1
      return { type: 'entries', entries: Array.from({ length: count }, (_, index) => grantOf(`${name}${index}`)) }
    })
    void writer.submit(many('a', 600))
    void writer.submit(many('b', 600))
    expect((await commit())!.entries).to.have.length(601)
    expect((await commit())!.entries).to.have.length(600)
    expect(tries).to.equal(3)
    const tooMany = outcomeOf(writer.submit(many('c', 1_001)))
    expect(await commit()).to.equal(undefined)
    await settled()
    expect(tooMany.now).to.equal('ENTRY_INVALID')
  })
})
