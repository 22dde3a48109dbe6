/**
 * What the core of one hub knows: the folded state and the small states of its parts. Made by `createHub` (step.ts).
 * Intents read it when they are decided, `step` changes it; nothing here is persisted.
 */
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { LedgerState, LogName } from '../fold/state.ts'
import type { DutiesState } from './duties-state.ts'
import type { HubEffect, HubEvent } from './events.ts'
import type { IslandState } from './island.ts'
import type { RightsState } from './rights-state.ts'
import type { SpreadState } from './spread.ts'

export interface HubOptions {
  readonly network: string
  /** Place of this hub in the federation, 0 to 2. */
  readonly me: number
  /** The state of everything that is on the disk. The hub's from now on: the shell applies entries to `hub.state`. */
  readonly state: LedgerState
  /** Parts beside rights and duties, in the order in which they see each event: seals, checkpoints. */
  readonly machines?: readonly HubMachine[]
  /** Half of a newcomer's pay is held back. Off in a local federation. Default on. */
  readonly holdBack?: boolean
  /** A device is paid at most this often (ms), unless it is asked for. Default 10 minutes. */
  readonly vestEveryMs?: number
  /** Fresh money is spread over the hubs. Default on. */
  readonly spread?: boolean
  /** A hold is decided without further rights after this long (ms). Default 2,000. */
  readonly rightsWaitMsMax?: number
  /** A donor that has not answered for this long (ms) is asked again, and after as long again the next one is. Default 400. */
  readonly rightsResendMs?: number
}

export const hubDefaults = Object.freeze({ holdBack: true, vestEveryMs: 600_000, spread: true, rightsWaitMsMax: 2_000, rightsResendMs: 400 })

/** A part of the core: changes its own state (its closure) and gives what it wants. Reads no clock, no disk and no dice. */
export type HubMachine = (hub: HubState, event: HubEvent, nowMs: number) => readonly HubEffect[]

/** What all logs give at a final checkpoint. */
export interface FinalState {
  readonly round: number
  readonly state: LedgerState
}

export interface HubState {
  readonly network: string
  readonly me: number
  readonly settings: Readonly<Required<Pick<HubOptions, keyof typeof hubDefaults>>>
  /** Replaced as a whole when it is folded anew. */
  state: LedgerState
  /** The own log that takes entries now. */
  writing: LogId | undefined
  readonly connected: Set<number>
  readonly rights: RightsState
  readonly spread: SpreadState
  readonly island: IslandState
  readonly duties: DutiesState
  /** Set by the checkpoint machine in the step in which a checkpoint becomes final; pay is computed in the same step. */
  final: FinalState | undefined
  /** Pay of a contributor (hexadecimal key) waits while this says no; a view from outside, for only its clearing hub pays an account. */
  mayPay: (contributor: string) => boolean
  readonly machines: readonly HubMachine[]
}

export function nameOfLog(log: LogId): LogName {
  return `${log.hub}/${log.epoch}`
}

export function logOfName(name: LogName): LogId {
  const [hub, epoch] = name.split('/')
  return { hub: Number(hub), epoch: Number(epoch) }
}
