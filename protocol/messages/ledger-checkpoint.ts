/** Checkpoints: a hub proposes what all logs give up to certain frames, others compute it too and sign. */
import { z } from 'zod'
import { bytesOf, countField } from '../fields.ts'
import { bytesUpTo, hubIndexField } from './ledger-fields.ts'

/** The text of a checkpoint: 192 logs of at most 160 bytes, and some lines more. */
export const CHECKPOINT_BYTES_MAX = 64 * 1024

/** Proposed: the exact bytes to sign, and the proposer's signature of domain `checkpoint` under them. */
export const checkpointMessageSchema = z.object({ t: z.literal('checkpoint'), body: bytesUpTo(CHECKPOINT_BYTES_MAX), signature: bytesOf(64) })

/** The sender came to the same and signs too. */
export const cosignMessageSchema = z.object({ t: z.literal('cosign'), round: countField, signature: bytesOf(64) })

/** A checkpoint that holds: signatures of at least two hubs. */
export const finalMessageSchema = z.object({
  t: z.literal('final'), body: bytesUpTo(CHECKPOINT_BYTES_MAX),
  signatures: z.array(z.object({ hub: hubIndexField, signature: bytesOf(64) })).min(2).max(3),
})
