/** The result of a run: a table by fault, the figures below it, one JSON line. */
import { formatTable } from '../../bootstrap/table.ts'
import type { Phase } from './tally.ts'
import { add } from './tally.ts'

/** A phase that is over: when load and fault ended, and how long the hubs then took to be there and to agree. */
export interface Ended {
  readonly phase: Phase
  readonly healedMs: number
  /** Until all processes had opened their ledgers again. */
  readonly upAfterMs: number
  /** From then on; undefined: not at all. */
  readonly agreedAfterMs: number | undefined
}

/** Hubs that are all there again must agree within it. */
export const AGREE_MS_MAX = 5_000

export interface FaultRow {
  readonly fault: string
  readonly times: number
  readonly spends: number
  /** Spends that were refused or had no answer, of 100: at hubs that the fault did not hit, and at those that it did. */
  readonly failedPercent: { readonly bystanders: number | undefined; readonly hit: number | undefined }
  /** Longest time without any spend that succeeded at one hub (ms). */
  readonly gapMs: { readonly bystanders: number | undefined; readonly hit: number | undefined }
  readonly upMs: number | undefined
  readonly agreedMs: { readonly p50: number | undefined; readonly p99: number | undefined }
  readonly late: number
}

export function percentile(values: readonly number[], part: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
}

export function faultRows(ended: readonly Ended[]): readonly FaultRow[] {
  const kinds = [...new Set(ended.map(({ phase }) => phase.fault))]
  return kinds.map((fault) => {
    const mine = ended.filter(({ phase }) => phase.fault === fault)
    const share = (wanted: boolean) => {
      let asked = 0
      let failed = 0
      for (const { phase } of mine) {
        for (const hub of [0, 1, 2]) {
          if (phase.hit.includes(hub) !== wanted) continue
          asked += phase.spendsAsked[hub]!
          failed += phase.spendsRefused[hub]!
        }
      }
      return asked === 0 ? undefined : 100 * failed / asked
    }
    const gap = (wanted: boolean) => {
      const gaps = mine.flatMap((each) => [0, 1, 2].filter((hub) => each.phase.hit.includes(hub) === wanted).map((hub) => longestGap(each, hub)))
      return gaps.length === 0 ? undefined : Math.max(...gaps)
    }
    const agreed = mine.flatMap(({ agreedAfterMs }) => agreedAfterMs ?? [])
    return {
      fault, times: mine.length, spends: mine.reduce((sum, { phase }) => sum + phase.spendsAsked.reduce((a, b) => a + b), 0),
      failedPercent: { bystanders: share(false), hit: share(true) }, gapMs: { bystanders: gap(false), hit: gap(true) },
      upMs: percentile(mine.map(({ upAfterMs }) => upAfterMs), 0.99), agreedMs: { p50: percentile(agreed, 0.5), p99: percentile(agreed, 0.99) }, late: agreed.filter((ms) => ms > AGREE_MS_MAX).length + mine.length - agreed.length,
    }
  })
}

function longestGap({ phase, healedMs }: Ended, hub: number): number {
  const times = [phase.startedMs, ...phase.successesMs[hub]!.filter((at) => at <= healedMs).sort((a, b) => a - b), healedMs]
  let longest = 0
  for (let at = 1; at < times.length; at += 1) longest = Math.max(longest, times[at]! - times[at - 1]!)
  return longest
}

const shown = (value: number | undefined) => value === undefined ? '' : value >= 10 || value === 0 ? String(Math.round(value)) : value.toFixed(1)

/** `hit`: at the hubs that the fault hit; the others are bystanders. `up`: until all processes had opened their ledgers, p99. */

export function faultTable(rows: readonly FaultRow[]): string {
  return formatTable([
    { title: 'fault', shrink: true }, { title: 'n', align: 'right' }, { title: 'spends', align: 'right' }, { title: 'fail %', align: 'right' }, { title: 'hit %', align: 'right' },
    { title: 'gap ms', align: 'right' }, { title: 'hit gap', align: 'right' }, { title: 'up ms', align: 'right' }, { title: 'agree 50', align: 'right' },
    { title: 'agree 99', align: 'right' }, { title: 'late', align: 'right' },
  ], rows.map((row) => [
    row.fault, String(row.times), String(row.spends), shown(row.failedPercent.bystanders), shown(row.failedPercent.hit), shown(row.gapMs.bystanders), shown(row.gapMs.hit),
    shown(row.upMs), shown(row.agreedMs.p50), shown(row.agreedMs.p99), String(row.late),
  ])).join('\n')
}

/** All answers of all phases: `spend/ok` → 5, and the codes of refusals. */
export function sums(phases: readonly Phase[]): { readonly outcomes: Readonly<Record<string, number>>; readonly codes: Readonly<Record<string, number>> } {
  const outcomes = new Map<string, number>()
  const codes = new Map<string, number>()
  for (const phase of phases) {
    for (const [name, count] of phase.outcomes) add(outcomes, name, count)
    for (const [name, count] of phase.codes) add(codes, name, count)
  }
  const sorted = (counts: ReadonlyMap<string, number>) => Object.fromEntries([...counts].sort(([a], [b]) => a < b ? -1 : 1))
  return { outcomes: sorted(outcomes), codes: sorted(codes) }
}
