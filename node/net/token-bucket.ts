/** A budget that refills evenly up to a bound: for rates of bytes and of attempts. */
import type { Clock } from '../../protocol/ports.ts'

export interface TokenBucketOptions {
  readonly perSecond: number
  /** What may be taken at once after a pause. */
  readonly burst: number
}

export interface TokenBucket {
  /** Takes in any case; gives the milliseconds after which what was taken is covered, 0 where it is now. */
  take(amount: number): number
  /** Takes only what is there. */
  tryTake(amount: number): boolean
}

export function createTokenBucket(clock: Pick<Clock, 'monotonicMs'>, { perSecond, burst }: TokenBucketOptions): TokenBucket {
  let level = burst
  let atMs = clock.monotonicMs()

  function refill(): void {
    const nowMs = clock.monotonicMs()
    level = Math.min(burst, level + (nowMs - atMs) * perSecond / 1_000)
    atMs = nowMs
  }

  return {
    take(amount) {
      refill()
      level -= amount
      return level >= 0 ? 0 : Math.ceil(-level * 1_000 / perSecond)
    },
    tryTake(amount) {
      refill()
      if (level < amount) return false
      level -= amount
      return true
    },
  }
}
