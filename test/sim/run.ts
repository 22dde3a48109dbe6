/**
 * `npm run sim -- --seeds N [--seed S] [--from F] [--steps MS] [--processes P] [--bug NAME] [--mutants]`: runs the ledger's simulator.
 *
 * --seeds N    seeds to run, from --from F (default 1), in --processes P (default 2)
 * --seed S     one seed, with its last events; twice, to show that it is the same run
 * --notes N    with --seed: how many of its last events, default 40
 * --only A,B   with --mutants: these bugs only
 * --steps MS   simulated milliseconds of work in each run; default drawn from the seed
 * --bug NAME   with this planted bug
 * --mutants    every planted bug, each until a seed finds it, at most 2,000 or --seeds; prints the table
 *
 * Ends with 1 where something was violated, a mutant lived, or, with 1,000 seeds or more, something never happened.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { plant, plantedBugs, type PlantedBug } from '../../ledger/planted-bugs.ts'
import { mutantTable, rangesOf, summaryOf } from './sim-summary.ts'
import { simulate, type SimulateOptions } from './simulate.ts'
import type { WorkerReport, WorkerTask } from './worker.ts'

const MUTANT_SEEDS_DEFAULT = 2_000
const REMEMBER = new URL('remember.ts', import.meta.url).href
/** A seed takes well below a second; a machine may be shared by many. */
const HANG_MS = 300_000

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' }, seed: { type: 'string' }, from: { type: 'string', default: '1' }, steps: { type: 'string' },
    bug: { type: 'string' }, mutants: { type: 'boolean', default: false }, only: { type: 'string' },
    notes: { type: 'string', default: '40' }, processes: { type: 'string', default: '2' },
  },
})

const processesMax = Math.max(1, Number(values.processes))
const options: SimulateOptions = values.steps === undefined ? {} : { lengthMs: Number(values.steps) }

function bugOf(name: string | undefined): PlantedBug | undefined {
  const bug = plantedBugs.find((known) => known === name)
  if (name !== undefined && bug === undefined) {
    process.stderr.write(`no bug "${name}"; there are: ${plantedBugs.join(', ')}\n`)
    process.exit(2)
  }
  return bug
}

/** Runs a task in another process. `onReport` gives false to stop it. A seed that does not end is reported as such, and the next one begins. */
async function runWorker(task: WorkerTask, onReport: (report: WorkerReport) => boolean): Promise<void> {
  let next = task.from
  for (let goesOn = true; goesOn && next < task.to;) {
    const child = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), [JSON.stringify({ ...task, from: next })], { execArgv: ['--import', REMEMBER] })
    let hangs = false
    const watch = setInterval(() => {
      if (performance.now() - lastMs < HANG_MS) return
      hangs = true
      child.kill('SIGKILL')
    }, 1_000)
    let lastMs = performance.now()
    child.on('message', (message) => {
      lastMs = performance.now()
      const report = message as WorkerReport
      next = report.seed + task.every
      goesOn = onReport(report)
      if (!goesOn) child.kill()
    })
    const [code, signal] = await once(child, 'exit') as [number | null, string | null]
    clearInterval(watch)
    if (hangs) {
      const violation = { check: 'hangs', detail: `no end after ${HANG_MS / 1_000} s` }
      goesOn = onReport({ seed: next, steps: 0, simulatedMs: 0, wallMs: HANG_MS, fingerprint: '', faults: [], sometimes: [], operations: [], violations: [violation], lastNotes: [] })
      next += task.every
    } else if (code !== 0 && signal !== 'SIGTERM') {
      throw new Error(`a worker ended with ${code ?? signal}`)
    }
  }
}

async function runSeeds(from: number, seeds: number, bug: PlantedBug | undefined, onReport: (report: WorkerReport) => boolean, processes = processesMax): Promise<void> {
  await Promise.all(Array.from({ length: Math.min(processes, seeds) }, async (_, first) => {
    await runWorker({ from: from + first, every: processes, to: from + seeds, ...(bug === undefined ? {} : { bug }), options }, onReport)
  }))
}

async function runMutants(): Promise<boolean> {
  const results: { readonly bug: string; readonly seed?: number; readonly check?: string }[] = []
  const wanted = plantedBugs.filter((bug) => values.only === undefined || values.only.split(',').includes(bug))
  const queue = [...wanted]
  await Promise.all(Array.from({ length: processesMax }, async () => {
    for (let bug = queue.shift(); bug !== undefined; bug = queue.shift()) {
      const name = bug
      let caught: { readonly seed: number; readonly check: string } | undefined
      await runSeeds(Number(values.from), Number(values.seeds ?? MUTANT_SEEDS_DEFAULT), name, ({ seed, violations }) => {
        if (violations.length > 0) caught ??= { seed, check: `${violations[0]!.check}: ${violations[0]!.detail}` }
        return caught === undefined
      }, 1)
      results.push({ bug: name, ...caught })
      process.stdout.write(`${name}: ${caught === undefined ? 'LIVES' : `caught at seed ${caught.seed}`}\n`)
    }
  }))
  process.stdout.write(mutantTable(results))
  return results.every(({ seed }) => seed !== undefined)
}

if (values.seed !== undefined) {
  plant(bugOf(values.bug))
  const seed = Number(values.seed)
  const first = await simulate(seed, { ...options, keepNotes: Number(values.notes) })
  const second = await simulate(seed, options)
  process.stdout.write(`${first.lastNotes.join('\n')}\n\n`)
  for (const { check, detail } of first.violations) process.stdout.write(`violation: ${check}: ${detail}\n`)
  process.stdout.write(`seed ${seed}: ${first.steps} steps, ${(first.simulatedMs / 1_000).toFixed(1)} s simulated, fingerprints ${first.fingerprint} ${second.fingerprint}\n`)
  process.exitCode = first.violations.length > 0 || first.fingerprint !== second.fingerprint ? 1 : 0
} else if (values.mutants) {
  process.exitCode = await runMutants() ? 0 : 1
} else {
  const seeds = Number(values.seeds ?? 100)
  const reports: WorkerReport[] = []
  const startedMs = performance.now()
  // Stopped early, it says what it has run.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      process.stdout.write(`stopped; seeds run: ${rangesOf(reports.map(({ seed }) => seed))}\n${summaryOf(reports, { wallMs: performance.now() - startedMs, strict: false }).text}`)
      process.exit(1)
    })
  }
  await runSeeds(Number(values.from), seeds, bugOf(values.bug), (report) => {
    reports.push(report)
    if (reports.length % 500 === 0) process.stderr.write(`${reports.length} seeds after ${Math.round((performance.now() - startedMs) / 1_000)} s\n`)
    for (const { check, detail } of report.violations) process.stdout.write(`seed ${report.seed}: ${check}: ${detail}\n`)
    if (report.violations.length > 0) process.stdout.write(`${report.lastNotes.join('\n')}\nnpm run sim -- --seed ${report.seed}\n\n`)
    return true
  })
  const { text, ok } = summaryOf(reports, { wallMs: performance.now() - startedMs, strict: seeds >= 1_000 })
  process.stdout.write(text)
  process.exitCode = ok && reports.length === seeds ? 0 : 1
}
