/**
 * Making the federation file without any hub giving its key away: one admin writes a draft, each of the three adds a
 * signature on the machine that holds the key, and with the third the file is complete. `protocol/federation.ts` says
 * what is signed and checks complete files.
 */
import { open, rename } from 'node:fs/promises'
import { z } from 'zod'
import { fromHex } from '../protocol/bytes.ts'
import { encode } from '../protocol/codec.ts'
import { SIGNATURE_BYTES, verifySignature } from '../protocol/crypto.ts'
import { TriforceError } from '../protocol/errors.ts'
import {
  federationSchema, HUBS_PER_FEDERATION, readFederation, signFederation, writeFederation, type Federation, type FederationHub,
} from '../protocol/federation.ts'
import { publicKeyOf } from '../protocol/peer-key.ts'
import { signedBytes } from '../protocol/signed.ts'
import type { Identity } from './identity.ts'
import { parseMultiaddr } from './option-parsers.ts'
import { readTextFile } from './private-file.ts'

/** A federation file on its way: a place is null until that hub has signed. */
const draftSchema = z.strictObject({
  federation: federationSchema,
  signatures: z.array(z.string().length(SIGNATURE_BYTES * 2).nullable()).length(HUBS_PER_FEDERATION),
})
type Draft = z.output<typeof draftSchema>

export type SignatureState = 'valid' | 'missing' | 'invalid'

export type ReviewedHub = FederationHub & { readonly signature: SignatureState }

export interface FederationReview {
  readonly federation: Federation
  readonly hubs: readonly ReviewedHub[]
  /** Three valid signatures: nodes take this file. */
  readonly complete: boolean
}

/** Throws FEDERATION_INVALID where the parts make no federation. */
export function createDraft(federation: Federation): string {
  const checked = federationSchema.safeParse(federation)
  if (!checked.success) {
    const issue = checked.error.issues[0]
    throw invalid(`the federation is not valid at ${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? ''}`)
  }
  checkHubsDiffer(checked.data.hubs)
  return draftText({ federation: checked.data, signatures: [null, null, null] })
}

/** Adds the signature of `identity`, which must be one of the hubs. Signing twice is signing once. */
export function signDraft(text: string, identity: Identity): { readonly text: string; readonly hub: string; readonly missing: readonly string[] } {
  const draft = readDraft(text)
  const index = draft.federation.hubs.findIndex((hub) => hub.peerId === identity.peerId)
  const hub = draft.federation.hubs[index]
  if (hub === undefined) {
    throw invalid(`the key ${identity.peerId} is no hub of this federation; sign with --dir of a hub that the file names`)
  }
  const broken = reviewDraft(draft).hubs.find((other) => other.signature === 'invalid' && other.name !== hub.name)
  if (broken !== undefined) {
    throw invalid(`the signature of hub "${broken.name}" does not fit; the file was changed after it was signed, start from a new draft`)
  }
  const signatures = draft.signatures.with(index, signFederation(draft.federation, identity.signer))
  return {
    text: draftText({ federation: draft.federation, signatures }),
    hub: hub.name,
    missing: draft.federation.hubs.filter((_, place) => signatures[place] === null).map((other) => other.name),
  }
}

/** Who signed a draft or a complete file. Throws FEDERATION_INVALID where it has not the form of one. */
export function reviewFederation(text: string): FederationReview {
  return reviewDraft(readDraft(text))
}

/** Reads and fully checks a complete file. Throws FEDERATION_INVALID with the way out. */
export async function readFederationFile(path: string): Promise<Federation> {
  const text = await readFederationText(path)
  const { federation, signatures } = draftOrUndefined(text) ?? {}
  const missing = federation?.hubs.filter((_, index) => signatures?.[index] === null).map((hub) => hub.name) ?? []
  if (missing.length > 0) {
    throw invalid(`the federation file ${path} is a draft that ${missing.join(' and ')} must sign first: triforce federation sign ${path} --dir DIR`)
  }
  return readFederation(text)
}

export async function readFederationText(path: string): Promise<string> {
  const text = await readTextFile(path)
  if (text === undefined) throw invalid(`there is no federation file at ${path}; get it from a hub admin and name it with --federation FILE`)
  return text
}

/** Everyone may read a federation file; it is written whole or not at all. */
export async function writeFederationFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  const file = await open(temporary, 'w', 0o644)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}

/** `name,peerId,multiaddr[,multiaddr…]` → a hub. Throws CONFIG_INVALID. */
export function parseHubArgument(text: string): FederationHub {
  const [name = '', peerId = '', ...addresses] = text.split(',').map((part) => part.trim())
  const refuse = (problem: string): never => {
    throw new TriforceError('CONFIG_INVALID', {}, { detail: `--hub ${text}: ${problem}; give --hub NAME,PEER_ID,MULTIADDR` })
  }
  if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(name)) refuse('the name must be lower-case letters, digits and hyphens')
  if (publicKeyOf(peerId) === undefined) refuse('the second part must be the peer id that "triforce key show" prints on the hub')
  if (addresses.length === 0) refuse('at least one multiaddr is missing')
  for (const address of addresses) {
    try {
      parseMultiaddr(address)
    } catch {
      refuse(`"${address}" is not a multiaddr such as /ip4/203.0.113.7/tcp/4330`)
    }
  }
  return { name, peerId, addresses }
}

function reviewDraft(draft: Draft): FederationReview {
  const { federation, signatures } = draft
  checkHubsDiffer(federation.hubs)
  const input = signedBytes('federation', encode(federation))
  const hubs = federation.hubs.map((hub, index) => ({ ...hub, signature: signatureState(hub, input, signatures[index] ?? null) }))
  return { federation, hubs, complete: hubs.every((hub) => hub.signature === 'valid') }
}

function signatureState(hub: FederationHub, input: Uint8Array, signature: string | null): SignatureState {
  if (signature === null) return 'missing'
  return verifySignature(publicKeyOf(hub.peerId)!, input, fromHex(signature) ?? new Uint8Array()) ? 'valid' : 'invalid'
}

function readDraft(text: string): Draft {
  const draft = draftOrUndefined(text)
  if (draft !== undefined) return draft
  // A draft has the form of a complete file but for its open places; the complete form's own check names the field.
  readFederation(text)
  throw invalid('the federation file is not valid; ask a hub admin for a fresh copy')
}

function draftOrUndefined(text: string): Draft | undefined {
  try {
    return draftSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

function draftText({ federation, signatures }: Draft): string {
  const complete = signatures.filter((signature) => signature !== null)
  return complete.length === HUBS_PER_FEDERATION
    ? writeFederation(federation, complete)
    : `${JSON.stringify({ federation, signatures }, null, 2)}\n`
}

function checkHubsDiffer(hubs: readonly FederationHub[]): void {
  for (const [field, word] of [['name', 'name'], ['peerId', 'peer id']] as const) {
    if (new Set(hubs.map((hub) => hub[field])).size !== hubs.length) throw invalid(`the federation names two hubs with the same ${word}`)
  }
}

function invalid(detail: string): TriforceError {
  return new TriforceError('FEDERATION_INVALID', {}, { detail })
}
