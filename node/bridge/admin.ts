/**
 * Administration of a hub over HTTP, for who holds the admin token of that hub. Keys are made at the caller; only their
 * public halves arrive here.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { fromHex } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { AdminGateway } from '../gateway.ts'
import { accountBody } from './account.ts'
import { bearerOf } from './auth.ts'
import type { OnRequestHook } from './key-hook.ts'
import { checkBody } from './request-check.ts'

export interface AdminComponents {
  readonly gateway: AdminGateway
  readonly token: string
}

const PUBLIC_KEY_BYTES = 32
const ACCOUNT_BYTES = 16
const NAME_CHARS_MAX = 64
const SOURCE_CHARS_MAX = 128

const publicKeyField = hexField(PUBLIC_KEY_BYTES)
const nameField = z.string().min(1).max(NAME_CHARS_MAX)

const accountBodySchema = z.object({ public_key: publicKeyField, name: nameField, tier: nameField })
const keyBodySchema = z.object({ public_key: publicKeyField, account: hexField(ACCOUNT_BYTES), name: z.string().max(NAME_CHARS_MAX) })
const keyParamsSchema = z.object({ public_key: publicKeyField })
const grantBodySchema = z.object({
  account: hexField(ACCOUNT_BYTES),
  // A string, since a double cannot hold every amount; 18 digits stay below 2^63.
  amount_micro_credits: z.string().regex(/^[1-9]\d{0,17}$/, 'must be a positive whole number as a string').transform(BigInt),
  source: z.string().min(1).max(SOURCE_CHARS_MAX),
})

export function routeAdmin(app: FastifyInstance, components: AdminComponents): void {
  const { gateway } = components
  const route = { onRequest: createTokenHook(components.token) }

  app.get('/v1/admin/accounts', route, () => Promise.resolve({ object: 'list', data: gateway.accounts().map(accountBody) }))

  app.post('/v1/admin/accounts', route, async (request) => {
    const body = checkBody(accountBodySchema, request.body)
    return accountBody(await gateway.openAccount({ publicKey: body.public_key, name: body.name, tier: body.tier }))
  })

  app.post('/v1/admin/keys', route, async (request) => {
    const body = checkBody(keyBodySchema, request.body)
    await gateway.addKey({ publicKey: body.public_key, account: body.account, name: body.name })
    return { ok: true }
  })

  app.delete('/v1/admin/keys/:public_key', route, async (request) => {
    await gateway.revokeKey({ publicKey: checkBody(keyParamsSchema, request.params).public_key })
    return { ok: true }
  })

  app.post('/v1/admin/grants', route, async (request) => {
    const body = checkBody(grantBodySchema, request.body)
    await gateway.grant({ account: body.account, amountMicroCredits: body.amount_micro_credits, source: body.source })
    return { ok: true }
  })
}

function createTokenHook(token: string): OnRequestHook {
  const expected = digest(token)
  return async (request) => {
    const given = bearerOf(request.headers)
    // Hashes have one length and are compared in constant time, so a wrong token tells nothing about the right one.
    if (given === undefined || !timingSafeEqual(digest(given), expected)) {
      throw new TriforceError('INVALID_API_KEY', {}, { detail: 'the admin token is missing or wrong' })
    }
  }
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}

function hexField(bytes: number) {
  return z.string().length(bytes * 2, `must be ${bytes * 2} lower-case hexadecimal digits`).transform((text, context) => {
    const value = fromHex(text)
    if (value !== undefined) return value
    context.addIssue(`must be ${bytes * 2} lower-case hexadecimal digits`)
    return z.NEVER
  })
}
