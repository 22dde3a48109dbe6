/**
 * Entries: what can stand in a log. An entry is stored, hashed and sent as the DAG-CBOR bytes of its first encoding.
 *
 * Each has an id (`eid`) of 16 bytes that is derived from its kind and its natural key, so the same fact stated twice
 * is the same entry, at whichever hub. Signatures inside are judged before an entry is logged (admission.ts), never here.
 * Spec: docs/ledger.md#entries
 */
import { z } from 'zod'
import { concatBytes } from '../protocol/bytes.ts'
import { decode, encode } from '../protocol/codec.ts'
import { sha256 } from '../protocol/crypto.ts'
import { countField, hashField, idField, publicKeyField, shortText } from '../protocol/fields.ts'
import { epochField, hubIndexField } from '../protocol/messages/ledger.ts'
import { receiptIdOf, type Receipt } from '../protocol/messages/receipt.ts'
import { ticketSchema, type Ticket } from '../protocol/messages/ticket.ts'
import { signedSchema, type Signed } from '../protocol/signed.ts'

/** Amounts fit a signed 64-bit integer in every other language. */
export const MICRO_CREDITS_MAX = 2n ** 63n - 1n

/** DAG-CBOR gives a number where it is exact and a bigint above that; money is always a bigint inside. */
export const microCreditsField = z.union([z.bigint(), z.number().int()])
  .transform((value) => BigInt(value))
  .refine((value) => value > 0n && value <= MICRO_CREDITS_MAX, 'must be more than 0 and less than 2^63')

export const accountOpenSchema = z.strictObject({
  k: z.literal('AccountOpen'), eid: idField, account: idField, publicKey: publicKeyField, name: shortText, tier: shortText,
})
export const keyAddSchema = z.strictObject({
  k: z.literal('KeyAdd'), eid: idField, publicKey: publicKeyField, account: idField, name: shortText,
})
export const keyRevokeSchema = z.strictObject({ k: z.literal('KeyRevoke'), eid: idField, publicKey: publicKeyField })
export const grantSchema = z.strictObject({
  k: z.literal('Grant'), eid: idField, account: idField, amount: microCreditsField, source: shortText,
})
export const jobTicketSchema = z.strictObject({ k: z.literal('JobTicket'), eid: idField, jobId: idField, ticket: signedSchema })
/** The ticket is not repeated: it stands before the receipt in the same log, and half and observation name its hash. */
export const jobReceiptSchema = z.strictObject({
  k: z.literal('JobReceipt'), eid: idField, jobId: idField, half: signedSchema.optional(), observation: signedSchema,
})
/** First entry of every log. `key` opens to an EpochKey and is signed by the hub's node key. */
export const epochOpenSchema = z.strictObject({
  k: z.literal('EpochOpen'), eid: idField, hub: hubIndexField, epoch: epochField, key: signedSchema,
})

export const entrySchema = z.discriminatedUnion('k', [
  accountOpenSchema, keyAddSchema, keyRevokeSchema, grantSchema, jobTicketSchema, jobReceiptSchema, epochOpenSchema,
])
export type Entry = z.output<typeof entrySchema>
export type EntryKind = Entry['k']
type EntryOf<Kind extends EntryKind> = Extract<Entry, { k: Kind }>

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

/** An entry and the bytes that stand for it from now on. */
export interface EncodedEntry {
  readonly entry: Entry
  readonly bytes: Uint8Array
}

function eidOf(kind: EntryKind, ...naturalKey: readonly Uint8Array[]): Uint8Array {
  return sha256(Buffer.from(`triforce/entry/1\0${kind}\0`, 'utf8'), ...naturalKey).slice(0, 16)
}

const utf8 = (text: string) => Buffer.from(text, 'utf8')

function number32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

export function ticketEidOf(jobId: Uint8Array): Uint8Array {
  return eidOf('JobTicket', jobId)
}

type Unnamed<Each extends Entry> = Each extends Entry ? Omit<Each, 'eid'> : never

/** The id that an entry must have, from what makes it the same entry. */
export function expectedEid(entry: Unnamed<Entry>): Uint8Array {
  let eid: Uint8Array
  switch (entry.k) {
    case 'AccountOpen':
    case 'KeyAdd':
    case 'KeyRevoke':
      eid = eidOf(entry.k, entry.publicKey)
      break
    case 'Grant':
      eid = eidOf(entry.k, entry.account, utf8(entry.source))
      break
    case 'JobTicket':
      eid = ticketEidOf(entry.jobId)
      break
    case 'JobReceipt':
      eid = receiptIdOf(entry.jobId)
      break
    case 'EpochOpen':
      eid = eidOf(entry.k, concatBytes(Uint8Array.of(entry.hub), number32(entry.epoch)))
      break
  }
  return eid
}

/** Fills in the id and encodes. Throws FRAME_MALFORMED where a field does not fit. */
export function encodeEntry(fields: Unnamed<Entry>): EncodedEntry {
  const bytes = encode({ ...fields, eid: expectedEid(fields) })
  return { entry: decodeEntry(bytes), bytes }
}

/** As `encodeEntry`, for documents that were checked already: the second check would cost as much as everything else here. */
export function encodeTicket(fields: Omit<EntryOf<'JobTicket'>, 'eid' | 'k'>): EncodedEntry {
  const entry: Entry = { k: 'JobTicket', ...fields, eid: ticketEidOf(fields.jobId) }
  return { entry, bytes: encode(entry) }
}

export function encodeReceipt(jobId: Uint8Array, { half, observation }: Pick<Receipt, 'half' | 'observation'>): EncodedEntry {
  const entry: Entry = { k: 'JobReceipt', jobId, eid: receiptIdOf(jobId), observation, ...(half === undefined ? {} : { half }) }
  return { entry, bytes: encode(entry) }
}

/** Throws FRAME_MALFORMED where the bytes are no entry that this version knows. */
export function decodeEntry(bytes: Uint8Array): Entry {
  return decode(entrySchema, bytes)
}

const kinds: ReadonlySet<string> = new Set(entrySchema.options.map((option) => option.shape.k.value))

/**
 * Kind and id from the first bytes, without reading the rest: DAG-CBOR sorts keys by length, so `k` and `eid` come
 * first in every entry. Gives undefined where the bytes do not begin like an entry.
 */
export function peekEntry(bytes: Uint8Array): { readonly kind: EntryKind; readonly eid: Uint8Array } | undefined {
  const kindLength = (bytes[3] ?? 0) - 0x60
  const eidAt = 4 + kindLength + 5
  const wellFormed = bytes[1] === 0x61 && bytes[2] === 0x6b && kindLength > 0 && kindLength < 24 && bytes.byteLength >= eidAt + 16
    && bytes[eidAt - 5] === 0x63 && bytes[eidAt - 4] === 0x65 && bytes[eidAt - 3] === 0x69 && bytes[eidAt - 2] === 0x64 && bytes[eidAt - 1] === 0x50
  if (!wellFormed) return undefined
  const kind = Buffer.from(bytes.buffer, bytes.byteOffset + 4, kindLength).toString('latin1')
  return kinds.has(kind) ? { kind: kind as EntryKind, eid: bytes.subarray(eidAt, eidAt + 16) } : undefined
}

/** The ticket inside an entry that was checked when it was logged. */
export function ticketOf(signed: Signed): Ticket {
  return decode(ticketSchema, signed.body)
}
