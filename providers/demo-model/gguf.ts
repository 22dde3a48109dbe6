/**
 * GGUF writer: puts weights, tokenizer and chat template into one model file for llama.cpp.
 *
 * Takes:  float32 weights in the order of train.cpp's layout(), sizes, a vocabulary.
 * Gives:  the bytes of a GGUF v3 file; matrices as Q8_0, norms as F32.
 * Format: header, key-value pairs, tensor infos, padding to 32 bytes, tensor data (each tensor padded too).
 */
import { specialTexts, specialTokens } from './tokenizer.ts'
import type { Vocabulary } from './tokenizer.ts'

const ggufVersion = 3
const alignment = 32
const valueType = Object.freeze({ uint32: 4, int32: 5, float32: 6, boolean: 7, string: 8, array: 9 })
const tensorType = Object.freeze({ f32: 0, q8: 8 })
/** `general.file_type` of a mostly-Q8_0 file. */
const fileTypeQ8 = 7
const tokenType = Object.freeze({ normal: 1, control: 3, unused: 5 })
const normEpsilon = 1e-5
const ropeBase = 10_000

/** Q8_0: 32 weights share one half-precision scale. */
export const q8BlockWeights = 32
export const q8BlockBytes = 2 + q8BlockWeights

export const chatTemplate = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

export interface ModelSizes {
  readonly vocabulary: number
  readonly dim: number
  readonly layers: number
  readonly heads: number
  readonly ffn: number
  readonly context: number
}

export interface ModelText { readonly name: string, readonly description: string, readonly licence: string, readonly author: string }

type Value =
  | { readonly type: 'string', readonly value: string }
  | { readonly type: 'uint32' | 'float32', readonly value: number }
  | { readonly type: 'boolean', readonly value: boolean }
  | { readonly type: 'strings', readonly value: readonly string[] }
  | { readonly type: 'int32s', readonly value: readonly number[] }

interface TensorInfo { readonly name: string, readonly shape: readonly number[], readonly type: number, readonly data: Buffer }

/** Rounds a float to the nearest half-precision number and gives its 16 bits. */
export function halfBits (value: number): number {
  const float = new Float32Array([value])
  const bits = new Uint32Array(float.buffer)[0] ?? 0
  const sign = (bits >>> 16) & 0x8000
  const exponent = ((bits >>> 23) & 0xff) - 127 + 15
  const mantissa = bits & 0x7fffff
  if (exponent >= 31) return sign | 0x7c00
  if (exponent <= 0) {
    // Too small for a normal half: the step of subnormal halves is 2^-24.
    return sign | Math.round(Math.abs(value) * 2 ** 24)
  }
  const rounded = (exponent << 10) + ((mantissa + 0xfff + ((mantissa >>> 13) & 1)) >>> 13)
  return sign | Math.min(rounded, 0x7c00)
}

/** Quantises rows of weights; the count must be a multiple of the block. */
export function quantiseQ8 (weights: Float32Array): Buffer {
  if (weights.length % q8BlockWeights !== 0) throw new RangeError(`${weights.length} weights do not fill blocks of ${q8BlockWeights}`)
  const out = Buffer.alloc(weights.length / q8BlockWeights * q8BlockBytes)
  for (let block = 0; block < weights.length / q8BlockWeights; block++) {
    const values = weights.subarray(block * q8BlockWeights, (block + 1) * q8BlockWeights)
    let largest = 0
    for (const value of values) largest = Math.max(largest, Math.abs(value))
    const scale = largest / 127
    const at = block * q8BlockBytes
    out.writeUInt16LE(halfBits(scale), at)
    values.forEach((value, i) => out.writeInt8(scale === 0 ? 0 : Math.round(value / scale), at + 2 + i))
  }
  return out
}

function uint32 (value: number): Buffer { const out = Buffer.alloc(4); out.writeUInt32LE(value); return out }
function uint64 (value: number): Buffer { const out = Buffer.alloc(8); out.writeBigUInt64LE(BigInt(value)); return out }
function float32 (value: number): Buffer { const out = Buffer.alloc(4); out.writeFloatLE(value); return out }
function int32 (value: number): Buffer { const out = Buffer.alloc(4); out.writeInt32LE(value); return out }
function text (value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8')
  return Buffer.concat([uint64(bytes.length), bytes])
}

function encodeValue (entry: Value): Buffer {
  switch (entry.type) {
    case 'string': return Buffer.concat([uint32(valueType.string), text(entry.value)])
    case 'uint32': return Buffer.concat([uint32(valueType.uint32), uint32(entry.value)])
    case 'float32': return Buffer.concat([uint32(valueType.float32), float32(entry.value)])
    case 'boolean': return Buffer.concat([uint32(valueType.boolean), Buffer.from([entry.value ? 1 : 0])])
    case 'strings': return Buffer.concat([uint32(valueType.array), uint32(valueType.string), uint64(entry.value.length), ...entry.value.map(text)])
    case 'int32s': return Buffer.concat([uint32(valueType.array), uint32(valueType.int32), uint64(entry.value.length), ...entry.value.map(int32)])
    default: throw new TypeError(`no encoding for ${String(entry satisfies never)}`)
  }
}

function padded (data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((alignment - data.length % alignment) % alignment)])
}

/** The tensors in the order in which train.cpp wrote them; `sharpness` scales the logits (README.md tells why). */
function tensors (weights: Float32Array, sizes: ModelSizes, sharpness: number): TensorInfo[] {
  const list: TensorInfo[] = []
  let at = 0
  const take = (count: number): Float32Array => {
    const part = weights.slice(at, at + count)
    if (part.length !== count) throw new RangeError('the weight file is shorter than the sizes say')
    at += count
    return part
  }
  const matrix = (name: string, inputs: number, outputs: number): void => {
    list.push({ name: `${name}.weight`, shape: [inputs, outputs], type: tensorType.q8, data: quantiseQ8(take(inputs * outputs)) })
  }
  const norm = (name: string, factor = 1): void => {
    const values = take(sizes.dim).map((value) => value * factor)
    list.push({ name: `${name}.weight`, shape: [sizes.dim], type: tensorType.f32, data: Buffer.from(values.buffer) })
  }
  const { dim, ffn } = sizes
  matrix('token_embd', dim, sizes.vocabulary)
  for (let layer = 0; layer < sizes.layers; layer++) {
    const prefix = `blk.${layer}`
    norm(`${prefix}.attn_norm`)
    for (const part of ['attn_q', 'attn_k', 'attn_v', 'attn_output']) matrix(`${prefix}.${part}`, dim, dim)
    norm(`${prefix}.ffn_norm`)
    matrix(`${prefix}.ffn_gate`, dim, ffn)
    matrix(`${prefix}.ffn_up`, dim, ffn)
    matrix(`${prefix}.ffn_down`, ffn, dim)
  }
  norm('output_norm', sharpness)
  if (at !== weights.length) throw new RangeError('the weight file is longer than the sizes say')
  return list
}

export function writeGguf (weights: Float32Array, sizes: ModelSizes, vocabulary: Vocabulary, about: ModelText, sharpness = 1): Buffer {
  const types = vocabulary.tokens.map((token, id) =>
    id < specialTexts.length ? tokenType.control : token.startsWith('<|unused') ? tokenType.unused : tokenType.normal)
  const entries: readonly (readonly [string, Value])[] = [
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['general.name', { type: 'string', value: about.name }],
    ['general.description', { type: 'string', value: about.description }],
    ['general.license', { type: 'string', value: about.licence }],
    ['general.author', { type: 'string', value: about.author }],
    ['general.file_type', { type: 'uint32', value: fileTypeQ8 }],
    ['llama.context_length', { type: 'uint32', value: sizes.context }],
    ['llama.embedding_length', { type: 'uint32', value: sizes.dim }],
    ['llama.block_count', { type: 'uint32', value: sizes.layers }],
    ['llama.feed_forward_length', { type: 'uint32', value: sizes.ffn }],
    ['llama.attention.head_count', { type: 'uint32', value: sizes.heads }],
    ['llama.attention.head_count_kv', { type: 'uint32', value: sizes.heads }],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: normEpsilon }],
    ['llama.rope.dimension_count', { type: 'uint32', value: sizes.dim / sizes.heads }],
    ['llama.rope.freq_base', { type: 'float32', value: ropeBase }],
    ['llama.vocab_size', { type: 'uint32', value: sizes.vocabulary }],
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'gpt-2' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: vocabulary.tokens }],
    ['tokenizer.ggml.token_type', { type: 'int32s', value: types }],
    ['tokenizer.ggml.merges', { type: 'strings', value: vocabulary.merges }],
    ['tokenizer.ggml.bos_token_id', { type: 'uint32', value: specialTokens.endOfText }],
    ['tokenizer.ggml.eos_token_id', { type: 'uint32', value: specialTokens.end }],
    ['tokenizer.ggml.padding_token_id', { type: 'uint32', value: specialTokens.endOfText }],
    ['tokenizer.ggml.add_bos_token', { type: 'boolean', value: false }],
    ['tokenizer.ggml.add_eos_token', { type: 'boolean', value: false }],
    ['tokenizer.chat_template', { type: 'string', value: chatTemplate }],
  ]
  const list = tensors(weights, sizes, sharpness)
  const head: Buffer[] = [Buffer.from('GGUF'), uint32(ggufVersion), uint64(list.length), uint64(entries.length)]
  for (const [key, value] of entries) head.push(text(key), encodeValue(value))
  let offset = 0
  const bodies: Buffer[] = []
  for (const tensor of list) {
    head.push(text(tensor.name), uint32(tensor.shape.length), ...tensor.shape.map(uint64), uint32(tensor.type), uint64(offset))
    const body = padded(tensor.data)
    bodies.push(body)
    offset += body.length
  }
  return Buffer.concat([padded(Buffer.concat(head)), ...bodies])
}
