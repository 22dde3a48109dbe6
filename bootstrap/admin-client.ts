/** A hub's admin routes. Keys are made here, at the caller; only their public halves travel. */
import { randomBytes } from 'node:crypto'
import { apiKeyFromSeed, apiKeySigner } from '../protocol/api-key.ts'
import { toHex } from '../protocol/bytes.ts'
import { SEED_BYTES } from '../protocol/crypto.ts'
import { TriforceError } from '../protocol/errors.ts'
import { createApiClient } from './api-client.ts'
import type { KeyTermsBody } from './key-term-flags.ts'
import type { z } from 'zod'
import { accountListSchema, accountSchema, doneSchema, type AccountView } from './api-schemas.ts'
import {
  auditSchema, changeListSchema, changeSchema, grantedSchema, sealedSchema, tableSchema, type AuditHeads, type AuditView, type ChangeView, type TableView,
} from './money-schemas.ts'
import { checksSchema, type ChecksView } from './check-schemas.ts'
import { providerListSchema, providerSchema, type ProviderView } from './provider-schemas.ts'

export interface AdminClient {
  accounts(): Promise<readonly AccountView[]>
  /** Hexadecimal public keys and account ids throughout. */
  openAccount(account: { readonly publicKey: string; readonly name: string; readonly tier: string }): Promise<AccountView>
  /** The same key for the same account twice is one key. */
  addKey(key: { readonly publicKey: string; readonly account: string; readonly name: string; readonly terms?: KeyTermsBody }): Promise<void>
  setTier(account: string, tier: string): Promise<void>
  revokeKey(publicKey: string): Promise<void>
  /** The same `source` twice is one grant; then `known` is true. `approved`: id of a change that two hubs signed. */
  grant(grant: {
    readonly account: string; readonly microCredits: bigint; readonly source: string; readonly approved?: string | undefined
  }): Promise<z.output<typeof grantedSchema>>
  /** The hub folds its ledger anew, up to `heads` where they are given. */
  audit(heads?: AuditHeads): Promise<AuditView>
  /** Resolves when the newest log of the hub of this name is sealed. */
  seal(hub: string, options: { readonly forced: boolean }): Promise<void>
  propose(change:
    | { readonly type: 'table'; readonly table: TableName; readonly rev: number; readonly content: unknown }
    | { readonly type: 'grant'; readonly account: string; readonly microCredits: bigint; readonly source: string }): Promise<ChangeView>
  approve(id: string): Promise<ChangeView>
  /** Newest first. */
  changes(): Promise<readonly ChangeView[]>
  table(name: TableName): Promise<TableView>
  providers(): Promise<readonly ProviderView[]>
  /** Adds a cloud vendor or replaces its key. */
  addProvider(provider: {
    readonly name: string; readonly key: string; readonly baseUrl?: string | undefined
    readonly family?: 'openai' | 'anthropic' | undefined; readonly allowPrivate: boolean
  }): Promise<ProviderView>
  removeProvider(name: string): Promise<void>
  testProvider(name: string): Promise<ProviderView>
  /** How machines stand after their checks at this hub. */
  checks(): Promise<ChecksView>
  /** Has a machine that failed checked again at once. */
  recheck(peer: string): Promise<void>
}

export type TableName = 'prices' | 'tiers' | 'hardware'

/** Folding a large ledger takes minutes. */
const AUDIT_MS_MAX = 600_000

export function createAdminClient(api: string, adminToken: string): AdminClient {
  const client = createApiClient({ api, key: adminToken })
  return {
    accounts: async () => (await client.json(accountListSchema, '/v1/admin/accounts')).data,
    openAccount: ({ publicKey, name, tier }) => {
      return client.json(accountSchema, '/v1/admin/accounts', { method: 'POST', body: { public_key: publicKey, name, tier } })
    },
    addKey: async ({ publicKey, account, name, terms }) => {
      await client.json(doneSchema, '/v1/admin/keys', { method: 'POST', body: { public_key: publicKey, account, name, terms } })
    },
    setTier: async (account, tier) => {
      await client.json(doneSchema, `/v1/admin/accounts/${account}/tier`, { method: 'POST', body: { tier } })
    },
    revokeKey: async (publicKey) => {
      await client.json(doneSchema, `/v1/admin/keys/${publicKey}`, { method: 'DELETE' })
    },
    grant: ({ account, microCredits, source, approved }) => client.json(grantedSchema, '/v1/admin/grants', {
      method: 'POST', body: { account, amount_micro_credits: microCredits.toString(), source, approved },
    }),
    audit: (heads) => client.json(auditSchema, '/v1/admin/audit', { method: 'POST', body: { heads }, signal: AbortSignal.timeout(AUDIT_MS_MAX) }),
    seal: async (hub, { forced }) => {
      await client.json(sealedSchema, '/v1/admin/seals', { method: 'POST', body: { hub, forced } })
    },
    propose: (change) => client.json(changeSchema, '/v1/admin/changes', {
      method: 'POST',
      body: change.type === 'table' ? change : { type: 'grant', account: change.account, amount_micro_credits: change.microCredits.toString(), source: change.source },
    }),
    approve: (id) => client.json(changeSchema, `/v1/admin/changes/${id}/approve`, { method: 'POST' }),
    changes: async () => (await client.json(changeListSchema, '/v1/admin/changes')).data,
    table: (name) => client.json(tableSchema, `/v1/admin/tables/${name}`),
    providers: async () => (await client.json(providerListSchema, '/v1/admin/providers')).data,
    addProvider: ({ name, key, baseUrl, family, allowPrivate }) => client.json(providerSchema, '/v1/admin/providers', {
      method: 'POST', body: { name, key, base_url: baseUrl, family, allow_private: allowPrivate },
    }),
    removeProvider: async (name) => {
      await client.json(doneSchema, `/v1/admin/providers/${encodeURIComponent(name)}`, { method: 'DELETE' })
    },
    checks: () => client.json(checksSchema, '/v1/admin/checks'),
    recheck: async (peer) => {
      await client.json(doneSchema, `/v1/admin/checks/${encodeURIComponent(peer)}/recheck`, { method: 'POST' })
    },
    testProvider: (name) => client.json(providerSchema, `/v1/admin/providers/${encodeURIComponent(name)}/test`, { method: 'POST' }),
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
