/**
 * What the HTTP bridge needs from the node behind it. A hub answers from its own ledger and dispatcher
 * (`hub-gateway.ts`), every other node asks a hub for each of these (`remote-gateway.ts`).
 */
import type {
  AppendResult, AuditReport, Balance, ListCursor, PendingChange, RuleChange, RuleTable, StatementLine,
} from '../ledger/interface.ts'
import type { AnswerDelta, CompletionRequest, DetailedUsage, EmbeddingRequest, FinishReason } from '../protocol/completion.ts'
import type { CheckLabel, ModelCapability } from '../protocol/messages/capacity.ts'
import type { ReceiptSummary } from '../protocol/messages/control.ts'
import type { RouteView } from '../protocol/messages/route.ts'
import type { KeyTerms } from '../protocol/key-terms.ts'
import type { Signer } from '../protocol/ports.ts'
import type { OwnKey, Usage, UsageRow } from './settlement/key-desk.ts'
import type { RoutingWishes } from '../protocol/routing.ts'
import type { RelayCounts } from './net/relay-server.ts'
import type { TrafficByPath } from './net/traffic.ts'

/** Who asks: an API key that a hub knows. */
export interface Principal {
  /** 16 bytes. */
  readonly account: Uint8Array
  readonly accountName: string
  readonly tier: string
  /** What the key may do; absent: everything. */
  readonly terms?: KeyTerms
  /** Signs requests to hubs; the key's text is not kept. */
  readonly signer: Signer
}

export interface RouteQuestion {
  readonly model: string
  readonly needs: readonly ModelCapability[]
  readonly routing?: RoutingWishes
}

export interface ModelInfo {
  readonly id: string
  /** Peers that offer it now. */
  readonly hosts: number
  readonly contextTokens: number
  readonly capabilities: readonly ModelCapability[]
  readonly quantizations: readonly string[]
  readonly demo: boolean
  /** Unix milliseconds since when this node knows it. */
  readonly firstSeenAt: number
  /** Of a vendor's model. */
  readonly vendor?: string
  readonly name?: string
  readonly outputTokensMax?: number
  readonly price?: TokenPrice
}

/** What one host made of an answer that went on at another. */
export interface ServedPart {
  readonly host: string
  readonly hostName: string
  readonly receiptId?: Uint8Array
  /** As they were passed on; its receipt has those that it signed. */
  readonly completionTokens: number
}

/** How an answer came to be; goes into the last chunk as `triforce`. */
export interface Served {
  /** Peer id and name of the node whose engine answered. */
  readonly host: string
  readonly hostName: string
  /** Name of the hub that cleared the job. */
  readonly hub: string
  /** Absent where nothing was logged: of an answer with the account's own key at a vendor. */
  readonly receiptId?: Uint8Array
  readonly durability: 'replicated' | 'local' | 'none'
  readonly costMicroCredits: bigint
  /** Hosts asked, the last one included. */
  readonly attempts: number
  /** The model that answered. */
  readonly model: string
  /** What the account can spend afterwards. */
  readonly remainingMicroCredits?: bigint
  /** The answer ends with `length` because the account could pay for no more. */
  readonly stoppedBy?: 'credits'
  /** Hosts before `host` that broke off, in order. The cost is that of all. */
  readonly parts?: readonly ServedPart[]
}

/** A host is asked now; comes before anything else of that host, once for each that is tried. */
export interface PlacedEvent {
  readonly type: 'placed'
  readonly host: string
  readonly hostName: string
  /** Hosts asked so far, this one included. */
  readonly attempts: number
  /** The model that is asked for there: another than the request's where that had no host. */
  readonly model: string
  /** Of a vendor's model. */
  readonly vendor?: string
  readonly price?: TokenPrice
  /** SHA-256 of its weights, hexadecimal; absent for a vendor's model. */
  readonly digest?: string
  /** Of its weights, such as `Q8_0`; absent where the engine does not tell. */
  readonly quantization?: string
  /** Whether the host was found to have them; absent where nobody checks. */
  readonly check?: CheckLabel
  /** Code of the error of the host before this one. */
  readonly after?: string
  /** What the account can spend besides what is held for this answer. */
  readonly remainingMicroCredits?: bigint
}

export type CompletionEvent =
  | PlacedEvent
  /** Nothing to send yet; the bridge shows it as an SSE comment. `at`: place in the queue (1 is next), or the loaded part (0 to 1). */
  | { readonly type: 'waiting'; readonly state: 'placing' | 'queued' | 'loading' | 'running'; readonly at?: number }
  | AnswerDelta
  /** The answer is complete, its receipt not yet durable. */
  | { readonly type: 'finish'; readonly finish: FinishReason; readonly usage: DetailedUsage }
  /** The receipt is durable. Always the last event of a good answer. */
  | { readonly type: 'settled'; readonly served: Served }

/** What 1,000 tokens cost, µcr. */
export interface TokenPrice {
  readonly promptMicroCredits: bigint
  readonly completionMicroCredits: bigint
}

export interface CompleteOptions {
  readonly signal: AbortSignal
  readonly routing?: RoutingWishes
}

export interface EmbedOptions extends CompleteOptions {
  /** Called for each host that is asked. */
  readonly onPlaced?: (event: PlacedEvent) => void
}

export interface EmbeddingsAnswer {
  /** One for each input, in order. */
  readonly vectors: readonly Float32Array[]
  readonly usage: DetailedUsage
  readonly served: Served
}

export interface AccountInfo {
  readonly account: Uint8Array
  readonly name: string
  readonly tier: string
  readonly balanceMicroCredits: bigint
}

/** Where an account's money is, µcr. `balance.available` is what it can spend now. */
export interface CreditsInfo extends Omit<AccountInfo, 'balanceMicroCredits'> {
  readonly balance: Balance
  readonly quota: { readonly day: number; readonly tokensPerDay: number | null; readonly usedTokens: number }
  /** Pay that was logged this UTC day; earned and not paid yet; paid since the account was opened. */
  readonly earnedToday: bigint
  readonly earnedUnpaid: bigint
  readonly earnedPaid: bigint
}

export interface StatementQuery {
  readonly limit: number
  /** Unix milliseconds, inclusive and exclusive. */
  readonly from?: number
  readonly to?: number
  readonly after?: ListCursor
}

export type { OwnKey, UsageRow }

export interface Gateway {
  /** Throws INVALID_API_KEY, or NO_HUB where it cannot be found out. */
  authenticate(apiKey: string): Promise<Principal>
  /** What is offered now; with `resting` what is not, because every host of it is paused or leaving. */
  models(principal: Principal, options?: { readonly resting?: boolean }): Promise<readonly ModelInfo[]>
  /** Where a request would go now. */
  route(principal: Principal, order: RouteQuestion): Promise<RouteView>
  /**
   * Runs one completion. Throws a TriforceError; before the first `text` everything that can be retried was.
   * Aborting `signal` cancels the host's engine; the iterator then ends with an error of code CANCELLED.
   */
  complete(principal: Principal, request: CompletionRequest, options: CompleteOptions): AsyncIterable<CompletionEvent>
  /** Makes vectors of texts. Throws as `complete`. */
  embed(principal: Principal, request: EmbeddingRequest, options: EmbedOptions): Promise<EmbeddingsAnswer>
  account(principal: Principal): Promise<AccountInfo>
  receipts(principal: Principal, options: { readonly limit: number; readonly before?: number; readonly after?: ListCursor }): Promise<readonly ReceiptSummary[]>
  /** The receipt file (see docs/ledger.md#receipt-file) as text; throws RECEIPT_NOT_FOUND. */
  receiptFile(principal: Principal, id: Uint8Array): Promise<string>
  credits(principal: Principal): Promise<CreditsInfo>
  /** Newest first. */
  statement(principal: Principal, query: StatementQuery): Promise<readonly StatementLine[]>
  /** The statement file (see docs/ledger.md) as text; throws NOT_FOUND where no final checkpoint has the account yet. */
  statementFile(principal: Principal): Promise<string>
  /** API keys of the account, without those of its machines. */
  keys(principal: Principal): Promise<readonly OwnKey[]>
  /** A key that was made here; only its public half goes to a hub. Throws FORBIDDEN where this key may not make it. */
  addKey(principal: Principal, key: { readonly publicKey: Uint8Array; readonly name: string; readonly terms?: KeyTerms }): Promise<void>
  /** For good. Throws NOT_FOUND. */
  revokeKey(principal: Principal, publicKey: Uint8Array): Promise<void>
  /** `from` inclusive, `to` exclusive, Unix ms. */
  usage(principal: Principal, time: { readonly from: number; readonly to: number }): Promise<Usage>
  /** For /ready and `triforce status`. */
  status(): NodeStatus
}

export interface NodeStatus {
  readonly name: string
  readonly mode: string
  readonly peerId: string
  readonly network: string
  readonly version: string
  readonly uptimeMs: number
  readonly ready: boolean
  /** Where not ready: what is missing, in words. */
  readonly waitingFor: readonly string[]
  readonly hubs: readonly { readonly name: string; readonly peerId: string; readonly connected: boolean }[]
  readonly connections: number
  readonly models: readonly { readonly id: string; readonly hosts: number }[]
  readonly jobs: { readonly running: number; readonly queued: number; readonly served: number; readonly failed: number }
  /** Jobs that went well and bytes of jobs, by the path that they took, since the start. */
  readonly traffic: TrafficByPath
  /** Hubs through which this node can be reached by those who cannot dial it. */
  readonly reachableThrough: readonly string[]
  /** Hubs only: what they relay. */
  readonly relay?: Omit<RelayCounts, 'bytes'>
  /** Hubs only. */
  readonly logs?: readonly { readonly hub: string; readonly epoch: number; readonly frames: number; readonly entries: number; readonly hash: string }[]
}

/** What a hub's admin may do over HTTP with the admin token of that hub. Keys are made at the caller; only public halves arrive. */
export interface AdminGateway {
  accounts(): readonly AccountInfo[]
  openAccount(account: { readonly publicKey: Uint8Array; readonly name: string; readonly tier: string }): Promise<AccountInfo>
  addKey(key: { readonly publicKey: Uint8Array; readonly account: Uint8Array; readonly name: string; readonly terms?: KeyTerms }): Promise<void>
  revokeKey(key: { readonly publicKey: Uint8Array }): Promise<void>
  keys(account: Uint8Array): readonly KeyInfo[]
  /** The same `source` twice is one grant. Above the hub's budget of the day it needs `approved`, a change that two hubs signed. */
  grant(grant: {
    readonly account: Uint8Array; readonly amountMicroCredits: bigint; readonly source: string; readonly approved?: Uint8Array
  }): Promise<AppendResult>
  /** Changes from the next entry on: more quota at once, less from the next UTC day. */
  setTier(change: { readonly account: Uint8Array; readonly tier: string }): Promise<AppendResult>
  /** Folds everything anew from this hub's disk, up to `heads` where they are given. */
  audit(options: { readonly heads?: AuditReport['heads'] }): Promise<AuditReport>
  /** Has the newest log of another hub sealed; resolves when it is. */
  seal(hub: number, options: { readonly forced: boolean; readonly signal: AbortSignal }): Promise<void>
  propose(change: RuleChange): Promise<PendingChange>
  approve(id: Uint8Array): Promise<PendingChange>
  changes(): readonly PendingChange[]
  table(name: RuleTable['table']): RuleTable
  /** Names of the three hubs in the order of the federation file. */
  readonly hubNames: readonly string[]
  /** Place of this hub among them. */
  readonly hubIndex: number
}

/** A cloud vendor that this hub has a key for. */
export interface VendorInfo {
  readonly vendor: string
  /** The last 4 characters of its key; empty where the key is short. */
  readonly keyEnd: string
  readonly source: 'added' | 'environment'
  readonly baseUrl: string
  readonly models: number
  readonly ok: boolean
  /** A sentence for people. */
  readonly text: string
}

/** What a hub's admin does with its vendors. Keys go in and never come out. */
export interface VendorAdmin {
  list(): Promise<readonly VendorInfo[]>
  /** Adds a vendor or replaces its key, and asks it for its models. Throws BAD_REQUEST for an address or a name that cannot be used. */
  add(vendor: {
    readonly vendor: string; readonly key: string; readonly baseUrl?: string | undefined
    readonly family?: 'openai' | 'anthropic' | undefined; readonly allowPrivate: boolean
  }): Promise<VendorInfo>
  /** Throws NOT_FOUND, and BAD_REQUEST where the key comes from the environment. */
  remove(vendor: string): Promise<void>
  /** Asks the vendor for its models now. Throws NOT_FOUND. */
  test(vendor: string): Promise<VendorInfo>
}

export interface KeyInfo {
  readonly publicKey: Uint8Array
  readonly account: Uint8Array
  readonly name: string
  readonly createdAt: number
}
