/**
 * Entries of one spend: hold → extend, progress → settle or expire → refund. All of one hold stand in the log that holds
 * it; once that log is sealed, in its successor's.
 */
import { z } from 'zod'
import { countField, hashField, idField, publicKeyField, shortText, timeField } from '../../protocol/fields.ts'
import { hubIndexField } from '../../protocol/messages/ledger-fields.ts'
import { dayField, eidField, microCreditsOrZeroField } from './fields.ts'

/** Cloud tokens reserved from one UTC day's quota. `tier` and `tierRev` name the row of the tier table that sets the quota. */
const quotaHoldField = z.strictObject({ day: dayField, tokens: countField.min(1), tier: shortText, tierRev: countField })

/**
 * Reserves rights of this log. Natural key: this hub and `request`, the id that the client chose before it asked.
 * Quota is used first; `credits` covers the rest at the row `priceRow` of price table `priceRev`.
 * `day` of a quota is the UTC day of the frame. `supersedes`: the same request was begun at another hub before. `key`: the
 * API key whose budget it counts against; only the log that clears for the account may log such a hold.
 */
export const holdSchema = z.strictObject({
  k: z.literal('Hold'), eid: idField, hub: hubIndexField, request: idField, requestHash: hashField, account: idField,
  priceRow: shortText, priceRev: countField, credits: microCreditsOrZeroField, quota: quotaHoldField.optional(),
  expiresAt: timeField, supersedes: z.strictObject({ hub: hubIndexField, hold: eidField }).optional(),
  key: publicKeyField.optional(),
})

/** Reserves more for a running hold. Natural key: hold and step (1, 2, ...). */
export const extendSchema = z.strictObject({
  k: z.literal('Extend'), eid: idField, hold: eidField, step: countField.min(1), credits: microCreditsOrZeroField, quotaTokens: countField, expiresAt: timeField,
})

/** Tokens used so far, cumulative. Natural key: hold and step (1, 2, ...); the largest step counts. */
export const progressSchema = z.strictObject({
  k: z.literal('Progress'), eid: idField, hold: eidField, step: countField.min(1), promptTokens: countField, completionTokens: countField,
})

/** Held → `system:REVENUE` by `charge`, the rest back. `charge` ≤ held, `quotaTokens` ≤ quota held. Natural key: the hold, so it happens once. */
export const settleSchema = z.strictObject({
  k: z.literal('Settle'), eid: idField, hold: eidField, promptTokens: countField, completionTokens: countField,
  charge: microCreditsOrZeroField, quotaTokens: countField, receipt: eidField.optional(),
})

/** Everything held goes back. Natural key: the hold. */
export const expireSchema = z.strictObject({ k: z.literal('Expire'), eid: idField, hold: eidField })

/** `system:REVENUE` → account, quota back to the hold's day; all refunds of a hold together ≤ its charge. Natural key: hold and reason. */
export const refundSchema = z.strictObject({
  k: z.literal('Refund'), eid: idField, hold: eidField, account: idField, amount: microCreditsOrZeroField, quotaTokens: countField, reason: shortText,
})
