/**
 * Job ticket: a hub's signed promise that exists before the job does. It names the contributor that the hub chose and
 * the hub at which the work is cleared, so no second hub can ever pay for it. Whoever brings a valid ticket is served.
 */
import { z } from 'zod'
import { countField, hashField, idField, modelIdField, publicKeyField, timeField } from '../fields.ts'
import { MODEL_ID_CHARS_MAX } from '../limits.ts'
import { isCount, isHash, isId, oneOf, shapeOf, textUpTo } from '../shape.ts'

export const ticketSchema = z.object({
  v: z.literal(1),
  network: z.string().max(64),
  jobId: idField,
  /** Hub that issued the ticket and clears it: its node key, also the signer. */
  hub: publicKeyField,
  contributor: publicKeyField,
  account: idField,
  /** Id of the API key that asked (protocol/api-key.ts), for the account's own accounts of its use. */
  apiKey: idField.optional(),
  model: modelIdField,
  /** The model is a vendor's, and the contributor a hub that has a key for it. */
  cloud: z.literal(true).optional(),
  /** SHA-256 of the encoded CompletionRequest; the prompt itself is in no ticket and no receipt. */
  requestHash: hashField,
  tokensMax: countField,
  msMax: countField,
  /** 0 is served first. */
  priority: countField,
  /** Revisions of the price table and of the hardware classes that this job is cleared by. */
  priceRev: countField,
  classRev: countField,
  issuedAt: timeField,
  expiresAt: timeField,
})
export type Ticket = z.output<typeof ticketSchema>

/** A ticket as nearly all are, for `decode`. */
export const looksLikeTicket = shapeOf({
  v: oneOf(1), network: textUpTo(64), jobId: isId, hub: isHash, contributor: isHash, account: isId,
  model: (value) => typeof value === 'string' && value.length <= MODEL_ID_CHARS_MAX && /^[!-~]+$/.test(value),
  requestHash: isHash, tokensMax: isCount, msMax: isCount, priority: isCount, priceRev: isCount, classRev: isCount, issuedAt: isCount, expiresAt: isCount,
}, { apiKey: isId, cloud: oneOf(true) })
