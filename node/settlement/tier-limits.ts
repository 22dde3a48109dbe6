/**
 * Rate and concurrency of each account at this hub, by its tier. Takes the tier table; gives a place for a request or throws
 * RATE_LIMITED. Tokens of a bucket come back evenly, so a minute's requests may come at once and then have to wait.
 */
import { toHex } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { TierOf } from './tiers.ts'

export interface TierLimits {
  /** Gives a function that frees the place. Throws RATE_LIMITED with the time until the next one may come. */
  enter(account: Uint8Array, tier: string): () => void
}

export interface TierLimitsOptions {
  /** Accounts remembered: those with requests running, or with less than a full bucket. Default 65,536. */
  readonly accountsMax?: number
}

interface Bucket {
  running: number
  /** Requests that may come now. */
  tokens: number
  atMs: number
}

const MINUTE_MS = 60_000
/** A place that is taken by other requests of the account is likely to come free soon. */
const BUSY_RETRY_MS = 1_000

export function createTierLimits(components: { readonly clock: Clock; readonly tierOf: TierOf }, { accountsMax = 65_536 }: TierLimitsOptions = {}): TierLimits {
  const { clock, tierOf } = components
  // In order of the last request.
  const buckets = new Map<string, Bucket>()

  function bucketOf(id: string, perMinute: number | null): Bucket {
    const nowMs = clock.monotonicMs()
    const known = buckets.get(id)
    const bucket = known ?? { running: 0, tokens: perMinute ?? 0, atMs: nowMs }
    if (perMinute !== null) bucket.tokens = Math.min(perMinute, bucket.tokens + (nowMs - bucket.atMs) * perMinute / MINUTE_MS)
    bucket.atMs = nowMs
    buckets.delete(id)
    buckets.set(id, bucket)
    if (buckets.size > accountsMax) forget(nowMs)
    return bucket
  }

  /** Whoever asked for nothing in a minute has a full bucket again. */
  function forget(nowMs: number): void {
    for (const [id, { running, atMs }] of buckets) {
      if (nowMs - atMs < MINUTE_MS) return
      if (running === 0) buckets.delete(id)
    }
  }

  return {
    enter(account, tier) {
      const { requestsPerMinute, concurrentMax } = tierOf(tier)
      const bucket = bucketOf(toHex(account), requestsPerMinute)
      if (bucket.running >= concurrentMax) {
        throw new TriforceError('RATE_LIMITED', { tier, concurrentMax }, {
          retryAfterMs: BUSY_RETRY_MS, detail: `the account has ${bucket.running} requests running, as many as tier "${tier}" allows at one hub`,
        })
      }
      if (requestsPerMinute !== null) {
        if (bucket.tokens < 1) {
          throw new TriforceError('RATE_LIMITED', { tier, requestsPerMinute }, {
            // Less than a thousandth of a millisecond is the arithmetic's, not time.
            retryAfterMs: Math.ceil((1 - bucket.tokens) * MINUTE_MS / requestsPerMinute - 0.001), detail: `tier "${tier}" allows ${requestsPerMinute} requests in a minute at one hub`,
          })
        }
        bucket.tokens -= 1
      }
      bucket.running += 1
      let isFree = false
      return () => {
        if (isFree) return
        isFree = true
        bucket.running -= 1
      }
    },
  }
}
