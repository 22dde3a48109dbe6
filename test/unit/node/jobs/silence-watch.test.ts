import { expect } from 'chai'
import { createSilenceWatch, inTime, OWN_LATE_MS } from '../../../../node/jobs/silence-watch.ts'
import type { Clock } from '../../../../protocol/ports.ts'
import { codeOf } from '../../../support/code-of.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'

/** A clock whose timers come `lateMs` after their time: a process that was frozen meanwhile. */
function lateClock(lateMs: () => number): { clock: Clock; advance(ms: number): void } {
  const inner = fakeClock()
  return { clock: { now: inner.now, monotonicMs: inner.monotonicMs, after: (ms, run) => inner.after(ms + lateMs(), run) }, advance: inner.advance }
}

describe('node/jobs/silence-watch', () => {
  function watched(clock: Clock) {
    const silent: number[] = []
    return { silent, watch: createSilenceWatch(clock, (waitMs) => void silent.push(waitMs)) }
  }

  it('tells of silence after the wait, not one millisecond earlier, and only while it listens', () => {
    const clock = fakeClock()
    const { silent, watch } = watched(clock)
    watch.listen(1_000)
    clock.advance(600)
    watch.heard()
    clock.advance(5_000)
    expect(silent).to.deep.equal([])
    watch.listen(1_000)
    clock.advance(500)
    watch.heard()
    watch.listen(1_000)
    clock.advance(999)
    expect(silent).to.deep.equal([])
    clock.advance(1)
    expect(silent).to.deep.equal([1_000])
  })

  it('takes a shorter wait than the one before at its word', () => {
    const clock = fakeClock()
    const { silent, watch } = watched(clock)
    watch.listen(5_000)
    watch.heard()
    watch.listen(1_000)
    clock.advance(1_000)
    expect(silent).to.deep.equal([1_000])
  })

  it('blames nobody for a deadline that this process noticed late: the other side gets the time again', () => {
    let lateMs = OWN_LATE_MS + 1
    const { clock, advance } = lateClock(() => lateMs)
    const { silent, watch } = watched(clock)
    watch.listen(1_000)
    lateMs = 0
    advance(1_000 + OWN_LATE_MS + 1)
    expect(silent).to.deep.equal([])
    advance(999)
    expect(silent).to.deep.equal([])
    advance(1)
    expect(silent).to.deep.equal([1_000])
  })

  it('says nothing after it was stopped', () => {
    const clock = fakeClock()
    const { silent, watch } = watched(clock)
    watch.listen(100)
    watch.stop()
    clock.advance(1_000)
    expect(silent).to.deep.equal([])
  })

  it('bounds a wait, and hands over what came too late', async () => {
    const clock = fakeClock()
    expect(await inTime(clock, 100, Promise.resolve('now'), () => {})).to.equal('now')
    const { promise, resolve } = Promise.withResolvers<string>()
    const late: string[] = []
    const code = codeOf(inTime(clock, 100, promise, (value) => void late.push(value)))
    clock.advance(100)
    expect(await code).to.equal('HOST_SILENT')
    resolve('late')
    await settled()
    expect(late).to.deep.equal(['late'])
  })
})
