/**
 * `npm run test:kill -- --rounds 20 [--seed S]`: kills a whole federation in the middle of traffic, again and again; then
 * no receipt whose last chunk a client saw may be missing on any hub.
 */
import { parseArgs } from 'node:util'
import { killAllRounds } from '../support/kill-all.ts'
import { seededUnit } from '../support/seeded-random.ts'
import { removeDir, temporaryDir } from '../support/up.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '20' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) } } })
const rounds = Number(values.rounds)
const seed = Number(values.seed)
if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed)) {
  process.stderr.write('usage: npm run test:kill -- --rounds 20 [--seed S]\n')
  process.exit(2)
}
process.stdout.write(`seed ${seed}\n`)
const dir = temporaryDir()
try {
  const report = await killAllRounds({ dir, rounds, unit: seededUnit(seed), say: (text) => process.stdout.write(`${text}\n`) })
  process.stdout.write(`${report.rounds} rounds, ${report.answers} answers seen to their end, ${report.missing.length} receipts missing\n`)
  for (const receipt of report.missing) process.stdout.write(`missing: ${receipt}\n`)
  process.exitCode = report.missing.length === 0 ? 0 : 1
} finally {
  removeDir(dir)
}
