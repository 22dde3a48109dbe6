/**
 * Takes frames that a peer sent: checks each against the end of its log and hands the good ones to the commit lane.
 * What a peer says of a log counts for nothing; only the signature of the log's own key does.
 */
import type { Signed } from '../../protocol/signed.ts'
import { bytesEqual } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { CommitLane } from '../commit-lane.ts'
import { checkFrame, decodeFrame, emptyTail, frameSigned, type CheckedFrame, type Frame, type FrameContext, type LogTail } from '../frame.ts'
import { controlProblem, forkProofOf, type ForkProof } from '../hub/seal-documents.ts'
import { logName, type LogStore } from '../store/log-store.ts'

export interface ReplicaComponents {
  readonly lane: Pick<CommitLane, 'tailOf' | 'hashOf' | 'offer'>
  readonly store: Pick<LogStore, 'frame'>
  readonly context: FrameContext
  /** The end of the own log, which may be ahead of what the lane knows; undefined for every other log. */
  readonly ownTail: (log: LogId) => LogTail | undefined
  /** Does this hub write this log now? */
  readonly isWriting: (log: LogId) => boolean
  /** Number of the last frame of a log that may be accepted: a promise or a seal stands behind it. */
  readonly limitOf: (log: LogId) => number
  /** A frame with a valid Seal of this log is about to be accepted. */
  readonly onSeal: (log: LogId, signatures: readonly Signed[]) => void
}

export type Taken =
  /** `limited`: frames beyond the log's limit were dropped. */
  | { readonly type: 'taken'; readonly no: number; readonly gap: boolean; readonly limited: boolean }
  /**
   * The author has signed two histories: proof of it is at hand, so the sender is not to blame. `ask`: it is not, and the sender's
   * frame `no` would give it, once ours is on the disk.
   */
  | { readonly type: 'forked'; readonly no: number; readonly proof: ForkProof | undefined; readonly ask: boolean }

/**
 * Throws FRAME_MALFORMED, SIGNATURE_INVALID or PROTOCOL_VIOLATION where the sender is to blame. Frames beyond the limit
 * of their log are dropped: their author does not know yet that it is being sealed.
 */
export async function takeFrames(components: ReplicaComponents, log: LogId, frames: readonly Uint8Array[]): Promise<Taken> {
  const { lane, context, ownTail, limitOf, onSeal } = components
  const tailOf = () => ownTail(log) ?? lane.tailOf(log)
  for (const bytes of frames) {
    const frame = decodeFrame(bytes)
    if (logName(frame.log) !== logName(log)) throw new TriforceError('PROTOCOL_VIOLATION', { problem: 'a frame of another log' })
    const { no } = frame.header
    const tail = tailOf()
    if (no <= tail.no) {
      const known = no === tail.no ? tail.hash : await lane.hashOf(log, no)
      if (known === undefined || bytesEqual(known, frame.hash)) continue
      if (!signedByAuthor(frame, tail, context)) throw new TriforceError('SIGNATURE_INVALID', { document: 'logFrame', log: logName(log), no })
      return { type: 'forked', no, ...await proofOf(components, frame) }
    }
    // Somebody else has written on. This hub's writing ends first (own-log.ts), and then they are taken.
    if (components.isWriting(log)) return { type: 'taken', no: tail.no, gap: false, limited: false }
    if (no > limitOf(log)) return { type: 'taken', no: tail.no, gap: false, limited: true }
    if (no > tail.no + 1) return { type: 'taken', no: tail.no, gap: true, limited: false }
    const check = checkFrame(frame, tail, context)
    if (check.ok) {
      const problem = controlEntries(components, check.frame, onSeal)
      if (problem !== undefined) throw new TriforceError('PROTOCOL_VIOLATION', { log: logName(log), no, problem })
      lane.offer(check.frame)
      continue
    }
    if (check.problem === 'prevHash') return { type: 'forked', no: tail.no, proof: undefined, ask: tail.no > 0 }
    throw new TriforceError(check.problem === 'signature' || check.problem === 'epochKey' ? 'SIGNATURE_INVALID' : 'PROTOCOL_VIOLATION', {
      log: logName(log), no, problem: check.detail,
    })
  }
  return { type: 'taken', no: tailOf().no, gap: false, limited: false }
}

/** Signatures inside seals and proofs are judged here, before the frame counts anywhere. */
function controlEntries({ lane, context }: ReplicaComponents, frame: CheckedFrame, onSeal: ReplicaComponents['onSeal']): string | undefined {
  for (const entry of frame.entries) {
    if (entry.k !== 'Seal' && entry.k !== 'EquivProof') continue
    const problem = controlProblem(entry, frame.log.hub, context, (log) => lane.tailOf(log).epochKey?.key)
    if (problem !== undefined) return problem
    if (entry.k === 'Seal') onSeal(entry.log, entry.signatures)
  }
  return undefined
}

/** This frame and ours with its number. Where ours cannot be read, no further answer would help; where it is not on the disk yet, one will. */
async function proofOf({ store }: ReplicaComponents, frame: Frame): Promise<{ readonly proof: ForkProof | undefined; readonly ask: boolean }> {
  const { log, header } = frame
  const ours = await store.frame(log, header.no).catch(() => 'unreadable' as const)
  if (ours === undefined || ours === 'unreadable' || bytesEqual(ours.hash, frame.hash)) return { proof: undefined, ask: ours === undefined }
  const proof = forkProofOf(log, header.no, { header: ours.headerBytes, signature: ours.signature }, { header: frame.headerBytes, signature: frame.signature })
  return { proof, ask: false }
}

/** By the log's key, or, in frame 1, by another key that the hub has certified for the same log. */
function signedByAuthor(frame: Frame, tail: LogTail, context: FrameContext): boolean {
  if (tail.epochKey !== undefined && frameSigned(frame, tail.epochKey.key)) return true
  return frame.header.no === 1 && checkFrame(frame, emptyTail(frame.log), context).ok
}
