/** How callers reach the ledgers: who is there to be asked, what they may be told, and what is written down of it. */
import type { AppendResult, HubLedger } from '../../ledger/interface.ts'
import { toTriforceError, type TriforceError } from '../../protocol/errors.ts'
import type { Random } from '../../protocol/ports.ts'
import { told, type Oracle, type OracleAccount, type Told } from './oracle.ts'
import type { SimProcess } from './sim-hub.ts'
import { count } from './sim-report.ts'
import type { SimWorld } from './sim-world.ts'

export interface CallOptions {
  /** Codes that this caller must be ready for, beside those that any hub may give at any time. */
  readonly expected?: readonly string[]
  readonly failed?: (error: TriforceError) => void
  /** Who is asked; default: the process that runs on the hub's own disk. */
  readonly process?: SimProcess | undefined
}

export interface Caller {
  readonly world: SimWorld
  readonly oracle: Oracle
  readonly random: Random
  pick<Item>(items: readonly Item[]): Item | undefined
  /** A whole number from `min` to `max`. */
  between(min: number, max: number): number
  /** Hubs that answer. */
  readonly hubs: readonly number[]
  /** An account by how often it is used: the first ones are hot. */
  someAccount(): OracleAccount | undefined
  /** Calls a hub; `onAnswer` gets what it says, unless the hub dies first. False where it does not run. */
  call<Result>(hub: number, name: string, run: (ledger: HubLedger) => Promise<Result>, onAnswer: (result: Result) => void, options?: CallOptions): boolean
  /** The same for what is appended: writes down what was promised. */
  append(hub: number, name: string, thing: Told, run: (ledger: HubLedger) => Promise<AppendResult>, options?: CallOptions): void
  after(delayMs: number, run: () => void): void
  /** Answers still awaited from processes that live. */
  readonly pending: number
  /** Things that callers still mean to do. */
  readonly running: number
  /** Calls that were answered well. */
  done: number
}

/** What any hub may say at any time. Every other code is a bug, or expected by the caller. */
const ALWAYS = new Set(['LEDGER_READ_ONLY', 'STOPPING', 'LOG_DAMAGED', 'LOG_FORKED', 'QUEUE_FULL', 'HUB_ISOLATED', 'NOT_HOME'])

export function createCaller(world: SimWorld, oracle: Oracle): Caller {
  const { report, scheduler, slots, swarm } = world
  const random = world.random('workload')
  let running = 0
  const pendingOf = new Map<SimProcess, number>()

  const caller: Caller = {
    world, oracle, random,
    pick: (items) => items[Math.floor(random.unit() * items.length)],
    between: (min, max) => min + Math.floor(random.unit() * (max - min + 1)),
    get hubs() { return slots.flatMap(({ index, process }) => process?.ledger === undefined || process.life.paused ? [] : [index]) },
    someAccount: () => {
      const all = [...oracle.accounts.values()]
      return all[Math.min(all.length - 1, Math.floor(all.length * random.unit() ** (1 + swarm.zipf)))]
    },
    call: (hub, name, run, onAnswer, { expected = [], failed = () => {}, process = slots[hub]!.process } = {}) => {
      if (process?.ledger === undefined) return false
      count(report.operations, name)
      pendingOf.set(process, (pendingOf.get(process) ?? 0) + 1)
      const answered = () => { pendingOf.set(process, pendingOf.get(process)! - 1) }
      // A call that is refused at once throws as one that is refused later.
      Promise.resolve(process.ledger).then(run).then((result) => {
        if (!process.life.alive) return
        answered()
        caller.done += 1
        onAnswer(result)
      }, (reason: unknown) => {
        if (!process.life.alive) return
        answered()
        const error = toTriforceError(reason)
        scheduler.note(`${process.name} ${name}: ${error.code} ${JSON.stringify(error.context)}`)
        count(report.operations, `${name} ${error.code}`)
        if (error.code === 'ENTRY_CONFLICT') count(report.sometimes, 'conflict refused')
        if (!ALWAYS.has(error.code) && !expected.includes(error.code)) {
          world.violation('unexpected error', `${process.name} ${name}: ${String(error)} ${JSON.stringify(error.context)} ${reason instanceof Error ? (reason.stack ?? '').split('\n').slice(1, 4).map((line) => line.trim().replace(/file:.*\//, '')).join(' ') : ''}`)
        }
        failed(error)
      })
      return true
    },
    append: (hub, name, thing, run, options) => {
      // Some clients reach the copy, where there is one.
      const { twin } = slots[hub]!
      const isCopy = twin?.ledger !== undefined && !twin.life.paused && random.unit() < 0.4
      caller.call(hub, name, run, ({ durability, known, seq, epoch, hub: at }) => {
        scheduler.note(`hub${hub + 1} ${name}: ${durability}${known ? ' known' : ''} ${at}/${epoch}:${seq}`)
        if (durability === 'local') count(report.sometimes, 'answered local')
        if (known) count(report.sometimes, 'answered known')
        told(thing, at, durability)
      }, isCopy ? { ...options, process: twin } : options)
    },
    after: (delayMs, run) => {
      running += 1
      scheduler.after(delayMs, () => {
        running -= 1
        run()
      })
    },
    get running() { return running },
    get pending() {
      return [...pendingOf].reduce((sum, [{ life }, waiting]) => sum + (life.alive ? waiting : 0), 0)
    },
    done: 0,
  }
  return caller
}
