import { expect } from 'chai'
import * as fc from 'fast-check'
import { bytesEqual, concatBytes, fromHex, toHex } from '../../../protocol/bytes.ts'

describe('protocol/bytes', () => {
  it('writes and reads hexadecimal, also of a view into a larger buffer', () => {
    fc.assert(fc.property(fc.uint8Array(), fc.nat({ max: 5 }), (bytes, offset) => {
      const view = bytes.subarray(Math.min(offset, bytes.byteLength))
      expect(fromHex(toHex(view))).to.deep.equal(new Uint8Array(view))
    }))
  })

  it('refuses upper case, odd length and other characters', () => {
    for (const text of ['A0', 'a', 'abc', '0x00', ' 00', '00\n', 'gg']) expect(fromHex(text), JSON.stringify(text)).to.equal(undefined)
    expect(fromHex('')).to.deep.equal(new Uint8Array(0))
  })

  it('joins, and compares by content', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array(), { maxLength: 5 }), (parts) => {
      const joined = concatBytes(...parts)
      expect(Buffer.from(joined)).to.deep.equal(Buffer.concat(parts))
      expect(bytesEqual(joined, joined.slice())).to.equal(true)
      expect(bytesEqual(joined, concatBytes(joined, Uint8Array.of(0)))).to.equal(false)
    }))
    expect(bytesEqual(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).to.equal(false)
  })
})
