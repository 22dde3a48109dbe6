import { expect } from 'chai'
import { createHandoff } from '../../../../node/jobs/handoff.ts'
import { beatOf, startPulse, waitingOf } from '../../../../node/jobs/waiting.ts'
import type { CompletionEvent } from '../../../../node/gateway.ts'
import { JOB_BEAT_MS } from '../../../../protocol/limits.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'

describe('node/jobs/waiting', () => {
  it('turns thousandths of a loaded model into parts and back, and leaves places alone', () => {
    expect(waitingOf({ t: 'beat', state: 'loading', at: 250 })).to.deep.equal({ type: 'waiting', state: 'loading', at: 0.25 })
    expect(beatOf({ type: 'waiting', state: 'loading', at: 0.25 })).to.deep.equal({ t: 'beat', state: 'loading', at: 250 })
    expect(waitingOf({ t: 'beat', state: 'queued', at: 3 })).to.deep.equal({ type: 'waiting', state: 'queued', at: 3 })
    expect(beatOf({ type: 'waiting', state: 'queued', at: 3 })).to.deep.equal({ t: 'beat', state: 'queued', at: 3 })
    expect(waitingOf({ t: 'beat', state: 'running' })).to.deep.equal({ type: 'waiting', state: 'running' })
    expect(beatOf({ type: 'waiting', state: 'placing' })).to.deep.equal({ t: 'beat', state: 'queued' })
  })

  it('repeats the last news every JOB_BEAT_MS to a reader that waits, until it is stopped', async () => {
    const clock = fakeClock()
    const handoff = createHandoff<CompletionEvent>()
    const seen: string[] = []
    const reading = (async () => {
      for await (const event of handoff.events) if (event.type === 'waiting') seen.push(event.state)
    })()
    const pulse = startPulse(clock, handoff)
    for (const ms of [JOB_BEAT_MS - 1, 1]) {
      clock.advance(ms)
      await settled()
    }
    expect(seen).to.deep.equal(['placing'])
    pulse.say({ type: 'waiting', state: 'running' })
    await settled()
    clock.advance(JOB_BEAT_MS)
    await settled()
    expect(seen).to.deep.equal(['placing', 'running', 'running'])
    pulse.stop()
    clock.advance(10 * JOB_BEAT_MS)
    handoff.close()
    await reading
    expect(seen).to.have.length(3)
  })
})
