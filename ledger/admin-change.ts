/**
 * Changes that two hubs must sign: a new revision of a table, a grant above a hub's daily budget. An admin's hub signs
 * the change (domain `adminChange`) and logs an Approval; the approval of a second hub makes it hold.
 */
import { z } from 'zod'
import { decode, encode } from '../protocol/codec.ts'
import { sha256 } from '../protocol/crypto.ts'
import { countField, idField, shortText, timeField } from '../protocol/fields.ts'
import { microCreditsField } from './entries/fields.ts'
import { hardwareTableSchema, priceTableSchema, tierTableSchema } from './tables/tables.ts'

const revField = countField.min(1)

const tableChangeSchema = z.discriminatedUnion('table', [
  z.strictObject({ type: z.literal('table'), table: z.literal('prices'), rev: revField, content: priceTableSchema }),
  z.strictObject({ type: z.literal('table'), table: z.literal('tiers'), rev: revField, content: tierTableSchema }),
  z.strictObject({ type: z.literal('table'), table: z.literal('hardware'), rev: revField, content: hardwareTableSchema }),
])

const grantChangeSchema = z.strictObject({ type: z.literal('grant'), account: idField, amount: microCreditsField, source: shortText })

export const adminChangeSchema = z.strictObject({
  v: z.literal(1),
  network: z.string().max(64),
  change: z.union([tableChangeSchema, grantChangeSchema]),
  createdAt: timeField,
})
export type AdminChange = z.output<typeof adminChangeSchema>

/** The bytes that hubs sign, `document.body` of their Approvals. */
export function encodeAdminChange(change: AdminChange): Uint8Array {
  return encode(change)
}

/** 16 bytes: `change` of an Approval. */
export function changeIdOf(body: Uint8Array): Uint8Array {
  return sha256(body).slice(0, 16)
}

/** What an Approval approves. Throws FRAME_MALFORMED. */
export function readAdminChange(body: Uint8Array): AdminChange {
  return decode(adminChangeSchema, body)
}
