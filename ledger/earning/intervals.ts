/**
 * Sets of moments as sorted disjoint intervals in one flat array: [from, to, from, to, ...), whole numbers. Intervals
 * that touch are one, so equal sets are equal arrays whatever order they were built in.
 */

/** Adds [from, to) to the set; gives how much longer the set has become. Facts come mostly in order, and then this is O(1). */
export function insert(list: number[], from: number, to: number): number {
  if (to <= from) return 0
  const end = list.length
  if (end === 0 || from > list[end - 1]!) {
    list.push(from, to)
    return to - from
  }
  // First interval that ends at `from` or later, and the first one that begins after `to`: everything between is merged.
  let low = 0
  let high = end / 2
  while (low < high) {
    const middle = (low + high) >>> 1
    if (list[2 * middle + 1]! < from) low = middle + 1
    else high = middle
  }
  const first = 2 * low
  let after = first
  let covered = 0
  while (after < end && list[after]! <= to) {
    covered += list[after + 1]! - list[after]!
    after += 2
  }
  if (after === first) {
    list.splice(first, 0, from, to)
    return to - from
  }
  const mergedFrom = Math.min(from, list[first]!)
  const mergedTo = Math.max(to, list[after - 1]!)
  list[first] = mergedFrom
  list[first + 1] = mergedTo
  if (after > first + 2) list.splice(first + 2, after - first - 2)
  return mergedTo - mergedFrom - covered
}

/** Length of the set. */
export function measure(list: readonly number[]): number {
  let total = 0
  for (let index = 0; index < list.length; index += 2) total += list[index + 1]! - list[index]!
  return total
}

/** The moments of either; both stay as they are. */
export function union(a: readonly number[], b: readonly number[]): number[] {
  const merged: number[] = []
  let inA = 0
  let inB = 0
  while (inA < a.length || inB < b.length) {
    const fromA = inB >= b.length || inA < a.length && a[inA]! <= b[inB]!
    const list = fromA ? a : b
    const index = fromA ? inA : inB
    insert(merged, list[index]!, list[index + 1]!)
    if (fromA) inA += 2
    else inB += 2
  }
  return merged
}
