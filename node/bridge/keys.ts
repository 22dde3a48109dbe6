/** An account's own API keys and its use: what this key may do, making and revoking keys, use by day, model and key. */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { apiKeyFromSeed, apiKeySigner } from '../../protocol/api-key.ts'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { SEED_BYTES } from '../../protocol/crypto.ts'
import { FRIENDS_MAX, keyScopeSchema, type KeyTerms } from '../../protocol/key-terms.ts'
import type { Clock, Random } from '../../protocol/ports.ts'
import { privacyClassSchema } from '../../protocol/routing.ts'
import { formatCredits } from '../../protocol/units.ts'
import type { Gateway, OwnKey, UsageRow } from '../gateway.ts'
import { microCreditsOrZeroField, nameField } from './admin-fields.ts'
import { principalOf, type OnRequestHook } from './key-hook.ts'
import { checkBody, invalid } from './request-check.ts'

export interface KeysComponents {
  readonly gateway: Pick<Gateway, 'account' | 'keys' | 'addKey' | 'revokeKey' | 'usage'>
  readonly random: Random
  readonly clock: Clock
  /** Of a key with any scope, with the scope `account`, and with the scope `keys`. */
  readonly anyKey: OnRequestHook
  readonly accountKey: OnRequestHook
  readonly keysKey: OnRequestHook
}

const MS_PER_DAY = 86_400_000
const DAYS_DEFAULT = 30
const DAYS_MAX = 366

/** JSON's null is what a client leaves out. */
const optional = <Schema extends z.ZodType>(schema: Schema) => schema.nullish().transform((value) => value ?? undefined)

export const keyTermsBodySchema = z.strictObject({
  scopes: optional(z.array(keyScopeSchema).min(1).max(3)),
  /** Unix ms. */
  expires_at: optional(z.number().int().min(0)),
  models: optional(z.array(z.string().regex(/^[!-~]+$/, 'must be printable ASCII without spaces').max(128)).min(1).max(32)),
  day_budget_micro_credits: optional(microCreditsOrZeroField),
  total_budget_micro_credits: optional(microCreditsOrZeroField),
  privacy: optional(privacyClassSchema),
  friends: optional(z.array(z.string().regex(/^[0-9a-f]{32}$/, 'must be an account: 32 hexadecimal digits')).min(1).max(FRIENDS_MAX)),
})

export const newKeySchema = keyTermsBodySchema.extend({ name: nameField })
const keyParamsSchema = z.object({ public_key: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits') })
const dayField = z.iso.date()
export const usageQuerySchema = z.object({ from: dayField.optional(), to: dayField.optional() })

export function routeKeys(app: FastifyInstance, components: KeysComponents): void {
  const { gateway, random, clock, anyKey, accountKey, keysKey } = components

  app.get('/v1/key', { onRequest: anyKey }, async (request) => {
    const { signer, terms, account, accountName, tier } = principalOf(request)
    return {
      object: 'key', public_key: toHex(signer.publicKey), account: toHex(account), account_name: accountName, tier, ...termsBody(terms),
    }
  })

  app.get('/v1/keys', { onRequest: keysKey }, async (request) => ({ object: 'list', data: (await gateway.keys(principalOf(request))).map(keyBody) }))

  app.post('/v1/keys', { onRequest: keysKey }, async (request, reply) => {
    const { name, ...body } = checkBody(newKeySchema, request.body)
    const terms = termsOfBody(body, clock.now())
    const apiKey = apiKeyFromSeed(random.bytes(SEED_BYTES))
    const publicKey = apiKeySigner(apiKey)!.publicKey
    await gateway.addKey(principalOf(request), { publicKey, name, ...(terms === undefined ? {} : { terms }) })
    reply.code(201)
    // Shown this once: what is kept anywhere is its public half.
    return { object: 'key', api_key: apiKey, public_key: toHex(publicKey), name, ...termsBody(terms) }
  })

  app.delete('/v1/keys/:public_key', { onRequest: keysKey }, async (request) => {
    const { public_key: publicKey } = checkBody(keyParamsSchema, request.params)
    await gateway.revokeKey(principalOf(request), fromHex(publicKey)!)
    return { object: 'key', public_key: publicKey, revoked: true }
  })

  app.get('/v1/usage', { onRequest: accountKey }, async (request) => {
    const { from, to } = checkBody(usageQuerySchema, request.query)
    const toMs = to === undefined ? (Math.floor(clock.now() / MS_PER_DAY) + 1) * MS_PER_DAY : Date.parse(to) + MS_PER_DAY
    const fromMs = from === undefined ? toMs - DAYS_DEFAULT * MS_PER_DAY : Date.parse(from)
    if (fromMs >= toMs) throw invalid('from', 'must not be after `to`')
    if (toMs - fromMs > DAYS_MAX * MS_PER_DAY) throw invalid('from', `may be at most ${DAYS_MAX} days before \`to\``)
    const { rows, complete } = await gateway.usage(principalOf(request), { from: fromMs, to: toMs })
    return { object: 'usage', from: dayText(fromMs), to: dayText(toMs - MS_PER_DAY), complete, data: rows.map(rowBody) }
  })
}

/** Undefined where nothing is limited. Throws BAD_REQUEST where the key would be expired at once. */
export function termsOfBody(body: z.output<typeof keyTermsBodySchema>, nowMs: number): KeyTerms | undefined {
  if (body.expires_at !== undefined && body.expires_at <= nowMs) throw invalid('expires_at', 'must be in the future, in Unix milliseconds')
  const terms: KeyTerms = {
    ...(body.scopes === undefined ? {} : { scopes: body.scopes }),
    ...(body.expires_at === undefined ? {} : { expiresAt: body.expires_at }),
    ...(body.models === undefined ? {} : { models: body.models }),
    ...(body.day_budget_micro_credits === undefined ? {} : { dayBudget: body.day_budget_micro_credits }),
    ...(body.total_budget_micro_credits === undefined ? {} : { totalBudget: body.total_budget_micro_credits }),
    ...(body.privacy === undefined ? {} : { privacy: body.privacy }),
    ...(body.friends === undefined ? {} : { friends: [...new Set(body.friends)].map((friend) => fromHex(friend)!) }),
  }
  return Object.keys(terms).length === 0 ? undefined : terms
}

/** Everything that may be limited; null where it is not. */
function termsBody(terms: KeyTerms | undefined) {
  return {
    scopes: terms?.scopes ?? keyScopeSchema.options,
    expires_at: terms?.expiresAt ?? null,
    models: terms?.models ?? null,
    day_budget_micro_credits: terms?.dayBudget?.toString() ?? null,
    total_budget_micro_credits: terms?.totalBudget?.toString() ?? null,
    privacy: terms?.privacy ?? null,
    friends: terms?.friends?.map(toHex) ?? null,
  }
}

function keyBody({ publicKey, name, createdAt, terms, use }: OwnKey) {
  return {
    object: 'key', public_key: toHex(publicKey), name, created_at: createdAt, ...termsBody(terms),
    ...(use === undefined ? {} : { used_today_micro_credits: use.today.toString(), used_total_micro_credits: use.total.toString() }),
  }
}

function rowBody({ day, model, key, requests, promptTokens, completionTokens, costMicroCredits }: UsageRow) {
  return {
    day: dayText(day * MS_PER_DAY), model, key: key === '' ? null : key, requests, prompt_tokens: promptTokens, completion_tokens: completionTokens,
    cost_micro_credits: costMicroCredits.toString(), cost_credits: formatCredits(costMicroCredits),
  }
}

function dayText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}
