/** The admin's view of the checks of machines, as commands read it; `node/bridge/admin-checks.ts` writes it. */
import { z } from 'zod'

export const checksSchema = z.object({
  checks: z.record(z.string(), z.number()),
  incidents: z.record(z.string(), z.number()),
  data: z.array(z.object({
    node: z.string(), state: z.string(), text: z.string(), failed_by: z.string().nullable(), failures: z.number(), checks_in_state: z.number(),
    last_at: z.number().nullable(), since: z.number().nullable(), other_hubs_say: z.string().nullable(),
    scores: z.record(z.string(), z.number()), tallies: z.record(z.string(), z.object({ good: z.number(), bad: z.number() })),
  })),
})
export type ChecksView = z.output<typeof checksSchema>
