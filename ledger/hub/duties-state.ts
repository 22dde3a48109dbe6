/** What a hub keeps in mind to do by itself. Changed by duties.ts and pay-duty.ts only. */
import type { AccountId, EntryId, LogName } from '../fold/state.ts'
import type { VestAsk } from './decide/earning.ts'
import type { Due } from './expiry-heap.ts'

export interface DutiesState {
  /** Open holds of the own log by time of expiry. */
  readonly expiries: Due[]
  /** Holds that were decided in this process and are open: somebody is still at them. */
  readonly mine: Set<EntryId>
  /** Settled holds that may have to be paid back because another hub served the same request. */
  readonly doubles: Set<EntryId>
  /** Approved grants that this hub may have to log. */
  readonly grants: Set<string>
  /** Sealed logs that were not handed back; those with nothing frozen any more; those whose open holds were resolved then. */
  readonly sealed: Set<LogName>
  readonly released: Set<LogName>
  readonly resolved: Set<LogName>
  /** Entries that were asked for, by id, and when: asked for again where they are not there in time. */
  readonly asked: Map<string, number>
  /** Pay and releases that wait for their turn. */
  pay: (VestAsk | { readonly release: AccountId })[]
  vestedRound: number
  vestedMs: number | undefined
  vestAsked: boolean
  /** The log for which everything was looked through. */
  lookedThrough: LogName | undefined
}

export function createDuties(): DutiesState {
  return {
    expiries: [], mine: new Set(), doubles: new Set(), grants: new Set(), sealed: new Set(), released: new Set(), resolved: new Set(), asked: new Map(),
    pay: [], vestedRound: -1, vestedMs: undefined, vestAsked: false, lookedThrough: undefined,
  }
}
