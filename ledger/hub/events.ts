/**
 * What happens to a hub, and what it then wants: the vocabulary of the pure core (`step` in step.ts, `decide` in decide/).
 * The shell (../ledger.ts) feeds events in and carries effects out; it decides nothing about money.
 */
import type { EncodedEntry } from '../entries/entry.ts'
import type { LedgerMessage, LogId } from '../../protocol/messages/ledger.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import type { AccountId, Unit } from '../fold/state.ts'

/** Messages that the exchange of frames (reconcile/) does not deal with itself. */
export type HubMessage = Exclude<LedgerMessage, { t: 'hello' | 'frames' | 'want' | 'ack' }>

/**
 * Something to be logged, decided at the moment its frame is built: `decide(intent)` sees everything before it, and
 * nothing comes between the decision and its entry.
 */
export interface Intent {
  /** Id of the entry that it becomes: an entry that is there already answers at once. */
  readonly eid: Uint8Array
  /** Its bytes for comparison with a logged entry of the same id, where they do not depend on the moment. */
  readonly same?: (logged: EncodedEntry) => boolean
  decide(moment: Moment): Decision
}

export interface Moment {
  readonly nowMs: number
  /** Time of the frame that is being built. */
  readonly tsMs: number
  readonly log: LogId
}

export type Decision =
  /** Logged in this order, all in one frame; the last one answers. None: nothing is to be done, and that is fine. */
  | { readonly type: 'entries'; readonly entries: readonly EncodedEntry[] }
  | { readonly type: 'refuse'; readonly error: TriforceError }
  /** Rights are short: asked for, and decided again when they come or `waitMsMax` is over. `min`: least that helps, `want`: better. */
  | { readonly type: 'short'; readonly account: AccountId; readonly unit: Unit; readonly min: bigint; readonly want: bigint }

export type HubEvent =
  | { readonly type: 'connected'; readonly hub: number }
  | { readonly type: 'disconnected'; readonly hub: number }
  | { readonly type: 'message'; readonly hub: number; readonly message: HubMessage }
  /** Own or copied frames are in the state now. */
  | { readonly type: 'folded'; readonly log: LogId; readonly frame: number }
  /** An intent waits for rights. */
  | { readonly type: 'short'; readonly account: AccountId; readonly unit: Unit; readonly min: bigint; readonly want: bigint }
  /** A value that was to be persisted is on the disk. */
  | { readonly type: 'persisted'; readonly key: string }
  /** At least once a second. */
  | { readonly type: 'tick' }
  /** An admin wants a hub's log sealed now. */
  | { readonly type: 'seal'; readonly log: LogId }

export type HubEffect =
  | { readonly type: 'send'; readonly hub: number; readonly message: HubMessage }
  /** Log this; nobody waits for the answer. */
  | { readonly type: 'append'; readonly intent: Intent }
  /** Keep under this key, synced, after all frames that were accepted so far; then `persisted` comes. */
  | { readonly type: 'persist'; readonly key: string; readonly value: Uint8Array }
  /** Intents that were short may be decided again. */
  | { readonly type: 'retry' }
  /** Frames of `log` after number `frame` do not count: moved aside, and the state folded anew from the store. */
  | { readonly type: 'truncate'; readonly log: LogId; readonly frame: number }
  /** For the operator. */
  | { readonly type: 'warn'; readonly text: string }
