import { expect } from 'chai'
import * as fc from 'fast-check'
import { encodeEntry } from '../../../ledger/entries/entry.ts'
import { checkFrame, decodeFrame, emptyTail, RULES_VERSION, type Frame, type FrameHeader, type LogTail } from '../../../ledger/frame.ts'
import { leafHash, rootOfLeaves } from '../../../protocol/merkle.ts'
import { toHex } from '../../../protocol/bytes.ts'
import { encode } from '../../../protocol/codec.ts'
import { signedBytes } from '../../../protocol/signed.ts'
import { testKey } from '../../support/federation.ts'
import { contextOf, epochOpen, grantOf, logBuilder } from '../../support/ledger-frames.ts'
import { testWorld } from '../../support/ledger-world.ts'

const world = testWorld()
const context = contextOf(world)

function problemOf(frame: Frame, tail: LogTail): string {
  const result = checkFrame(frame, tail, context)
  return result.ok ? 'none' : result.problem
}

describe('ledger/frame', () => {
  const log = logBuilder(world, 1)
  const before = emptyTail({ hub: 1, epoch: 1 })
  const first = log.next()
  const second = log.next([grantOf('a'), grantOf('b')])

  /** The second frame with another header, signed by the log's key all the same. */
  const changed = (header: Partial<FrameHeader>, entries = second.entryBytes) => {
    const headerBytes = encode({ ...second.header, ...header })
    return decodeFrame(encode({ header: headerBytes, signature: log.logKey.sign(signedBytes('logFrame', headerBytes)), entries }))
  }

  it('reads back what was built, and the checked end is the built one', () => {
    const one = checkFrame(decodeFrame(first.bytes), before, context)
    if (!one.ok) throw new Error(one.detail)
    const two = checkFrame(decodeFrame(second.bytes), one.frame.tail, context)
    if (!two.ok) throw new Error(two.detail)
    expect(toHex(two.frame.tail.hash)).to.equal(toHex(log.tail.hash))
    expect(two.frame.tail.tree.size).to.equal(4)
    expect(two.frame.entries.map(({ k }) => k)).to.deep.equal(['Grant', 'Grant'])
    expect(two.frame.header).to.deep.include({ no: 2, firstSeq: 2, n: 2, treeSize: 4 })
  })

  it('grows its time also where the clock stands', () => {
    expect(second.header.tsMs).to.equal(first.header.tsMs + 1)
  })

  it('names what is wrong with a frame that does not continue its log', () => {
    const leaves = second.entryBytes.map(leafHash)
    const cases: readonly (readonly [string, Frame])[] = [
      ['none', decodeFrame(second.bytes)],
      ['no', decodeFrame(first.bytes)],
      ['log', changed({ hub: 0 })],
      ['log', changed({ epoch: 2 })],
      ['network', changed({ network: 'other' })],
      ['rules', changed({ rules: RULES_VERSION + 1 })],
      ['prevHash', changed({ prevHash: new Uint8Array(32) })],
      ['sequence', changed({ firstSeq: 3 })],
      ['sequence', changed({ n: 1 })],
      ['sequence', changed({ treeSize: 5 })],
      ['time', changed({ tsMs: first.header.tsMs })],
      ['entriesRoot', changed({ entriesRoot: rootOfLeaves(leaves.slice(1)) })],
      ['treeRoot', changed({ treeRoot: rootOfLeaves(leaves) })],
      ['signature', { ...decodeFrame(second.bytes), signature: first.signature }],
    ]
    for (const [problem, frame] of cases) expect(problemOf(frame, first.tail)).to.equal(problem)
  })

  it('refuses a signed frame whose seen vector goes back', () => {
    const tail = { ...first.tail, seen: first.tail.seen.map(() => ({ epoch: 0, no: 3 })) }
    expect(problemOf(changed({ seen: [0, 1, 2].map(() => ({ epoch: 0, no: 2 })) }), tail)).to.equal('seen')
    expect(problemOf(changed({ seen: [0, 1, 2].map(() => ({ epoch: 1, no: 0 })) }), tail)).to.equal('none')
  })

  it('begins a log only with a key that its own hub certified for it', () => {
    const logKey = testKey().signer
    const starts = (opening: ReturnType<typeof epochOpen>) => logBuilder(world, 1, { logKey }).draft([opening])
    expect(problemOf(starts(epochOpen(world, 1, 1, logKey)), before)).to.equal('none')
    expect(problemOf(starts(epochOpen(world, 1, 1, logKey, world.hubs[0]!.signer)), before)).to.equal('epochKey')
    expect(problemOf(starts(epochOpen(world, 1, 2, logKey)), before)).to.equal('epochKey')
    expect(problemOf(starts(epochOpen(world, 0, 1, logKey)), before)).to.equal('epochKey')
    expect(problemOf(starts(epochOpen(world, 1, 1, testKey().signer)), before)).to.equal('signature')
    // A good certificate in an entry that names another log: the fold would open that one.
    const { entry: open } = epochOpen(world, 1, 1, logKey)
    if (open.k !== 'EpochOpen') throw new Error('no EpochOpen')
    for (const other of [{ hub: 2 }, { epoch: 2 }]) expect(problemOf(starts(encodeEntry({ ...open, ...other })), before)).to.equal('epochKey')
    expect(problemOf(logBuilder(world, 1, { logKey }).draft([grantOf('no key')]), before)).to.equal('epochKey')
  })

  it('refuses entries without the id of their content, a second EpochOpen, and bytes that are no entry', () => {
    const { entry } = grantOf('a')
    const withBytes = (bytes: Uint8Array) => problemOf(log.draft([{ entry, bytes }]), log.tail)
    expect(withBytes(encode({ ...entry, eid: new Uint8Array(16) }))).to.equal('entry')
    expect(withBytes(epochOpen(world, 1, 1, log.logKey).bytes)).to.equal('entry')
    expect(withBytes(Uint8Array.of(1, 2, 3))).to.equal('entry')
  })

  it('never takes a frame with a flipped bit for a good one', () => {
    fc.assert(fc.property(fc.nat(second.bytes.byteLength - 1), fc.nat(7), (at, bit) => {
      const bytes = Uint8Array.from(second.bytes)
      bytes[at] = bytes[at]! ^ (1 << bit)
      let problem = 'decode'
      try {
        problem = problemOf(decodeFrame(bytes), first.tail)
      } catch { /* The bytes are no frame any more. */ }
      expect(problem).to.not.equal('none')
    }), { numRuns: 400 })
  })
})
