/**
 * How much of each answer's waiting tokens goes into the next batch. Tokens that are to be computed one by one get one place
 * each time, though many of them were handed over: a call for each costs three times as long (docs/measurements.md).
 */
import type { BatchItem, EvaluationPriority, PrioritizedBatchItem } from 'node-llama-cpp'

/** Marks tokens that are to be computed one by one; node-llama-cpp's default is 5. */
export const ONE_BY_ONE: EvaluationPriority = 4

export function batchShares({ items, size }: { readonly items: readonly BatchItem[]; readonly size: number }): PrioritizedBatchItem[] {
  const taken = items.slice(0, size)
  const single = taken.filter(({ evaluationPriority }) => evaluationPriority === ONE_BY_ONE).length
  const share = Math.max(1, Math.floor((size - single) / Math.max(1, taken.length - single)))
  return taken.map((item) => ({ item, processAmount: item.evaluationPriority === ONE_BY_ONE ? 1 : Math.min(item.tokens.length, share) }))
}
