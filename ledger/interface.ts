/**
 * The ledger as the node sees it: append facts, ask what is known, pass messages between hubs.
 * It knows no network: `HubSync` takes messages and gives messages.
 */
import type { KeyTerms } from '../protocol/key-terms.ts'
import type { Receipt } from '../protocol/messages/receipt.ts'
import type { Spending } from './spending.ts'

/** `replicated`: on the disks of two hubs (D2). `local`: on this hub's disk only, since no other hub answered in time. */
export type Durability = 'replicated' | 'local'

export interface AppendResult {
  /** Log position: hub index, epoch, sequence number of the entry. */
  readonly hub: number
  readonly epoch: number
  readonly seq: number
  readonly durability: Durability
  /** True where an equal entry was logged before; nothing was added. */
  readonly known: boolean
}

export interface Account {
  /** 16 bytes. */
  readonly id: Uint8Array
  readonly publicKey: Uint8Array
  readonly name: string
  readonly tier: string
  /** What it can spend, at whichever hub, with what is on its way between two hubs. */
  readonly balanceMicroCredits: bigint
}

export interface ApiKeyRecord {
  readonly publicKey: Uint8Array
  readonly account: Uint8Array
  readonly name: string
  readonly createdAt: number
  /** What it may do; absent: everything. */
  readonly terms?: KeyTerms
}

/** µcr that holds of a key with a budget have taken: held and charged. */
export interface KeyBudgetUse {
  readonly today: bigint
  readonly total: bigint
}

export interface LogHead {
  readonly hub: number
  readonly epoch: number
  /** Frames in this log; 0 where it is empty. */
  readonly frames: number
  /** Entries in this log. */
  readonly entries: number
  /** Hash of the last frame's header; 32 zero bytes where the log is empty. */
  readonly hash: Uint8Array
}

export interface ReceiptRecord {
  readonly id: Uint8Array
  readonly receipt: Receipt
  /** Who pays (16 bytes), and the key of who computed. */
  readonly account: Uint8Array
  readonly contributor: Uint8Array
  /** Where it stands: log of which hub, entry number, Unix milliseconds of its frame. */
  readonly hub: number
  readonly epoch: number
  readonly seq: number
  readonly loggedAt: number
}

/** A compute device of a contributor, as it announced it; a processor alone has no VRAM. */
export interface DeviceHardware {
  /** Name of the device, the same as in its receipt halves. */
  readonly device: string
  readonly name: string
  readonly vramBytes: number
}

/** A contributor was there, ready and not draining. Device times are milliseconds of its boot, wall times Unix milliseconds of this hub. */
export interface PresenceFact {
  readonly contributor: Uint8Array
  /** 16 bytes, the same as in its receipt halves. */
  readonly boot: Uint8Array
  readonly deviceFromMs: number
  readonly deviceToMs: number
  readonly wallFromMs: number
  readonly wallToMs: number
  readonly devices: readonly DeviceHardware[]
}

/** µcr of one account. What it can spend is `available`; the whole is available + held + inflight + frozen + back − debt. */
export interface Balance {
  readonly available: bigint
  readonly held: bigint
  readonly inflight: bigint
  readonly frozen: bigint
  readonly back: bigint
  readonly debt: bigint
}

export interface AccountMoney {
  readonly balance: Balance
  /** Cloud tokens of this UTC day; held ones count as used. `tokensPerDay` null: no bound. */
  readonly quota: { readonly day: number; readonly tokensPerDay: number | null; readonly usedTokens: number }
  /** µcr that work and standby have earned so far and that is not paid out yet. */
  readonly earnedUnpaid: bigint
  /** µcr paid out for work and standby since it was opened. */
  readonly earnedPaid: bigint
}

/** What an hour of a device earns for an account of some tier. */
export interface EarningRate {
  /** Class of the hardware table, such as `rtx-4090`; `cpu` for none. */
  readonly class: string
  /** µcr for an hour of work, and for an hour of standing by. */
  readonly busyMicroCreditsPerHour: bigint
  readonly standbyMicroCreditsPerHour: bigint
}

/** What one device of an account's contributors did so far, and what that earned. */
export interface DeviceRecord {
  /** Key of the contributor, 32 bytes. */
  readonly contributor: Uint8Array
  readonly device: string
  /** Jobs that both sides signed. */
  readonly receipts: number
  /** Unix milliseconds of its first fact. */
  readonly firstAt: number
  /** µcr for all facts, and what of it was paid. */
  readonly earned: bigint
  readonly paid: bigint
  /** Its time by what it earned then (µcr an hour), the highest first; each moment counts once. */
  readonly time: readonly { readonly microCreditsPerHour: bigint; readonly ms: number }[]
}

export interface LendingRecord {
  readonly devices: readonly DeviceRecord[]
  /** Half of a newcomer's pay is held back until both are reached. */
  readonly probation: {
    /** True while pay is held back. */
    readonly active: boolean
    readonly receipts: number
    readonly receiptsMin: number
    /** Unix milliseconds of the first fact; undefined where there is none yet. */
    readonly firstAt: number | undefined
    readonly ageMsMin: number
  }
}

/** One entry of an account in words that a statement needs. */
export interface StatementLine {
  /** Id of the entry, 16 bytes. */
  readonly id: Uint8Array
  readonly kind: string
  /** Unix milliseconds of its frame. */
  readonly at: number
  readonly hub: number
  readonly epoch: number
  readonly seq: number
  /** What came in (positive) or went out (negative), µcr. 0n where it only moved within the account. */
  readonly amount: bigint
  /** Change of what is held, µcr. */
  readonly held: bigint
  /** Cloud tokens of a day's quota that it used. */
  readonly quotaTokens: number
  /** Why: source of a grant, product of a purchase, price row of a hold, device of pay, reason of a refund. */
  readonly why: string
  /** The hold that it belongs to. */
  readonly hold: Uint8Array | undefined
  /** The receipt that it rests on. */
  readonly receipt: Uint8Array | undefined
}

/** A place in a list that runs from new to old: what stands after it is older. */
export interface ListCursor {
  readonly at: number
  /** Id of the last one seen, 16 bytes. */
  readonly id: Uint8Array
}

export interface AuditReport {
  /** How far the logs were read: `frames` of each. */
  readonly heads: readonly Pick<LogHead, 'hub' | 'epoch' | 'frames'>[]
  /** Root of the state tree, 32 bytes: equal on every hub for equal heads. */
  readonly root: Uint8Array
  readonly accounts: number
  readonly entries: number
  /** µcr of all accounts: what came in, what went out, and where the rest is. */
  readonly totals: Balance & { readonly minted: bigint; readonly spent: bigint }
  /** Broken rules, in words; empty where all is well. */
  readonly problems: readonly string[]
}

/** A change of the rules that two hubs must sign. */
export type RuleChange =
  | { readonly type: 'table'; readonly table: 'prices' | 'tiers' | 'hardware'; readonly rev: number; readonly content: unknown }
  | { readonly type: 'grant'; readonly account: Uint8Array; readonly amountMicroCredits: bigint; readonly source: string }

export interface PendingChange {
  /** 16 bytes; the text form is `chg_` and 32 hexadecimal digits. */
  readonly id: Uint8Array
  readonly change: RuleChange
  readonly createdAt: number
  /** Hubs that have signed it; it holds with the second. */
  readonly hubs: readonly number[]
}

/** A table of the rules that holds now. */
export interface RuleTable {
  readonly table: 'prices' | 'tiers' | 'hardware'
  readonly rev: number
  readonly content: unknown
}

/** What a model costs by the newest price table, µcr for 1,000 tokens. */
export interface PriceQuote {
  readonly row: string
  readonly rev: number
  readonly promptMicroCredits: bigint
  readonly completionMicroCredits: bigint
}

/** Money at one hub. Bodies that do not fit are ENTRY_INVALID; where no other hub can be reached, HUB_ISOLATED. */
export interface LedgerMoney {
  money(account: Uint8Array): AccountMoney | undefined
  /** By the newest tables; `hardware` undefined: a machine without a graphics processor. Undefined where the tier is unknown. */
  earningRate(hardware: Pick<DeviceHardware, 'name' | 'vramBytes'> | undefined, tier: string): EarningRate | undefined
  /** What the contributors of an account did; undefined where there is no such account. */
  lending(account: Uint8Array): LendingRecord | undefined
  /** `provider` as a hold names it: a vendor, or `local`; `model` without its vendor. An unlisted model takes its vendor's dearest row. */
  price(provider: string, model: string): PriceQuote
  /** Pay, and what was held back of it, waits for contributors (hexadecimal keys) of which this says no. It is asked whenever pay is due; nothing is lost. */
  payWhere(mayPay: (contributor: string) => boolean): void
  /** Logs that a contributor was there; nobody waits for it. Nothing where its key is of no account. */
  presence(fact: PresenceFact): void
  /** Newest first. `from` is inclusive and `to` exclusive, Unix milliseconds. */
  statement(filter: { account: Uint8Array; from?: number; to?: number; after?: ListCursor; limit: number }): Promise<readonly StatementLine[]>
  /** Text of a statement file, see ledger/checkpoint/statement-file.ts; undefined where no final checkpoint has the account yet. */
  statementFile(account: Uint8Array): Promise<string | undefined>
  /** Folds everything anew from the disk, up to `heads` where they are given. Throws NOT_FOUND where a frame is not here
   *  yet, QUEUE_FULL while another one runs. */
  audit(options?: { readonly heads?: AuditReport['heads'] }): Promise<AuditReport>
  /** Asks for the newest log of a hub to be sealed. Resolves when the seal is logged. */
  seal(hub: number, options: { readonly forced: boolean; readonly signal: AbortSignal }): Promise<void>
  /** Signs a new change as the first hub. */
  proposeChange(change: RuleChange): Promise<PendingChange>
  /** Signs a change that another hub proposed. Throws NOT_FOUND. */
  approveChange(id: Uint8Array): Promise<PendingChange>
  /** All that at least one hub has signed, newest first, at most 100. */
  changes(): readonly PendingChange[]
  table(name: RuleTable['table']): RuleTable
}

/**
 * What becomes an entry because somebody says so. The same order twice is one entry. Mints and tiers are logged by the
 * hub that clears for the account, whichever hub is asked, and are on two disks when they resolve: HUB_ISOLATED or
 * NOT_HOME where that cannot be had in time; repeating the same order is safe.
 */
export interface LedgerOrders {
  /** Each resolves when the entry is acknowledged. Throws ENTRY_INVALID, ENTRY_CONFLICT, LEDGER_READ_ONLY. */
  openAccount(account: { publicKey: Uint8Array; name: string; tier: string }): Promise<AppendResult>
  addKey(key: { publicKey: Uint8Array; account: Uint8Array; name: string; terms?: KeyTerms }): Promise<AppendResult>
  revokeKey(key: { publicKey: Uint8Array }): Promise<AppendResult>
  /** `source` names why, and makes a repeated grant the same grant. Above the clearing hub's budget of the day (BUDGET_EXCEEDED) it
   *  needs `approved`, the id of a change that two hubs signed. */
  grant(grant: { account: Uint8Array; amountMicroCredits: bigint; source: string; approved?: Uint8Array }): Promise<AppendResult>
  /** `payment`: its id at the payment service. */
  /** BUDGET_EXCEEDED above what one hub may log of purchases in a day. */
  purchase(purchase: { account: Uint8Array; amountMicroCredits: bigint; payment: string; product: string }): Promise<AppendResult>
  /** The payment was reversed. What the account cannot pay back at once becomes debt. */
  chargeback(chargeback: { account: Uint8Array; amountMicroCredits: bigint; payment: string }): Promise<AppendResult>
  /** A higher quota holds at once, a lower one from the next UTC day. */
  setTier(change: { account: Uint8Array; tier: string }): Promise<AppendResult>
}

/** Holds and what becomes of them, see spending.ts. */
export interface HubLedger extends LedgerMoney, LedgerOrders, Spending {
  /** Checks ticket, half and observation against each other and against this federation, then logs them. The ticket is this hub's: its
   *  signature is the caller's to check. With the `devices` of the contributor the receipt says what an hour of each of the half's
   *  devices earns; work for the contributor's own account earns nothing. */
  appendReceipt(receipt: Receipt, devices?: readonly DeviceHardware[]): Promise<AppendResult>

  account(id: Uint8Array): Account | undefined
  accounts(): readonly Account[]
  apiKey(publicKey: Uint8Array): ApiKeyRecord | undefined
  apiKeys(account: Uint8Array): readonly ApiKeyRecord[]
  /** Whether keys are this account's, and not revoked; `publicKey` in hexadecimal. For many questions at once, and not to be kept. */
  ownedBy(account: Uint8Array): (publicKey: string) => boolean
  /** Of a key with a budget, on this UTC day and in all. */
  keyUse(publicKey: Uint8Array): KeyBudgetUse
  /** The hub that clears for the account now; undefined before it has a log. */
  clearingHub(account: Uint8Array): number | undefined
  receipt(id: Uint8Array): Promise<ReceiptRecord | undefined>
  /** The receipt file of docs/ledger.md#receipt-file: the same text on every hub, verified offline with the federation file alone. */
  receiptFile(id: Uint8Array): Promise<string | undefined>
  /** Newest first, at most `limit` where `after` is given; of one account as payer or of one contributor key. `before` is the `loggedAt` of the last one seen. */
  receipts(filter: { account?: Uint8Array; contributor?: Uint8Array; before?: number; after?: ListCursor; limit: number }): Promise<readonly ReceiptRecord[]>

  heads(): readonly LogHead[]
  /** False until recovery is over; then appends are taken. */
  readonly writable: boolean
  /** Resolves once writable. */
  whenWritable(options: { signal: AbortSignal }): Promise<void>
  readonly sync: HubSync
  /** Finishes what is queued, then closes the store. */
  close(): Promise<void>
}

/** One hub's side of the exchange of logs. Messages are bytes of protocol/messages/ledger.ts. */
export interface HubSync {
  /** A stream to hub `hub` (0 to 2) is open. `send` gives false where the peer is slow; then nothing is sent until `drained`. */
  connected(hub: number, send: (message: Uint8Array) => boolean): void
  drained(hub: number): void
  disconnected(hub: number): void
  /** Resolves when the message has been dealt with; the caller reads the next one only then, so a slow disk slows the peer.
   *  Throws a TriforceError whose blame is `peer` for a message that no honest hub sends. */
  receive(hub: number, message: Uint8Array): Promise<void>
}
