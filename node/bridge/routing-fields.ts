/**
 * What a client may wish of the choice of a host: the fields `models`, `route`, `provider` (in OpenRouter's shape) and
 * `triforce` of any body, and the header `x-triforce-privacy`. Every dialect spreads `routingFields` into its schema and
 * calls `readRouting`. Unlike unknown fields elsewhere, an unknown wish is refused: it would change who sees a prompt.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import { modelIdField } from '../../protocol/fields.ts'
import { FALLBACK_MODELS_MAX, privacyClassSchema, type PrivacyClass, type RoutingWishes } from '../../protocol/routing.ts'
import { MICRO_CREDITS_PER_CREDIT } from '../../protocol/units.ts'
import { invalid, unsupported } from './request-check.ts'
import { defined, optional } from './request-parts.ts'

const namesField = optional(z.array(z.string().min(1).max(128)).max(32).describe('Vendors, peer ids or names of nodes'))

/** Above this a limit limits nothing. */
const PRICE_CREDITS_MAX = 1_000_000

const priceField = optional(z.number().min(0).max(PRICE_CREDITS_MAX).describe('Credits for 1,000 tokens'))

const providerField = z.looseObject({
  order: namesField,
  only: namesField,
  ignore: namesField,
  allow_fallbacks: optional(z.boolean()),
  sort: optional(z.enum(['price', 'throughput', 'latency'])),
  max_price: optional(z.looseObject({ prompt: priceField, completion: priceField })),
  data_collection: optional(z.enum(['allow', 'deny'])),
  quantizations: optional(z.array(z.string().min(1).max(32)).max(16)),
  require_parameters: optional(z.boolean().describe('A host that cannot do what is asked is never chosen, whatever stands here')),
})

const triforceField = z.looseObject({
  privacy: optional(privacyClassSchema),
  continuation: optional(z.boolean()),
  checks: optional(z.boolean().describe('True: hubs may ask this again at other hosts that may see it, to check the one that answered')),
})

/** To be spread into the schema of a body. */
export const routingFields = {
  models: optional(z.array(modelIdField).max(FALLBACK_MODELS_MAX).describe('Tried in this order where `model` has no host, before the first byte only')),
  route: optional(z.literal('fallback')),
  provider: optional(providerField),
  triforce: optional(triforceField),
}

const routingSchema = z.object(routingFields)

/** Headers are lower-case in Node. */
const PRIVACY_HEADER = 'x-triforce-privacy'

/**
 * Gives undefined where nothing is wished. Of a privacy class in the body and one in the header the stricter holds, so
 * that neither can widen the other. Throws BAD_REQUEST that names the field or header.
 */
export function readRouting(body: z.output<typeof routingSchema>, headers: IncomingHttpHeaders): RoutingWishes | undefined {
  const { models, provider, triforce } = body
  refuseUnknown(provider, providerField, 'provider')
  refuseUnknown(provider?.max_price, ['prompt', 'completion'], 'provider.max_price')
  refuseUnknown(triforce, triforceField, 'triforce')
  const wishes = defined<RoutingWishes>({
    fallbackModels: models,
    order: provider?.order,
    only: provider?.only,
    ignore: provider?.ignore,
    allowFallbacks: provider?.allow_fallbacks,
    sort: provider?.sort,
    maxPrice: provider?.max_price === undefined ? undefined : maxPriceOf(provider.max_price),
    dataCollection: provider?.data_collection,
    quantizations: provider?.quantizations,
    privacy: stricter(triforce?.privacy, readPrivacyHeader(headers[PRIVACY_HEADER])),
    continuation: triforce?.continuation,
    checks: triforce?.checks,
  })
  return Object.keys(wishes).length === 0 ? undefined : wishes
}

function maxPriceOf({ prompt, completion }: { readonly prompt?: number | undefined; readonly completion?: number | undefined }) {
  return defined<NonNullable<RoutingWishes['maxPrice']>>({ promptMicroCredits: microCreditsOf(prompt), completionMicroCredits: microCreditsOf(completion) })
}

function microCreditsOf(credits: number | undefined): number | undefined {
  return credits === undefined ? undefined : Math.round(credits * Number(MICRO_CREDITS_PER_CREDIT))
}

function readPrivacyHeader(value: string | string[] | undefined): PrivacyClass | undefined {
  if (value === undefined) return undefined
  const read = privacyClassSchema.safeParse(value)
  if (!read.success) throw invalid(PRIVACY_HEADER, `must be one of ${privacyClassSchema.options.join(', ')}`)
  return read.data
}

/** The classes stand in the order in which they let more see a prompt. */
function stricter(one: PrivacyClass | undefined, other: PrivacyClass | undefined): PrivacyClass | undefined {
  if (one === undefined || other === undefined) return one ?? other
  const { options } = privacyClassSchema
  return options[Math.min(options.indexOf(one), options.indexOf(other))]
}

function refuseUnknown(object: object | undefined, known: readonly string[] | z.ZodObject, path: string): void {
  const names = Array.isArray(known) ? known as readonly string[] : Object.keys((known as z.ZodObject).shape)
  const unknown = Object.keys(object ?? {}).find((name) => !names.includes(name))
  if (unknown !== undefined) throw unsupported(`${path}.${unknown}`, 'is not known here')
}
