/** Entries about logs and rules: epochs, seals and returns, proofs of a fork, changes that two hubs must sign. */
import { z } from 'zod'
import { bytesField, bytesOf, countField, hashField, idField, publicKeyField } from '../../protocol/fields.ts'
import { epochField, hubIndexField } from '../../protocol/messages/ledger-fields.ts'
import { signedSchema } from '../../protocol/signed.ts'
import { eidField, framePositionField, logField, microCreditsField } from './fields.ts'

/** First entry of every log. `key` opens to an EpochKey and is signed by the hub's node key. */
export const epochOpenSchema = z.strictObject({
  k: z.literal('EpochOpen'), eid: idField, hub: hubIndexField, epoch: epochField, key: signedSchema,
})

/** Certificate of the key that signs one log: a `Signed` of domain `epochKey` opens to it. */
export const epochKeySchema = z.strictObject({
  v: z.literal(1),
  network: z.string().max(64),
  hub: hubIndexField,
  epoch: epochField,
  key: publicKeyField,
  /** The hub's log before this one, as far as the hub has it again; absent for the first. */
  previous: z.strictObject({ epoch: epochField, no: countField, hash: hashField }).optional(),
})
export type EpochKey = z.output<typeof epochKeySchema>

/** What two hubs sign to retire the log of the third: nothing after frame `no` will ever count. Domain `seal`. */
export const sealSchema = z.strictObject({
  v: z.literal(1), network: z.string().max(64), log: logField, no: countField, hash: hashField, successor: hubIndexField,
})
export type SealStatement = z.output<typeof sealSchema>

/** Logged by the successor: from here on it has the sealed log's rights and clears for its hub. Natural key: the log. */
export const sealEntrySchema = z.strictObject({
  k: z.literal('Seal'), eid: idField, log: logField, frame: countField, hash: hashField, signatures: z.array(signedSchema).length(2),
})

/** What an account had spent in the sealed log's lost end, ≤ what was kept frozen for it. Logged by the successor. Natural key: sealed log and account. */
export const islandSettleSchema = z.strictObject({ k: z.literal('IslandSettle'), eid: idField, log: logField, account: idField, amount: microCreditsField })

/** All that is still frozen of the sealed log becomes the successor's rights. Natural key: the sealed log. */
export const islandReleaseSchema = z.strictObject({ k: z.literal('IslandRelease'), eid: idField, log: logField })

/** The hub of the sealed log is back with log `target`: it clears again from there on. Logged by the successor. Natural key: the sealed log. */
export const handbackSchema = z.strictObject({ k: z.literal('Handback'), eid: idField, log: logField, target: logField })

const signedHeaderField = z.strictObject({ header: bytesField, signature: bytesOf(64) })

/** Two frames with one number, both signed with the log's key. Natural key: the log. */
export const equivProofSchema = z.strictObject({ k: z.literal('EquivProof'), eid: idField, fork: framePositionField, first: signedHeaderField, second: signedHeaderField })

/**
 * A hub's signature under a change that needs two: `document` opens to an AdminChange (ledger/admin-change.ts), signed by
 * this hub's node key. The first one is the proposal; with the second, by another hub, the change holds.
 * Natural key: hash of the change, and hub. `change` is the first 16 bytes of that hash.
 */
export const approvalSchema = z.strictObject({ k: z.literal('Approval'), eid: idField, hub: hubIndexField, change: eidField, document: signedSchema })
