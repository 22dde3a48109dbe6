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
