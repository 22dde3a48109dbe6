/**
 * Whether another hub has checked whom it had to: its secret of an hour, what it says it has checked in that hour, and the
 * jobs that its log has of that hour. Pure; what is found is for people to look into.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { CheckReport } from '../../protocol/messages/checks.ts'
import { commitmentOf, drawOf, isSeedOf } from './lottery.ts'
import { BASE_RATE } from './standing.ts'

export interface DrawAuditOrder {
  readonly report: CheckReport
  /** Of the hub that made the report. */
  readonly hub: Uint8Array
  readonly network: string
  readonly hour: number
  /** Secret that it committed to beforehand; undefined where this hub did not hear of it. */
  readonly commitment: Uint8Array | undefined
  /** Jobs of that hour in its log, of hosts that can be checked. */
  readonly jobs: readonly { readonly jobId: Uint8Array; readonly contributor: Uint8Array }[]
}

export interface DrawAudit {
  /** Jobs that were drawn at the lowest rate that holds for anyone. */
  readonly drawn: number
  /** Of these, jobs that the report does not have. */
  readonly skipped: readonly Uint8Array[]
  /** Broken rules, in words; empty where all is well. */
  readonly problems: readonly string[]
}

/** A hub that makes job ids until one is not drawn draws too few: so rare by chance that it is worth a look. */
const CHANCE_MIN = 1e-6

export function auditDraws({ report, hub, network, hour, commitment, jobs }: DrawAuditOrder): DrawAudit {
  if (!isSeedOf(report.seed, { hub, network, hour })) return { drawn: 0, skipped: [], problems: ['the secret is not that hub\'s of that hour'] }
  const problems: string[] = []
  if (commitment !== undefined && !isCommitted(report, commitment)) problems.push('the secret is another one than it committed to')
  const checked = new Set(report.checked.map(({ jobId }) => toHex(jobId)))
  const drawn = jobs.filter(({ jobId }) => drawOf(report.seed, jobId) < BASE_RATE)
  const skipped = drawn.filter(({ jobId }) => !checked.has(toHex(jobId))).map(({ jobId }) => jobId)
  if (skipped.length > 0) problems.push(`${skipped.length} of ${drawn.length} drawn jobs were not checked`)
  if (chanceOfAtMost(drawn.length, jobs.length, BASE_RATE) < CHANCE_MIN) problems.push(`only ${drawn.length} of ${jobs.length} jobs were drawn: their ids were chosen`)
  return { drawn: drawn.length, skipped, problems }
}

function isCommitted({ seed }: CheckReport, commitment: Uint8Array): boolean {
  return toHex(commitmentOf(seed)) === toHex(commitment)
}

/** Of at most `hits` in `tries`, each with chance `rate`: the lower tail of the binomial distribution. */
export function chanceOfAtMost(hits: number, tries: number, rate: number): number {
  let logTerm = tries * Math.log1p(-rate)
  let sum = Math.exp(logTerm)
  for (let count = 1; count <= Math.min(hits, tries); count += 1) {
    logTerm += Math.log((tries - count + 1) / count) + Math.log(rate) - Math.log1p(-rate)
    sum += Math.exp(logTerm)
  }
  return Math.min(1, sum)
}
