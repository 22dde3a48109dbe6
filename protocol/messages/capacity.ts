/**
 * Capacity announcement, on gossip. It carries its own signature, by the peer it speaks of (decision 0017); a hub checks it before
 * gossip passes it on.
 */
import { z } from 'zod'
import { bytesEqual } from '../bytes.ts'
import { decode, encode } from '../codec.ts'
import { verifySignature } from '../crypto.ts'
import { TriforceError } from '../errors.ts'
import { CAPACITY_GPUS_MAX, CAPACITY_MODELS_MAX, CLOUDS_MAX, MODEL_ID_CHARS_MAX } from '../limits.ts'
import { countField, idField, modelIdField, publicKeyField, shortText, timeField } from '../fields.ts'
import type { Signer } from '../ports.ts'
import { bytesFrom, isBytes, isCount, isHash, isId, isShortText, listOf, oneOf, shapeOf, textUpTo, type Look } from '../shape.ts'
import { signDocument, signedBytes, signedSchema } from '../signed.ts'

export const nodeModeSchema = z.enum(['hub', 'contributor', 'consumer', 'hybrid'])
export type NodeMode = z.output<typeof nodeModeSchema>

export const modelCapabilitySchema = z.enum(['chat', 'json', 'tools', 'vision', 'embedding', 'reasoning', 'continue', 'logprobs'])
export type ModelCapability = z.output<typeof modelCapabilitySchema>

export const offeredModelSchema = z.object({
  id: modelIdField,
  /** SHA-256 of the weights, lower-case hexadecimal; for Ollama the digest of the manifest. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** Such as `Q8_0`; empty where the engine does not tell. */
  quantization: z.string().max(32),
  contextTokens: countField,
  parameters: countField,
  capabilities: z.array(modelCapabilitySchema).max(16),
  /** Measured over recent jobs; 0 before the first. */
  tokensPerSecond: z.number().min(0),
  /** Ready to answer without loading first. */
  loaded: z.boolean(),
  /** A model that shows the software and knows nothing else; it never leaves a local federation. */
  demo: z.boolean(),
})
export type OfferedModel = z.output<typeof offeredModelSchema>

export const gpuSchema = z.object({ name: shortText, vramBytes: countField, vramFreeBytes: countField })
export type Gpu = z.output<typeof gpuSchema>

/** What goes with an answer: `hub` is a node that the federation file names, which needs no check; else how the checks of its machine stand. */
export const checkLabelSchema = z.enum(['hub', 'claimed', 'running', 'passed', 'failed'])
export type CheckLabel = z.output<typeof checkLabelSchema>

export const vendorField = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,31}$/)

/** A vendor that a hub reaches with a key of its own. What it has is asked for over the control protocol, see catalogue.ts. */
export const cloudOfferSchema = z.object({
  vendor: vendorField,
  models: countField,
  /** Of the catalogue: equal revisions are equal catalogues, at whichever hub. */
  revision: idField,
  /** Keeps what it is sent, or trains on it. */
  keepsPrompts: z.boolean(),
})
export type CloudOffer = z.output<typeof cloudOfferSchema>

/** Why a machine does not lend now; which program, and what the settings lack, stays with it. */
export const notLendingSchema = z.enum(['paused', 'draining', 'schedule', 'hours', 'in_use', 'settings'])
export type NotLendingWhy = z.output<typeof notLendingSchema>

export const capacitySchema = z.object({
  v: z.literal(1),
  peer: publicKeyField,
  /** Name the operator gave the node, for people. */
  name: z.string().max(64),
  /** Grows with every announcement of this peer, also over restarts (Unix milliseconds at first). */
  seq: countField,
  mode: nodeModeSchema,
  gpus: z.array(gpuSchema).max(CAPACITY_GPUS_MAX),
  slots: z.object({ total: countField, busy: countField, queued: countField }),
  models: z.array(offeredModelSchema).max(CAPACITY_MODELS_MAX),
  /** Hubs only. */
  clouds: z.array(cloudOfferSchema).max(CLOUDS_MAX).optional(),
  /** True: finishes what it has and takes no more. */
  draining: z.boolean(),
  /** Where it drains and stays: why, and when it lends again by itself. */
  pause: z.object({ why: notLendingSchema, until: timeField.optional() }).optional(),
  /** The device's own time at `sentAt`: milliseconds of this boot, the same boot as in its receipt halves. Without it standby earns nothing. */
  clock: z.object({ boot: idField, ms: countField }).optional(),
  sentAt: timeField,
  validUntil: timeField,
})
export type Capacity = z.output<typeof capacitySchema>

/** What travels: the bytes of a Capacity with the signature over them. */
export const announcementSchema = signedSchema.omit({ batch: true }).strict()

const matches = (pattern: RegExp, max: number): Look => (value) => typeof value === 'string' && value.length <= max && pattern.test(value)
const isFlag: Look = (value) => typeof value === 'boolean'
const isRate: Look = (value) => typeof value === 'number' && value >= 0 && Number.isFinite(value)

/** See shape.ts; what hubs alone say is left to the schema. */
export const looksLikeCapacity = shapeOf({
  v: oneOf(1), peer: isHash, name: textUpTo(64), seq: isCount, mode: oneOf(...nodeModeSchema.options),
  gpus: listOf(shapeOf({ name: isShortText, vramBytes: isCount, vramFreeBytes: isCount }), 0, CAPACITY_GPUS_MAX),
  slots: shapeOf({ total: isCount, busy: isCount, queued: isCount }),
  models: listOf(shapeOf({
    id: matches(/^[!-~]+$/, MODEL_ID_CHARS_MAX), digest: matches(/^[0-9a-f]{64}$/, 64), quantization: textUpTo(32), contextTokens: isCount, parameters: isCount,
    capabilities: listOf(oneOf(...modelCapabilitySchema.options), 0, 16), tokensPerSecond: isRate, loaded: isFlag, demo: isFlag,
  }), 0, CAPACITY_MODELS_MAX),
  draining: isFlag, sentAt: isCount, validUntil: isCount,
}, { clock: shapeOf({ boot: isId, ms: isCount }) })

const looksLikeAnnouncement = shapeOf({ body: isBytes, key: isHash, signature: bytesFrom(64) })

export function writeAnnouncement(signer: Signer, capacity: Capacity): Uint8Array {
  return encode(signDocument(signer, 'capacity', capacity))
}

/** Throws FRAME_MALFORMED, and SIGNATURE_INVALID where it is not signed by the peer it speaks of. */
export function readAnnouncement(bytes: Uint8Array): Capacity {
  // Its parts are read once, and nothing of them is kept but copies.
  const { body, key, signature } = decode(announcementSchema, bytes, looksLikeAnnouncement, { views: true })
  // No announcement comes twice, so none is looked for among the signatures that are known to be good.
  if (!verifySignature(key, signedBytes('capacity', body), signature)) throw new TriforceError('SIGNATURE_INVALID', { document: 'capacity' })
  const capacity = decode(capacitySchema, body, looksLikeCapacity)
  if (!bytesEqual(capacity.peer, key)) throw new TriforceError('SIGNATURE_INVALID', { document: 'capacity' })
  return capacity
}
