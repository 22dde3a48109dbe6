/** The vendors of a hub over HTTP: their keys come in and never go out again; of each only the last 4 characters are shown. */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { VendorAdmin, VendorInfo } from '../gateway.ts'
import type { OnRequestHook } from './key-hook.ts'
import { checkBody } from './request-check.ts'

export interface ProviderAdminComponents {
  readonly vendors: VendorAdmin
  /** With the hook that checks the admin token. */
  readonly route: { readonly onRequest: OnRequestHook }
}

const nameField = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,31}$/, 'must be lower-case letters, digits, - and _')
export const providerBodySchema = z.object({
  name: nameField,
  // What a header can hold.
  key: z.string().regex(/^[!-~]+$/, 'must be a key: printable, without spaces').max(4_096),
  base_url: z.string().min(1).max(2_048).optional(),
  family: z.enum(['openai', 'anthropic']).optional(),
  allow_private: z.boolean().default(false),
})
const paramsSchema = z.object({ name: nameField })

export function routeProviderAdmin(app: FastifyInstance, { vendors, route }: ProviderAdminComponents): void {
  app.get('/v1/admin/providers', route, async () => ({ object: 'list', data: (await vendors.list()).map(providerBody) }))

  app.post('/v1/admin/providers', route, async (request) => {
    const { name, key, base_url: baseUrl, family, allow_private: allowPrivate } = checkBody(providerBodySchema, request.body)
    return providerBody(await vendors.add({ vendor: name, key, baseUrl, family, allowPrivate }))
  })

  app.delete('/v1/admin/providers/:name', route, async (request) => {
    await vendors.remove(checkBody(paramsSchema, request.params).name)
    return { ok: true }
  })

  app.post('/v1/admin/providers/:name/test', route, async (request) => providerBody(await vendors.test(checkBody(paramsSchema, request.params).name)))
}

function providerBody({ vendor, keyEnd, source, baseUrl, models, ok, text }: VendorInfo): Record<string, unknown> {
  return { object: 'triforce.provider', name: vendor, key_end: keyEnd, source, base_url: baseUrl, models, ok, health: text }
}
