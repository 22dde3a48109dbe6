/**
 * Cheats as processes: three hubs that check, two honest machines, and one after the other a machine that cheats, each a process
 * of its own with its own account. Ordinary jobs go to it until it is found, 200 at most. Then 5,000 honest hosts with 1,000 jobs
 * each, and the cheats as numbers, in a simulation of the same rules. Prints the tables of docs/honesty.md; exits with 1 where one
 * is not found or an honest one is called a cheat. `SEED=n` repeats a run; `npm run test:cheats -- "slow host"` runs one.
 */
import { cheats, honestHost, simulateHost } from './simulate.ts'
import { startCheatFederation, type CheatFederation, type Lender } from '../support/cheat-federation.ts'
import { cheatKinds, type CheatKind } from '../support/played-model.ts'
import { seededUnit } from '../support/seeded.ts'
import { until } from '../support/until.ts'

const JOBS_MAX = 200
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 32))
const wanted = process.argv.slice(2)
let failed = false

console.log(`seed ${seed}`)
await runProcesses()
if (wanted.length === 0) runSimulation()
process.exit(failed ? 1 : 0)

async function runProcesses(): Promise<void> {
  const test = await startCheatFederation({ processes: true, seed })
  try {
    const honest = [await test.lend('honest'), await test.lend('honest')]
    await until('the honest ones pass at every hub', async () => (await Promise.all(honest.flatMap((one) => [0, 1, 2].map((hub) => test.checkOf(one, hub))))).every((check) => check?.state === 'passed'), 180_000)
    console.log('\n| cheat | found by | ordinary jobs until then | checks until then | seconds |\n|---|---|---|---|---|')
    for (const kind of cheatKinds.filter((one) => one !== 'honest' && (wanted.length === 0 || wanted.includes(one)))) await runCheat(test, kind, honest)
    await keepHonest(test, honest)
  } finally {
    await test.stop()
  }
}

async function runCheat(test: CheatFederation, kind: CheatKind, honest: readonly Lender[]): Promise<void> {
  const startMs = performance.now()
  const cheat = await test.lend(kind)
  let jobs = 0
  let check = await test.checkOf(cheat)
  while (check?.state !== 'failed' && jobs < JOBS_MAX) {
    // One in four allows that it is asked again; honest machines get jobs too.
    await test.job(cheat, { allowsChecks: jobs % 4 === 0 }).catch(() => undefined)
    if (jobs % 8 === 0) await test.job(honest[jobs / 8 % honest.length]!, { allowsChecks: false }).catch(() => undefined)
    jobs += 1
    for (const lender of [cheat, ...honest]) if (lender.gone() !== undefined) throw new Error(lender.gone())
    check = await test.checkOf(cheat)
  }
  const seconds = Math.round((performance.now() - startMs) / 1_000)
  if (check?.state !== 'failed') {
    failed = true
    console.log(`| ${kind} | NOT FOUND (${check?.text ?? 'never checked'}) | ${jobs} | | ${seconds} |`)
  } else {
    const checks = Math.max(...['answer', 'speed'].map((name) => (check.tallies[name]?.good ?? 0) + (check.tallies[name]?.bad ?? 0)))
    console.log(`| ${kind} | \`${check.failed_by}\` | ${jobs} | ${checks} | ${seconds} |`)
  }
  const { money } = await test.get('/v1/contributor/status', cheat.apiKey) as { money: { paid_micro_credits: string } }
  if (money.paid_micro_credits !== '0') {
    failed = true
    console.log(`  it was paid ${money.paid_micro_credits} µcr`)
  }
  await cheat.stop()
}

async function keepHonest(test: CheatFederation, honest: readonly Lender[]): Promise<void> {
  for (const one of honest) {
    for (const hub of [0, 1, 2]) {
      const check = await test.checkOf(one, hub)
      if (check?.state === 'passed') continue
      failed = true
      console.log(`an honest machine is ${check?.state} at hub ${hub}: ${check?.text}`)
    }
  }
  console.log('\nboth honest machines stand as passed at all three hubs')
}

function runSimulation(): void {
  const unit = seededUnit(seed)
  const hosts = 5_000
  const jobs = 1_000
  let called = 0
  let checks = 0
  for (let host = 0; host < hosts; host += 1) {
    const one = simulateHost(honestHost(unit), { jobs, unit })
    checks += one.checks
    if (one.failedAfter !== undefined) called += 1
  }
  if (called > 0) failed = true
  console.log(`\nsimulation: ${called} of ${hosts} honest hosts called cheats, each with ${jobs} jobs, ${checks} checks in all`)
  console.log('\n| cheat, 1,000 simulated hosts | jobs, median | 99 of 100 | most |\n|---|---|---|---|')
  for (const cheat of cheats) {
    const found = Array.from({ length: 1_000 }, () => simulateHost(cheat, { jobs: 1_000, unit }).failedAfter ?? Infinity).sort((a, b) => a - b)
    console.log(`| ${cheat.name} | ${found[500]} | ${found[990]} | ${found[999]} |`)
    if (!(found[990]! <= JOBS_MAX)) failed = true
  }
}
