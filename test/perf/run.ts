/**
 * `npm run bench -- NAME`: runs `NAME.bench.ts`, prints its table and one JSON line.
 * Figures are ratios within one run wherever that is possible, since machines are noisy.
 */
import { existsSync, readdirSync } from 'node:fs'
import { cpus } from 'node:os'
import { formatTable } from '../../bootstrap/table.ts'
import type { BenchModule } from './support/report.ts'

const name = process.argv[2] ?? ''
const file = new URL(`./${name}.bench.ts`, import.meta.url)
if (!/^[a-z-]+$/.test(name) || !existsSync(file)) {
  const names = readdirSync(import.meta.dirname).filter((entry) => entry.endsWith('.bench.ts')).map((entry) => entry.replace('.bench.ts', ''))
  process.stderr.write(`give the name of a bench: npm run bench -- ${names.join(' | ')}\n`)
  process.exit(2)
}

const { run } = await import(file.href) as BenchModule
const rows = await run((text) => process.stderr.write(`${text}\n`))
const lines = formatTable(
  [{ title: 'measure', shrink: true }, { title: 'value', align: 'right' }, { title: 'against', align: 'right' }, { title: 'ratio', align: 'right' }, { title: 'goal', align: 'right' }],
  rows.map((row) => [row.measure, `${number(row.value)} ${row.unit}`, row.against === undefined ? '' : `${number(row.against)} ${row.unit}`, row.ratio === undefined ? '' : number(row.ratio), row.goal ?? '']),
)
process.stdout.write(`${lines.join('\n')}\n`)
process.stdout.write(`${JSON.stringify({ bench: name, node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, rows })}\n`)
process.exit(0)

function number(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}
