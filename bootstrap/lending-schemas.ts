/** The parts of a node's answers about lending that commands read; `node/bridge/contributor.ts` writes them. */
import { z } from 'zod'

export const registrationSchema = z.object({
  id: z.string(), node: z.string().nullable(), name: z.string(), account_name: z.string(), class: z.string(), credits_per_hour: z.string(), standby_credits_per_hour: z.string(),
  connected: z.boolean(), availability: z.object({ hours_per_day: z.number().nullable(), schedule: z.string().nullable() }), models: z.array(z.string()),
  check: z.object({ state: z.string(), text: z.string() }), probation: z.object({ active: z.boolean() }),
  missing: z.array(z.object({ level: z.string(), have: z.string(), need: z.string(), fix: z.string() })),
})
export type RegistrationView = z.output<typeof registrationSchema>

export const registeredSchema = registrationSchema.extend({ notes: z.array(z.string()), next: z.string() })
export const registrationListSchema = z.object({ data: z.array(registrationSchema) })
export const lendingReportSchema = z.looseObject({ explanation: z.array(z.string()) })

/** What `/v1/contributor/controls` tells. */
export const controlsViewSchema = z.looseObject({
  lending: z.boolean(), explanation: z.array(z.string()), running: z.number(), waiting: z.number(), lent_today_ms: z.number(),
  bounds: z.array(z.object({ what: z.string(), held: z.boolean(), text: z.string() })),
  settings: z.object({
    hours_per_day: z.number().nullable(), schedule: z.string().nullable(), days: z.array(z.string()).nullable(), time_zone: z.string().nullable(),
    upload_mbits: z.number().nullable(), download_mbits: z.number().nullable(), vram_gb: z.number().nullable(), power_watts: z.number().nullable(),
    yield_to: z.string(), friends: z.array(z.string()),
  }),
})
export type ControlsView = z.output<typeof controlsViewSchema>
