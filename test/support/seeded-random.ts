/** Random numbers from a seed: the same seed gives the same run (mulberry32). */
import type { Random } from '../../protocol/ports.ts'

export function seededUnit(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function seededRandom(seed = 1): Random {
  const unit = seededUnit(seed)
  return { unit, bytes: (length) => Uint8Array.from({ length }, () => Math.floor(unit() * 256)) }
}

/** Always the same number: 0.5 is the middle of every jitter. */
export function fixedRandom(value = 0.5): Random {
  let next = 0
  return { unit: () => value, bytes: (length) => Uint8Array.from({ length }, () => (next++) % 256) }
}
