/** A hub of the simulation: its disk, its clock, its key, and the process that runs there now, which is the real ledger. */
import type { LedgerState } from '../../ledger/fold/state.ts'
import type { HubLedger } from '../../ledger/interface.ts'
import { openLedger, type LedgerOptions } from '../../ledger/ledger.ts'
import { toTriforceError, type TriforceError } from '../../protocol/errors.ts'
import type { Clock, Log, LogContext, Random } from '../../protocol/ports.ts'
import type { TestFederation } from '../support/federation.ts'
import { createLife, type Life } from './sim-life.ts'
import type { SimDisk } from './sim-disk.ts'
import type { Scheduler } from './sim-scheduler.ts'

export interface SimProcess {
  readonly hub: number
  /** `hub1`, or `hub1'` for a second process with the same key. */
  readonly name: string
  readonly life: Life
  readonly disk: SimDisk
  /** Undefined until it is open. */
  ledger: HubLedger | undefined
  /** The state that it lives by; undefined until it is being opened. */
  live: (() => LedgerState) | undefined
}

export interface SimClock {
  /** How far this hub's wall clock is from simulated time, ms. Changing it is a jump. */
  offsetMs: number
}

export interface StartOptions {
  readonly world: TestFederation
  readonly startMs: number
  readonly scheduler: Scheduler
  readonly random: Random
  readonly clock: SimClock
  readonly disk: SimDisk
  readonly hub: number
  readonly name: string
  readonly options: Partial<LedgerOptions>
  readonly onOpen: (process: SimProcess) => void
  /** A warning or an error. */
  readonly onLogged: (text: string) => void
  /** The process ended by itself, or could not start. */
  readonly onEnded: (process: SimProcess, error: TriforceError) => void
}

/** Starts the ledger; `onOpen` or `onEnded` follows. */
export function startProcess(start: StartOptions): SimProcess {
  const { world, scheduler, random, disk, hub, name, onOpen, onEnded } = start
  const life = createLife()
  const process: SimProcess = { hub, name, life, disk, ledger: undefined, live: undefined }
  let ended = false
  const end = (error: TriforceError) => {
    if (ended || !life.alive) return
    ended = true
    // The process ends a moment after it said so, not in the middle of saying it.
    scheduler.after(0, () => { if (life.alive) onEnded(process, error) })
  }
  scheduler.note(`${name} starts`)
  openLedger(
    {
      clock: clockOf(start, life), random, log: logOf(start, life), signer: world.hubs[hub]!.signer, disk: disk.open(life),
      observe: (live) => { process.live = live },
    },
    { dir: `/${name}`, federation: world.federation, hubIndex: hub, onFailed: end, ...start.options },
  ).then((ledger) => {
    if (!life.alive) return
    process.ledger = ledger
    onOpen(process)
  }, (error: unknown) => { end(toTriforceError(error)) })
  return process
}

function clockOf({ scheduler, clock, startMs }: StartOptions, life: Life): Clock {
  const bornMs = scheduler.nowMs
  return {
    now: () => Math.floor(startMs + scheduler.nowMs + clock.offsetMs),
    monotonicMs: () => scheduler.nowMs - bornMs,
    after: (delayMs, run) => scheduler.after(delayMs, () => { life.run(run) }),
  }
}

/** Warnings and errors are part of the run; the rest is not. */
function logOf({ scheduler, name, onLogged }: StartOptions, life: Life): Log {
  const write = (level: string) => (text: string, context?: LogContext) => {
    if (life.alive) onLogged(text)
    if (life.alive) scheduler.note(`${name} ${level}: ${text}${context === undefined ? '' : ` ${JSON.stringify(context)}`}`)
  }
  const none = () => {}
  const log: Log = { debug: none, info: none, warn: write('warns'), error: write('errors'), child: () => log }
  return log
}
