/**
 * The ledger as the node sees it: append facts, ask what is known, pass messages between hubs.
 * It knows no network: `HubSync` takes messages and gives messages.
 */
import type { Receipt } from '../protocol/messages/receipt.ts'
import type { Signed } from '../protocol/signed.ts'

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
  readonly balanceMicroCredits: bigint
}

export interface ApiKeyRecord {
  readonly publicKey: Uint8Array
  readonly account: Uint8Array
  readonly name: string
  readonly createdAt: number
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
  /** Where it stands: log of which hub, entry number, Unix milliseconds of its frame. */
  readonly hub: number
  readonly epoch: number
  readonly seq: number
  readonly loggedAt: number
}

export interface HubLedger {
  /** Each append resolves when the entry is acknowledged; the same entry twice is one entry. Throws ENTRY_INVALID,
   *  ENTRY_CONFLICT, LEDGER_READ_ONLY. */
  openAccount(account: { publicKey: Uint8Array; name: string; tier: string }): Promise<AppendResult>
  addKey(key: { publicKey: Uint8Array; account: Uint8Array; name: string }): Promise<AppendResult>
  revokeKey(key: { publicKey: Uint8Array }): Promise<AppendResult>
  /** `source` names why, and makes a repeated grant the same grant. */
  grant(grant: { account: Uint8Array; amountMicroCredits: bigint; source: string }): Promise<AppendResult>
  /** A ticket that this hub issued; logged with the next frame, nobody waits for it. */
  logTicket(ticket: Signed): void
  /** Checks ticket, half and observation against each other and against this federation, then logs them. */
  appendReceipt(receipt: Receipt): Promise<AppendResult>

  account(id: Uint8Array): Account | undefined
  accounts(): readonly Account[]
  apiKey(publicKey: Uint8Array): ApiKeyRecord | undefined
  apiKeys(account: Uint8Array): readonly ApiKeyRecord[]
  receipt(id: Uint8Array): Promise<ReceiptRecord | undefined>
  /** The receipt file of docs/ledger.md#receipt-file: the same text on every hub, verified offline with the federation file alone. */
  receiptFile(id: Uint8Array): Promise<string | undefined>
  /** Newest first; of one account as payer or of one contributor key. `before` is the `loggedAt` of the last one seen. */
  receipts(filter: { account?: Uint8Array; contributor?: Uint8Array; before?: number; limit: number }): Promise<readonly ReceiptRecord[]>

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
