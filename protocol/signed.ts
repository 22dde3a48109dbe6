/**
 * A signed document: the exact bytes that were signed, who signed them, and the signature.
 * The signature covers `domain NUL body`, so a document of one kind can never pass for another.
 */
import { z } from 'zod'
import { concatBytes } from './bytes.ts'
import { decode, encode } from './codec.ts'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verifySignature } from './crypto.ts'
import { TriforceError } from './errors.ts'
import { bytesField, bytesOf } from './fields.ts'
import type { Signer } from './ports.ts'

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
  contributorOrder: 'triforce/contributor-order/1',
  lendingConsent: 'triforce/lending-consent/1',
} as const

export type SignatureDomain = keyof typeof signatureDomains

export const signedSchema = z.object({
  body: bytesField,
  key: bytesOf(PUBLIC_KEY_BYTES),
  signature: bytesOf(SIGNATURE_BYTES),
})

/** body: DAG-CBOR bytes; key: 32 bytes; signature: 64 bytes. */
export type Signed = z.output<typeof signedSchema>

/** The bytes that a signature of this kind covers. */
export function signedBytes(domain: SignatureDomain, body: Uint8Array): Uint8Array {
  return concatBytes(Buffer.from(`${signatureDomains[domain]}\0`, 'utf8'), body)
}

export function signDocument(signer: Signer, domain: SignatureDomain, value: unknown): Signed {
  const body = encode(value)
  return { body, key: signer.publicKey, signature: signer.sign(signedBytes(domain, body)) }
}

/** Throws SIGNATURE_INVALID or FRAME_MALFORMED; gives the checked body. */
export function openDocument<Schema extends z.ZodType>(domain: SignatureDomain, schema: Schema, document: Signed): z.output<Schema> {
  if (!verifySignature(document.key, signedBytes(domain, document.body), document.signature)) {
    throw new TriforceError('SIGNATURE_INVALID', { document: domain })
  }
  return decode(schema, document.body)
}
