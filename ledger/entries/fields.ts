/** Field kinds of entries: money, units, references into logs. */
import { z } from 'zod'
import { countField, idField } from '../../protocol/fields.ts'
import { epochField, hubIndexField } from '../../protocol/messages/ledger-fields.ts'

/** Amounts fit a signed 64-bit integer in every other language. */
export const MICRO_CREDITS_MAX = 2n ** 63n - 1n

const bigintField = z.union([z.bigint(), z.number().int()]).transform((value) => BigInt(value))

/** DAG-CBOR gives a number where it is exact and a bigint above that; money is always a bigint inside. µcr, more than 0. */
export const microCreditsField = bigintField.refine((value) => value > 0n && value <= MICRO_CREDITS_MAX, 'must be more than 0 and less than 2^63')

/** As `microCreditsField`, or 0. */
export const microCreditsOrZeroField = bigintField.refine((value) => value >= 0n && value <= MICRO_CREDITS_MAX, 'must be 0 or more and less than 2^63')

/** Days since 1970-01-01 UTC. */
export const dayField = z.number().int().min(1).max(100_000)

/** What a right counts: 0 is credits (µcr); a day number is that UTC day's quota (cloud tokens). The two never mix. */
export const unitField = z.union([z.literal(0), dayField])

/** The log that an entry speaks of. */
export const logField = z.strictObject({ hub: hubIndexField, epoch: epochField })

/** A frame of a log, by number. */
export const framePositionField = z.strictObject({ hub: hubIndexField, epoch: epochField, no: countField })

/** The id of an entry that this one speaks of. */
export const eidField = idField
