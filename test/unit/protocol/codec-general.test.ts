import * as dagCbor from '@ipld/dag-cbor'
import { expect } from 'chai'
import * as fc from 'fast-check'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readCbor } from '../../../protocol/cbor-reader.ts'
import { writeCbor } from '../../../protocol/cbor-writer.ts'
import { decodeUnchecked, encode } from '../../../protocol/codec.ts'

/** Numbers around every change of width. */
const edges = fc.constantFrom(
  0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 63, -0, -1, -24, -25, -256, -257, -65_537, -(2 ** 32), -(2 ** 32) - 1, -(2 ** 53),
  0n, 23n, 24n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 64n - 1n, -1n, -(2n ** 53n), -(2n ** 64n),
)
const texts = fc.oneof(
  fc.string(), fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), fc.string({ minLength: 40, maxLength: 60 }), fc.string({ minLength: 230, maxLength: 270 }),
  fc.constantFrom('\ufeffmark', '\ud800', 'ä'.repeat(30)),
)
const bytes = fc.oneof(
  fc.uint8Array(), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.uint8Array({ minLength: 230, maxLength: 270 }),
  fc.uint8Array().map((array) => Buffer.from(array)),
)
const names = fc.oneof(
  fc.string({ maxLength: 4 }), fc.string({ unit: 'grapheme', maxLength: 3 }), fc.constantFrom('k', 'eid', 'account', 'hub', 'constructor', 'toString', '/', 'asCID', '', 'a'.repeat(23), 'a'.repeat(24)),
).filter((key) => key !== '__proto__')

const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true }, fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.double(), edges, fc.bigInt(-(2n ** 64n), 2n ** 64n - 1n), texts, bytes, fc.boolean(), fc.constant(null)),
    fc.array(tie('value'), { maxLength: 30, size: 'small' }), fc.dictionary(names, tie('value'), { maxKeys: 30, size: 'small' }),
  ),
}))

type Outcome = { readonly value: unknown } | 'refused'

function outcome(run: () => unknown): Outcome {
  try {
    return { value: run() }
  } catch {
    return 'refused'
  }
}

/** All files of the vectors, and every byte string in them that they write as hexadecimal. */
function vectorBytes(): Uint8Array[] {
  const dir = join(import.meta.dirname, '..', '..', '..', 'docs', 'vectors')
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'))
  return files.flatMap((name) => [...readFileSync(join(dir, name), 'utf8').matchAll(/"((?:[0-9a-f]{2}){8,})"/g)].map(([, hex]) => new Uint8Array(Buffer.from(hex!, 'hex'))))
}

describe('protocol/codec beside @ipld/dag-cbor', function () {
  this.timeout(60_000)

  it('gives the same bytes, and refuses the same values', () => {
    fc.assert(fc.property(value, (one) => {
      expect(outcome(() => Buffer.from(encode(one)))).to.deep.equal(outcome(() => Buffer.from(dagCbor.encode(one))))
    }), { numRuns: 300 })
    const circle: Record<string, unknown> = {}
    circle['circle'] = circle
    for (const long of ['x'.repeat(70_000), new Uint8Array(70_000).fill(7), Array.from({ length: 300 }, (_, index) => index)]) {
      expect(Buffer.from(encode(long)).equals(Buffer.from(dagCbor.encode(long)))).to.equal(true)
    }
    for (const odd of [undefined, { of: undefined }, Number.NaN, Infinity, () => 1, new Map([['a', 1]]), new Date(0), new Float32Array(2), Symbol('a'), circle, [undefined], 2n ** 64n, -(2n ** 64n) - 1n]) {
      expect(outcome(() => Buffer.from(encode(odd)))).to.deep.equal(outcome(() => Buffer.from(dagCbor.encode(odd))))
    }
  })

  it('reads the same values', () => {
    fc.assert(fc.property(value, (one) => {
      const written = outcome(() => dagCbor.encode(one))
      if (written === 'refused') return
      const read = written.value as Uint8Array
      const wanted = dagCbor.decode(read)
      expect(decodeUnchecked(read)).to.deep.equal(wanted)
      expect(decodeUnchecked(Buffer.from(read))).to.deep.equal(wanted)
    }), { numRuns: 300 })
  })

  it('agrees on bytes with one changed, cut off or put in', () => {
    const change = fc.record({ at: fc.nat(), byte: fc.nat(255), how: fc.constantFrom('change', 'cut', 'insert') })
    fc.assert(fc.property(fc.oneof(value, fc.constantFrom<unknown>(...vectorBytes().flatMap((one) => {
      const read = outcome(() => dagCbor.decode(one))
      return read === 'refused' ? [] : [read.value]
    }))), fc.array(change, { minLength: 1, maxLength: 3 }), (one, changes) => {
      const written = outcome(() => dagCbor.encode(one))
      if (written === 'refused') return
      let mutated = Buffer.from(written.value as Uint8Array)
      for (const { at, byte, how } of changes) {
        const place = at % (mutated.length + 1)
        if (how === 'cut') mutated = mutated.subarray(0, place)
        else mutated = Buffer.concat([mutated.subarray(0, place), Buffer.of(byte), mutated.subarray(how === 'insert' ? place : place + 1)])
      }
      expect(outcome(() => decodeUnchecked(mutated))).to.deep.equal(outcome(() => dagCbor.decode(mutated)))
    }), { numRuns: 400 })
  })

  it('agrees on bytes that are no message at all', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (one) => {
      expect(outcome(() => decodeUnchecked(one))).to.deep.equal(outcome(() => dagCbor.decode(one)))
    }), { numRuns: 500 })
  })

  it('reads and writes every test vector itself, byte for byte', () => {
    let seen = 0
    for (const one of vectorBytes()) {
      const read = outcome(() => dagCbor.decode(one))
      if (read === 'refused' || typeof read.value !== 'object') continue
      seen += 1
      expect(readCbor(one)).to.deep.equal(read.value)
      expect(Buffer.from(writeCbor(read.value)!)).to.deep.equal(Buffer.from(dagCbor.encode(read.value)))
    }
    expect(seen).to.be.greaterThan(50)
  })

  it('gives values of their own: nothing that was read changes with the bytes', () => {
    const written = encode({ id: new Uint8Array(16).fill(1), text: 'as it was', list: [new Uint8Array(300).fill(2)] })
    const read = decodeUnchecked(written)
    const before = structuredClone(read)
    written.fill(0)
    expect(read).to.deep.equal(before)
  })

  it('sorts many fields without taking forever', () => {
    const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`key${(index * 7_919) % 20_000}`, index]))
    expect(Buffer.from(encode(many)).equals(Buffer.from(dagCbor.encode(many)))).to.equal(true)
  })
})
