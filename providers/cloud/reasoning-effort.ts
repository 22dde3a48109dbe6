/** How much to think, as one of the words, for vendors that take no number. */
import type { ReasoningWish } from '../../protocol/completion.ts'

// The words for a budget: about what OpenAI's efforts use.
const LOW_TOKENS_MAX = 2_048
const MEDIUM_TOKENS_MAX = 12_288

export function effortOf({ effort, tokensMax }: ReasoningWish): NonNullable<ReasoningWish['effort']> {
  if (effort !== undefined) return effort
  if (tokensMax === undefined) return 'medium'
  return tokensMax <= LOW_TOKENS_MAX ? 'low' : tokensMax <= MEDIUM_TOKENS_MAX ? 'medium' : 'high'
}
