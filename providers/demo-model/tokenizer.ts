/**
 * Byte-level BPE tokenizer of the demo model: learns merges, encodes and decodes.
 *
 * Takes:     texts to learn from, or a finished vocabulary.
 * Gives:     token ids that are the same as llama.cpp's for `tokenizer.ggml.pre = gpt-2`.
 * Not here:  chat markup (dataset.ts), the file format (gguf.ts).
 */
import type { Random } from './random.ts'

/** Ids of the control tokens; they come first in the vocabulary. */
export const specialTokens = Object.freeze({ endOfText: 0, start: 1, end: 2 })
export const specialTexts = Object.freeze(['<|endoftext|>', '<|im_start|>', '<|im_end|>'])

/** How GPT-2 cuts text before merging; llama.cpp does the same for the pre-tokenizer `gpt-2`. */
const wordPattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu

/** Words kept in the cache; the corpus has fewer, a stream of typos may have more. */
const cacheWordsMax = 100_000

export interface Vocabulary {
  /** Token texts in GPT-2's printable alphabet, control tokens first. */
  readonly tokens: readonly string[]
  /** Merges in order of rank, the two halves of each separated by a space. */
  readonly merges: readonly string[]
}

export interface Tokenizer {
  readonly vocabulary: Vocabulary
  encode (text: string): number[]
  /** Leaves out merges by chance: the model then knows a word by its pieces too, which helps with typos. */
  encodeLoosely (text: string, random: Random, dropProbability: number): number[]
  decode (ids: readonly number[]): string
  /** How many bytes of text a token stands for. */
  bytesOf (id: number): number
}

/** GPT-2's alphabet: every byte gets a printable character, so that merges can be written as text. */
function byteAlphabet (): string[] {
  const alphabet: string[] = []
  let next = 256
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    alphabet.push(String.fromCharCode(printable ? byte : next++))
  }
  return alphabet
}

const alphabet = byteAlphabet()
const byteOf = new Map(alphabet.map((character, byte) => [character, byte]))

function words (text: string): string[] {
  return text.match(wordPattern) ?? []
}

function symbols (word: string): string[] {
  return Array.from(Buffer.from(word, 'utf8'), (byte) => alphabet[byte] ?? '')
}

/**
 * Learns merges from weighted texts until the vocabulary is full.
 * The brace stays a token of its own: the data set leaves exactly this token unscored (dataset.ts).
 */
export function trainVocabulary (texts: Iterable<readonly [text: string, weight: number]>, size: number): Vocabulary {
  const counts = new Map<string, number>()
  for (const [text, weight] of texts) for (const word of words(text)) counts.set(word, (counts.get(word) ?? 0) + weight)
  const entries = Array.from(counts, ([word, count]) => ({ parts: symbols(word), count }))
  const tokens = [...specialTexts, ...alphabet]
  const merges: string[] = []
  while (tokens.length < size) {
    const pairs = new Map<string, number>()
    for (const { parts, count } of entries) {
      for (let i = 1; i < parts.length; i++) {
        const pair = `${parts[i - 1]} ${parts[i]}`
        pairs.set(pair, (pairs.get(pair) ?? 0) + count)
      }
    }
    let best = ''
    let bestCount = 0
    for (const [pair, count] of pairs) {
      if (pair.includes('{')) continue
      if (count > bestCount || (count === bestCount && pair < best)) { best = pair; bestCount = count }
    }
    if (bestCount === 0) break
    const [left = '', right = ''] = best.split(' ')
    merges.push(best)
    tokens.push(left + right)
    for (const entry of entries) entry.parts = merge(entry.parts, left, right)
  }
  // Unused places keep the size a multiple of the quantisation block.
  while (tokens.length < size) tokens.push(`<|unused-${tokens.length}|>`)
  return { tokens, merges }
}

function merge (parts: string[], left: string, right: string): string[] {
  if (!parts.includes(left)) return parts
  const merged: string[] = []
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] ?? ''
    if (part === left && parts[i + 1] === right) { merged.push(left + right); i++ } else merged.push(part)
  }
  return merged
}

export function createTokenizer (vocabulary: Vocabulary): Tokenizer {
  const idOf = new Map(vocabulary.tokens.map((token, id) => [token, id]))
  const rankOf = new Map(vocabulary.merges.map((pair, rank) => [pair, rank]))
  const cache = new Map<string, number[]>()

  /** Merges the pair of lowest rank until none is left; `keep` may refuse a merge. */
  function encodeWord (word: string, keep: () => boolean): number[] {
    let parts = symbols(word)
    for (;;) {
      let best = ''
      let bestRank = Infinity
      for (let i = 1; i < parts.length; i++) {
        const pair = `${parts[i - 1]} ${parts[i]}`
        const rank = rankOf.get(pair)
        if (rank !== undefined && rank < bestRank && keep()) { best = pair; bestRank = rank }
      }
      if (bestRank === Infinity) break
      const [left = '', right = ''] = best.split(' ')
      parts = merge(parts, left, right)
    }
    return parts.map((part) => {
      const id = idOf.get(part)
      if (id === undefined) throw new Error(`no token for ${JSON.stringify(part)}`)
      return id
    })
  }

  function encodeCached (word: string): number[] {
    let ids = cache.get(word)
    if (ids === undefined) {
      ids = encodeWord(word, () => true)
      if (cache.size < cacheWordsMax) cache.set(word, ids)
    }
    return ids
  }

  return {
    vocabulary,
    encode: (text) => words(text).flatMap(encodeCached),
    encodeLoosely: (text, random, dropProbability) =>
      words(text).flatMap((word) => encodeWord(word, () => !random.chance(dropProbability))),
    bytesOf: (id) => vocabulary.tokens[id]?.length ?? 0,
    decode: (ids) => {
      const bytes: number[] = []
      for (const id of ids) {
        const token = vocabulary.tokens[id] ?? ''
        if (id < specialTexts.length) { bytes.push(...Buffer.from(token)); continue }
        for (const character of token) bytes.push(byteOf.get(character) ?? 0x3f)
      }
      return Buffer.from(bytes).toString('utf8')
    },
  }
}
