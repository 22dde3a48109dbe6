/**
 * Cheats as processes: three hubs that check, two honest machines, and one after the other a machine that cheats, each a process
 * of its own with its own account. Ordinary jobs go to it until it is found, 200 at most. Then 5,000 honest hosts with 1,000 jobs
 * each, and the cheats as numbers, in a simulation of the same rules. Prints the tables of docs/honesty.md; exits with 1 where one
 * is not found, an honest one is called a cheat or goes without pay, or a cheat is paid that never passed, or after it was found. `SEED=n` repeats a run; `npm run test:cheats -- "slow host"` runs one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { alwaysBusy, cheats, honestHost, simulateHost } from './simulate.ts'
import { PAY_MS, POLL_MS, startCheatFederation, type CheatFederation, type Lender } from '../support/cheat-federation.ts'
import { cheatKinds, type CheatKind } from '../support/played-model.ts'
import { SERIES_CHECKS } from '../../node/honesty/standing.ts'
import { seededUnit } from '../support/seeded-random.ts'
import { until } from '../support/until.ts'

const JOBS_MAX = 200
const BUSY_JOBS = 40
const ALWAYS_BUSY = 'always busy'
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
    console.log('\n| cheat | found by | ordinary jobs until then | checks until then | of these timed | seconds | paid, µcr |\n|---|---|---|---|---|---|---|')
    const found: FoundCheat[] = []
    for (const kind of cheatKinds.filter((one) => one !== 'honest' && one !== ALWAYS_BUSY && (wanted.length === 0 || wanted.includes(one)))) found.push(await runCheat(test, kind, honest))
    if (wanted.length === 0 || wanted.includes(ALWAYS_BUSY)) found.push(await runBusy(test))
    await keepHonest(test, honest)
    // Whoever would still be paid has been by then.
    await sleep(3 * PAY_MS)
    for (const { cheat, paid } of found) if (await test.paid(cheat) !== paid) fail(`"${cheat.kind}" was paid after it was found`)
  } finally {
    await test.stop()
  }
}

interface FoundCheat { readonly cheat: Lender; readonly paid: bigint }

function fail(text: string): void {
  failed = true
  console.log(text)
}

async function runCheat(test: CheatFederation, kind: CheatKind, honest: readonly Lender[]): Promise<FoundCheat> {
  const startMs = performance.now()
  const cheat = await test.lend(kind)
  let jobs = 0
  let check = await test.checkOf(cheat)
  let hasPassed = false
  while (check?.state !== 'failed' && jobs < JOBS_MAX) {
    // One in four allows that it is asked again; honest machines get jobs too.
    await test.job(cheat, { allowsChecks: jobs % 4 === 0 }).catch(() => undefined)
    if (jobs % 8 === 0) await test.job(honest[jobs / 8 % honest.length]!, { allowsChecks: false }).catch(() => undefined)
    jobs += 1
    for (const lender of [cheat, ...honest]) if (lender.gone() !== undefined) throw new Error(lender.gone())
    const checks = await Promise.all([0, 1, 2].map((hub) => test.checkOf(cheat, hub)))
    check = checks[0]
    hasPassed ||= checks.some((one) => one?.state === 'passed')
  }
  const seconds = Math.round((performance.now() - startMs) / 1_000)
  // Pay that was on its way when the hubs heard of it is still its own.
  await until('all hubs know', async () => (await Promise.all([1, 2].map((hub) => test.checkOf(cheat, hub)))).every((one) => one?.state === 'failed' || one?.other_hubs_say === 'failed'), 60_000, POLL_MS).catch((error: unknown) => fail(String(error)))
  await sleep(2 * PAY_MS)
  const paid = await test.paid(cheat)
  if (check?.state !== 'failed') fail(`| ${kind} | NOT FOUND (${check?.text ?? 'never checked'}) | ${jobs} | | | ${seconds} | ${paid} |`)
  else {
    const checks = Math.max(...['answer', 'speed'].map((name) => (check.tallies[name]?.good ?? 0) + (check.tallies[name]?.bad ?? 0)))
    console.log(`| ${kind} | \`${check.failed_by}\` | ${jobs} | ${checks} | ${(check.tallies['speed']?.good ?? 0) + (check.tallies['speed']?.bad ?? 0)} | ${seconds} | ${paid} |`)
  }
  if (paid > 0n && !hasPassed) fail(`  it was paid ${paid} µcr and had passed at no hub`)
  await cheat.stop()
  return { cheat, paid }
}

/** One that answers well and says of each question that it waits: nothing is found, so nothing may be paid. */
async function runBusy(test: CheatFederation): Promise<FoundCheat> {
  const busy = await test.lend(ALWAYS_BUSY)
  const seriesOver = async () => (await Promise.all([0, 1, 2].map((hub) => test.checkOf(busy, hub)))).every((check) => check !== undefined && check.checks_in_state >= SERIES_CHECKS + 2)
  for (let jobs = 0; jobs < BUSY_JOBS; jobs += 1) await test.job(busy, { allowsChecks: jobs % 4 === 0 }).catch(() => undefined)
  await until('it had more than a series at each hub', seriesOver, 120_000, POLL_MS)
  await sleep(2 * PAY_MS)
  const paid = await test.paid(busy)
  const checks = await Promise.all([0, 1, 2].map((hub) => test.checkOf(busy, hub)))
  console.log(`\n"${ALWAYS_BUSY}" stands as ${checks.map((check) => check?.state).join(', ')} after ${BUSY_JOBS} jobs and was paid ${paid} µcr: ${checks[0]?.text}`)
  if (paid > 0n || checks.some((check) => check?.state !== 'new')) fail(`"${ALWAYS_BUSY}" passed or was paid without having been timed`)
  await busy.stop()
  return { cheat: busy, paid }
}

async function keepHonest(test: CheatFederation, honest: readonly Lender[]): Promise<void> {
  for (const one of honest) {
    for (const hub of [0, 1, 2]) {
      const check = await test.checkOf(one, hub)
      if (check?.state !== 'passed') fail(`an honest machine is ${check?.state} at hub ${hub}: ${check?.text}`)
    }
    if (await test.paid(one) === 0n) fail('an honest machine was not paid')
  }
  if (!failed) console.log(`\nboth honest machines stand as passed at all three hubs, and were paid ${(await Promise.all(honest.map((one) => test.paid(one)))).join(' and ')} µcr`)
}

function runSimulation(): void {
  const unit = seededUnit(seed)
  const hosts = 5_000
  const jobs = 1_000
  let called = 0
  let checks = 0
  let waited = 0
  for (let host = 0; host < hosts; host += 1) {
    const one = simulateHost(honestHost(unit), { jobs, unit })
    checks += one.checks
    if (one.waited) waited += 1
    if (one.failedAfter !== undefined) called += 1
  }
  if (called > 0) failed = true
  console.log(`\nsimulation: ${called} of ${hosts} honest hosts called cheats, each with ${jobs} jobs, ${checks} checks in all; the pay of ${waited} waited at some time, as too few questions could be timed`)
  const hidden = Array.from({ length: 1_000 }, () => simulateHost(alwaysBusy, { jobs, unit }).standing.state)
  const passed = hidden.filter((state) => state === 'passed').length
  if (passed > 0) failed = true
  console.log(`${passed} of 1000 that say of every question that it waits passed and were paid`)
  console.log('\n| cheat, 1,000 simulated hosts | jobs, median | 99 of 100 | most |\n|---|---|---|---|')
  for (const cheat of cheats) {
    const found = Array.from({ length: 1_000 }, () => simulateHost(cheat, { jobs: 1_000, unit }).failedAfter ?? Infinity).sort((a, b) => a - b)
    console.log(`| ${cheat.name} | ${found[500]} | ${found[990]} | ${found[999]} |`)
    if (!(found[990]! <= JOBS_MAX)) failed = true
  }
}
