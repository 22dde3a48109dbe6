import { expect } from 'chai'
import { createHostRecord } from '../../../../node/jobs/host-record.ts'
import { fakeClock } from '../../../support/fake-clock.ts'

/** How long a host stays out after its last failure. */
function coolDownMs(record: ReturnType<typeof createHostRecord>, clock: ReturnType<typeof fakeClock>): number {
  let ms = 0
  while (record.coolingDown('a')) {
    clock.advance(1)
    ms += 1
  }
  return ms
}

describe('node/jobs/host-record', () => {
  it('counts the jobs that run at a host', () => {
    const record = createHostRecord({ clock: fakeClock() })
    record.started('a')
    record.started('a')
    expect([record.load('a'), record.load('b')]).to.deep.equal([2, 0])
    record.ended('a', 'good')
    record.ended('a', 'good')
    record.ended('a', 'good')
    expect(record.load('a')).to.equal(0)
  })

  it('pauses a host that failed, twice as long each time, up to half a minute', () => {
    const clock = fakeClock()
    const record = createHostRecord({ clock })
    const pauses: number[] = []
    for (let n = 0; n < 8; n += 1) {
      record.ended('a', 'failed')
      pauses.push(coolDownMs(record, clock))
    }
    expect(pauses).to.deep.equal([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  })

  it('forgets failures with the first good answer', () => {
    const clock = fakeClock()
    const record = createHostRecord({ clock })
    record.ended('a', 'failed')
    record.ended('a', 'failed')
    record.ended('a', 'good')
    expect(record.coolingDown('a')).to.equal(false)
    record.ended('a', 'failed')
    expect(coolDownMs(record, clock)).to.equal(1_000)
  })

  it('does not let the pause of a host that is full grow, and learns nothing from a client that leaves', () => {
    const clock = fakeClock()
    const record = createHostRecord({ clock })
    for (let n = 0; n < 4; n += 1) {
      record.ended('a', 'busy')
      expect(coolDownMs(record, clock)).to.equal(1_000)
    }
    record.ended('a', 'none')
    expect(record.coolingDown('a')).to.equal(false)
    record.ended('a', 'failed')
    record.ended('a', 'none')
    expect(coolDownMs(record, clock)).to.equal(1_000)
  })

  it('blames none of several hosts that are lost at once, while nobody is heard', () => {
    const clock = fakeClock()
    const record = createHostRecord({ clock })
    record.ended('c', 'failed')
    record.ended('a', 'lost')
    expect(record.coolingDown('a')).to.equal(true)
    clock.advance(200)
    record.ended('b', 'silent')
    record.ended('c', 'lost')
    expect(['a', 'b', 'c'].map((peer) => record.coolingDown(peer))).to.deep.equal([false, false, true])
    clock.advance(1_000)
    record.ended('c', 'failed')
    // What `c` itself did before stays.
    clock.advance(1_999)
    expect(record.coolingDown('c')).to.equal(true)
  })

  it('blames each of several hosts that are lost at once, where another is heard meanwhile', () => {
    const clock = fakeClock()
    const record = createHostRecord({ clock })
    record.ended('a', 'lost')
    clock.advance(100)
    record.heard('d')
    clock.advance(100)
    record.ended('b', 'lost')
    expect(['a', 'b'].map((peer) => record.coolingDown(peer))).to.deep.equal([true, true])
  })

  it('takes a hub and its vendors for one node, whose loss is no loss of several', () => {
    const record = createHostRecord({ clock: fakeClock() })
    record.ended('a', 'lost')
    record.ended('a openai', 'lost')
    expect(record.coolingDown('a openai')).to.equal(true)
  })

  it('has a host that kept silent looked at, and counts silent ones as cooling down', () => {
    const silent = new Set<string>()
    const heard: string[] = []
    const record = createHostRecord({ clock: fakeClock(), liveness: { heard: (peer) => void heard.push(peer), doubt: (peer) => void silent.add(peer), silent: (peer) => silent.has(peer) } })
    expect(record.coolingDown('a')).to.equal(false)
    record.ended('a', 'silent')
    expect([...silent]).to.deep.equal(['a'])
    record.ended('b openai', 'good')
    expect([record.coolingDown('a'), record.coolingDown('b openai'), heard]).to.deep.equal([true, false, ['b']])
  })
})
