/**
 * The three tables that the plan's numbers stand in: prices, tiers, hardware. A revision is never changed; two hubs
 * approve a new one (ledger/admin-change.ts), and revision 0 is built in (plan.ts).
 */
import { z } from 'zod'
import { countField } from '../../protocol/fields.ts'
import { microCreditsField, microCreditsOrZeroField } from '../entries/fields.ts'

const nameField = z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, 'must be lower-case letters, digits, dots and dashes').max(64)

/** Lower-case text in which `*` stands for any characters. */
const patternField = z.string().regex(/^[a-z0-9 ._:/*-]+$/, 'must be lower-case text with * for anything').max(128)

const priceRowSchema = z.strictObject({
  row: nameField,
  /** Providers whose models these are, as they name themselves. */
  providers: z.array(nameField).min(1).max(16),
  /** Which of their models; the first row that fits counts. */
  models: z.array(patternField).min(1).max(64),
  /** µcr for 1,000 tokens. */
  promptMicroCredits: microCreditsOrZeroField,
  completionMicroCredits: microCreditsOrZeroField,
})
export type PriceRow = z.output<typeof priceRowSchema>

const packSchema = z.strictObject({ product: nameField, euroCents: countField.min(1), microCredits: microCreditsField })
export type Pack = z.output<typeof packSchema>

export const priceTableSchema = z.strictObject({
  rows: z.array(priceRowSchema).min(1).max(512),
  /** Name of the row that a cloud model takes whose provider has no row at all. */
  unlisted: nameField,
  packs: z.array(packSchema).max(16),
}).refine(({ rows, unlisted }) => rows.some(({ row }) => row === unlisted), 'the row for unlisted models is missing')
  .refine(({ rows }) => new Set(rows.map(({ row }) => row)).size === rows.length, 'two rows have one name')
export type PriceTable = z.output<typeof priceTableSchema>

const tierRowSchema = z.strictObject({
  tier: nameField,
  /** Cloud tokens a UTC day; null: no bound. */
  tokensPerDay: countField.nullable(),
  /** What own hardware earns is multiplied by this. */
  earnFactor: countField.max(100),
  /** 0 is served first; the weight in queues follows from it. */
  priority: countField.max(100),
  /** Requests at one hub: in a minute (null: no bound), and at once. */
  requestsPerMinute: countField.min(1).nullable(),
  concurrentMax: countField.min(1),
  /** Null: by contract. */
  euroCentsPerMonth: countField.nullable(),
})
export type TierRow = z.output<typeof tierRowSchema>

export const tierTableSchema = z.strictObject({ rows: z.array(tierRowSchema).min(1).max(64) })
  .refine(({ rows }) => new Set(rows.map(({ tier }) => tier)).size === rows.length, 'two rows have one name')
export type TierTable = z.output<typeof tierTableSchema>

const hardwareRowSchema = z.strictObject({
  class: nameField,
  /** Names of devices that are this class, if they have its memory. */
  names: z.array(patternField).min(1).max(32),
  /** GiB that the graphics processor can use. */
  memoryGib: z.number().int().min(0).max(4_096),
  /** Memory that is shared with the processor: such devices are compared with each other only. */
  unified: z.boolean(),
  /** Tokens a second that an unlisted device must reach, where its speed was measured; null: none. */
  tokensPerSecond: countField.nullable(),
  microCreditsPerHour: microCreditsField,
})
export type HardwareRow = z.output<typeof hardwareRowSchema>

export const hardwareTableSchema = z.strictObject({
  rows: z.array(hardwareRowSchema).min(1).max(256),
  /** What a machine without a fitting graphics processor earns an hour, class `cpu`. */
  cpuMicroCreditsPerHour: microCreditsField,
  /** A graphics processor that is too small for every class earns as the lowest one, from this many GiB on. */
  memoryGibMin: z.number().int().min(0).max(4_096),
  /** Part of the rate that standing by earns. */
  standbyPercent: z.number().int().min(0).max(100),
}).refine(({ rows }) => new Set(rows.map((row) => row.class)).size === rows.length, 'two rows have one name')
export type HardwareTable = z.output<typeof hardwareTableSchema>

export interface Tables {
  readonly prices: PriceTable
  readonly tiers: TierTable
  readonly hardware: HardwareTable
}
export type TableKind = keyof Tables

export const tableSchemas = { prices: priceTableSchema, tiers: tierTableSchema, hardware: hardwareTableSchema } as const
