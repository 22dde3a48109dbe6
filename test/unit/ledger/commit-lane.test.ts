import { expect } from 'chai'
import { createCommitLane } from '../../../ledger/commit-lane.ts'
import type { CheckedFrame, LogTail } from '../../../ledger/frame.ts'
import { logName } from '../../../ledger/store/log-store.ts'
import type { TriforceError } from '../../../protocol/errors.ts'
import { settled } from '../../support/fake-clock.ts'
import { logBuilder } from '../../support/ledger-frames.ts'
import { testWorld } from '../../support/ledger-world.ts'

const world = testWorld()

/** A lane over a disk whose writes end when the test says so. */
function laneWorld(waitingBytesMax?: number) {
  const tails = new Map<string, LogTail>()
  const writes: { frames: readonly CheckedFrame[]; kept: readonly string[]; done: (error?: Error) => void }[] = []
  const folded: number[] = []
  const keptDurable: string[] = []
  const durable: CheckedFrame[] = []
  const own: CheckedFrame[] = []
  const failures: TriforceError[] = []
  const lane = createCommitLane({
    store: {
      tails, frame: () => Promise.resolve(undefined),
      commit: (frames, kept = []) => new Promise((resolve, reject) => {
        writes.push({ frames, kept: kept.map(({ key }) => key), done: (error) => {
          for (const { tail } of error === undefined ? frames : []) tails.set(logName(tail.log), tail)
          if (error === undefined) resolve()
          else reject(error)
        } })
      }),
    },
    fold: (copies) => {
      folded.push(copies.length)
      return Promise.resolve(false)
    },
    takeOwn: () => Promise.resolve(own.shift()),
    onDurable: (frames, kept) => {
      durable.push(...frames)
      keptDurable.push(...kept.map(({ key }) => key))
    },
    onFailed: (error) => failures.push(error),
  }, waitingBytesMax === undefined ? {} : { waitingBytesMax })
  return { lane, writes, durable, own, failures, folded, keptDurable }
}

describe('ledger/commit-lane', () => {
  it('writes everything that came during a write in one next write, the own frame with the copies', async () => {
    const { lane, writes, durable, own } = laneWorld()
    const copies = logBuilder(world, 1)
    lane.offer(copies.next())
    await settled()
    lane.offer(copies.next())
    lane.offer(copies.next())
    own.push(logBuilder(world, 0).next())
    await settled()
    expect(writes.map(({ frames }) => frames.length)).to.deep.equal([1])
    expect(lane.tailOf(copies.tail.log).no).to.equal(3)
    writes[0]!.done()
    await settled()
    expect(writes.map(({ frames }) => frames.length)).to.deep.equal([1, 3])
    expect(durable).to.have.length(1)
    writes[1]!.done()
    await lane.idle()
    expect(durable).to.have.length(4)
  })

  it('lets senders wait while more than the bound waits for the disk', async () => {
    const { lane, writes } = laneWorld(1)
    let room = false
    lane.offer(logBuilder(world, 1).next())
    void lane.room().then(() => { room = true })
    await settled()
    expect(room).to.equal(false)
    writes[0]!.done()
    await settled()
    expect(room).to.equal(true)
  })

  it('never writes again after a failed write, and says so to those who wait', async () => {
    const { lane, writes, failures, durable } = laneWorld(1)
    const copies = logBuilder(world, 1)
    lane.offer(copies.next())
    const waiting = lane.room().then(() => 'room', (error: TriforceError) => error.code)
    await settled()
    writes[0]!.done(new Error('EIO'))
    expect(await waiting).to.equal('LOG_DAMAGED')
    expect(failures.map(({ code }) => code)).to.deep.equal(['LOG_DAMAGED'])
    lane.offer(copies.next())
    await settled()
    expect(writes).to.have.length(1)
    expect(durable).to.deep.equal([])
  })

  it('folds copies before the own frame is taken, and keeps values with or after all frames that were offered before', async () => {
    const { lane, writes, folded, keptDurable } = laneWorld()
    const copies = logBuilder(world, 1)
    const value = new Uint8Array()
    lane.offer(copies.next())
    await settled()
    expect(folded).to.deep.equal([1])
    lane.offer(copies.next())
    lane.keep({ key: 'promise', value })
    lane.keep({ key: 'promise', value })
    await settled()
    writes[0]!.done()
    await settled()
    expect(keptDurable).to.deep.equal([])
    expect(writes[1]).to.deep.include({ kept: ['promise', 'promise'] })
    expect(writes[1]!.frames).to.have.length(1)
    writes[1]!.done()
    await lane.idle()
    // Each one is told of: whoever counts its writes must not wait for ever.
    expect(keptDurable).to.deep.equal(['promise', 'promise'])
    lane.keep({ key: 'alone', value })
    await settled()
    expect(writes[2]).to.deep.include({ frames: [], kept: ['alone'] })
    writes[2]!.done()
    await lane.idle()
  })

  it('runs a job between two batches, with everything that was offered before on the disk', async () => {
    const { lane, writes, durable } = laneWorld()
    const copies = logBuilder(world, 1)
    const seen: number[] = []
    lane.offer(copies.next())
    await settled()
    lane.offer(copies.next())
    lane.between(() => {
      seen.push(durable.length)
      return Promise.resolve()
    })
    writes[0]!.done()
    await settled()
    expect(seen).to.deep.equal([])
    writes[1]!.done()
    await lane.idle()
    expect(seen).to.deep.equal([2])
  })

  it('ends with the error of a job that fails', async () => {
    const { lane, failures, writes } = laneWorld()
    lane.between(() => Promise.reject(new Error('cannot be folded anew')))
    await settled()
    expect(failures.map(({ code }) => code)).to.deep.equal(['LOG_DAMAGED'])
    lane.offer(logBuilder(world, 1).next())
    await settled()
    expect(writes).to.deep.equal([])
  })

  it('sees what is wanted while it is about to end', async () => {
    const own = [logBuilder(world, 0).next()]
    let kicked = false
    const lane = createCommitLane({
      store: { tails: new Map(), frame: () => Promise.resolve(undefined), commit: () => Promise.resolve() },
      fold: () => Promise.resolve(false),
      takeOwn: () => {
        if (kicked) return Promise.resolve(own.shift())
        kicked = true
        // Comes when this turn has looked already.
        return Promise.resolve().then(() => { lane.kick() }).then(() => undefined)
      },
      onDurable: () => {}, onFailed: (error) => { throw error },
    })
    lane.kick()
    await settled()
    expect(own).to.deep.equal([])
  })
})
