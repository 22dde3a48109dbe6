/**
 * Administration of a hub over HTTP, for who holds the admin token of that hub. Keys are made at the caller; only their
 * public halves arrive here.
 */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { toHex } from '../../protocol/bytes.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { AdminGateway, VendorAdmin } from '../gateway.ts'
import { accountBody } from './account.ts'
import { accountField, changeIdField, microCreditsField, nameField, publicKeyField, sourceField } from './admin-fields.ts'
import type { ChecksAdmin } from '../honesty/honesty.ts'
import { routeChecksAdmin } from './admin-checks.ts'
import { routeLedgerAdmin } from './admin-ledger.ts'
import { routeProviderAdmin } from './admin-providers.ts'
import { keyTermsBodySchema, termsOfBody } from './keys.ts'
import { checkBody } from './request-check.ts'
import { createTokenHook } from './token-hook.ts'

export interface AdminComponents {
  readonly gateway: AdminGateway
  readonly vendors?: VendorAdmin
  readonly checks?: ChecksAdmin
  readonly token: string
  readonly clock: Clock
}

export const accountBodySchema = z.object({ public_key: publicKeyField, name: nameField, tier: nameField })
export const keyBodySchema = z.object({ public_key: publicKeyField, account: accountField, name: z.string().max(64), terms: keyTermsBodySchema.optional() })
const keyParamsSchema = z.object({ public_key: publicKeyField })
export const keysQuerySchema = z.object({ account: accountField })
export const grantBodySchema = z.object({
  account: accountField, amount_micro_credits: microCreditsField, source: sourceField, approved: changeIdField.optional(),
})
export const tierBodySchema = z.object({ tier: nameField })
const tierParamsSchema = z.object({ account: accountField })

export function routeAdmin(app: FastifyInstance, components: AdminComponents): void {
  const { gateway, clock } = components
  const route = { onRequest: createTokenHook(components.token) }

  app.get('/v1/admin/accounts', route, () => Promise.resolve({ object: 'list', data: gateway.accounts().map(accountBody) }))

  app.post('/v1/admin/accounts', route, async (request) => {
    const body = checkBody(accountBodySchema, request.body)
    return accountBody(await gateway.openAccount({ publicKey: body.public_key, name: body.name, tier: body.tier }))
  })

  app.post('/v1/admin/keys', route, async (request) => {
    const body = checkBody(keyBodySchema, request.body)
    const terms = body.terms === undefined ? undefined : termsOfBody(body.terms, clock.now())
    await gateway.addKey({ publicKey: body.public_key, account: body.account, name: body.name, ...(terms === undefined ? {} : { terms }) })
    return { ok: true }
  })

  app.get('/v1/admin/keys', route, (request) => {
    const { account } = checkBody(keysQuerySchema, request.query)
    return Promise.resolve({
      object: 'list',
      data: gateway.keys(account).map((key) => ({ public_key: toHex(key.publicKey), account: toHex(key.account), name: key.name, created_at: key.createdAt })),
    })
  })

  app.delete('/v1/admin/keys/:public_key', route, async (request) => {
    await gateway.revokeKey({ publicKey: checkBody(keyParamsSchema, request.params).public_key })
    return { ok: true }
  })

  app.post('/v1/admin/grants', route, async (request) => {
    const body = checkBody(grantBodySchema, request.body)
    const { hub, durability, known } = await gateway.grant({
      account: body.account, amountMicroCredits: body.amount_micro_credits, source: body.source,
      ...(body.approved === undefined ? {} : { approved: body.approved }),
    })
    return { ok: true, hub: gateway.hubNames[hub], durability, known }
  })

  app.post('/v1/admin/accounts/:account/tier', route, async (request) => {
    const { account } = checkBody(tierParamsSchema, request.params)
    const { tier } = checkBody(tierBodySchema, request.body)
    const { known } = await gateway.setTier({ account, tier })
    return { ok: true, known }
  })

  routeLedgerAdmin(app, { gateway, route })
  if (components.checks !== undefined) routeChecksAdmin(app, { checks: components.checks, route })
  if (components.vendors !== undefined) routeProviderAdmin(app, { vendors: components.vendors, route })
}
