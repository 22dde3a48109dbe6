/**
 * Reads what a node must know of a GGUF file before it offers the model: the header only, in bounded steps.
 * A file that is not GGUF, is cut short or lies about its sizes is refused with words that name the fault.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 2 and 3, little endian).
 */
import { open, type FileHandle } from 'node:fs/promises'

export interface GgufSummary {
  readonly name: string
  readonly architecture: string
  /** Context the model was trained on. */
  readonly contextTokens: number
  readonly parameters: number
  /** Such as `Q4_K_M`; empty where the file does not tell. */
  readonly quantization: string
  /** Files the model is split into. */
  readonly parts: number
  /** True where the model gives vectors and no text. */
  readonly embedding: boolean
}

export class GgufError extends Error {}

// The largest known headers (vocabularies of 260,000 tokens with merges) have about 12 MB.
const HEADER_BYTES_MAX = 128 * 1024 * 1024
const KEYS_MAX = 65_536
const TENSORS_MAX = 65_536
const STRING_KEPT_MAX = 256
const CHUNK_BYTES = 1024 * 1024

// general.file_type of llama.cpp.
const fileTypes: Readonly<Record<number, string>> = {
  0: 'F32', 1: 'F16', 2: 'Q4_0', 3: 'Q4_1', 7: 'Q8_0', 8: 'Q5_0', 9: 'Q5_1', 10: 'Q2_K', 11: 'Q3_K_S', 12: 'Q3_K_M', 13: 'Q3_K_L',
  14: 'Q4_K_S', 15: 'Q4_K_M', 16: 'Q5_K_S', 17: 'Q5_K_M', 18: 'Q6_K', 19: 'IQ2_XXS', 20: 'IQ2_XS', 21: 'Q2_K_S', 22: 'IQ3_XS',
  23: 'IQ3_XXS', 24: 'IQ1_S', 25: 'IQ4_NL', 26: 'IQ3_S', 27: 'IQ3_M', 28: 'IQ2_S', 29: 'IQ2_M', 30: 'IQ4_XS', 31: 'IQ1_M', 32: 'BF16',
  36: 'TQ1_0', 37: 'TQ2_0', 38: 'MXFP4', 39: 'NVFP4', 40: 'Q1_0', 41: 'Q2_0',
}

/** Bytes of a block and values in it, by ggml type; a type that is not here is not checked for length. */
const tensorTypes: Readonly<Record<number, readonly [bytes: number, values: number]>> = {
  0: [4, 1], 1: [2, 1], 2: [18, 32], 3: [20, 32], 6: [22, 32], 7: [24, 32], 8: [34, 32], 10: [84, 256], 11: [110, 256],
  12: [144, 256], 13: [176, 256], 14: [210, 256], 30: [2, 1],
}

const scalarBytes: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }
const TYPE_STRING = 8
const TYPE_ARRAY = 9
const ARRAY_DEPTH_MAX = 4

const embeddingArchitectures = new Set(['bert', 'modern-bert', 'nomic-bert', 'nomic-bert-moe', 'neo-bert', 'jina-bert-v2', 'jina-bert-v3', 'eurobert', 'gemma-embedding', 't5encoder'])

type Scalar = number | string | boolean

export async function readGguf(path: string): Promise<GgufSummary> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    return await readHeader(createReader(file, size), size)
  } finally {
    await file.close()
  }
}

async function readHeader(reader: Reader, fileBytes: number): Promise<GgufSummary> {
  if (fileBytes < 24 || (await reader.take(4)).toString('latin1') !== 'GGUF') throw new GgufError('it is not a GGUF file')
  const version = await reader.u32()
  if (version !== 2 && version !== 3) throw new GgufError(`its GGUF version ${version} is not known`)
  const tensorCount = await reader.count(TENSORS_MAX, 'tensors')
  const keyCount = await reader.count(KEYS_MAX, 'keys')

  const keys = new Map<string, Scalar>()
  for (let i = 0; i < keyCount; i++) {
    const key = await reader.text()
    const value = await readValue(reader, await reader.u32(), 0)
    if (value !== undefined) keys.set(key, value)
  }

  let parameters = 0
  let dataBytes = 0
  for (let i = 0; i < tensorCount; i++) {
    await reader.text()
    const dimensions = await reader.u32()
    if (dimensions > 8) throw new GgufError('a tensor has too many dimensions')
    let values = 1
    for (let d = 0; d < dimensions; d++) values *= await reader.u64()
    const block = tensorTypes[await reader.u32()]
    const offset = await reader.u64()
    parameters += values
    if (block !== undefined) dataBytes = Math.max(dataBytes, offset + Math.ceil(values / block[1]) * block[0])
  }
  if (!Number.isSafeInteger(parameters)) throw new GgufError('its tensor sizes make no sense')
  const alignment = numberOf(keys, 'general.alignment') || 32
  const dataStart = Math.ceil(reader.position / alignment) * alignment
  if (dataStart + dataBytes > fileBytes) throw new GgufError(`it is cut short: ${fileBytes} of ${dataStart + dataBytes} bytes are there`)

  const architecture = textOf(keys, 'general.architecture')
  if (architecture === '') throw new GgufError('it does not say its architecture')
  const contextTokens = numberOf(keys, `${architecture}.context_length`)
  if (contextTokens === 0) throw new GgufError('it does not say how much context the model reads')
  return {
    name: textOf(keys, 'general.name'),
    architecture,
    contextTokens,
    parameters,
    quantization: fileTypes[numberOf(keys, 'general.file_type', -1)] ?? '',
    parts: numberOf(keys, 'split.count') || 1,
    embedding: embeddingArchitectures.has(architecture) || keys.has(`${architecture}.pooling_type`),
  }
}

function numberOf(keys: ReadonlyMap<string, Scalar>, key: string, missing = 0): number {
  const value = keys.get(key)
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : missing
}

function textOf(keys: ReadonlyMap<string, Scalar>, key: string): string {
  const value = keys.get(key)
  return typeof value === 'string' ? value : ''
}

/** A scalar value; arrays are skipped and give nothing. */
async function readValue(reader: Reader, type: number, depth: number): Promise<Scalar | undefined> {
  if (type === TYPE_STRING) return await reader.text()
  if (type === TYPE_ARRAY) {
    if (depth >= ARRAY_DEPTH_MAX) throw new GgufError('its arrays are nested too deep')
    const itemType = await reader.u32()
    const length = await reader.u64()
    const itemBytes = scalarBytes[itemType]
    if (itemBytes !== undefined) await reader.skip(length * itemBytes)
    else for (let i = 0; i < length; i++) await readValue(reader, itemType, depth + 1)
    return undefined
  }
  const bytes = scalarBytes[type]
  if (bytes === undefined) throw new GgufError(`a value has the unknown type ${type}`)
  const data = await reader.take(bytes)
  switch (type) {
    case 0: return data.readUInt8()
    case 1: return data.readInt8()
    case 2: return data.readUInt16LE()
    case 3: return data.readInt16LE()
    case 4: return data.readUInt32LE()
    case 5: return data.readInt32LE()
    case 6: return data.readFloatLE()
    case 7: return data.readUInt8() !== 0
    case 10: return Number(data.readBigUInt64LE())
    case 11: return Number(data.readBigInt64LE())
    default: return data.readDoubleLE()
  }
}

interface Reader {
  readonly position: number
  take(bytes: number): Promise<Buffer>
  skip(bytes: number): Promise<void>
  u32(): Promise<number>
  u64(): Promise<number>
  count(max: number, what: string): Promise<number>
  /** A string; of a longer one only the beginning is kept. */
  text(): Promise<string>
}

function createReader(file: FileHandle, fileBytes: number): Reader {
  let chunk = Buffer.alloc(0)
  let chunkStart = 0
  let position = 0

  const reader: Reader = {
    get position() { return position },
    async take(bytes) {
      move(bytes)
      const from = position - bytes - chunkStart
      if (from >= 0 && from + bytes <= chunk.length) return chunk.subarray(from, from + bytes)
      chunkStart = position - bytes
      const next = Buffer.alloc(Math.min(Math.max(bytes, CHUNK_BYTES), fileBytes - chunkStart))
      const { bytesRead } = await file.read(next, 0, next.length, chunkStart)
      if (bytesRead < bytes) throw new GgufError('it is cut short')
      chunk = next.subarray(0, bytesRead)
      return chunk.subarray(0, bytes)
    },
    async skip(bytes) { move(bytes) },
    async u32() { return (await reader.take(4)).readUInt32LE() },
    async u64() {
      const value = Number((await reader.take(8)).readBigUInt64LE())
      if (!Number.isSafeInteger(value)) throw new GgufError('a size in it makes no sense')
      return value
    },
    async count(max, what) {
      const value = await reader.u64()
      if (value > max) throw new GgufError(`it claims ${value} ${what}`)
      return value
    },
    async text() {
      const bytes = await reader.u64()
      const kept = await reader.take(Math.min(bytes, STRING_KEPT_MAX))
      const text = kept.toString('utf8')
      await reader.skip(bytes - kept.length)
      return text
    },
  }
  return reader

  function move(bytes: number): void {
    position += bytes
    if (position > fileBytes) throw new GgufError('it is cut short')
    if (position > HEADER_BYTES_MAX) throw new GgufError(`its header is longer than ${HEADER_BYTES_MAX} bytes`)
  }
}
