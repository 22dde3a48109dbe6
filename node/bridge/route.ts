/** `GET /v1/route`: where a request for a model would go now, with scores, and why elsewhere not. Nothing is asked or placed. */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { modelIdField } from '../../protocol/fields.ts'
import { modelCapabilitySchema } from '../../protocol/messages/capacity.ts'
import { privacyClassSchema } from '../../protocol/routing.ts'
import type { Gateway } from '../gateway.ts'
import { principalOf, type OnRequestHook } from './key-hook.ts'
import { checkBody } from './request-check.ts'

export const routeQuery = z.object({
  model: modelIdField,
  /** Capabilities, separated by commas. */
  needs: z.string().max(128).default('chat').transform((text) => text.split(',')).pipe(z.array(modelCapabilitySchema).max(16)),
  privacy: privacyClassSchema.optional(),
})

export function routeRoute(app: FastifyInstance, { gateway, requireKey }: { readonly gateway: Pick<Gateway, 'route'>; readonly requireKey: OnRequestHook }): void {
  app.get('/v1/route', { onRequest: requireKey }, async (request) => {
    const { model, needs, privacy } = checkBody(routeQuery, request.query)
    const { known, candidates, leftOut } = await gateway.route(principalOf(request), { model, needs, ...(privacy === undefined ? {} : { routing: { privacy } }) })
    return {
      object: 'route', model, known,
      candidates: candidates.map(({ tokensPerSecond, expectedMs, coolingDown, ...host }) => ({ ...host, tokens_per_second: tokensPerSecond, expected_ms: expectedMs, cooling_down: coolingDown })),
      left_out: leftOut,
    }
  })
}
