/** What a hub remembers of rights that it asked for, was asked for, and may need soon. Changed by rights.ts only. */
import type { AccountId, LogName, Unit } from '../fold/state.ts'

export interface RightsAsk {
  readonly account: AccountId
  readonly unit: Unit
  /** Least that helps, and what would be better; µcr or tokens that are to come. */
  min: bigint
  want: bigint
  readonly startedMs: number
  /** Nobody waits: fetched ahead. */
  background: boolean
  /** Hubs that were not asked yet, best first. */
  donors: number[]
  /** Undefined while all have answered and something is on its way elsewhere. */
  asked: { readonly hub: number; readonly request: Uint8Array; readonly requestHex: string; readonly sentMs: number; readonly min: bigint; readonly again: boolean } | undefined
  /** What donors say that they have, where it was too little. */
  readonly refused: Map<number, bigint>
  /** They are asked once more, for what they have. */
  secondRound: boolean
  /** Given and under way, or in the state already. */
  came: bigint
  /** When it was given up; then it stays a little, so that those who wait see it. */
  failedMs: number | undefined
}

export interface Demand {
  /** µcr that was held here in this hour of the clock, and in the one before. */
  hour: number
  now: bigint
  before: bigint
  /** When it was last fetched ahead. */
  askedMs: number | undefined
}

export interface RightsState {
  /** By account and unit. */
  readonly asks: Map<string, RightsAsk>
  /** The ask that a Give, by its id, is the answer to. */
  readonly requests: Map<string, string>
  /** Ids of requests are hashes of this. */
  counter: number
  readonly counterOf: { log: LogName | undefined }
  /** Hourly demand of accounts at this hub. */
  readonly demand: Map<AccountId, Demand>
  /** Accounts whose rights may have fallen low. */
  readonly low: Set<AccountId>
  /** Requests of others that could not be granted when their turn in the log came. */
  readonly noneDue: { readonly hub: number; readonly request: Uint8Array; readonly have: bigint }[]
}

export function createRights(): RightsState {
  return { asks: new Map(), requests: new Map(), counter: 0, counterOf: { log: undefined }, demand: new Map(), low: new Set(), noneDue: [] }
}

export function askKey(account: AccountId, unit: Unit): string {
  return `${account}/${unit}`
}
