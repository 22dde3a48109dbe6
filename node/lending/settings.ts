/**
 * What the operator of a machine that lends may say of it: when, how much of its line and its GPU, and to whom first.
 * The form in which it is kept; the bridge and the command line have their own names for the same things.
 */
import { z } from 'zod'
import { availabilitySchema } from '../../protocol/messages/contributor.ts'
import { timeField } from '../../protocol/fields.ts'

/** Of what other programs' use makes the machine stop lending. */
export const yieldSchema = z.enum(['off', 'gpu', 'processor'])
export type YieldTo = z.output<typeof yieldSchema>

/** Below it the federation's own messages have no room: 8 KiB of announcement to each of three hubs take a second at 0.2 Mbit/s. */
const MBITS_MIN = 0.2

export const controlsSchema = z.strictObject({
  /** Absent `untilMs`: until it is resumed. */
  pause: z.strictObject({ sinceMs: timeField, untilMs: timeField.optional() }).optional(),
  /** Of all that this node sends to and gets from others, in 10^6 bit/s. */
  uploadMbits: z.number().min(MBITS_MIN).max(100_000).optional(),
  downloadMbits: z.number().min(MBITS_MIN).max(100_000).optional(),
  /** Memory of the GPUs that models may use together, in 2^30 bytes. */
  vramGib: z.number().min(0).max(16_384).optional(),
  /** Of each GPU. */
  powerWatts: z.number().int().min(1).max(10_000).optional(),
  yieldTo: yieldSchema.optional(),
  /** Accounts whose jobs come right after the operator's own: 32 hexadecimal digits each. */
  friends: z.array(z.string().regex(/^[0-9a-f]{32}$/, 'must be the id of an account: 32 hexadecimal digits, as "triforce account" shows it')).max(64).optional(),
})
export type Controls = z.output<typeof controlsSchema>

export const lendingSettingsSchema = z.strictObject({
  v: z.literal(1),
  availability: availabilitySchema.strict().default({}),
  /** Models that were named at the registration; empty: what it offers. */
  models: z.array(z.string().max(128)).max(32).default([]),
  controls: controlsSchema.default({}),
})

export interface LendingSettings {
  readonly availability: z.output<typeof availabilitySchema>
  readonly models: readonly string[]
  readonly controls: Controls
}

/** `null` takes a setting back; what is not named stays. */
export type Change<Settings> = { readonly [Name in keyof Settings]?: Settings[Name] | null | undefined }

export interface SettingsChange {
  readonly availability?: Change<LendingSettings['availability']>
  readonly models?: readonly string[]
  readonly controls?: Change<Controls>
}

/** Where they are kept: a file that people edit too, or a value in a test. */
export interface LendingStore {
  /** The last good ones. */
  readonly settings: LendingSettings
  /** Why what is on the disk now cannot be used. */
  readonly problem: string | undefined
  /** Resolves when it is on the disk. Rejects where that cannot be written, and CONFIG_INVALID while there is a `problem`; then nothing has changed. */
  change(change: SettingsChange): Promise<void>
  onChange(listener: () => void): void
}

export function changed(settings: LendingSettings, { availability = {}, models, controls = {} }: SettingsChange): LendingSettings {
  return {
    availability: merged(settings.availability, availability), models: models ?? settings.models, controls: merged(settings.controls, controls),
  }
}

function merged<Settings extends object>(known: Settings, change: Change<Settings>): Settings {
  const entries = Object.entries({ ...known, ...Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) })
  return Object.fromEntries(entries.filter(([, value]) => value !== null)) as Settings
}
