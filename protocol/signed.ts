/**
 * A signed document: the exact bytes that were signed, who signed them, and the signature.
 * The signature covers `domain NUL body`, so a document of one kind can never pass for another.
 *
 * Documents that are signed at the same time may share one signature, over the root of the Merkle tree (RFC 6962) of
 * which each `domain NUL body` is a leaf; each then carries the path to that root and is as good alone.
 */
import { z } from 'zod'
import { concatBytes } from './bytes.ts'
import { decode, encode } from './codec.ts'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, sha256, verifySignature } from './crypto.ts'
import { TriforceError } from './errors.ts'
import { bytesField, bytesOf, countField, hashField } from './fields.ts'
import { inclusionPaths, leafHash, rootOfPath } from './merkle.ts'
import type { Signer } from './ports.ts'
import type { Look } from './shape.ts'

/** What is signed: the prefix of each kind of document. A changed meaning gets a new name, never the old one. */
export const signatureDomains = {
  ticket: 'triforce/ticket/1',
  receiptHalf: 'triforce/receipt-half/1',
  progress: 'triforce/progress/1',
  accountRequest: 'triforce/account-request/1',
  logFrame: 'triforce/log-frame/1',
  epochKey: 'triforce/epoch-key/1',
  sealPromise: 'triforce/seal-promise/1',
  seal: 'triforce/seal/1',
  checkpoint: 'triforce/checkpoint/1',
  adminChange: 'triforce/admin-change/1',
  federation: 'triforce/federation/1',
  batch: 'triforce/batch/1',
  contributorOrder: 'triforce/contributor-order/1',
  lendingConsent: 'triforce/lending-consent/1',
  drawSeed: 'triforce/draw-seed/1',
  checkVerdict: 'triforce/check-verdict/1',
  capacity: 'triforce/capacity/1',
} as const

export type SignatureDomain = keyof typeof signatureDomains

/** Documents that share one signature, and the depth of a tree of so many. */
export const BATCH_DOCUMENTS_MAX = 1_024
export const BATCH_PATH_MAX = 10

export const signedSchema = z.object({
  body: bytesField,
  key: bytesOf(PUBLIC_KEY_BYTES),
  signature: bytesOf(SIGNATURE_BYTES),
  /** Where the signature is over the root of several documents: this one's place among them, and the hashes from it to the root. */
  batch: z.strictObject({
    index: countField, size: z.number().int().min(2).max(BATCH_DOCUMENTS_MAX), path: z.array(hashField).min(1).max(BATCH_PATH_MAX),
  }).optional(),
})

/** body: DAG-CBOR bytes; key: 32 bytes; signature: 64 bytes. */
export type Signed = z.output<typeof signedSchema>

const prefixes = Object.fromEntries(Object.entries(signatureDomains).map(([domain, text]) => [domain, new TextEncoder().encode(`${text}\0`)])) as Readonly<Record<SignatureDomain, Uint8Array>>

/** The bytes that a signature of this kind covers. */
export function signedBytes(domain: SignatureDomain, body: Uint8Array): Uint8Array {
  return concatBytes(prefixes[domain], body)
}

export function signDocument(signer: Signer, domain: SignatureDomain, value: unknown): Signed {
  const body = encode(value)
  return { body, key: signer.publicKey, signature: signer.sign(signedBytes(domain, body)) }
}

export interface Unsigned {
  readonly domain: SignatureDomain
  /** DAG-CBOR. */
  readonly body: Uint8Array
}

/** One signature for all; a document that is alone gets a plain one. At most BATCH_DOCUMENTS_MAX. */
export function signTogether(signer: Signer, documents: readonly Unsigned[]): Signed[] {
  const key = signer.publicKey
  if (documents.length === 1) {
    return documents.map(({ domain, body }) => {
      const bytes = signedBytes(domain, body)
      const signature = signer.sign(bytes)
      remember(nameOf(sha256(bytes), signature, key))
      return { body, key, signature }
    })
  }
  const leaves = documents.map(({ domain, body }) => leafHash(signedBytes(domain, body)))
  const { root, paths } = inclusionPaths(leaves)
  const signature = signer.sign(signedBytes('batch', root))
  remember(nameOf(root, signature, key))
  return documents.map(({ body }, index) => ({ body, key, signature, batch: { index, size: documents.length, path: [...paths[index]!] } }))
}

/**
 * Signatures that are known to be good: what this process signed together, and batches of others of which one document was
 * looked at. Each is some 300 bytes.
 */
const GOOD_MAX = 4_096
const good = new Set<string>()

/** `hash`: the root of a batch, or the hash of the bytes that were signed. The two cannot be equal (RFC 6962). */
function nameOf(hash: Uint8Array, signature: Uint8Array, key: Uint8Array): string {
  return Buffer.concat([hash, signature, key]).toString('latin1')
}

function remember(name: string): void {
  if (good.size >= GOOD_MAX) good.delete(good.values().next().value!)
  good.add(name)
}

/** True where `key` signed this document of this kind, alone or with others; never throws. */
export function signatureHolds(domain: SignatureDomain, { body, key, signature, batch }: Signed): boolean {
  if (batch === undefined) {
    const bytes = signedBytes(domain, body)
    return good.has(nameOf(sha256(bytes), signature, key)) || verifySignature(key, bytes, signature)
  }
  const root = rootOfPath(leafHash(signedBytes(domain, body)), batch.index, batch.size, batch.path)
  if (root === undefined) return false
  const name = nameOf(root, signature, key)
  if (good.has(name)) return true
  if (!verifySignature(key, signedBytes('batch', root), signature)) return false
  remember(name)
  return true
}

/** Throws SIGNATURE_INVALID or FRAME_MALFORMED; gives the checked body. `fits`: see decode. */
export function openDocument<Schema extends z.ZodType>(domain: SignatureDomain, schema: Schema, document: Signed, fits?: Look): z.output<Schema> {
  if (!signatureHolds(domain, document)) throw new TriforceError('SIGNATURE_INVALID', { document: domain })
  return decode(schema, document.body, fits)
}
