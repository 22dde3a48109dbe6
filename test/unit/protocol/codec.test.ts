import { expect } from 'chai'
import * as fc from 'fast-check'
import { z } from 'zod'
import { decode, encode } from '../../../protocol/codec.ts'
import type { TriforceError } from '../../../protocol/errors.ts'
import { codeOf } from '../../support/code-of.ts'

describe('protocol/codec', () => {
  it('gives equal bytes for equal values, whatever the order of the fields', () => {
    fc.assert(fc.property(fc.dictionary(fc.string({ maxLength: 8 }).filter((key) => key !== '__proto__'), fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.uint8Array())), (value) => {
      const turned = Object.fromEntries(Object.entries(value).reverse())
      expect(Buffer.from(encode(turned))).to.deep.equal(Buffer.from(encode(value)))
    }))
  })

  it('reads back what it wrote', () => {
    const schema = z.object({ text: z.string(), bytes: z.instanceof(Uint8Array), list: z.array(z.number()) })
    const value = fc.record({ text: fc.string({ unit: 'grapheme' }), bytes: fc.uint8Array(), list: fc.array(fc.integer()) })
    fc.assert(fc.property(value, (one) => {
      expect(decode(schema, encode(one))).to.deep.equal(one)
    }))
  })

  it('gives bytes of their own: a copy is a copy, whatever the size', () => {
    for (const size of [1, 50, 200, 300, 5_000, 100_000]) {
      const bytes = encode({ data: new Uint8Array(size) })
      const copy = bytes.slice()
      copy[0]! ^= 1
      expect(copy[0], `size ${size}`).to.not.equal(bytes[0])
      expect(bytes.buffer.byteLength, `size ${size}`).to.equal(bytes.byteLength)
    }
  })

  it('refuses what is no DAG-CBOR, and never throws anything but FRAME_MALFORMED', async () => {
    const deep = new Uint8Array(1_000_000).fill(0x81)
    for (const bytes of [new Uint8Array(0), Uint8Array.of(0xff), Uint8Array.of(0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), Uint8Array.of(0xc0, 0x00), deep]) {
      expect(await codeOf(() => decode(z.unknown(), bytes))).to.equal('FRAME_MALFORMED')
    }
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
      expect(['none', 'FRAME_MALFORMED']).to.include(await codeOf(() => decode(z.object({ t: z.string() }), bytes)))
    }))
  })

  it('names the field that does not fit, and not its content', () => {
    try {
      decode(z.object({ inner: z.object({ count: z.number() }) }), encode({ inner: { count: 'secret' } }))
      expect.fail('it fits')
    } catch (error) {
      expect((error as TriforceError).context['field']).to.equal('inner.count')
      expect(JSON.stringify([(error as TriforceError).context, (error as Error).message])).to.not.contain('secret')
    }
  })
})
