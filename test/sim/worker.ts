/** Runs every n-th seed in a process of its own and reports each to the parent. */
import { plant, type PlantedBug } from '../../ledger/planted-bugs.ts'
import type { Violation } from './sim-report.ts'
import { simulate, type SimulateOptions } from './simulate.ts'

export interface WorkerTask {
  readonly from: number
  readonly every: number
  /** First seed that is not run. */
  readonly to: number
  readonly bug?: PlantedBug
  readonly options: SimulateOptions
}

export interface WorkerReport {
  readonly seed: number
  readonly steps: number
  readonly simulatedMs: number
  readonly wallMs: number
  readonly fingerprint: string
  readonly faults: readonly (readonly [string, number])[]
  readonly sometimes: readonly (readonly [string, number])[]
  readonly operations: readonly (readonly [string, number])[]
  readonly violations: readonly Violation[]
  readonly lastNotes: readonly string[]
}

/** Printed of a failed seed. */
const NOTES = 40

// Without the parent nobody reads what comes.
process.on('disconnect', () => process.exit(1))
const task = JSON.parse(process.argv[2]!) as WorkerTask
plant(task.bug)
for (let seed = task.from; seed < task.to; seed += task.every) {
  // While seeds run nobody else gets a turn.
  if (!process.connected) process.exit(1)
  const { faults, sometimes, operations, violations, lastNotes, ...rest } = await simulate(seed, task.options)
    .catch((error: unknown) => { throw new Error(`seed ${seed}`, { cause: error }) })
  // The run is the same the second time, so its notes are only made when somebody wants them.
  const notes = violations.length > 0 && task.bug === undefined ? (await simulate(seed, { ...task.options, keepNotes: NOTES })).lastNotes : lastNotes
  // What this seed finds without the bug is not found by the bug.
  const isItself = task.bug === undefined || violations.length === 0 || await without(task.bug, seed)
  const report: WorkerReport = { ...rest, faults: [...faults], sometimes: [...sometimes], operations: [...operations], violations: isItself ? violations : [], lastNotes: notes }
  await new Promise((resolve) => { process.send!(report, resolve) })
}
process.removeAllListeners('disconnect')
process.disconnect()

async function without(bug: PlantedBug, seed: number): Promise<boolean> {
  plant(undefined)
  const { violations } = await simulate(seed, task.options)
  plant(bug)
  return violations.length === 0
}
