/**
 * Receipt of one job: the ticket, what the contributor says it delivered (the half, signed by it, which names the ticket by
 * hash) and what the hub saw of it (the observation). The hub signs all three together: with the frame of its log.
 * The contributor's times are of one boot of one device, so the skew of clocks cannot create or hide overlap.
 */
import { z } from 'zod'
import { finishReasonSchema, usageSchema } from '../completion.ts'
import { countField, hashField, idField, shortText, timeField } from '../fields.ts'
import { sha256 } from '../crypto.ts'
import { CAPACITY_GPUS_MAX } from '../limits.ts'
import { isCount, isHash, isId, isShortText, listOf, oneOf, shapeOf } from '../shape.ts'
import { signedSchema, type Signed } from '../signed.ts'

export const receiptHalfSchema = z.object({
  v: z.literal(1),
  /** SHA-256 of the ticket's signed body. */
  ticketHash: hashField,
  jobId: idField,
  /** Digest of the weights that answered, as announced. */
  modelDigest: z.string().regex(/^[0-9a-f]{64}$/),
  /** Which compute device of the contributor; `cpu`, or a GPU's stable name. */
  device: shortText,
  /** Where the job ran on several: all of them, `device` first. Absent where it ran on one, so that most receipts stay small. */
  devices: z.array(shortText).min(2).max(CAPACITY_GPUS_MAX).optional(),
  /** Random, new at each start of the contributor: the origin of `startMs` and `endMs`. */
  boot: idField,
  startMs: countField,
  endMs: countField,
  usage: usageSchema,
  /** SHA-256 of the delivered text as UTF-8. */
  outputHash: hashField,
  finish: finishReasonSchema,
})
export type ReceiptHalf = z.output<typeof receiptHalfSchema>

const isFinish = oneOf(...finishReasonSchema.options)
const isUsage = shapeOf({ promptTokens: isCount, completionTokens: isCount })
/** A half as nearly all are, for `decode`. */
export const looksLikeHalf = shapeOf({
  v: oneOf(1), ticketHash: isHash, jobId: isId, modelDigest: (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value), device: isShortText, boot: isId,
  startMs: isCount, endMs: isCount, usage: isUsage, outputHash: isHash, finish: isFinish,
}, { devices: listOf(isShortText, 2, CAPACITY_GPUS_MAX) })

export const observationSchema = z.strictObject({
  /** Milliseconds from dispatch to the end as the asking side saw them. */
  observedMs: countField,
  usage: usageSchema,
  outputHash: hashField,
  finish: finishReasonSchema,
  /**
   * `hub`: the hub read the stream. Else a consumer streamed on its own and reported the observation: `direct` over its
   * own connection, `relay` over a circuit through a hub, which saw ciphertext.
   */
  path: z.enum(['hub', 'direct', 'relay']),
  endedAt: timeField,
})
export type Observation = z.output<typeof observationSchema>
export const looksLikeObservation = shapeOf({
  observedMs: isCount, usage: isUsage, outputHash: isHash, finish: isFinish, path: oneOf('hub', 'direct', 'relay'), endedAt: isCount,
})

/** Signed by the contributor that the ticket names, so its key is not repeated. */
export const signedHalfSchema = signedSchema.omit({ key: true })
export type SignedHalf = z.output<typeof signedHalfSchema>

export interface Receipt {
  /** Body of the ticket. */
  readonly ticket: Uint8Array
  /** Absent where the contributor died before it could sign, or signed something else than was seen. */
  readonly half?: SignedHalf
  readonly observation: Observation
}

/** 16 bytes; the text form is `rcpt_` and 32 hexadecimal digits. */
export function receiptIdOf(jobId: Uint8Array): Uint8Array {
  return sha256(Buffer.from('triforce/receipt/1\0', 'utf8'), jobId).slice(0, 16)
}

export function ticketHashOf(ticket: Pick<Signed, 'body'>): Uint8Array {
  return sha256(ticket.body)
}
