/** Vectors of the rules of money: homes of accounts, what a spend costs, rounding. */
import { chargeOf } from '../../ledger/fold/charge.ts'
import { nextHead } from '../../ledger/fold/chain.ts'
import { homeOf } from '../../ledger/fold/homes.ts'
import { toHex } from '../../protocol/bytes.ts'
import { entrySamples } from './entry-samples.ts'
import { hubKeys, named } from './fixtures.ts'
import { toJson, type Json } from './format.ts'

const ACCOUNTS = 12

/** [prompt tokens, completion tokens, tokens that quota may cover, µcr for 1,000 prompt tokens, for 1,000 completion tokens]. */
const spends: readonly (readonly [number, number, number, bigint, bigint])[] = [
  [1_000, 4_200, 4_000, 10_000_000n, 10_000_000n],
  [1, 0, 0, 1n, 1n],
  [0, 1, 0, 999n, 1_001n],
  [999, 1, 0, 1n, 1n],
  [1_000, 1, 0, 1n, 1n],
  [500, 500, 700, 2_000_000n, 5_000_000n],
  [500, 500, 1_000, 2_000_000n, 5_000_000n],
  [500, 500, 5_000, 2_000_000n, 5_000_000n],
  [0, 0, 10, 2_000_000n, 5_000_000n],
  [7_000_000, 9_000_000, 0, 25_000_000n, 25_000_000n],
]

export function ruleVectors(): { readonly [key: string]: Json } {
  let head: Uint8Array | undefined
  return {
    homes: Array.from({ length: ACCOUNTS }, (_, index) => {
      const account = toHex(named(`account ${index}`, 16))
      return { account, home: homeOf(hubKeys, account) }
    }),
    charges: spends.map(([promptTokens, completionTokens, quotaTokensMax, promptMicroCredits, completionMicroCredits]) => {
      const { charge, quotaTokens } = chargeOf({ promptTokens, completionTokens }, quotaTokensMax, { promptMicroCredits, completionMicroCredits })
      return {
        promptTokens, completionTokens, quotaTokensMax, promptMicroCredits: toJson(promptMicroCredits), completionMicroCredits: toJson(completionMicroCredits),
        charge: toJson(charge), quotaTokens,
      }
    }),
    chain: entrySamples.slice(4, 8).map(({ encoded: { bytes } }) => {
      head = nextHead(head, bytes)
      return { entry: toHex(bytes), head: toHex(head) }
    }),
  }
}
