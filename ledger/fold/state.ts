/**
 * The state that the entries of all logs give: data only. Made by `createState`, changed by `applyEntry` (apply.ts) and
 * by nothing else. Maps are keyed by hexadecimal ids and log names: a small byte array costs three times as much memory.
 */
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { Seen } from '../frame.ts'
import type { KeyTerms } from '../../protocol/key-terms.ts'
import { homeOf } from './homes.ts'
import type { KeyUse } from './key-use.ts'

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
  /** UTC day of its frame. From which day it counts follows from the quotas (`tierOn` in views.ts). */
  readonly day: number
  readonly at: Position
}

export interface AccountState {
  /** Its home hub, see homes.ts. */
  readonly home: number
  /** Absent where money came before its AccountOpen, which no honest hub lets happen. */
  opened: { readonly publicKey: string; readonly name: string; readonly tier: string; readonly at: Position } | undefined
  /** Ascending by rev, without the tier of AccountOpen (rev 0). */
  readonly tiers: TierChange[]
  /** µcr that each log may spend. Never negative; a log with none may be absent. */
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
  readonly chains: Map<LogName, AccountChain>
}

export interface AccountChain {
  entries: number
  /** SHA-256 of the head before (32 zero bytes at first) and the entry's bytes; see `nextHead` in chain.ts. */
  head: Uint8Array
}

/** Stands for a daily quota without a bound. */
export const UNLIMITED_TOKENS = Number.MAX_SAFE_INTEGER

export interface QuotaDay {
  readonly logs: Map<LogName, QuotaLog>
  /** Tokens given by one log and not accepted by the other yet. */
  inflight: number
}

export interface QuotaLog {
  /** Tokens spent or held in this log. */
  used: number
  /** Sent to other logs, and got from them. */
  given: number
  accepted: number
  /** The largest daily quota that an entry of this log named; UNLIMITED_TOKENS where it has no bound. */
  quota: number
}

export interface HoldState {
  readonly eid: EntryId
  readonly account: AccountId
  readonly log: LogName
  /** The API key with a budget that it counts against, hexadecimal. */
  readonly key: string | undefined
  /** UTC day of its frame. */
  readonly day: number
  /** The request's hash, so that only the same request can supersede it. */
  readonly requestHash: string
  readonly priceRow: string
  readonly priceRev: number
  /** µcr and tokens reserved, with all extensions. */
  credits: bigint
  quotaTokens: number
  readonly quotaDay: number | undefined
  /** The daily quota that the hold named; 0 without quota, UNLIMITED_TOKENS where it has no bound. */
  readonly quotaPerDay: number
  expiresAt: number
  extensions: number
  progress: { readonly step: number; readonly promptTokens: number; readonly completionTokens: number } | undefined
  /** Undefined while it is open. */
  outcome: { readonly charge: bigint; readonly quotaTokens: number; readonly promptTokens: number; readonly completionTokens: number; readonly settled: boolean } | undefined
  refunded: bigint
  refundedTokens: number
  /** Why, of each refund: none is given twice for one reason. */
  refundReasons: readonly string[]
  /** The hold that this one supersedes; the one that supersedes this one for the same account and request (of several, the smallest id). */
  readonly supersedes: EntryId | undefined
  supersededBy: EntryId | undefined
}

/** A give that is neither accepted nor returned. */
export interface GiveState {
  readonly eid: EntryId
  readonly account: AccountId
  readonly unit: Unit
  readonly from: LogName
  readonly to: LogName
  /** µcr or tokens. */
  readonly amount: bigint
  readonly at: Position
}

/** Time that is proven at a rate or above. */
export interface RateLevel {
  /** Sorted disjoint intervals [from, to, from, to, ...) in ms of the device's own clock, by boot. */
  readonly boots: Map<string, number[]>
  /** The same on the hubs' clocks, Unix ms. */
  readonly wall: number[]
  /** Lengths of all boots' intervals together, and of `wall`. */
  bootMs: number
  wallMs: number
}

/** Facts of one compute device; what they are worth says earning/pay.ts. */
export interface DeviceState {
  /** Hexadecimal key of the contributor. */
  readonly contributor: string
  readonly device: string
  /** By rate (µcr an hour): when it worked or stood by at that rate or a higher one. */
  readonly levels: Map<bigint, RateLevel>
  /** µcr paid so far, in all and by account (a device whose key moved to another account has two). */
  vested: bigint
  readonly vestedBy: Map<AccountId, bigint>
  /** Receipts signed by both sides that earned; counted up to NEWCOMER_RECEIPTS. */
  receipts: number
  /** Their ids while they are counted, since the same receipt may stand in two logs. */
  readonly receiptIds: Set<EntryId>
  /** When the first fact was, Unix ms. */
  firstAt: number
}

export type LogStatus =
  | { readonly is: 'live' }
  /** Nothing after `frame` counts. `at`: the Seal; `returned`: its hub has been handed its clearing back. */
  | { readonly is: 'sealed'; readonly frame: number; readonly successor: LogName; readonly sealedDay: number; readonly returned: boolean; readonly at: Position }
  /** Its author logged what no honest hub logs; from that entry of frame `frame` on nothing of it counts. */
  | { readonly is: 'refused'; readonly frame: number; readonly problem: string }

export interface LogState {
  readonly log: LogId
  /** Last frame that is in this state, and its time. */
  frame: number
  tsMs: number
  /** What of the other logs the author had folded when it built frame `frame`. */
  seen: { readonly frame: number; readonly vector: Seen }
  /**
   * UTC days on which this log has a hub's share of quotas; `until` is inclusive, undefined while it goes on. `since`: the
   * Handback that gave it, which an entry that uses it must have seen.
   */
  readonly shares: { readonly hub: number; readonly from: number; until: number | undefined; readonly since: Position | undefined }[]
  status: LogStatus
  /** A proof that its author signed two histories. */
  forked: boolean
}

export interface ChangeState {
  /** Bytes of the AdminChange. */
  readonly body: Uint8Array
  /** Hubs that have signed it, and where; two are enough. */
  readonly hubs: Map<number, Position>
  /** Of the first signature. */
  at: Position
}

export interface LedgerState {
  readonly network: string
  /** Node keys of the three hubs. */
  readonly hubKeys: readonly Uint8Array[]
  readonly accounts: Map<AccountId, AccountState>
  readonly keys: Map<string, { readonly account: AccountId; readonly name: string; readonly terms: KeyTerms | undefined; readonly at: Position }>
  readonly keysOfAccount: Map<AccountId, Set<string>>
  readonly revokedKeys: Set<string>
  /** By key with a budget. */
  readonly keyUse: Map<string, KeyUse>
  readonly logs: Map<LogName, LogState>
  /** For each hub, the log that clears for it: mints, tiers and pay of accounts whose home it is. Undefined before its first log. */
  readonly clearing: (LogName | undefined)[]
  /** The Seal or Handback that made it so; undefined for a hub's first log. */
  readonly clearingSince: (Position | undefined)[]
  /** The log that is sealed and whose hub has not been handed its clearing back. At most one. */
  outstandingSeal: LogName | undefined
  /**
   * By id. Where a hub that lost its disk logged the same request again, two holds have one id: that of the lower epoch is
   * found here by its id, the other one's key is `slotOf` (slots.ts).
   */
  readonly holds: Map<EntryId, HoldState>
  /** Keys of open holds, so that they are found quickly. */
  readonly openHolds: Set<EntryId>
  /** Holds named by `supersedes` that are not in this state yet, and who named them. */
  readonly superseding: Map<EntryId, EntryId[]>
  /** Under way; keyed like holds. */
  readonly gives: Map<EntryId, GiveState>
  /** Gives that were accepted or returned: their key, and the log that gave. */
  readonly givesDone: Map<EntryId, LogName>
  /** By contributor's key (hexadecimal) and device, see `deviceKeyOf`. */
  readonly devices: Map<string, DeviceState>
  readonly changes: Map<string, ChangeState>
  /** The change that a hub has signed for a revision of a table: `<hub>/<table>/<rev>` → change. */
  readonly signed: Map<string, string>
  /** Approved tables by kind and revision, as their bytes; revision 0 is built in. */
  readonly tables: Map<string, Uint8Array>
  /** Ids of mints and other entries that count once. */
  readonly mints: Set<EntryId>
  /** µcr of `system:` accounts; with all accounts' money they sum to 0. */
  readonly system: Map<string, bigint>
  /** µcr that sealed logs' lost ends had spent: the part of the revenue that no hold tells of. */
  islandSpent: bigint
  /** µcr that each hub granted on a UTC day, `<hub>/<day>`. */
  readonly granted: Map<string, bigint>
  /** The same of purchases. */
  readonly purchased: Map<string, bigint>
  /** µcr of each purchase, by the id under which it counts once. */
  readonly purchases: Map<EntryId, bigint>
  /** Accounts changed since somebody took this set (checkpoints, the state tree). */
  touched: Set<AccountId>
  /** Accounts whose money the frame that is being applied has moved. */
  readonly recent: Set<AccountId>
}

export function createState(network: string, hubKeys: readonly Uint8Array[]): LedgerState {
  return {
    network, hubKeys, accounts: new Map(), keys: new Map(), keysOfAccount: new Map(), revokedKeys: new Set(), keyUse: new Map(), logs: new Map(),
    clearing: hubKeys.map(() => undefined), clearingSince: hubKeys.map(() => undefined), outstandingSeal: undefined,
    holds: new Map(), openHolds: new Set(), superseding: new Map(), gives: new Map(), givesDone: new Map(), devices: new Map(),
    changes: new Map(), signed: new Map(), tables: new Map(), mints: new Set(), system: new Map(), islandSpent: 0n, granted: new Map(), purchased: new Map(), purchases: new Map(), touched: new Set(),
    recent: new Set(),
  }
}

/** Changes nothing until somebody puts the result into `state.accounts`. */
export function emptyAccount(state: LedgerState, id: AccountId): AccountState {
  return {
    home: homeOf(state.hubKeys, id), opened: undefined, tiers: [], rights: new Map(), quota: new Map(), held: 0n, inflight: 0n,
    frozen: new Map(), back: 0n, debt: 0n, minted: 0n, spent: 0n, chains: new Map(),
  }
}

export function accountFor(state: LedgerState, id: AccountId): AccountState {
  const known = state.accounts.get(id)
  if (known !== undefined) return known
  const account = emptyAccount(state, id)
  state.accounts.set(id, account)
  return account
}

/** By time, then hub, epoch and number: below 0 where `a` is earlier. */
export function comparePositions(a: Position, b: Position): number {
  return a.tsMs - b.tsMs || a.hub - b.hub || a.epoch - b.epoch || a.seq - b.seq
}

export const nameOf = (log: LogId): LogName => `${log.hub}/${log.epoch}`

export const deviceKeyOf = (contributor: string, device: string) => `${contributor}/${device}`
