import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { halfBits, q8BlockBytes, q8BlockWeights, quantiseQ8, writeGguf } from '../../../../providers/demo-model/gguf.ts'
import { createRandom } from '../../../../providers/demo-model/random.ts'
import { trainVocabulary } from '../../../../providers/demo-model/tokenizer.ts'

const sizes = { vocabulary: 320, dim: 32, layers: 1, heads: 1, ffn: 32, context: 64 }
const weightCount = 320 * 32 + 32 + 4 * 32 * 32 + 32 + 3 * 32 * 32 + 32
const about = { name: 'test', description: 'test', licence: 'apache-2.0', author: 'test' }

function halfValue (bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const mantissa = bits & 0x3ff
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15))
}

describe('providers/demo-model/gguf', () => {
  it('rounds to half precision within half a step', () => {
    const random = createRandom(1)
    for (const [value, bits] of [[0, 0], [1, 0x3c00], [-2, 0xc000], [65504, 0x7bff], [2 ** -24, 1], [0.5, 0x3800]] as const) {
      expect(halfBits(value)).to.equal(bits)
    }
    for (let i = 0; i < 2000; i++) {
      const value = (random.next() - 0.5) * 10 ** (random.below(8) - 5)
      expect(Math.abs(halfValue(halfBits(value)) - value)).to.be.at.most(Math.max(Math.abs(value) * 2 ** -11, 2 ** -25))
    }
  })

  it('quantises each weight to within half a step of its block', () => {
    const random = createRandom(2)
    const weights = Float32Array.from({ length: 64 * q8BlockWeights }, () => (random.next() - 0.5) * 0.2)
    const bytes = quantiseQ8(weights)
    expect(bytes.length).to.equal(64 * q8BlockBytes)
    weights.forEach((weight, i) => {
      const at = Math.floor(i / q8BlockWeights) * q8BlockBytes
      const scale = halfValue(bytes.readUInt16LE(at))
      const restored = bytes.readInt8(at + 2 + i % q8BlockWeights) * scale
      // The scale itself is rounded to 11 bits, which adds up to 127 * scale * 2^-11.
      expect(Math.abs(restored - weight)).to.be.at.most(scale * (0.5 + 127 * 2 ** -11))
    })
  })

  it('quantises zeros to zeros and refuses a half-filled block', () => {
    expect(quantiseQ8(new Float32Array(q8BlockWeights)).every((byte) => byte === 0)).to.equal(true)
    expect(() => quantiseQ8(new Float32Array(q8BlockWeights + 1))).to.throw(RangeError)
  })

  it('writes a version 3 header, the counts, and tensor data on 32-byte borders', () => {
    const file = writeGguf(new Float32Array(weightCount).fill(0.5), sizes, trainVocabulary([['a hub', 1]], sizes.vocabulary), about)
    expect(file.subarray(0, 4).toString()).to.equal('GGUF')
    expect(file.readUInt32LE(4)).to.equal(3)
    expect(file.readBigUInt64LE(8)).to.equal(11n) // embedding, nine tensors of one layer, final norm
    expect(file.length % 32).to.equal(0)
  })

  it('refuses weights that do not fit the sizes', () => {
    const vocabulary = trainVocabulary([['a hub', 1]], sizes.vocabulary)
    expect(() => writeGguf(new Float32Array(weightCount - 1), sizes, vocabulary, about)).to.throw(RangeError)
    expect(() => writeGguf(new Float32Array(weightCount + 32), sizes, vocabulary, about)).to.throw(RangeError)
  })

  it('is what the committed model is: about one megabyte, named as a demo', () => {
    const file = readFileSync(new URL('../../../../providers/demo-model/triforce-demo.gguf', import.meta.url))
    expect(file.subarray(0, 4).toString()).to.equal('GGUF')
    expect(file.readUInt32LE(4)).to.equal(3)
    expect(file.length).to.be.within(800_000, 1_400_000)
    expect(file.includes('TriForce demo')).to.equal(true)
    expect(file.includes('<|im_start|>assistant')).to.equal(true)
  })
})
