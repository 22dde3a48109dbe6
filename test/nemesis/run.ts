/**
 * `npm run nemesis -- [--minutes M] [--seed S] [--orders N] [--faults "kill one,slow links"] [--bug NAME]`: three hubs as real processes under load and faults.
 * Prints a table by fault and one JSON line; ends with 1 where anything was lost, invented or too late.
 */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { plantedBugs } from '../../ledger/planted-bugs.ts'
import { faultKinds, type FaultKind } from './faults.ts'
import { runNemesis } from './nemesis.ts'
import { faultRows, faultTable, percentile, sums } from './report.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' }, orders: { type: 'string' }, faults: { type: 'string' }, bug: { type: 'string' }, quiet: { type: 'boolean', default: false } },
})
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed)
const minutes = Number(values.minutes)
const faults = values.faults?.split(',').map((name) => {
  const kind = faultKinds.find((known) => known === name.trim())
  if (kind !== undefined) return kind
  process.stderr.write(`no fault "${name}"; there are: ${faultKinds.join(', ')}\n`)
  return process.exit(2)
}) satisfies FaultKind[] | undefined

const bug = plantedBugs.find((name) => name === values.bug)
if (values.bug !== undefined && bug === undefined) {
  process.stderr.write(`no bug "${values.bug}"; there are: ${plantedBugs.join(', ')}\n`)
  process.exit(2)
}

process.stderr.write(`seed ${seed}\n`)
const report = await runNemesis({
  seed, faultMs: minutes * 60_000, downMs: Math.min(15_000, Math.max(3_000, minutes * 3_000)),
  ...(values.orders === undefined ? {} : { ordersPerSecond: Number(values.orders) }), ...(faults === undefined ? {} : { faults }), ...(bug === undefined ? {} : { bug }),
  ...(values.quiet ? {} : { say: (text) => process.stderr.write(`${text}\n`) }),
})
const rows = faultRows(report.ended)
const { outcomes, codes } = sums(report.tally.phases)
const agreed = report.ended.flatMap(({ agreedAfterMs }) => agreedAfterMs ?? [])
const { verdict, oneDown } = report
const percent = (part: number, whole: number) => whole === 0 ? 'none' : `${(100 * part / whole).toFixed(2)} % of ${whole}`
process.stdout.write(`${faultTable(rows)}\n\n`)
process.stdout.write([
  `spends with any one hub down, at the others: ${percent(oneDown.ok, oneDown.asked)} succeed (goal: 99 %); of people whose own hub is down: ${percent(oneDown.movedOk, oneDown.movedAsked)}`,
  `agreed after all were up again: p50 ${percentile(agreed, 0.5)?.toFixed(0)} ms, p99 ${percentile(agreed, 0.99)?.toFixed(0)} ms (limit: 5,000 ms)`,
  `acknowledged entries: ${report.tally.acked.size}, lost: ${verdict.lostAcks}`,
  `charges: ${verdict.loggedCharges} µcr in the logs = ${verdict.ackedCharges} acknowledged + ${verdict.unseenCharges} without an answer; paid back: ${verdict.refunds}; paid twice: ${verdict.doubleSpends}`,
  `reads of money while it went on: ${report.reads}; entries in the logs: ${report.entries}; ${report.seconds.toFixed(0)} s`,
  `violations: ${report.problems.length}`, ...report.problems.slice(0, 20).map((problem) => `  ${problem}`), '',
].join('\n'))
process.stdout.write(`${JSON.stringify({
  nemesis: 'ledger', seed, minutes, violations: report.problems.length, problems: report.problems.slice(0, 20), lostAcks: verdict.lostAcks, doubleSpends: verdict.doubleSpends,
  acked: report.tally.acked.size, entries: report.entries, reads: report.reads, oneDown,
  agreedMs: { p50: percentile(agreed, 0.5), p99: percentile(agreed, 0.99) }, charges: {
    logged: String(verdict.loggedCharges), acked: String(verdict.ackedCharges), unseen: String(verdict.unseenCharges), refunded: String(verdict.refunds),
  }, faults: rows, outcomes, codes,
})}\n`)
process.exit(report.problems.length === 0 ? 0 : 1)
