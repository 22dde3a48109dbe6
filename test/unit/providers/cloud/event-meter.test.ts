import { expect } from 'chai'
import * as fc from 'fast-check'
import { createEventMeter } from '../../../../providers/cloud/event-meter.ts'

describe('providers/cloud/event-meter', () => {
  for (const end of ['\n\n', '\r\n\r\n', '\r\r']) {
    it(`counts from the last end of an event, ${JSON.stringify(end)}, however the bytes are cut`, () => {
      const text = `data: one${end}data: two${end}data: th`
      fc.assert(fc.property(fc.array(fc.nat(text.length), { maxLength: 12 }), (cuts) => {
        const meter = createEventMeter()
        let open = 0
        let at = 0
        for (const cut of [...cuts.sort((a, b) => a - b), text.length]) {
          if (cut === at) continue
          open = meter.add(Buffer.from(text.slice(at, cut)))
          at = cut
        }
        return open === 'data: th'.length
      }))
    })
  }

  it('grows with an event that does not end', () => {
    const meter = createEventMeter()
    for (let round = 1; round <= 5; round++) expect(meter.add(Buffer.alloc(1_000, 'x'))).to.equal(round * 1_000)
  })

  it('takes one empty byte string for nothing', () => {
    const meter = createEventMeter()
    meter.add(Buffer.from('abc\n'))
    expect(meter.add(Buffer.alloc(0))).to.equal(4)
    expect(meter.add(Buffer.from('\nde'))).to.equal(2)
  })
})
