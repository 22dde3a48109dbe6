/**
 * Rights and requests between hubs: a hub that is short of an account's rights asks another one for some, and a hub that
 * does not clear for an account has the one that does log a request.
 */
import { z } from 'zod'
import { countField, idField, shortText } from '../fields.ts'
import { amountField, epochField, hubIndexField, logIdSchema } from './ledger-fields.ts'

/** 0: credits in µcr; else the UTC day (days since 1970) whose quota of cloud tokens is meant. */
export const unitField = z.number().int().min(0).max(100_000)

/**
 * Give my log `log` at least `min` and at best `want` of this account's rights. The answer is a `Give` entry in the donor's log, or
 * `rightsNone`. The same `request` again gets the same answer.
 */
export const rightsAskMessageSchema = z.object({
  t: z.literal('rightsAsk'), request: idField, log: logIdSchema, account: idField, unit: unitField, min: amountField, want: amountField,
})

/** The donor cannot give `min`: it has `have` to give. */
export const rightsNoneMessageSchema = z.object({ t: z.literal('rightsNone'), request: idField, have: amountField })

/** What a hub may be asked to log because it clears for the account. The same one again is one entry. */
export const hubRequestSchema = z.discriminatedUnion('do', [
  z.object({ do: z.literal('grant'), account: idField, amount: amountField, source: shortText, approved: idField.optional() }),
  z.object({ do: z.literal('purchase'), account: idField, amount: amountField, payment: shortText, product: shortText }),
  z.object({ do: z.literal('chargeback'), account: idField, amount: amountField, payment: shortText }),
  z.object({ do: z.literal('setTier'), account: idField, tier: shortText }),
])
export type HubRequest = z.output<typeof hubRequestSchema>

/** `id` is the sender's, to find the answer by; asking again takes a new one. */
export const askMessageSchema = z.object({ t: z.literal('ask'), id: idField, request: hubRequestSchema })

/** Where the entry stands; it is on the disks of two hubs. */
export const hubAnswerSchema = z.object({
  hub: hubIndexField, epoch: epochField, frame: countField, seq: countField, known: z.boolean(),
})
export type HubAnswer = z.output<typeof hubAnswerSchema>

/** Either `done` or `error`. */
export const answerMessageSchema = z.object({
  t: z.literal('answer'), id: idField, done: hubAnswerSchema.optional(),
  error: z.object({ code: z.string().max(64), detail: z.string().max(1_024), retryAfterMs: countField.optional() }).optional(),
})
