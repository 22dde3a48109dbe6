/**
 * Small GGUF files for tests: a llama model with random weights and a vocabulary of bytes, in ChatML. What it says is
 * noise, but it says it through the real engine, and greedy or seeded it always says the same.
 */
import { writeFile } from 'node:fs/promises'
import { seededUnit } from './seeded-random.ts'

export interface TinyModelOptions {
  readonly name?: string
  readonly contextTokens?: number
  /** Keys of the header to leave out; without `llama.attention.head_count` llama.cpp aborts its process. */
  readonly without?: readonly string[]
  /** Seed of the weights. */
  readonly seed?: number
  /** Probability weight against the end token, so that answers are long: 0 lets it end by chance. */
  readonly neverEnds?: boolean
  readonly dim?: number
  readonly layers?: number
}

type Value = string | number | boolean | { readonly f32: number } | { readonly array: 8 | 6 | 5; readonly items: readonly (string | number)[] }

const CHATML = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

/** ids: 0 unknown, 1 im_start, 2 im_end, 3 to 258 bytes, 259 the space, which this kind of tokenizer writes as U+2581. */
const vocabulary = ['<unk>', '<|im_start|>', '<|im_end|>', ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`), '\u2581']

const SPACE = 259

export function tinyModel(options: TinyModelOptions = {}): Buffer {
  const { name = 'tiny random', contextTokens = 512, without = [], seed = 1, dim = 32, layers = 2 } = options
  const heads = 2
  const ff = dim * 2
  const keys: [string, Value][] = [
    ['general.architecture', 'llama'],
    ['general.name', name],
    ['general.file_type', 0],
    ['llama.context_length', contextTokens],
    ['llama.embedding_length', dim],
    ['llama.block_count', layers],
    ['llama.feed_forward_length', ff],
    ['llama.attention.head_count', heads],
    ['llama.attention.head_count_kv', heads],
    ['llama.rope.dimension_count', dim / heads],
    ['llama.attention.layer_norm_rms_epsilon', { f32: 1e-5 }],
    ['llama.vocab_size', vocabulary.length],
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.tokens', { array: 8, items: vocabulary }],
    ['tokenizer.ggml.scores', { array: 6, items: vocabulary.map(() => 0) }],
    ['tokenizer.ggml.token_type', { array: 5, items: vocabulary.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id === SPACE ? 1 : 6)) }],
    ['tokenizer.ggml.bos_token_id', 1],
    ['tokenizer.ggml.eos_token_id', 2],
    ['tokenizer.ggml.unknown_token_id', 0],
    ['tokenizer.ggml.add_bos_token', false],
    ['tokenizer.ggml.add_eos_token', false],
    ['tokenizer.ggml.add_space_prefix', false],
    ['tokenizer.chat_template', CHATML],
  ]
  const kept = keys.filter(([key]) => !without.includes(key))

  const random = seededUnit(seed)
  const matrix = (rows: number, columns: number): Float32Array => Float32Array.from({ length: rows * columns }, () => (random() - 0.5) * 2 / Math.sqrt(rows) * 3)
  const ones = (length: number): Float32Array => new Float32Array(length).fill(1)
  const embedding = matrix(dim, vocabulary.length)
  const output = matrix(dim, vocabulary.length)
  // The logit of the end token is the same for every state: far below all others, the answer never ends by itself.
  if (options.neverEnds ?? true) {
    for (let id = 0; id < 3; id++) output.fill(0, id * dim, (id + 1) * dim)
    // ASCII letters and the space win over other bytes, so that text is mostly text.
    for (let id = 3; id < vocabulary.length; id++) {
      const byte = id - 3
      const letter = id === SPACE || (byte >= 97 && byte <= 122)
      // A space as a byte would be read back as another token than it was written.
      if (!letter) for (let i = 0; i < dim; i++) output[id * dim + i]! *= byte === 32 ? 0 : 0.2
    }
  }
  const tensors: [string, readonly number[], Float32Array][] = [
    ['token_embd.weight', [dim, vocabulary.length], embedding],
    ['output_norm.weight', [dim], ones(dim)],
    ['output.weight', [dim, vocabulary.length], output],
  ]
  for (let layer = 0; layer < layers; layer++) {
    const at = `blk.${layer}.`
    tensors.push(
      [`${at}attn_norm.weight`, [dim], ones(dim)], [`${at}ffn_norm.weight`, [dim], ones(dim)],
      [`${at}attn_q.weight`, [dim, dim], matrix(dim, dim)], [`${at}attn_k.weight`, [dim, dim], matrix(dim, dim)],
      [`${at}attn_v.weight`, [dim, dim], matrix(dim, dim)], [`${at}attn_output.weight`, [dim, dim], matrix(dim, dim)],
      [`${at}ffn_gate.weight`, [dim, ff], matrix(dim, ff)], [`${at}ffn_up.weight`, [dim, ff], matrix(dim, ff)],
      [`${at}ffn_down.weight`, [ff, dim], matrix(ff, dim)],
    )
  }

  const parts: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(kept.length)]
  for (const [key, value] of kept) parts.push(text(key), valueBytes(value))
  let offset = 0
  for (const [tensorName, dims, data] of tensors) {
    parts.push(text(tensorName), u32(dims.length), ...dims.map(u64), u32(0), u64(offset))
    offset += data.byteLength
  }
  const header = Buffer.concat(parts)
  const padding = Buffer.alloc((32 - header.length % 32) % 32)
  return Buffer.concat([header, padding, ...tensors.map(([, , data]) => Buffer.from(data.buffer))])
}

export async function writeTinyModel(path: string, options: TinyModelOptions = {}): Promise<string> {
  await writeFile(path, tinyModel(options))
  return path
}

function valueBytes(value: Value): Buffer {
  if (typeof value === 'string') return Buffer.concat([u32(8), text(value)])
  if (typeof value === 'boolean') return Buffer.concat([u32(7), Buffer.from([value ? 1 : 0])])
  if (typeof value === 'number') return Buffer.concat([u32(4), u32(value)])
  if ('f32' in value) return Buffer.concat([u32(6), f32(value.f32)])
  const items = value.items.map((item) => (typeof item === 'string' ? text(item) : value.array === 6 ? f32(item) : u32(item)))
  return Buffer.concat([u32(9), u32(value.array), u64(items.length), ...items])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u64(bytes.length), bytes])
}
