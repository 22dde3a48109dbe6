/** The printed result of many runs. */
import { count } from './sim-report.ts'
import type { WorkerReport } from './worker.ts'

/** What must happen in some run of a thousand; else the runs do not reach that code. */
export const expectedSometimes = [
  'answered local', 'answered known', 'conflict refused', 'core alone', 'asked another hub',
  'log sealed', 'hub came back after a seal', 'new epoch opened', 'settled by the successor', 'island spend given out', 'island spend settled',
  'frozen rights released', 'give returned', 'orphan receipt logged again', 'disk rolled back', 'old disk noticed while running', 'damaged copy fetched again',
  'broken frame repaired while running', 'equivocation caught', 'forked log sealed',
  'rights moved', 'quota moved', 'quota used', 'quota refused', 'hold expired', 'paid back', 'duplicate refunded', 'debt refused', 'chargeback made debt',
  'tier changed', 'change approved', 'checkpoint final', 'vest paid',
] as const

export function summaryOf(
  reports: readonly WorkerReport[], { wallMs, strict }: { readonly wallMs: number; readonly strict: boolean },
): { readonly text: string; readonly ok: boolean } {
  const sum = (of: (report: WorkerReport) => number) => reports.reduce((total, report) => total + of(report), 0)
  const all = (of: (report: WorkerReport) => WorkerReport['faults']) => {
    const counts = new Map<string, number>()
    for (const report of reports) for (const [name, times] of of(report)) count(counts, name, times)
    return [...counts].sort(([a], [b]) => a < b ? -1 : 1)
  }
  const line = (counts: readonly (readonly [string, number])[]) => counts.map(([name, times]) => `${name} ${times}`).join(', ')
  const simulatedHours = sum(({ simulatedMs }) => simulatedMs) / 3_600_000
  const times = reports.map((report) => report.wallMs).sort((a, b) => a - b)
  const sometimes = all((report) => report.sometimes)
  const never = expectedSometimes.filter((name) => !sometimes.some(([known]) => known === name))
  const failed = reports.filter(({ violations }) => violations.length > 0).map(({ seed }) => seed).sort((a, b) => a - b)
  const lines = [
    `${reports.length} seeds, ${sum(({ steps }) => steps)} steps, ${simulatedHours.toFixed(2)} hours simulated in ${(wallMs / 1_000).toFixed(1)} s: `
      + `${(simulatedHours / (wallMs / 3_600_000)).toFixed(0)} simulated hours per hour; ${(times[times.length >> 1] ?? 0).toFixed(0)} ms per seed (median)`,
    `operations: ${line(all((report) => report.operations))}`,
    `faults: ${line(all((report) => report.faults))}`,
    `sometimes: ${line(sometimes)}`,
    `never: ${never.length === 0 ? 'nothing' : never.join(', ')}`,
    `violations: ${sum(({ violations }) => violations.length)} in ${failed.length} seeds${failed.length === 0 ? '' : ` (${failed.slice(0, 20).join(', ')}${failed.length > 20 ? ', …' : ''})`}`,
  ]
  return { text: `${lines.join('\n')}\n`, ok: failed.length === 0 && (!strict || never.length === 0) }
}

export function mutantTable(results: readonly { readonly bug: string; readonly seed?: number; readonly check?: string }[]): string {
  const rows = results.map(({ bug, seed, check }) => [bug, seed === undefined ? 'lives' : String(seed), (check ?? '').slice(0, 100).replaceAll('|', '/')])
  return [['planted bug', 'caught at seed', 'by'], ['---', '---', '---'], ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

/** `1-40, 43` */
export function rangesOf(seeds: readonly number[]): string {
  const ranges: { from: number; to: number }[] = []
  for (const seed of seeds.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last?.to === seed - 1) last.to = seed
    else ranges.push({ from: seed, to: seed })
  }
  return ranges.map(({ from, to }) => from === to ? String(from) : `${from}-${to}`).join(', ')
}
