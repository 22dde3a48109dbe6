import { expect } from 'chai'
import { encodeEntry, type EncodedEntry } from '../../../ledger/entries/entry.ts'
import type { CheckedFrame } from '../../../ledger/frame.ts'
import { emptyTail } from '../../../ledger/frame.ts'
import type { Position } from '../../../ledger/fold/state.ts'
import { createLogWriter, intentOf, type LogWriter, type Short } from '../../../ledger/log-writer.ts'
import type { StoredPosition } from '../../../ledger/store/buckets.ts'
import type { StoredEntry } from '../../../ledger/store/log-store.ts'
import { toHex } from '../../../protocol/bytes.ts'
import type { TriforceError } from '../../../protocol/errors.ts'
import { fakeClock, settled } from '../../support/fake-clock.ts'
import { testKey } from '../../support/federation.ts'
import { epochOpen, grantOf } from '../../support/ledger-frames.ts'
import { receiptEntry, testReceipt, testWorld } from '../../support/ledger-world.ts'

const world = testWorld()
const hub = world.hubs[0]!.signer
const log = { hub: 0, epoch: 1 }

/** A writer over a store that is a map; `commit` plays the commit lane for one frame. */
function writerWorld({ peers = 1, queueMax = 100, parkedMax = 10, lingerMs = 0, apply = (_encoded: EncodedEntry, _at: Position) => {} } = {}) {
  const clock = fakeClock()
  const logged = new Map<string, StoredEntry & StoredPosition>()
  const acked = { no: 0 }
  let kicks = 0
  const connected = { peers }
  const built: CheckedFrame[] = []
  const shorts: Short[] = []
  const writer: LogWriter = createLogWriter({
    clock, kick: () => { kicks += 1 }, peers: () => connected.peers, peersHave: () => acked.no,
    seen: () => [0, 1, 2].map(() => ({ epoch: 0, no: 0 })), apply: (encoded, at) => { apply(encoded, at) }, onBuilt: (frame) => built.push(frame), onShort: (short) => shorts.push(short),
    store: {
      locate: (eids) => Promise.resolve(eids.map((eid) => logged.get(toHex(eid)))),
      entryAt: (position) => Promise.resolve([...logged.values()].find((entry) => entry.no === position.no && entry.index === position.index)!),
    },
  }, { network: world.federation.network, hub: 0, queueMax, parkedMax, lingerMs })

  const logKey = testKey().signer
  writer.open(emptyTail(log), logKey, epochOpen(world, 0, 1, logKey))

  async function commit(): Promise<CheckedFrame | undefined> {
    const frame = await writer.take()
    if (frame === undefined) return undefined
    for (const [index, entry] of frame.entries.entries()) {
      logged.set(toHex(entry.eid), { entry, bytes: frame.entryBytes[index]!, frame, index, log, no: frame.header.no })
    }
    writer.durable(frame)
    return frame
  }
  const ack = (no: number) => {
    acked.no = no
    writer.acked(log, no)
  }
  /** Logs exactly this entry. */
  const append = (encoded: EncodedEntry) => writer.submit(intentOf(encoded))
  return { clock, writer, append, commit, ack, connected, built, shorts, get kicks() { return kicks } }
}

const stateOf = (promise: Promise<unknown>) => {
  const seen = { now: 'waiting' }
  promise.then((result) => { seen.now = (result as { durability: string }).durability }, (error: TriforceError) => { seen.now = error.code })
  return seen
}

describe('ledger/log-writer', () => {
  it('opens a log with its EpochOpen and puts what waits into one frame', async () => {
    const { append, commit } = writerWorld()
    void append(grantOf('a'))
    void append(grantOf('b'))
    const frame = await commit()
    expect(frame!.entries.map(({ k }) => k)).to.deep.equal(['EpochOpen', 'Grant', 'Grant'])
    expect(await commit()).to.equal(undefined)
  })

  it('asks for a commit at once', () => {
    const world = writerWorld()
    const before = world.kicks
    void world.append(grantOf('a'))
    expect(world.kicks).to.equal(before + 1)
  })

  it('waits for company where it is told to, then asks for a commit once', () => {
    const world = writerWorld({ lingerMs: 1 })
    const before = world.kicks
    void world.append(grantOf('a'))
    void world.append(grantOf('b'))
    expect(world.kicks).to.equal(before)
    world.clock.advance(1)
    expect(world.kicks).to.equal(before + 1)
  })

  it('acknowledges as replicated when a peer has it on its disk, and not before', async () => {
    const { append, commit, ack } = writerWorld()
    const first = stateOf(append(grantOf('a')))
    await commit()
    const second = stateOf(append(grantOf('b')))
    await commit()
    await settled()
    expect([first.now, second.now]).to.deep.equal(['waiting', 'waiting'])
    ack(1)
    await settled()
    expect([first.now, second.now]).to.deep.equal(['replicated', 'waiting'])
    ack(2)
    await settled()
    expect(second.now).to.equal('replicated')
  })

  it('acknowledges as local after 150 ms without a peer, not one millisecond earlier, and at once where none is connected', async () => {
    const { append, commit, clock, connected } = writerWorld()
    const first = stateOf(append(grantOf('a')))
    await commit()
    await settled()
    clock.advance(149)
    await settled()
    expect(first.now).to.equal('waiting')
    clock.advance(1)
    await settled()
    expect(first.now).to.equal('local')
    connected.peers = 0
    const second = stateOf(append(grantOf('b')))
    await commit()
    await settled()
    expect(second.now).to.equal('local')
  })

  it('takes the same entry twice as one, whether it waits, is being written or is logged', async () => {
    const { append, commit, ack } = writerWorld()
    const first = append(grantOf('a'))
    const waiting = append(grantOf('a'))
    const frame = await commit()
    const written = append(grantOf('a'))
    ack(1)
    expect(await commit()).to.equal(undefined)
    const results = await Promise.all([first, waiting, written])
    const later = append(grantOf('a'))
    expect(await commit()).to.equal(undefined)
    results.push(await later)
    expect(frame!.entries.filter(({ k }) => k === 'Grant')).to.have.length(1)
    expect(results.map(({ known }) => known)).to.deep.equal([false, true, true, true])
    expect(new Set(results.map(({ seq }) => seq))).to.deep.equal(new Set([1]))
  })

  it('refuses other content under a known id with ENTRY_CONFLICT', async () => {
    const { append, commit } = writerWorld({ peers: 0 })
    const first = stateOf(append(grantOf('a', 1n)))
    const waiting = stateOf(append(grantOf('a', 2n)))
    await commit()
    await settled()
    const logged = stateOf(append(grantOf('a', 3n)))
    await commit()
    await settled()
    expect([first.now, waiting.now, logged.now]).to.deep.equal(['local', 'ENTRY_CONFLICT', 'ENTRY_CONFLICT'])
  })

  it('cuts frames at 1,000 entries and at 256 KiB', async () => {
    const { append, commit } = writerWorld({ queueMax: 2_000 })
    for (let index = 0; index < 1_100; index += 1) void append(grantOf(`g${index}`))
    expect((await commit())!.entries).to.have.length(1_000)
    expect((await commit())!.entries).to.have.length(101)
    const large = (index: number) => receiptEntry({ ...testReceipt('net', hub, { jobId: new Uint8Array(16).fill(index) }), half: { body: new Uint8Array(7_000), signature: new Uint8Array(64) } })
    for (let index = 0; index < 60; index += 1) void append(large(index))
    const frame = await commit()
    expect(frame!.entries.length).to.be.greaterThan(30)
    expect(frame!.entryBytes.reduce((sum, bytes) => sum + bytes.byteLength, 0)).to.be.at.most(256 * 1024)
  })

  it('refuses the entry after the last free place with QUEUE_FULL, and one that is too large', async () => {
    const { append, commit } = writerWorld({ queueMax: 3 })
    void append(grantOf('a'))
    void append(grantOf('b'))
    const full = stateOf(append(grantOf('c')))
    await settled()
    expect(full.now).to.equal('QUEUE_FULL')
    expect((await commit())!.entries).to.have.length(3)
    const large = stateOf(append({ entry: grantOf('d').entry, bytes: new Uint8Array(8_193) }))
    expect(await commit()).to.equal(undefined)
    await settled()
    expect(large.now).to.equal('ENTRY_INVALID')
  })

  it('keeps what waits while the log is paused, and writes it to the next one', async () => {
    const { append, writer, commit } = writerWorld({ peers: 0 })
    await commit()
    writer.pause()
    const waiting = stateOf(append(grantOf('a')))
    expect(await commit()).to.equal(undefined)
    const logKey = testKey().signer
    writer.open(emptyTail({ hub: 0, epoch: 2 }), logKey, epochOpen(world, 0, 2, logKey))
    const frame = await commit()
    await settled()
    expect(frame!.log.epoch).to.equal(2)
    expect(waiting.now).to.equal('local')
  })

  it('fails everything that waits when the ledger has failed', async () => {
    const { append, writer } = writerWorld()
    const waiting = stateOf(append(encodeEntry({ k: 'KeyRevoke', publicKey: new Uint8Array(32) })))
    writer.fail({ code: 'LOG_FORKED' } as TriforceError)
    await settled()
    expect(waiting.now).to.equal('LOG_FORKED')
  })
})
