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
  const writes: { frames: readonly CheckedFrame[]; done: (error?: Error) => void }[] = []
  const durable: CheckedFrame[] = []
  const own: CheckedFrame[] = []
  const failures: TriforceError[] = []
  const lane = createCommitLane({
    store: {
      tails, frame: () => Promise.resolve(undefined),
      commit: (frames) => new Promise((resolve, reject) => {
        writes.push({ frames, done: (error) => {
          for (const { tail } of error === undefined ? frames : []) tails.set(logName(tail.log), tail)
          if (error === undefined) resolve()
          else reject(error)
        } })
      }),
    },
    fold: () => Promise.resolve(false), takeOwn: () => Promise.resolve(own.shift()), onDurable: (frames) => durable.push(...frames), onFailed: (error) => failures.push(error),
  }, waitingBytesMax === undefined ? {} : { waitingBytesMax })
  return { lane, writes, durable, own, failures }
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
})
