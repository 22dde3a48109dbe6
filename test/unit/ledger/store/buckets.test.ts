import { expect } from 'chai'
import * as fc from 'fast-check'
import {
  frameKey, framePositionOf, listingKey, listingRange, listingRow, listingValue, positionOf, positionValue,
} from '../../../../ledger/store/buckets.ts'

const logArbitrary = fc.record({ hub: fc.nat(2), epoch: fc.nat(0xffff_ffff) })
const noArbitrary = fc.integer({ min: 1, max: 2 ** 48 - 1 })

describe('ledger/store/buckets', () => {
  it('reads positions back from frame keys and index values', () => {
    fc.assert(fc.property(logArbitrary, noArbitrary, fc.nat(999), (log, no, index) => {
      expect(framePositionOf(frameKey(log, no))).to.deep.equal({ log, no })
      expect(positionOf(positionValue({ log, no, index }))).to.deep.equal({ log, no, index })
    }))
    expect(positionOf(new Uint8Array(12))).to.equal(undefined)
  })

  it('orders frame keys and positions as logs and numbers are ordered', () => {
    fc.assert(fc.property(logArbitrary, noArbitrary, logArbitrary, noArbitrary, (log, no, otherLog, otherNo) => {
      const order = Math.sign(log.hub - otherLog.hub || log.epoch - otherLog.epoch || no - otherNo)
      expect(Math.sign(Buffer.compare(frameKey(log, no), frameKey(otherLog, otherNo)))).to.equal(order)
      expect(Math.sign(Buffer.compare(positionValue({ log, no, index: 0 }), positionValue({ log: otherLog, no: otherNo, index: 0 })))).to.equal(order)
    }))
  })

  it('reads listings back, and a range holds exactly the rows before its time', () => {
    const owners = [{ account: new Uint8Array(16).fill(3) }, { contributor: new Uint8Array(32).fill(3) }]
    fc.assert(fc.property(fc.constantFrom(...owners), fc.nat(2 ** 48 - 2), logArbitrary, noArbitrary, fc.array(fc.nat(999), { minLength: 1, maxLength: 9 }), fc.nat(2 ** 48 - 2),
      (owner, tsMs, log, no, indexes, before) => {
        const key = listingKey(owner, tsMs, log, no)
        expect(listingRow(owner, key, listingValue(indexes))).to.deep.equal({ tsMs, log, no, indexes })
        const { gte, lt } = listingRange(owner, before)
        expect(Buffer.compare(key, gte) >= 0 && Buffer.compare(key, lt) < 0).to.equal(tsMs < before)
        const all = listingRange(owner, undefined)
        expect(Buffer.compare(key, all.gte) >= 0 && Buffer.compare(key, all.lt) < 0).to.equal(true)
      }))
  })
})
