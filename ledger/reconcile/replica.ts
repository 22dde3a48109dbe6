/**
 * Takes frames that a peer sent: checks each against the end of its log and hands the good ones to the commit lane.
 * What a peer says of a log counts for nothing; only the signature of the log's own key does.
 */
import { bytesEqual } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { CommitLane } from '../commit-lane.ts'
import { checkFrame, decodeFrame, emptyTail, frameSigned, type Frame, type FrameContext, type LogTail } from '../frame.ts'
import { logName } from '../store/log-store.ts'

export interface ReplicaComponents {
  readonly lane: Pick<CommitLane, 'tailOf' | 'hashOf' | 'offer'>
  readonly context: FrameContext
  /** The end of the own log, which may be ahead of what the lane knows; undefined for every other log. */
  readonly ownTail: (log: LogId) => LogTail | undefined
}

export type Taken =
  | { readonly type: 'taken'; readonly no: number; readonly gap: boolean }
  /** The author has signed two histories: proof of it is at hand, so the sender is not to blame. */
  | { readonly type: 'forked'; readonly no: number }

/** Throws FRAME_MALFORMED, SIGNATURE_INVALID or PROTOCOL_VIOLATION where the sender is to blame. */
export async function takeFrames({ lane, context, ownTail }: ReplicaComponents, log: LogId, frames: readonly Uint8Array[]): Promise<Taken> {
  const tailOf = () => ownTail(log) ?? lane.tailOf(log)
  for (const bytes of frames) {
    const frame = decodeFrame(bytes)
    if (logName(frame.log) !== logName(log)) throw new TriforceError('PROTOCOL_VIOLATION', { problem: 'a frame of another log' })
    const { no } = frame.header
    const tail = tailOf()
    if (no > tail.no + 1) return { type: 'taken', no: tail.no, gap: true }
    if (no <= tail.no) {
      const known = no === tail.no ? tail.hash : await lane.hashOf(log, no)
      if (known === undefined || bytesEqual(known, frame.hash)) continue
      if (!signedByAuthor(frame, tail, context)) throw new TriforceError('SIGNATURE_INVALID', { document: 'logFrame', log: logName(log), no })
      return { type: 'forked', no }
    }
    const check = checkFrame(frame, tail, context)
    if (check.ok) {
      lane.offer(check.frame)
      continue
    }
    if (check.problem === 'prevHash') return { type: 'forked', no: tail.no }
    throw new TriforceError(check.problem === 'signature' || check.problem === 'epochKey' ? 'SIGNATURE_INVALID' : 'PROTOCOL_VIOLATION', {
      log: logName(log), no, problem: check.detail,
    })
  }
  return { type: 'taken', no: tailOf().no, gap: false }
}

/** By the log's key, or, in frame 1, by another key that the hub has certified for the same log. */
function signedByAuthor(frame: Frame, tail: LogTail, context: FrameContext): boolean {
  if (tail.epochKey !== undefined && frameSigned(frame, tail.epochKey.key)) return true
  return frame.header.no === 1 && checkFrame(frame, emptyTail(frame.log), context).ok
}
