/**
 * What a client wishes of the choice of a host. Travels beside a request, never inside it: hosts do not see it.
 * The names follow OpenRouter's `provider` object, which clients already send.
 */
import { z } from 'zod'
import { countField, modelIdField } from './fields.ts'

/** Models tried one after the other, the request's own included. */
export const FALLBACK_MODELS_MAX = 8

/**
 * Who may see a prompt, each class with those before it. `own`: nodes of the account. `friends`: nodes of accounts that it
 * named. `verified`: contributors that passed their checks, and hubs. `any`: every contributor. `cloud`: vendors too.
 */
export const privacyClassSchema = z.enum(['own', 'friends', 'verified', 'any', 'cloud'])
export type PrivacyClass = z.output<typeof privacyClassSchema>

const hostNames = z.array(z.string().min(1).max(128)).max(32)

export const routingWishesSchema = z.object({
  /** Tried in this order where the request's model has no host, before the first byte only. */
  fallbackModels: z.array(modelIdField).max(FALLBACK_MODELS_MAX).optional(),
  /** Vendors, peer ids or names of nodes: tried first in this order; only these; never these. */
  order: hostNames.optional(),
  only: hostNames.optional(),
  ignore: hostNames.optional(),
  /** False: nobody outside `order` is asked. */
  allowFallbacks: z.boolean().optional(),
  sort: z.enum(['price', 'throughput', 'latency']).optional(),
  /** µcr for 1,000 tokens. */
  maxPrice: z.object({ promptMicroCredits: countField.optional(), completionMicroCredits: countField.optional() }).optional(),
  /** `deny`: no vendor that keeps prompts. */
  dataCollection: z.enum(['allow', 'deny']).optional(),
  quantizations: z.array(z.string().max(32)).max(16).optional(),
  privacy: privacyClassSchema.optional(),
  /** False: a stream that breaks is not continued at another host. */
  continuation: z.boolean().optional(),
  /** True: hubs may ask the same again at other hosts, to check the one that answered. */
  checks: z.boolean().optional(),
})
export type RoutingWishes = z.output<typeof routingWishesSchema>
