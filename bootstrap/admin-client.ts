/** A hub's admin routes. Keys are made here, at the caller; only their public halves travel. */
import { randomBytes } from 'node:crypto'
import { apiKeyFromSeed, apiKeySigner } from '../protocol/api-key.ts'
import { toHex } from '../protocol/bytes.ts'
import { SEED_BYTES } from '../protocol/crypto.ts'
import { TriforceError } from '../protocol/errors.ts'
import { createApiClient } from './api-client.ts'
import { accountListSchema, accountSchema, doneSchema, type AccountView } from './api-schemas.ts'

export interface AdminClient {
  accounts(): Promise<readonly AccountView[]>
  /** Hexadecimal public keys and account ids throughout. */
  openAccount(account: { readonly publicKey: string; readonly name: string; readonly tier: string }): Promise<AccountView>
  /** The same key for the same account twice is one key. */
  addKey(key: { readonly publicKey: string; readonly account: string; readonly name: string }): Promise<void>
  revokeKey(publicKey: string): Promise<void>
  /** The same `source` twice is one grant. */
  grant(grant: { readonly account: string; readonly microCredits: bigint; readonly source: string }): Promise<void>
}

export function createAdminClient(api: string, adminToken: string): AdminClient {
  const client = createApiClient({ api, key: adminToken })
  return {
    accounts: async () => (await client.json(accountListSchema, '/v1/admin/accounts')).data,
    openAccount: ({ publicKey, name, tier }) => {
      return client.json(accountSchema, '/v1/admin/accounts', { method: 'POST', body: { public_key: publicKey, name, tier } })
    },
    addKey: async ({ publicKey, account, name }) => {
      await client.json(doneSchema, '/v1/admin/keys', { method: 'POST', body: { public_key: publicKey, account, name } })
    },
    revokeKey: async (publicKey) => {
      await client.json(doneSchema, `/v1/admin/keys/${publicKey}`, { method: 'DELETE' })
    },
    grant: async ({ account, microCredits, source }) => {
      await client.json(doneSchema, '/v1/admin/grants', {
        method: 'POST', body: { account, amount_micro_credits: microCredits.toString(), source },
      })
    },
  }
}

export function createApiKey(): string {
  return apiKeyFromSeed(new Uint8Array(randomBytes(SEED_BYTES)))
}

/** Hexadecimal public half. Throws CONFIG_INVALID where the text is no API key. */
export function publicHalfOf(apiKey: string): string {
  const signer = apiKeySigner(apiKey)
  if (signer === undefined) throw new TriforceError('CONFIG_INVALID', {}, { detail: 'that is not an API key of TriForce; one begins with tf-' })
  return toHex(signer.publicKey)
}
