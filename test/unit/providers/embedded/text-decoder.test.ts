import { expect } from 'chai'
import * as fc from 'fast-check'
import { createTokenDecoder } from '../../../../providers/embedded/text-decoder.ts'

/** A tokenizer whose tokens are bytes: the worst case for characters. */
const detokenizeBytes = (tokens: readonly number[]): string => Buffer.from(tokens).toString('utf8')

describe('providers/embedded/text-decoder', () => {
  it('gives a character out when its last byte is there, and never a part of it', () => {
    const decoder = createTokenDecoder(detokenizeBytes)
    const pieces = [...Buffer.from('a\u{1F600}é')].map((byte) => decoder.push(byte))
    expect(pieces).to.deep.equal(['a', '', '', '', '\u{1F600}', '', 'é'])
    expect(decoder.rest()).to.equal('')
  })

  it('gives back any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const decoder = createTokenDecoder(detokenizeBytes)
      const pieces = [...Buffer.from(text)].map((byte) => decoder.push(byte))
      expect(pieces.join('') + decoder.rest()).to.equal(text)
    }))
  })

  it('holds no more than 8 tokens of what is no text', () => {
    const decoder = createTokenDecoder(detokenizeBytes)
    const pieces = Array.from({ length: 8 }, () => decoder.push(0xff))
    expect(pieces.slice(0, 7).join('')).to.equal('')
    expect(pieces[7]).to.equal('\uFFFD'.repeat(8))
  })

  it('tells the tokenizer what stood before', () => {
    const seen: number[][] = []
    const decoder = createTokenDecoder<number>((_tokens, before) => {
      seen.push([...before])
      return 'x'
    })
    for (const token of [1, 2, 3, 4, 5]) decoder.push(token)
    expect(seen).to.deep.equal([[], [1], [1, 2], [1, 2, 3], [2, 3, 4]])
  })
})
