/**
 * Vectors of an embedding on their way: from an engine into frames, and from frames into the answer. They are passed on as
 * the bytes that came, 32-bit floats in little-endian order, and read once at the end.
 */
import { TriforceError } from '../../protocol/errors.ts'
import { EMBEDDING_BYTES_MAX, VECTORS_BYTES_TARGET } from '../../protocol/limits.ts'
import type { JobTell } from '../../protocol/messages/job.ts'
import type { DetailedUsage } from '../../protocol/completion.ts'
import type { CompletionEvent, EmbeddingsAnswer, EmbedOptions } from '../gateway.ts'

export interface VectorsEvent {
  readonly type: 'vectors'
  readonly dimensions: number
  /** Whole vectors, one after the other. */
  readonly values: Uint8Array
}

/** What happens to a job: of a completion never `vectors`, of an embedding no piece of an answer. */
export type JobEvent = CompletionEvent | VectorsEvent

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT

/** Frames of about VECTORS_BYTES_TARGET. Throws ENGINE_FAILED where the engine gave what is no vector for each input. */
export function* vectorFrames(vectors: readonly Float32Array[], inputs: number): Generator<Extract<JobTell, { t: 'vectors' }>> {
  const dimensions = vectors[0]?.length ?? 0
  if (vectors.length !== inputs || dimensions === 0 || vectors.some(({ length }) => length !== dimensions)) {
    throw new TriforceError('ENGINE_FAILED', { vectors: vectors.length, inputs }, { detail: 'the engine did not give one vector for each input' })
  }
  if (inputs * dimensions * FLOAT_BYTES > EMBEDDING_BYTES_MAX) throw new TriforceError('BAD_REQUEST', {}, { detail: 'the vectors of all inputs together are too long; send fewer inputs at once' })
  const perFrame = Math.max(1, Math.floor(VECTORS_BYTES_TARGET / (dimensions * FLOAT_BYTES)))
  for (let start = 0; start < vectors.length; start += perFrame) {
    const part = vectors.slice(start, start + perFrame)
    const values = Buffer.alloc(part.length * dimensions * FLOAT_BYTES)
    let at = 0
    for (const vector of part) for (const value of vector) at = values.writeFloatLE(value, at)
    yield { t: 'vectors', dimensions, values: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) }
  }
}

/** Throws PROTOCOL_VIOLATION for what an honest host does not send; to be called for each frame of one job. */
export function createVectorCheck(): (frame: Pick<VectorsEvent, 'dimensions' | 'values'>) => void {
  let known: number | undefined
  let bytes = 0
  return ({ dimensions, values }) => {
    known ??= dimensions
    bytes += values.byteLength
    const isWhole = dimensions > 0 && values.byteLength > 0 && values.byteLength % (dimensions * FLOAT_BYTES) === 0
    if (!isWhole || dimensions !== known || bytes > EMBEDDING_BYTES_MAX) throw new TriforceError('PROTOCOL_VIOLATION', { field: 'vectors', dimensions, bytes })
  }
}

/** Throws what the job throws, and ENGINE_FAILED where it did not give one vector of numbers for each input. */
export async function collectEmbeddings(events: AsyncIterable<JobEvent>, inputs: number, { onPlaced }: Pick<EmbedOptions, 'onPlaced'> = {}): Promise<EmbeddingsAnswer> {
  const vectors: Float32Array[] = []
  let usage: DetailedUsage | undefined
  for await (const event of events) {
    if (event.type === 'placed') onPlaced?.(event)
    else if (event.type === 'vectors') {
      vectors.push(...readVectors(event))
      if (vectors.length > inputs) throw wrongCount(vectors.length, inputs)
    } else if (event.type === 'finish') {
      if (event.finish === 'cancelled' || event.finish === 'error') throw new TriforceError('ENGINE_FAILED')
      ;({ usage } = event)
    } else if (event.type === 'settled') {
      if (vectors.length !== inputs || usage === undefined) throw wrongCount(vectors.length, inputs)
      return { vectors, usage, served: event.served }
    }
  }
  throw new TriforceError('INTERNAL', { problem: 'the vectors came without their receipt' })
}

function* readVectors({ dimensions, values }: VectorsEvent): Generator<Float32Array> {
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength)
  for (let start = 0; start < values.byteLength; start += dimensions * FLOAT_BYTES) {
    const vector = new Float32Array(dimensions)
    for (let at = 0; at < dimensions; at += 1) {
      const value = view.getFloat32(start + at * FLOAT_BYTES, true)
      if (!Number.isFinite(value)) throw new TriforceError('ENGINE_FAILED', {}, { detail: 'the host sent a vector with what is no number' })
      vector[at] = value
    }
    yield vector
  }
}

function wrongCount(vectors: number, inputs: number): TriforceError {
  return new TriforceError('ENGINE_FAILED', { vectors, inputs }, { detail: 'the host did not send one vector for each input' })
}

