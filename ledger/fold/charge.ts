/** What a spend costs: quota first, prompt tokens before completion tokens, one rounding on cumulative tokens. */
import { isPlanted } from '../planted-bugs.ts'

export interface TokenPrice {
  /** µcr for 1,000 tokens. */
  readonly promptMicroCredits: bigint
  readonly completionMicroCredits: bigint
}

/**
 * `quotaTokens`: how many of the tokens a quota may cover at most. Gives the µcr for the rest, rounded up, and how many
 * tokens the quota covered. All numbers of tokens are whole and 0 or more.
 */
export function chargeOf(
  { promptTokens, completionTokens }: { readonly promptTokens: number; readonly completionTokens: number }, quotaTokens: number, price: TokenPrice,
): { readonly charge: bigint; readonly quotaTokens: number } {
  const covered = Math.min(quotaTokens, promptTokens + completionTokens)
  const coveredPrompt = Math.min(covered, promptTokens)
  const paidPrompt = BigInt(promptTokens - coveredPrompt)
  const paidCompletion = BigInt(completionTokens - (covered - coveredPrompt))
  const thousandths = paidPrompt * price.promptMicroCredits + paidCompletion * price.completionMicroCredits
  return { charge: isPlanted('charge-rounded-down') ? thousandths / 1_000n : (thousandths + 999n) / 1_000n, quotaTokens: covered }
}
