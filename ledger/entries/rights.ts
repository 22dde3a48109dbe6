/** Entries by which a right to spend moves from one hub's log to another's. */
import { z } from 'zod'
import { countField, idField, shortText } from '../../protocol/fields.ts'
import { eidField, logField, microCreditsField, unitField } from './fields.ts'

/**
 * Rights of this log go on their way to log `target`. Natural key: `request`, which the receiving hub chose. `amount`: µcr or tokens.
 * `quota`: row of the tier table by which this log has that many tokens of the day; absent for credits, or where a hold
 * of this log has named a quota of the day already.
 */
export const giveSchema = z.strictObject({
  k: z.literal('Give'), eid: idField, request: idField, account: idField, unit: unitField, target: logField, amount: microCreditsField,
  quota: z.strictObject({ tier: shortText, tierRev: countField }).optional(),
})

/** ... and arrive. Natural key: the give. */
export const acceptSchema = z.strictObject({
  k: z.literal('Accept'), eid: idField, give: eidField, from: logField, account: idField, unit: unitField, amount: microCreditsField,
})

/** ... or come back, once log `target` is sealed without having accepted them. Natural key: the give. */
export const giveReturnSchema = z.strictObject({ k: z.literal('GiveReturn'), eid: idField, give: eidField })
