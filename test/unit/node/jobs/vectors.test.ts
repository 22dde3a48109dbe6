import { expect } from 'chai'
import * as fc from 'fast-check'
import type { CompletionEvent } from '../../../../node/gateway.ts'
import { collectEmbeddings, createVectorCheck, vectorFrames, type JobEvent } from '../../../../node/jobs/vectors.ts'
import { EMBEDDING_BYTES_MAX, FRAME_BYTES_MAX, VECTORS_BYTES_TARGET } from '../../../../protocol/limits.ts'
import { testServed } from '../../../support/bridge-gateway.ts'
import { codeOf } from '../../../support/code-of.ts'
import { SEED } from '../../../support/seed.ts'

const finish: CompletionEvent = { type: 'finish', finish: 'stop', usage: { promptTokens: 4, completionTokens: 0 } }
const settled: CompletionEvent = { type: 'settled', served: testServed }

async function* jobOf(vectors: readonly Float32Array[], ...rest: readonly JobEvent[]): AsyncIterable<JobEvent> {
  for (const frame of vectorFrames(vectors, vectors.length)) yield { type: 'vectors', dimensions: frame.dimensions, values: frame.values }
  yield* rest
}

describe('node/jobs/vectors', () => {
  it('gives back every vector bit by bit, however many frames they took', async () => {
    const seed = SEED
    console.log(`      seed ${seed}`)
    const float = fc.float({ noNaN: true, noDefaultInfinity: true })
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 8 }).chain((dimensions) => fc.array(fc.array(float, { minLength: dimensions, maxLength: dimensions }), { minLength: 1, maxLength: 20 })), async (rows) => {
      const vectors = rows.map((row) => Float32Array.from(row))
      const answer = await collectEmbeddings(jobOf(vectors, finish, settled), vectors.length)
      expect(answer).to.deep.equal({ vectors, usage: { promptTokens: 4, completionTokens: 0 }, served: testServed })
    }), { seed, numRuns: 100 })
  })

  it('keeps frames near the target: several short vectors in one, a long one alone', () => {
    const sizes = (dimensions: number, count: number) => [...vectorFrames(Array.from({ length: count }, () => new Float32Array(dimensions).fill(1)), count)].map(({ values }) => values.byteLength)
    expect(sizes(1_024, 40)).to.deep.equal([VECTORS_BYTES_TARGET, VECTORS_BYTES_TARGET, 8 * 4_096])
    expect(sizes(65_536, 2)).to.deep.equal([262_144, 262_144])
    expect(Math.max(VECTORS_BYTES_TARGET, 65_536 * 4)).to.be.below(FRAME_BYTES_MAX)
  })

  it('takes from an engine one vector for each input, of one length, and no more than the bound', async () => {
    const one = Float32Array.of(1, 2)
    for (const vectors of [[], [one], [one, one, one], [one, Float32Array.of(1)], [new Float32Array(0), new Float32Array(0)]]) {
      expect(await codeOf(() => [...vectorFrames(vectors, 2)])).to.equal('ENGINE_FAILED')
    }
    const long = new Float32Array(65_536)
    const most = EMBEDDING_BYTES_MAX / 262_144
    expect(await codeOf(() => vectorFrames(Array.from({ length: most + 1 }, () => long), most + 1).next())).to.equal('BAD_REQUEST')
    expect(vectorFrames(Array.from({ length: most }, () => long), most).next().done).to.equal(false)
  })

  it('breaks with a host that sends half a vector, another length, nothing, or too much', async () => {
    const bytes = (length: number) => new Uint8Array(length)
    const cases: readonly (readonly { dimensions: number; values: Uint8Array }[])[] = [
      [{ dimensions: 2, values: bytes(12) }], [{ dimensions: 0, values: bytes(8) }], [{ dimensions: 2, values: bytes(0) }],
      [{ dimensions: 2, values: bytes(8) }, { dimensions: 1, values: bytes(8) }],
      [{ dimensions: 1, values: bytes(EMBEDDING_BYTES_MAX) }, { dimensions: 1, values: bytes(4) }],
    ]
    for (const frames of cases) {
      const check = createVectorCheck()
      for (const frame of frames.slice(0, -1)) check(frame)
      expect(await codeOf(() => check(frames.at(-1)!))).to.equal('PROTOCOL_VIOLATION')
    }
  })

  it('tells too few, too many, what is no number, and an end that is none', async () => {
    const one = Float32Array.of(1, 2)
    expect(await codeOf(collectEmbeddings(jobOf([one], finish, settled), 2))).to.equal('ENGINE_FAILED')
    expect(await codeOf(collectEmbeddings(jobOf([one, one], finish, settled), 1))).to.equal('ENGINE_FAILED')
    expect(await codeOf(collectEmbeddings(jobOf([Float32Array.of(1, Number.NaN)], finish, settled), 1))).to.equal('ENGINE_FAILED')
    expect(await codeOf(collectEmbeddings(jobOf([one], { ...finish, finish: 'error' }, settled), 1))).to.equal('ENGINE_FAILED')
    expect(await codeOf(collectEmbeddings(jobOf([one], settled), 1))).to.equal('ENGINE_FAILED')
    expect(await codeOf(collectEmbeddings(jobOf([one], finish), 1))).to.equal('INTERNAL')
  })
})
