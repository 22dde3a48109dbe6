/** The admin routes of a hub's cloud vendors, as commands read them; `node/bridge/admin-providers.ts` writes them. */
import { z } from 'zod'

export const providerSchema = z.object({
  name: z.string(), key_end: z.string(), source: z.enum(['added', 'environment']), base_url: z.string(), models: z.number(), ok: z.boolean(), health: z.string(),
})
export type ProviderView = z.output<typeof providerSchema>

export const providerListSchema = z.object({ data: z.array(providerSchema) })
