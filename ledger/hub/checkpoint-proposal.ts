/** Proposals of checkpoints: what another hub may propose, and what is said where its state is not this hub's. */
import { HUBS_PER_FEDERATION } from '../../protocol/federation.ts'
import { checkpointSigned, framesOf, parseCheckpoint, type Checkpoint, type Cosignature, type FinalCheckpoint, type Frontiers } from '../checkpoint/checkpoint.ts'
import type { FrameContext } from '../frame.ts'
import type { HubMessage } from './events.ts'

/** A proposal whose time is further from this hub's clock is not signed: holders judge by it how old a statement is. */
const CLOCK_APART_MS_MAX = 60_000

export interface Proposal {
  /** The exact bytes to sign. */
  readonly body: Uint8Array
  readonly checkpoint: Checkpoint
  readonly frames: Frontiers
  readonly cosignature: Cosignature
}

export const finalMessage = ({ body, signatures }: FinalCheckpoint): HubMessage => ({ t: 'final', body, signatures: [...signatures] })
export const proposalMessage = ({ body, cosignature }: Proposal): HubMessage => ({ t: 'checkpoint', body, signature: cosignature.signature })

/** Hub whose turn it is. */
export const proposerOf = (round: number) => round % HUBS_PER_FEDERATION

export type ProposalCheck =
  | { readonly ok: true; readonly proposal: Proposal }
  | { readonly ok: false; readonly kind: 'proposal' | 'clock'; readonly text: string }

/** Form, signature, turn and time; its content is judged by folding. `lastMs`: time of the newest final checkpoint. */
export function readProposal(
  from: number, { body, signature }: Extract<HubMessage, { t: 'checkpoint' }>, context: FrameContext, { nowMs, lastMs = 0 }: { readonly nowMs: number; readonly lastMs?: number | undefined },
): ProposalCheck {
  const cosignature: Cosignature = { hub: from, signature }
  let checkpoint: Checkpoint
  try {
    checkpoint = parseCheckpoint(body)
  } catch {
    return { ok: false, kind: 'proposal', text: `hub ${from} sent a checkpoint that cannot be read` }
  }
  const honest = checkpoint.network === context.network && proposerOf(checkpoint.round) === from && checkpointSigned(body, cosignature, context)
  if (!honest) return { ok: false, kind: 'proposal', text: `hub ${from} sent a checkpoint that is not its own to propose` }
  const apartMs = Math.abs(checkpoint.timeMs - nowMs)
  // Times only go forward. A proposal that had to go on from the last one's says nothing of its proposer's clock.
  if (apartMs > CLOCK_APART_MS_MAX && checkpoint.timeMs > lastMs + 1) {
    const text = `a checkpoint is not signed: the clocks of hub ${from} and this hub are ${Math.round(apartMs / 1_000)} s apart; set them by a time server`
    return { ok: false, kind: 'clock', text }
  }
  return { ok: true, proposal: { body, checkpoint, frames: framesOf(checkpoint), cosignature } }
}

/** Differences shown at once. */
const SHOWN_MAX = 5

/** For the operators: two hubs compute different states from the same frames. */
export function driftText(by: number, { round }: Checkpoint, differences: readonly string[]): string {
  const shown = differences.slice(0, SHOWN_MAX)
  if (differences.length > SHOWN_MAX) shown.push(`${differences.length - SHOWN_MAX} more`)
  return `the checkpoint of round ${round} by hub ${by} is not what the same frames give here, so it is not signed: ${shown.join('; ')}. Run "triforce admin audit" on both hubs`
}
