/**
 * The federation file: which network this is and who its three hubs are. The three hubs sign it; every node checks it
 * at each start, so nobody can be led to a false hub by a changed file.
 * The file is JSON for people; what is signed are the DAG-CBOR bytes of `federation`.
 */
import { z } from 'zod'
import { bytesEqual, fromHex, toHex } from './bytes.ts'
import { encode } from './codec.ts'
import { SIGNATURE_BYTES, verifySignature } from './crypto.ts'
import { TriforceError } from './errors.ts'
import { peerIdOf, publicKeyOf } from './peer-key.ts'
import type { Signer } from './ports.ts'
import { signedBytes } from './signed.ts'

export const HUBS_PER_FEDERATION = 3

export const federationSchema = z.strictObject({
  v: z.literal(1),
  /** Part of every protocol id: lower-case letters, digits and hyphens. */
  network: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be lower-case letters, digits and hyphens, 32 at most'),
  /** `local`: all on one machine, for trying out; only here the demo model is offered. */
  kind: z.enum(['local', 'public']),
  createdAt: z.number().int().min(0),
  hubs: z.array(z.strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/),
    peerId: z.string().refine((text) => publicKeyOf(text) !== undefined, 'must be the peer id of an Ed25519 key'),
    /** Multiaddrs at which the hub listens, without `/p2p/…`. */
    addresses: z.array(z.string().min(1).max(256)).min(1).max(8),
  })).length(HUBS_PER_FEDERATION),
})
export type Federation = z.output<typeof federationSchema>
export type FederationHub = Federation['hubs'][number]

export const federationFileSchema = z.strictObject({
  federation: federationSchema,
  /** One signature of each hub in the order of `hubs`, hexadecimal. */
  signatures: z.array(z.string().length(SIGNATURE_BYTES * 2)).length(HUBS_PER_FEDERATION),
})
export type FederationFile = z.output<typeof federationFileSchema>

function signatureInput(federation: Federation): Uint8Array {
  return signedBytes('federation', encode(federation))
}

export function signFederation(federation: Federation, signer: Signer): string {
  return toHex(signer.sign(signatureInput(federation)))
}

/** Text of a federation file → the checked federation. Throws FEDERATION_INVALID with a sentence that says why. */
export function readFederation(text: string): Federation {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new TriforceError('FEDERATION_INVALID', {}, { detail: 'the federation file is not JSON; ask a hub admin for a fresh copy' })
  }
  const parsed = federationFileSchema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new TriforceError('FEDERATION_INVALID', {}, {
      detail: `the federation file is not valid at ${issue?.path.map(String).join('.') || 'its top level'}: ${issue?.message ?? ''}`,
    })
  }
  const { federation, signatures } = parsed.data
  if (new Set(federation.hubs.map((hub) => hub.peerId)).size !== HUBS_PER_FEDERATION) {
    throw new TriforceError('FEDERATION_INVALID', {}, { detail: 'the federation file names one hub twice' })
  }
  const input = signatureInput(federation)
  federation.hubs.forEach((hub, index) => {
    if (!verifySignature(publicKeyOf(hub.peerId)!, input, fromHex(signatures[index]!) ?? new Uint8Array())) {
      throw new TriforceError('FEDERATION_INVALID', { hub: hub.name }, {
        detail: `the federation file is not signed by its hub "${hub.name}", or was changed after signing`,
      })
    }
  })
  return federation
}

export function writeFederation(federation: Federation, signatures: readonly string[]): string {
  return `${JSON.stringify({ federation, signatures }, null, 2)}\n`
}

/** The place (0 to 2) of a hub by its public key; undefined where it is none. */
export function hubIndexOf(federation: Federation, publicKey: Uint8Array): number | undefined {
  const peerId = peerIdOf(publicKey)
  const index = federation.hubs.findIndex((hub) => hub.peerId === peerId)
  return index === -1 ? undefined : index
}

export function isHubKey(federation: Federation, publicKey: Uint8Array): boolean {
  return federation.hubs.some((hub) => bytesEqual(publicKeyOf(hub.peerId)!, publicKey))
}
