/** What the parent may ask of a hub's process. Arguments and results travel by structured clone: bytes and bigints stay such. */
import type { AccountMoney, AppendResult, AuditReport } from '../../ledger/interface.ts'
import type { ExtendAsk, RefundAsk, Usage } from '../../ledger/hub/decide/running.ts'
import type { HoldAsk } from '../../ledger/hub/decide/hold.ts'
import type { HoldResult, Settlement } from '../../ledger/spending.ts'
import type { PlantedBug } from '../../ledger/planted-bugs.ts'
import type { Receipt } from '../../protocol/messages/receipt.ts'

export interface HubHeads {
  /** `hub/epoch:frames:hash` of each log that has frames. */
  readonly heads: string
  /** SHA-256 over all accounts' money as this hub sees it now. */
  readonly dump: string
}

export interface HubCalls {
  openAccount(account: { readonly publicKey: Uint8Array; readonly name: string; readonly tier: string }): Promise<AppendResult>
  grant(grant: { readonly account: Uint8Array; readonly amountMicroCredits: bigint; readonly source: string }): Promise<AppendResult>
  appendReceipt(receipt: Receipt): Promise<AppendResult>
  hold(ask: HoldAsk): Promise<HoldResult>
  extend(ask: ExtendAsk): Promise<HoldResult>
  progress(note: { readonly hold: Uint8Array; readonly step: number } & Usage): Promise<void>
  settle(ask: { readonly hold: Uint8Array; readonly receipt?: Uint8Array } & Usage): Promise<Settlement>
  expire(hold: Uint8Array): Promise<void>
  refund(ask: RefundAsk): Promise<AppendResult>
  /** In the order of `accounts`; undefined where one is not known. */
  money(accounts: readonly Uint8Array[]): Promise<readonly (AccountMoney | undefined)[]>
  heads(): Promise<HubHeads>
  audit(): Promise<AuditReport>
  /** Those of these receipts that are not found. */
  missingReceipts(ids: readonly Uint8Array[]): Promise<readonly Uint8Array[]>
  close(): Promise<void>
}

export type CallName = keyof HubCalls

export interface CallMessage { readonly id: number; readonly name: CallName; readonly args: readonly unknown[] }

export type ReplyMessage =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string; readonly context: Readonly<Record<string, unknown>> } }

export type HubNote =
  /** The ledger is open and listens on `port`. */
  | { readonly note: 'listening'; readonly port: number }
  | { readonly note: 'writable' }
  /** What must not happen. */
  | { readonly note: 'problem'; readonly text: string }

export interface HubSettings {
  readonly hub: number
  readonly dir: string
  /** Text of the federation file. */
  readonly federation: string
  /** Node key of the hub, hexadecimal. */
  readonly seed: string
  /** A planted bug, to see that the run finds it. */
  readonly bug?: PlantedBug
  /** Hubs that this one dials, and at which port. */
  readonly dials: readonly { readonly hub: number; readonly port: number }[]
}
