import { expect } from 'chai'
import type { CheckedFrame } from '../../../ledger/frame.ts'
import { createRecentFrames } from '../../../ledger/recent-frames.ts'

const log = { hub: 0, epoch: 1 }
const other = { hub: 1, epoch: 1 }
const frame = (of: typeof log, no: number, bytes = 100) => ({ log: of, header: { no }, bytes: new Uint8Array(bytes) }) as unknown as CheckedFrame
const numbers = (frames: readonly CheckedFrame[]) => frames.map(({ header }) => header.no)

describe('ledger/recent-frames', () => {
  it('gives frames of one log in order, up to the first that is missing', () => {
    const recent = createRecentFrames()
    recent.add([frame(log, 3), frame(other, 4), frame(log, 4)])
    recent.add([frame(log, 6)])
    expect(numbers(recent.range(log, 3, 9, 10_000))).to.deep.equal([3, 4])
    expect(numbers(recent.range(log, 4, 4, 10_000))).to.deep.equal([4])
    expect(numbers(recent.range(log, 2, 9, 10_000))).to.deep.equal([])
    expect(numbers(recent.range(other, 4, 9, 10_000))).to.deep.equal([4])
  })

  it('gives as many as fit, and one at least', () => {
    const recent = createRecentFrames()
    recent.add([1, 2, 3].map((no) => frame(log, no)))
    expect(numbers(recent.range(log, 1, 3, 250))).to.deep.equal([1, 2])
    expect(numbers(recent.range(log, 1, 3, 10))).to.deep.equal([1])
  })

  it('lets the oldest go where there are too many, and all where a log was cut', () => {
    const recent = createRecentFrames(250)
    recent.add([1, 2, 3].map((no) => frame(log, no)))
    expect(numbers(recent.range(log, 1, 3, 10_000))).to.deep.equal([])
    expect(numbers(recent.range(log, 2, 3, 10_000))).to.deep.equal([2, 3])
    recent.add([frame(log, 3)])
    expect(numbers(recent.range(log, 2, 3, 10_000))).to.deep.equal([2, 3])
    recent.clear()
    expect(numbers(recent.range(log, 2, 3, 10_000))).to.deep.equal([])
  })
})
