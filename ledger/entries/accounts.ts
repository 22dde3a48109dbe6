/** Entries about who there is: accounts, their keys, their tiers. They move no money. */
import { z } from 'zod'
import { countField, idField, publicKeyField, shortText } from '../../protocol/fields.ts'
import { keyTermsSchema } from '../../protocol/key-terms.ts'

/** Natural key: the public key. Any hub may log it; of several, the earliest position counts. */
export const accountOpenSchema = z.strictObject({
  k: z.literal('AccountOpen'), eid: idField, account: idField, publicKey: publicKeyField, name: shortText, tier: shortText,
})

/** Natural key: the public key. A contributor's node key added to an account makes that account earn. `terms`: what an API key may do; absent: everything. */
export const keyAddSchema = z.strictObject({
  k: z.literal('KeyAdd'), eid: idField, publicKey: publicKeyField, account: idField, name: shortText, terms: keyTermsSchema.optional(),
})

export const keyRevokeSchema = z.strictObject({ k: z.literal('KeyRevoke'), eid: idField, publicKey: publicKeyField })

/**
 * Change number `rev` (1, 2, ...) of an account's tier; natural key: account and rev. Logged by the account's clearing
 * hub only. A higher quota holds at once, a lower one from the next UTC day on.
 */
export const tierSetSchema = z.strictObject({
  k: z.literal('TierSet'), eid: idField, account: idField, rev: countField.min(1), tier: shortText,
})
