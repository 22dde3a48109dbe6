import { expect } from 'chai'
import * as fc from 'fast-check'
import { createFrameSplitter, prefixBytes, writeFrame } from '../../../../node/net/frame-splitter.ts'
import { codeOf } from '../../../support/code-of.ts'

function joined(frames: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + prefixBytes(frame.byteLength) + frame.byteLength, 0))
  let offset = 0
  for (const frame of frames) offset = writeFrame(bytes, offset, frame)
  expect(offset).to.equal(bytes.byteLength)
  return bytes
}

describe('node/net/frame-splitter', () => {
  it('gives the same frames however the bytes are cut', () => {
    const frames = fc.array(fc.oneof({ weight: 6, arbitrary: fc.uint8Array({ maxLength: 200 }) }, { weight: 1, arbitrary: fc.uint8Array({ minLength: 16_380, maxLength: 16_390, size: 'max' }) }), { maxLength: 8 })
    fc.assert(fc.property(frames, fc.array(fc.nat({ max: 40_000 }), { maxLength: 30 }), (sent, cuts) => {
      const bytes = joined(sent)
      const splitter = createFrameSplitter(100_000)
      const seen: Uint8Array[] = []
      const ends = [...cuts.map((cut) => cut % (bytes.byteLength + 1)), bytes.byteLength].sort((a, b) => a - b)
      let start = 0
      for (const end of ends) {
        splitter.push(bytes.slice(start, end), (frame) => seen.push(frame.slice()))
        start = end
      }
      expect(seen).to.deep.equal(sent)
      expect(splitter.partialBytes).to.equal(0)
    }), { numRuns: 200 })
  })

  it('gives the same frames one byte at a time', () => {
    const sent = [new Uint8Array(0), Uint8Array.of(7), new Uint8Array(127).fill(1), new Uint8Array(128).fill(2), new Uint8Array(300).fill(3)]
    const splitter = createFrameSplitter(1_000)
    const seen: Uint8Array[] = []
    for (const byte of joined(sent)) splitter.push(Uint8Array.of(byte), (frame) => seen.push(frame.slice()))
    expect(seen).to.deep.equal(sent)
  })

  it('takes a frame at the limit and refuses the length of one byte more before the frame is there', async () => {
    const seen: number[] = []
    createFrameSplitter(300).push(joined([new Uint8Array(300)]), (frame) => seen.push(frame.byteLength))
    expect(seen).to.deep.equal([300])
    const prefix = joined([new Uint8Array(301)]).slice(0, 2)
    expect(await codeOf(() => createFrameSplitter(300).push(prefix, () => {}))).to.equal('FRAME_TOO_LARGE')
  })

  it('refuses a length prefix of more than four bytes', async () => {
    expect(await codeOf(() => createFrameSplitter(300).push(Uint8Array.of(0x80, 0x80, 0x80, 0x80), () => {}))).to.equal('FRAME_MALFORMED')
    // Three continued bytes may still become a length.
    expect(await codeOf(() => createFrameSplitter(300).push(Uint8Array.of(0x80, 0x80, 0x80), () => {}))).to.equal('none')
  })

  it('counts the bytes of a frame that is not complete', () => {
    const splitter = createFrameSplitter(1_000)
    splitter.push(joined([new Uint8Array(500)]).slice(0, 100), () => expect.fail('no frame is complete'))
    expect(splitter.partialBytes).to.equal(100)
  })
})
