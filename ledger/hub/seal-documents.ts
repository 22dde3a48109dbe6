/**
 * Documents and rows of a seal: what a hub promises, what two hubs sign together, the proof of a fork, and how these are
 * kept on the disk. Everything that comes from a peer is checked here, once.
 */
import { z } from 'zod'
import { bytesEqual } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { sha256, verifySignature } from '../../protocol/crypto.ts'
import { HUBS_PER_FEDERATION } from '../../protocol/federation.ts'
import { bytesField, bytesOf, countField, hashField, timeField } from '../../protocol/fields.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { logIdSchema } from '../../protocol/messages/ledger-fields.ts'
import type { Signer } from '../../protocol/ports.ts'
import { openDocument, signDocument, signedBytes, signedSchema, type Signed } from '../../protocol/signed.ts'
import { sealSchema, type SealStatement } from '../entries/control.ts'
import type { EntryOf } from '../entries/entry.ts'
import { frameHeaderSchema, type FrameContext } from '../frame.ts'

/** Says: this is what I have of the log, and until the seal is decided I take no more of it. Domain `sealPromise`. */
export const sealPromiseSchema = z.strictObject({ v: z.literal(1), network: z.string().max(64), log: logIdSchema, no: countField, hash: hashField })
export type SealPromise = z.output<typeof sealPromiseSchema>

/** A log ends with this frame. */
export interface LogEnd {
  readonly log: LogId
  readonly no: number
  readonly hash: Uint8Array
}

export interface SealCertificate extends LogEnd {
  /** One or two documents of domain `seal` with equal bodies, by different hubs. */
  readonly signatures: readonly Signed[]
}

export interface SignedHeader {
  readonly header: Uint8Array
  readonly signature: Uint8Array
}

/** Two frames of one log with one number, both signed with its key. */
export interface ForkProof {
  readonly log: LogId
  readonly no: number
  readonly first: SignedHeader
  readonly second: SignedHeader
}

export const successorOf = (hub: number) => (hub + 1) % HUBS_PER_FEDERATION

export function signPromise(signer: Signer, network: string, { log, no, hash }: LogEnd): Signed {
  return signDocument(signer, 'sealPromise', { v: 1, network, log, no, hash } satisfies SealPromise)
}

export function signSeal(signer: Signer, network: string, { log, no, hash }: LogEnd): Signed {
  return signDocument(signer, 'seal', { v: 1, network, log, no, hash, successor: successorOf(log.hub) } satisfies SealStatement)
}

/** The promise of hub `hub`; undefined where it is not that. */
export function openPromise(document: Signed, hub: number, { network, hubKeys }: FrameContext): SealPromise | undefined {
  try {
    const promise = openDocument('sealPromise', sealPromiseSchema, document)
    const fits = bytesEqual(document.key, hubKeys[hub]!) && promise.network === network && promise.log.hub !== hub
    return fits ? promise : undefined
  } catch {
    return undefined
  }
}

/** What hubs other than the log's own signed, all the same; undefined where anything does not fit. */
export function openCertificate(log: LogId, signatures: readonly Signed[], { network, hubKeys }: FrameContext): SealCertificate | undefined {
  const signers = new Set<number>()
  let statement: SealStatement | undefined
  for (const document of signatures) {
    const hub = hubKeys.findIndex((key) => bytesEqual(key, document.key))
    if (hub < 0 || hub === log.hub || signers.has(hub) || !bytesEqual(document.body, signatures[0]!.body)) return undefined
    signers.add(hub)
    try {
      statement = openDocument('seal', sealSchema, document)
    } catch {
      return undefined
    }
  }
  if (statement === undefined || statement.network !== network || statement.log.hub !== log.hub || statement.log.epoch !== log.epoch
    || statement.successor !== successorOf(log.hub)) return undefined
  return { log, no: statement.no, hash: statement.hash, signatures }
}

/** Why an entry about seals or forks must not stand in a log; undefined where it may. `keyOf`: the key of a log, where it is known. */
export function controlProblem(
  entry: EntryOf<'Seal'> | EntryOf<'EquivProof'>, author: number, context: FrameContext, keyOf: (log: LogId) => Uint8Array | undefined,
): string | undefined {
  if (entry.k === 'EquivProof') {
    const log = { hub: entry.fork.hub, epoch: entry.fork.epoch }
    const key = keyOf(log)
    return key === undefined || forkProven({ log, no: entry.fork.no, first: entry.first, second: entry.second }, key) ? undefined : 'its proof of a fork proves none'
  }
  const certificate = openCertificate(entry.log, entry.signatures, context)
  if (certificate === undefined || certificate.no !== entry.frame || !bytesEqual(certificate.hash, entry.hash)) return 'its seal is not signed by two hubs'
  return author === successorOf(entry.log.hub) ? undefined : 'its seal stands in the log of another hub than the successor'
}

/** True where both headers are signed with `key`, belong to this place, and differ. */
export function forkProven({ log, no, first, second }: ForkProof, key: Uint8Array): boolean {
  if (bytesEqual(sha256(first.header), sha256(second.header))) return false
  return [first, second].every(({ header, signature }) => {
    try {
      const read = decode(frameHeaderSchema, header)
      return read.hub === log.hub && read.epoch === log.epoch && read.no === no && verifySignature(key, signedBytes('logFrame', header), signature)
    } catch {
      return false
    }
  })
}

/** The lower one first, so that every hub writes the same proof. */
export function forkProofOf(log: LogId, no: number, one: SignedHeader, other: SignedHeader): ForkProof {
  const [first, second] = Buffer.compare(one.header, other.header) <= 0 ? [one, other] : [other, one]
  return { log, no, first, second }
}

/** Rows of the store's meta bucket begin with this; the rest is `<hub>/<epoch>`. */
export const sealRowPrefix = 'seal/'
const sealRowSchema = z.object({
  log: logIdSchema,
  /** The promise that stands. */
  promise: z.object({ document: signedSchema, forced: z.boolean(), atMs: timeField }).optional(),
  /** Whether there ever was one. */
  promised: z.boolean().optional(),
  /** What this hub has signed, alone or with the other one. */
  signatures: z.array(signedSchema).max(2),
  fork: z.object({
    no: countField, first: z.object({ header: bytesField, signature: bytesOf(64) }), second: z.object({ header: bytesField, signature: bytesOf(64) }),
  }).optional(),
  /** Facts of the log's lost end that its hub has logged again, up to this frame. */
  relogged: countField.optional(),
})
export type SealRow = z.output<typeof sealRowSchema>

export const sealRowKey = (log: LogId) => `${sealRowPrefix}${log.hub}/${log.epoch}`

export function encodeSealRow(row: SealRow): Uint8Array {
  return encode(row)
}

/** Throws FRAME_MALFORMED. */
export function decodeSealRow(value: Uint8Array): SealRow {
  return decode(sealRowSchema, value)
}
