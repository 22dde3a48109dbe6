/**
 * What happens to a hub, and what it then wants: the vocabulary of the pure core (`step` in step.ts, `decide` in decide/).
 * The shell (../ledger.ts) feeds events in and carries effects out; it decides nothing about money.
 */
import type { EncodedEntry } from '../entries/entry.ts'
import type { LedgerMessage, LogId } from '../../protocol/messages/ledger.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import type { AccountProof } from '../checkpoint/account-proof.ts'
import type { AccountId, LedgerState, Unit } from '../fold/state.ts'
import type { CheckedFrame } from '../frame.ts'
import type { ForkProof } from './seal-documents.ts'

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
  /** This frame, own or copied, is in the state now, and none after it of any log. Not told of frames that were in the state when the hub was created. */
  | { readonly type: 'folded'; readonly log: LogId; readonly frame: number; readonly tsMs: number; readonly entries: readonly EncodedEntry[] }
  /** Own log that takes entries from now on; undefined: none. */
  | { readonly type: 'writing'; readonly log: LogId | undefined }
  /** The own log up to `frame` is on the disk of another hub too. */
  | { readonly type: 'replicated'; readonly log: LogId; readonly frame: number }
  /** After `truncate`: this state takes the place of the former one. */
  | { readonly type: 'refolded'; readonly state: LedgerState }
  /** An intent waits for rights. */
  | { readonly type: 'short'; readonly account: AccountId; readonly unit: Unit; readonly min: bigint; readonly want: bigint }
  /** A value that was to be persisted is on the disk. */
  | { readonly type: 'persisted'; readonly key: string }
  /** At least once a second. */
  | { readonly type: 'tick' }
  /** Pay is wanted now, not only every so often. */
  | { readonly type: 'vest' }
  /** An admin wants a hub's log sealed now. */
  | { readonly type: 'seal'; readonly log: LogId }
  /** This disk has lost something of what was written to it. */
  | { readonly type: 'forgot' }
  /** Two frames of one number, both signed with the log's key, were seen; `from`: the hub that sent the one that is not ours. */
  | ({ readonly type: 'forked'; readonly from?: number } & ForkProof)
  /** After `loadOrphans`: frames of `log` that were moved aside, from number `from` on. */
  | {
    readonly type: 'orphans'; readonly log: LogId; readonly from: number; readonly frames: readonly Uint8Array[]; readonly last: boolean
  }
  /** After `load`: stored frames of `log` from number `from` on, as they are stored, with their signatures checked, or as they were checked as a whole; none where there are none yet. */
  | { readonly type: 'loaded'; readonly log: LogId; readonly from: number; readonly frames: readonly (Uint8Array | CheckedFrame)[] }
  /** Somebody wants the proof of an account's state at a final checkpoint. */
  | { readonly type: 'prove'; readonly account: AccountId }

export type HubEffect =
  /** Read stored frames of `log` from number `from` up to `to`, as many as fit `bytesMax`; then `loaded` comes. */
  | { readonly type: 'load'; readonly log: LogId; readonly from: number; readonly to: number; readonly bytesMax: number }
  /** Answer to `prove`; undefined where no final checkpoint has the account or none came in time. */
  | { readonly type: 'proved'; readonly account: AccountId; readonly proof: AccountProof | undefined }
  /** Put a large value that can be made again beside the logs, synced, or remove it; then `persisted` comes. */
  | { readonly type: 'blob'; readonly key: string; readonly value: Uint8Array | undefined }
  | { readonly type: 'send'; readonly hub: number; readonly message: HubMessage }
  /** Log this; nobody waits for the answer. */
  | { readonly type: 'append'; readonly intent: Intent }
  /** Keep under this key, synced, after all frames that were accepted so far; then `persisted` comes. */
  | { readonly type: 'persist'; readonly key: string; readonly value: Uint8Array }
  /** Intents that were short may be decided again. */
  | { readonly type: 'retry' }
  /** Frames of `log` after number `frame` do not count: moved aside, and the state folded anew from the store. */
  | { readonly type: 'truncate'; readonly log: LogId; readonly frame: number }
  /** Read frames of `log` that were moved aside, as many as fit a message, from number `from`; then `orphans` comes. */
  | { readonly type: 'loadOrphans'; readonly log: LogId; readonly from: number }
  /** Ask `hub` for frame `no` of `log`, which it says is another one than ours: it may prove a fork. */
  | { readonly type: 'compare'; readonly hub: number; readonly log: LogId; readonly no: number }
  /** A peer has told what this hub had forgotten: more may be acknowledged, the own log may be opened. */
  | { readonly type: 'heard' }
  /** For the operator. */
  | { readonly type: 'warn'; readonly text: string }
