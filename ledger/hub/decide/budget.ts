/** Budgets of API keys, counted at the log that clears for the account: one log, so two holds at once cannot both take the rest. */
import { toHex } from '../../../protocol/bytes.ts'
import type { Decision } from '../events.ts'
import type { HubState } from '../hub-state.ts'
import { refuse } from './common.ts'

/** µcr that the key may still take on this UTC day; undefined where it has no budget. */
export function budgetLeft(hub: HubState, publicKey: Uint8Array | undefined, day: number): bigint | undefined {
  if (publicKey === undefined) return undefined
  const key = toHex(publicKey)
  const terms = hub.state.keys.get(key)?.terms
  const use = hub.state.keyUse.get(key)
  const left = [
    ...(terms?.dayBudget === undefined ? [] : [terms.dayBudget - (use?.days.get(day) ?? 0n)]),
    ...(terms?.totalBudget === undefined ? [] : [terms.totalBudget - (use?.total ?? 0n)]),
  ]
  return left.length === 0 ? undefined : left.reduce((least, one) => one < least ? one : least)
}

export function budgetSpent(needed: bigint, left: bigint): Decision {
  return refuse('KEY_BUDGET_SPENT', { neededMicroCredits: String(needed), leftMicroCredits: String(left < 0n ? 0n : left) })
}
