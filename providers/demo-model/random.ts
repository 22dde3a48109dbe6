/**
 * Seeded random numbers, so that the same seed builds the same data set on every machine.
 *
 * Takes: a 32-bit seed.
 * Gives: `Random`, the only source of chance in this folder.
 */

export interface Random {
  /** A number in [0, 1). */
  next (): number
  /** A whole number in [0, below). */
  below (below: number): number
  /** True with the given probability. */
  chance (probability: number): boolean
  /** One element of a list that is not empty. */
  pick<T> (list: readonly T[]): T
}

/** The mulberry32 generator: small, fast and good enough to mix sentences. */
export function createRandom (seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: (list) => {
      const found = list[below(list.length)]
      if (found === undefined) throw new RangeError('cannot pick from an empty list')
      return found
    },
  }
}
