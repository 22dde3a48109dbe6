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
    record.ended('a', true)
    record.ended('a', true)
    record.ended('a', true)
    expect(record.load('a')).to.equal(0)
  })

  it('pauses a host that failed, twice as long each time, up to half a minute', () => {
    const clock = fakeClock()
    const record = createHostRecord({ clock })
    const pauses: number[] = []
    for (let n = 0; n < 8; n += 1) {
      record.ended('a', false)
      pauses.push(coolDownMs(record, clock))
    }
    expect(pauses).to.deep.equal([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  })

  it('forgets failures with the first good answer', () => {
    const clock = fakeClock()
    const record = createHostRecord({ clock })
    record.ended('a', false)
    record.ended('a', false)
    record.ended('a', true)
    expect(record.coolingDown('a')).to.equal(false)
    record.ended('a', false)
    expect(coolDownMs(record, clock)).to.equal(1_000)
  })
})
