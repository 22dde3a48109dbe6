/**
 * The state that the entries of all logs give: data only. Made by `createState`, changed by `applyEntry` (apply.ts) and
 * by nothing else. Maps are keyed by hexadecimal ids and log names: a small byte array costs three times as much memory.
 */
import type { LogId } from '../../protocol/messages/ledger.ts'

/** Where an entry stands. Positions are totally ordered: by frame time, then hub, epoch and number. */
export interface Position {
  readonly tsMs: number
  readonly hub: number
  readonly epoch: number
  /** Number of the frame in the log, from 1. */
  readonly frame: number
  /** Number of the entry in the log, from 0. */
  readonly seq: number
}

/** `<hub>/<epoch>`. */
export type LogName = string
/** Hexadecimal. */
export type AccountId = string
export type EntryId = string

/** 0: credits in µcr. Else the UTC day (days since 1970) whose quota of cloud tokens is meant. */
export type Unit = number

export interface TierChange {
  readonly rev: number
  readonly tier: string
  /** First UTC day on which it counts. */
  readonly fromDay: number
  readonly at: Position
}

export interface AccountState {
  /** Absent where money came before its AccountOpen, which no honest hub lets happen. */
  opened: { readonly publicKey: string; readonly name: string; readonly tier: string; readonly at: Position } | undefined
  /** Ascending by rev, without the tier of AccountOpen (rev 0). */
  readonly tiers: TierChange[]
  /** µcr that each log may spend. Never negative. */
  readonly rights: Map<LogName, bigint>
  /** By UTC day. Never beyond each log's share of that day's quota. */
  readonly quota: Map<number, QuotaDay>
  /** µcr reserved by open holds. */
  held: bigint
  /** µcr given by one log and not accepted by the other yet. */
  inflight: bigint
  /** µcr of a sealed log, kept until it is known what its lost end had spent. */
  readonly frozen: Map<LogName, bigint>
  /** µcr earned and held back. */
  back: bigint
  /** µcr owed after a chargeback. */
  debt: bigint
  /** µcr that ever came in, and that ever went out (charges − refunds + chargebacks paid + lost). For invariant I3. */
  minted: bigint
  spent: bigint
  /** Hash chain over the account's money entries, of each log. */
  readonly chains: Map<LogName, { readonly entries: number; readonly head: Uint8Array }>
}

export interface QuotaDay {
  /** Tokens by log: spent or held; sent to and got from other logs; the largest daily quota that a hold of this log named. */
  readonly logs: Map<LogName, { used: number; given: number; accepted: number; quota: number }>
}

export interface HoldState {
  readonly account: AccountId
  readonly log: LogName
  /** The request's hash, so that only the same request can supersede it. */
  readonly requestHash: string
  readonly priceRow: string
  readonly priceRev: number
  /** µcr and tokens reserved, with all extensions. */
  credits: bigint
  quotaTokens: number
  readonly quotaDay: number | undefined
  expiresAt: number
  extensions: number
  progress: { readonly step: number; readonly promptTokens: number; readonly completionTokens: number } | undefined
  /** Undefined while it is open. */
  outcome: { readonly charge: bigint; readonly quotaTokens: number; readonly promptTokens: number; readonly completionTokens: number; readonly settled: boolean } | undefined
  refunded: bigint
  refundedTokens: number
  /** The hold that this one supersedes, and the one that supersedes this one. */
  readonly supersedes: EntryId | undefined
  supersededBy: EntryId | undefined
}

export interface GiveState {
  readonly account: AccountId
  readonly unit: Unit
  readonly from: LogName
  readonly to: LogName
  /** µcr or tokens. */
  readonly amount: bigint
}

/** Facts of one compute device; what they are worth says earning/pay.ts. */
export interface DeviceState {
  /** Hexadecimal key of the contributor. */
  readonly contributor: string
  readonly device: string
  /** By rate (µcr an hour): when it did work or stood by at that rate, on its own clock (by boot) and on the hubs'. */
  readonly levels: Map<bigint, { readonly boots: Map<string, number[]>; readonly wall: number[] }>
  /** µcr paid so far. */
  vested: bigint
  /** Receipts signed by both sides, and when the first fact was (Unix ms). */
  receipts: number
  firstAt: number
}

export type LogStatus =
  | { readonly is: 'live' }
  /** Nothing after `frame` counts. */
  | { readonly is: 'sealed'; readonly frame: number; readonly successor: LogName; readonly sealedDay: number; readonly returned: boolean }
  /** Its author logged what no honest hub logs; nothing of it counts from there on. */
  | { readonly is: 'refused'; readonly frame: number; readonly problem: string }

export interface LogState {
  readonly log: LogId
  /** Last frame that is in this state, and its time. */
  frame: number
  tsMs: number
  /** UTC days on which this log has its hub's share of quotas; `until` is inclusive, undefined while it goes on. */
  readonly shares: { readonly hub: number; readonly from: number; until: number | undefined }[]
  status: LogStatus
  /** A proof that its author signed two histories. */
  forked: boolean
}

export interface ChangeState {
  /** Bytes of the AdminChange. */
  readonly body: Uint8Array
  /** Hubs that have signed it; two are enough. */
  readonly hubs: Set<number>
  readonly at: Position
}

export interface LedgerState {
  readonly network: string
  /** Node keys of the three hubs. */
  readonly hubKeys: readonly Uint8Array[]
  readonly accounts: Map<AccountId, AccountState>
  readonly keys: Map<string, { readonly account: AccountId; readonly name: string; readonly at: Position }>
  readonly keysOfAccount: Map<AccountId, Set<string>>
  readonly revokedKeys: Set<string>
  readonly logs: Map<LogName, LogState>
  /** For each hub, the log that clears for it: mints, tiers and pay of accounts whose home it is. Undefined before its first log. */
  readonly clearing: (LogName | undefined)[]
  /** The log that is sealed and whose hub has not been handed its clearing back. At most one. */
  outstandingSeal: LogName | undefined
  readonly holds: Map<EntryId, HoldState>
  /** Open holds, so that they are found quickly. */
  readonly openHolds: Set<EntryId>
  readonly gives: Map<EntryId, GiveState>
  readonly devices: Map<string, DeviceState>
  readonly changes: Map<string, ChangeState>
  /** Approved tables by kind and revision, as their bytes; revision 0 is built in. */
  readonly tables: Map<string, Uint8Array>
  /** Ids of mints that are in, so that none counts twice. */
  readonly mints: Set<EntryId>
  /** µcr of `system:` accounts; with all accounts' money they sum to 0. */
  readonly system: Map<string, bigint>
  /** µcr that each hub granted on a UTC day, `<hub>/<day>`. */
  readonly granted: Map<string, bigint>
  /** Accounts changed since somebody took this set (checkpoints, the state tree). */
  touched: Set<AccountId>
}

export function createState(network: string, hubKeys: readonly Uint8Array[]): LedgerState {
  return {
    network, hubKeys, accounts: new Map(), keys: new Map(), keysOfAccount: new Map(), revokedKeys: new Set(), logs: new Map(),
    clearing: hubKeys.map(() => undefined), outstandingSeal: undefined, holds: new Map(), openHolds: new Set(), gives: new Map(),
    devices: new Map(), changes: new Map(), tables: new Map(), mints: new Set(), system: new Map(), granted: new Map(), touched: new Set(),
  }
}
