/** The parts of a node's HTTP answers that commands read; `node/bridge/` writes them. */
import { z } from 'zod'

const microCreditsField = z.string().regex(/^-?\d{1,19}$/).transform((text) => BigInt(text))

export const accountSchema = z.object({
  account: z.string(), name: z.string(), tier: z.string(), balance_micro_credits: microCreditsField,
})
export type AccountView = z.output<typeof accountSchema>

export const accountListSchema = z.object({ data: z.array(accountSchema) })

export const doneSchema = z.object({ ok: z.literal(true) })

export const modelListSchema = z.object({
  data: z.array(z.object({
    id: z.string(),
    triforce: z.object({
      hosts: z.number(), context_tokens: z.number(), capabilities: z.array(z.string()), quantizations: z.array(z.string()), demo: z.boolean(), vendor: z.string().optional(),
    }),
  })),
})
export type ModelView = z.output<typeof modelListSchema>['data'][number]

export const receiptListSchema = z.object({
  data: z.array(z.object({
    id: z.string(), job_id: z.string(), model: z.string(), contributor: z.string(), hub: z.string(), account: z.string(),
    prompt_tokens: z.number(), completion_tokens: z.number(), finish: z.string(), observed_ms: z.number(),
    signed_by: z.array(z.string()), logged_at: z.number(),
  })),
  next_cursor: z.string().nullish(),
})
export type ReceiptView = z.output<typeof receiptListSchema>['data'][number]

const pathSchema = z.object({ jobs: z.number(), bytes: z.number() })

export const statusSchema = z.object({
  name: z.string(), mode: z.string(), peer_id: z.string(), network: z.string(), version: z.string(), uptime_ms: z.number(),
  ready: z.boolean(), waiting_for: z.array(z.string()),
  hubs: z.array(z.object({ name: z.string(), peer_id: z.string(), connected: z.boolean() })),
  connections: z.number(),
  models: z.array(z.object({ id: z.string(), hosts: z.number() })),
  jobs: z.object({ running: z.number(), queued: z.number(), served: z.number(), failed: z.number() }),
  traffic: z.object({ direct: pathSchema, relayed: pathSchema, proxied: pathSchema }),
  reachable_through: z.array(z.string()),
  relay: z.object({ reservations: z.number(), circuits: z.number(), opened: z.number(), refused: z.number() }).optional(),
  logs: z.array(z.object({ hub: z.string(), epoch: z.number(), frames: z.number(), entries: z.number(), hash: z.string() })).optional(),
})
export type StatusView = z.output<typeof statusSchema>
