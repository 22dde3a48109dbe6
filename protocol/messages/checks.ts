/**
 * What hubs tell each other of the checks that they make of machines: their verdicts, and after an hour its secret, by which
 * the others can find out that nobody was spared. A verdict of another hub makes a hub look and keeps pay back; it judges for itself.
 */
import { z } from 'zod'
import { countField, hashField, idField, publicKeyField, timeField } from '../fields.ts'
import { signedSchema } from '../signed.ts'

/** Verdicts in one message: the newest. */
export const VERDICTS_TOLD_MAX = 1_000

/** Checks of one hour in a report; at about 70 bytes each they fit a frame. */
export const CHECKED_LISTED_MAX = 20_000

/** Its signature by a hub's node key is that hub's secret of the hour (hours since 1970), by which jobs are drawn. */
export const drawSeedSchema = z.object({ v: z.literal(1), network: z.string().max(64), hour: countField })

export const checkKindSchema = z.enum(['answer', 'replay', 'count', 'excess', 'speed', 'pace'])

/** Signed by the hub that checked. The later `sentAt` counts; one that is not repeated within a day has lapsed. */
export const checkVerdictSchema = z.object({
  v: z.literal(1), network: z.string().max(64), contributor: publicKeyField, state: z.enum(['passed', 'failed']), why: checkKindSchema.optional(), sentAt: timeField,
})
export type CheckVerdict = z.output<typeof checkVerdictSchema>

/** `commitment`: SHA-256 of the secret of the next hour. `hour`: one that is over, of which a report is wanted. */
export const checksAskSchema = z.object({
  t: z.literal('checks'), hour: countField, nextHour: countField, commitment: hashField, verdicts: z.array(signedSchema).max(VERDICTS_TOLD_MAX),
})

/** How a drawn job's check ended. `void`: at a time when the hub itself was not well; `left`: the machine was gone. */
export const checkEndSchema = z.enum(['good', 'bad', 'unknown', 'void', 'left'])
export type CheckEnd = z.output<typeof checkEndSchema>

export const checkReportSchema = z.object({
  /** Opens to a DrawSeed. */
  seed: signedSchema,
  checked: z.array(z.object({ jobId: idField, contributor: publicKeyField, end: checkEndSchema })).max(CHECKED_LISTED_MAX),
})
export type CheckReport = z.output<typeof checkReportSchema>

/** Body of the answer; without a report where the hub was not there in that hour. */
export const checksTellSchema = z.object({ report: checkReportSchema.optional() })
