/** What can be said of a count of tokens from the text alone, without the model's tokenizer. Pure. */

export interface CountedAnswer {
  /** As the host counted them. */
  readonly tokens: number
  /** UTF-8 bytes of everything that it wrote: text, reasoning, arguments of tools. */
  readonly bytes: number
  /** Calls of tools: each costs tokens that leave no text. */
  readonly toolCalls: number
}

/** Marks around a turn, a thought or a call: none of them leaves text. */
const UNSEEN_TOKENS = 16
const UNSEEN_PER_CALL = 64
/** Long enough for an average to mean something. */
const DENSE_BYTES_MIN = 400
/** A tokenizer that does not know a script at all still has one token for each byte; any that does has two bytes and more. */
const DENSE_BYTES_PER_TOKEN = 1.2

/** `impossible`: more tokens than bytes. `dense`: more than any language gives. */
export function recount({ tokens, bytes, toolCalls }: CountedAnswer): 'impossible' | 'dense' | 'plausible' | 'unknown' {
  const seen = tokens - UNSEEN_TOKENS - UNSEEN_PER_CALL * toolCalls
  if (seen > bytes) return 'impossible'
  if (bytes < DENSE_BYTES_MIN) return 'unknown'
  return seen > bytes / DENSE_BYTES_PER_TOKEN ? 'dense' : 'plausible'
}

/** Of one text counted twice: a host may count a mark more or less. */
export function isSameCount(one: number, other: number): boolean {
  return Math.abs(one - other) <= Math.max(2, 0.02 * Math.max(one, other))
}
