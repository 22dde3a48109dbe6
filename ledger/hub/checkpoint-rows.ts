/** What the checkpoint machine keeps in the store, and how it reckons with frames. */
import { z } from 'zod'
import { decode, encode } from '../../protocol/codec.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { bytesOf } from '../../protocol/fields.ts'
import { CHECKPOINT_BYTES_MAX } from '../../protocol/messages/ledger-checkpoint.ts'
import { bytesUpTo } from '../../protocol/messages/ledger-fields.ts'
import { checkpointSigned, decodeFinal, framesOf, parseCheckpoint, type Cosignature, type FinalCheckpoint, type Frontiers } from '../checkpoint/checkpoint.ts'
import type { LedgerState, LogName } from '../fold/state.ts'
import type { FrameContext } from '../frame.ts'
import { isPlanted } from '../planted-bugs.ts'
import { nameOfLog, type HubState } from './hub-state.ts'

/** Rows to read from the store at the start. */
export const checkpointRowPrefix = 'checkpoint/'
/** This hub's newest proposal, which it has signed. */
export const checkpointSignedKey = 'checkpoint/signed'
/** The newest final checkpoint. */
export const checkpointFinalKey = 'checkpoint/final'

const signedSchema = z.strictObject({ v: z.literal(1), body: bytesUpTo(CHECKPOINT_BYTES_MAX), signature: bytesOf(64) })

export function encodeSigned(body: Uint8Array, { signature }: Cosignature): Uint8Array {
  return encode({ v: 1, body, signature })
}

/** The newest round that this hub has signed, and with which frames. */
export interface SignedRound {
  readonly round: number
  readonly frames: Frontiers
}

export interface CheckpointRows {
  readonly final: FinalCheckpoint | undefined
  readonly signed: SignedRound
}

/** Throws LOG_DAMAGED where a row cannot be read: a hub that does not know what it signed must not sign. */
export function readCheckpointRows(rows: ReadonlyMap<string, Uint8Array>, me: number, context: FrameContext): CheckpointRows {
  try {
    const finalRow = rows.get(checkpointFinalKey)
    const final = finalRow === undefined ? undefined : decodeFinal(finalRow, context)
    let signed: SignedRound = { round: -1, frames: new Map() }
    if (final?.signatures.some(({ hub }) => hub === me) === true) signed = { round: final.checkpoint.round, frames: framesOf(final.checkpoint) }
    const signedRow = rows.get(checkpointSignedKey)
    if (signedRow !== undefined) {
      const { body, signature } = decode(signedSchema, signedRow)
      const proposal = parseCheckpoint(body)
      if (!checkpointSigned(body, { hub: me, signature }, context)) throw new TriforceError('SIGNATURE_INVALID', { document: 'checkpoint' })
      if (proposal.round > signed.round) signed = { round: proposal.round, frames: framesOf(proposal) }
    }
    return { final, signed }
  } catch (cause) {
    throw new TriforceError('LOG_DAMAGED', {}, {
      cause, detail: 'the record of which checkpoints this hub has signed is damaged on this disk; move the ledger folder away and start again: the hub takes the logs back from the others',
    })
  }
}

/** Frames of all logs that are in the state. */
export function liveFrames(state: LedgerState): Frontiers {
  return new Map([...state.logs].map(([name, { frame }]) => [name, frame]))
}

/**
 * Frames that at least two hubs have: of the others' logs all that are here, of the own ones all but those at the end of
 * the newest that no other hub has acknowledged. Whoever has seen an own frame has it, so nothing here rests on the rest.
 */
export function candidateFrames({ state, writing }: Pick<HubState, 'state' | 'writing'>, me: number, replicated: ReadonlyMap<LogName, number>): Frontiers {
  const frames = new Map(liveFrames(state))
  if (writing === undefined) return frames
  const own = nameOfLog(writing)
  let known = replicated.get(own) ?? 0
  for (const { log, seen } of state.logs.values()) {
    const ours = seen.vector[me]
    if (log.hub !== me && ours?.epoch === writing.epoch) known = Math.max(known, ours.no)
  }
  if (isPlanted('open-checkpoint')) known -= 1
  const here = frames.get(own)
  if (here === undefined || known <= 0) frames.delete(own)
  else frames.set(own, Math.min(here, known))
  return frames
}

/** Of each log the larger number. */
export function joined(a: Frontiers, b: Frontiers): Frontiers {
  const frames = new Map(a)
  for (const [log, frame] of b) frames.set(log, Math.max(frame, frames.get(log) ?? 0))
  return frames
}

/**
 * A later round. Of one round there are two final ones where its proposer lost its disk in between, and with it what it had
 * signed: then every hub goes by the one with more frames, and of equals by the smaller hash, or they would never agree on a next one.
 */
export function takesPlaceOf(next: FinalCheckpoint, known: FinalCheckpoint | undefined): boolean {
  if (known === undefined || next.checkpoint.round !== known.checkpoint.round) return known === undefined || next.checkpoint.round > known.checkpoint.round
  const frames = ({ checkpoint }: FinalCheckpoint) => checkpoint.logs.reduce((sum, { frame }) => sum + frame, 0)
  const more = frames(next) - frames(known)
  return more > 0 || more === 0 && Buffer.compare(next.hash, known.hash) < 0
}

/** Without what seals have cut off. */
export function capped(state: LedgerState, frames: Frontiers): Frontiers {
  return new Map([...frames].map(([log, frame]) => {
    const status = state.logs.get(log)?.status
    return [log, status?.is === 'sealed' ? Math.min(frame, status.frame) : frame]
  }))
}

export function sameFrames(a: Frontiers, b: Frontiers): boolean {
  if (a.size !== b.size) return false
  for (const [log, frame] of a) if (b.get(log) !== frame) return false
  return true
}
