/**
 * What an answer of a vendor is charged for. Takes what the hub saw of it and what the hub with the key says that the
 * vendor counted; gives tokens. Only what was delivered is paid for: an answer without a token costs nothing, however it
 * ended, and one that broke off costs what came before.
 */
import type { DetailedUsage, FinishReason } from '../../protocol/completion.ts'

export interface SeenAnswer {
  /** From the last frame of the job; without one the tokens that came with the pieces, and no prompt tokens. */
  readonly usage: DetailedUsage
  readonly finish: FinishReason
  /** Some piece of it was passed on. */
  readonly delivered: boolean
  /** Tokens up to the last piece that was passed on. */
  readonly deliveredTokens: number
  /** The same up to the last piece that the client's side took; fewer where it was behind. */
  readonly takenTokens: number
  /** UTF-16 units of text, reasoning and arguments that came, and calls of tools. */
  readonly chars: number
  readonly toolCalls: number
  /** The rest was not passed on, for the account could not pay for it. */
  readonly stopped: boolean
  /** Its client has gone away before the end. */
  readonly left: boolean
}

export interface PaidUsage {
  readonly usage: DetailedUsage
  /** The vendor is said to have counted more than the answer can have. */
  readonly implausible: boolean
}

/** A token is at least one byte, and a UTF-16 unit at most three. */
const TOKENS_PER_CHAR_MAX = 3
/** What a vendor writes around an answer or a call. */
const TOKENS_AROUND = 64

const NOTHING: DetailedUsage = { promptTokens: 0, completionTokens: 0 }

export function paidUsage(seen: SeenAnswer, promptTokensEstimated: number): PaidUsage {
  const { usage, deliveredTokens } = seen
  const isWhole = seen.finish !== 'cancelled' && seen.finish !== 'error'
  const isCut = seen.left && !isWhole
  // A model that only thought and ran out of tokens has an end of its own; else nothing was delivered.
  if (!seen.delivered && (usage.completionTokens === 0 || !isWhole || seen.left)) return { usage: NOTHING, implausible: false }
  if (isCut && seen.takenTokens === 0) return { usage: NOTHING, implausible: false }
  const promptTokens = usage.promptTokens === 0 ? promptTokensEstimated : usage.promptTokens
  // What a client was too slow to take is not delivered; the vendor's own count of an answer that it bills to its end is what stands below.
  if (isCut) return { usage: { ...usage, promptTokens, completionTokens: Math.min(usage.completionTokens, seen.takenTokens) }, implausible: false }
  if (seen.stopped) return { usage: { promptTokens, completionTokens: deliveredTokens }, implausible: false }
  const shown = usage.completionTokens - (usage.reasoningTokens ?? 0)
  const implausible = shown > seen.chars * TOKENS_PER_CHAR_MAX + TOKENS_AROUND * (1 + seen.toolCalls)
  if (implausible) return { usage: { promptTokens, completionTokens: Math.min(deliveredTokens, seen.chars) }, implausible }
  return { usage: { ...usage, promptTokens }, implausible }
}
