/** `/v1/vendor-keys`: an account's own keys at vendors, kept sealed at this node and shown by their last four characters. */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { TriforceError } from '../../protocol/errors.ts'
import { vendorField } from '../../protocol/messages/capacity.ts'
import type { OwnKeys, OwnKeyView } from '../clouds/own-keys.ts'
import { principalOf, type OnRequestHook } from './key-hook.ts'
import { checkBody, invalid } from './request-check.ts'

export interface VendorKeysComponents {
  readonly ownKeys: OwnKeys
  /** Vendors that this node can reach. */
  readonly isVendor: (id: string) => boolean
  readonly requireKey: OnRequestHook
}

export const vendorKeyBodySchema = z.object({
  vendor: vendorField,
  // What a header can hold; its text never comes back.
  key: z.string().regex(/^[!-~]{8,512}$/, 'must be 8 to 512 printable characters without spaces'),
  mode: z.enum(['priority', 'fallback']).default('priority'),
})

export function routeVendorKeys(app: FastifyInstance, { ownKeys, isVendor, requireKey }: VendorKeysComponents): void {
  app.get('/v1/vendor-keys', { onRequest: requireKey }, (request) =>
    Promise.resolve({ object: 'list', data: ownKeys.list(principalOf(request).account).map(viewBody) }))

  app.post('/v1/vendor-keys', { onRequest: requireKey }, async (request) => {
    const body = checkBody(vendorKeyBodySchema, request.body)
    if (!isVendor(body.vendor)) throw invalid('vendor', 'is no vendor that this node knows, such as openai or anthropic')
    return viewBody(await ownKeys.put(principalOf(request).account, body))
  })

  app.delete<{ Params: { vendor: string } }>('/v1/vendor-keys/:vendor', { onRequest: requireKey }, async (request) => {
    if (!await ownKeys.remove(principalOf(request).account, request.params.vendor)) {
      throw new TriforceError('NOT_FOUND', {}, { detail: 'this node keeps no key of this account for that vendor' })
    }
    return { object: 'vendor_key', vendor: request.params.vendor, deleted: true }
  })
}

function viewBody({ vendor, mode, lastFour, addedAt }: OwnKeyView) {
  return { object: 'vendor_key', vendor, mode, last_four: lastFour, added_at: addedAt }
}
