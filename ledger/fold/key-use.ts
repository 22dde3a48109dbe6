/**
 * What holds of a key with a budget have taken: held and charged credits (µcr), in all and by UTC day of the hold. Sums only, so
 * the order in which the entries come does not matter.
 */
import type { HoldState, LedgerState } from './state.ts'

export interface KeyUse {
  total: bigint
  readonly days: Map<number, bigint>
}

export function takeFromBudget(state: LedgerState, { key, day }: Pick<HoldState, 'key' | 'day'>, credits: bigint): void {
  if (key === undefined || credits === 0n) return
  const known = state.keyUse.get(key)
  const use = known ?? { total: 0n, days: new Map<number, bigint>() }
  if (known === undefined) state.keyUse.set(key, use)
  use.total += credits
  use.days.set(day, (use.days.get(day) ?? 0n) + credits)
}
