/** Entries of earning: facts (receipt, presence), and pay, which is computed from the facts. */
import { z } from 'zod'
import { bytesField, countField, idField, publicKeyField, shortText, timeField } from '../../protocol/fields.ts'
import { observationSchema, signedHalfSchema } from '../../protocol/messages/receipt.ts'
import { microCreditsField, microCreditsOrZeroField } from './fields.ts'

/** What an hour of one device earns (µcr). */
const deviceRateSchema = z.strictObject({ device: shortText, rate: microCreditsField })
export type DeviceRate = Readonly<z.output<typeof deviceRateSchema>>

const deviceRatesSchema = z.array(deviceRateSchema).min(1).max(16)

/**
 * `ticket` is the body of the ticket, as this hub signed it; the frame's signature stands for the hub's on all of this. What
 * an index or the fold needs of the ticket stands beside it: `jobId`, `account`, `contributor`.
 * `rate` is what an hour of this work earns (µcr), as the hub found it when it logged the receipt; absent where it earns nothing.
 * `rates` stands in its place where the half names several devices: those that earn, each once, in the half's order.
 */
export const jobReceiptSchema = z.strictObject({
  k: z.literal('JobReceipt'), eid: idField, jobId: idField, account: idField, contributor: publicKeyField, ticket: bytesField,
  half: signedHalfSchema.strict().optional(), observation: observationSchema, rate: microCreditsField.optional(), rates: deviceRatesSchema.optional(),
}).refine(({ rate, rates }) => rate === undefined || rates === undefined, 'has either rate or rates')

/**
 * A contributor was connected, ready and idle or busy for a while, as this hub saw it. Device times are milliseconds of
 * the contributor's boot, wall times Unix milliseconds of the hub. Natural key: hub, contributor, boot, deviceFromMs.
 * `rate`: what an hour of standby of that device earns (µcr).
 */
export const presenceSchema = z.strictObject({
  k: z.literal('Presence'), eid: idField, hub: countField.max(2), contributor: publicKeyField, boot: idField,
  deviceFromMs: countField, deviceToMs: countField, wallFromMs: timeField, wallToMs: timeField,
  devices: deviceRatesSchema,
})

/**
 * Pay of one device up to a final checkpoint: `system:CONTRIB_EXPENSE` → account by `delta` = `total` − the total before.
 * `back` of it is held back. Logged by the account's clearing hub only. Natural key: contributor, device, total.
 */
export const vestSchema = z.strictObject({
  k: z.literal('Vest'), eid: idField, contributor: publicKeyField, device: shortText, account: idField, round: countField,
  total: microCreditsField, delta: microCreditsField, back: microCreditsOrZeroField,
})

/** The held-back part of an account's pay becomes spendable. Natural key: account and step (1, 2, ...). */
export const backReleaseSchema = z.strictObject({ k: z.literal('BackRelease'), eid: idField, account: idField, step: countField.min(1), amount: microCreditsField })
