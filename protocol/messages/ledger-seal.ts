/**
 * Retiring a log: two hubs promise to take no more of it, agree on its last frame and sign that; its hub, when it comes
 * back, hands over what nobody else had. And the proof that a log has two histories.
 */
import { z } from 'zod'
import { bytesOf, countField } from '../fields.ts'
import { signedSchema } from '../signed.ts'
import { bytesUpTo, LOG_EPOCHS_MAX, LOG_HEADER_BYTES_MAX, logIdSchema, storedFramesField } from './ledger-fields.ts'

/** Let us seal this log. `forced`: an admin wants it, or a fork was proved, though its hub may be connected. */
export const sealAskMessageSchema = z.object({ t: z.literal('sealAsk'), log: logIdSchema, forced: z.boolean() })

/** What the sender has of the log and beyond which it takes no more: a document of domain `seal-promise`, signed with its node key. */
export const sealPromiseMessageSchema = z.object({ t: z.literal('sealPromise'), document: signedSchema })

/** Signatures of domain `seal`, one or both, under the same statement. */
export const sealCertificateMessageSchema = z.object({ t: z.literal('sealCertificate'), log: logIdSchema, signatures: z.array(signedSchema).min(1).max(2) })

/**
 * From the hub of a sealed log to its successor: frames after the last one that counts, from number `from` on, in order.
 * `last`: there are no more. `lost`: this hub does not have them any more, so nothing will come.
 */
export const orphansMessageSchema = z.object({
  t: z.literal('orphans'), log: logIdSchema, from: countField.min(1), frames: storedFramesField, last: z.boolean(), lost: z.boolean(),
})

/**
 * The sender's disk has lost what it promised and signed: forget what led to no seal, and tell your open seals and where logs end.
 * The answer repeats `question`.
 */
export const recallMessageSchema = z.object({ t: z.literal('recall'), question: countField })

const logEndsSchema = z.array(z.strictObject({ log: logIdSchema, no: countField.min(1) })).max(2 * LOG_EPOCHS_MAX)
/** Last frames on a disk. */
export type LogEnds = z.output<typeof logEndsSchema>

/** All open seals have been told. `ends`: where the sender's logs and those of the receiver end on the sender's disk. */
export const recalledMessageSchema = z.object({ t: z.literal('recalled'), question: countField, ends: logEndsSchema })

const signedHeaderSchema = z.object({ header: bytesUpTo(LOG_HEADER_BYTES_MAX), signature: bytesOf(64) })

/** Two frames of one log with one number, both signed with its key. */
export const forkMessageSchema = z.object({ t: z.literal('fork'), log: logIdSchema, no: countField.min(1), first: signedHeaderSchema, second: signedHeaderSchema })
