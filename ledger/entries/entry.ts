/**
 * Entries: what can stand in a log. An entry is stored, hashed and sent as the DAG-CBOR bytes of its first encoding.
 *
 * Each has an id (`eid`) of 16 bytes that is derived from its kind and its natural key, so the same fact stated twice
 * is the same entry, at whichever hub. Signatures inside are judged before an entry is logged (admission.ts), never here.
 * Spec: docs/ledger.md#entries
 */
import { z } from 'zod'
import { concatBytes } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { sha256 } from '../../protocol/crypto.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { receiptIdOf, type Receipt, type SignedHalf } from '../../protocol/messages/receipt.ts'
import type { Ticket } from '../../protocol/messages/ticket.ts'
import { isPlanted } from '../planted-bugs.ts'
import { accountOpenSchema, keyAddSchema, keyRevokeSchema, tierSetSchema } from './accounts.ts'
import {
  approvalSchema, epochOpenSchema, equivProofSchema, handbackSchema, islandReleaseSchema, islandSettleSchema, sealEntrySchema,
} from './control.ts'
import { backReleaseSchema, jobReceiptSchema, presenceSchema, vestSchema, type DeviceRate } from './earning.ts'
import { chargebackSchema, grantSchema, purchaseSchema } from './money.ts'
import { looksLikeEntry } from './quick.ts'
import { acceptSchema, giveReturnSchema, giveSchema } from './rights.ts'
import { expireSchema, extendSchema, holdSchema, progressSchema, refundSchema, settleSchema } from './spending.ts'

export const entrySchema = z.discriminatedUnion('k', [
  accountOpenSchema, keyAddSchema, keyRevokeSchema, tierSetSchema,
  grantSchema, purchaseSchema, chargebackSchema,
  holdSchema, extendSchema, progressSchema, settleSchema, expireSchema, refundSchema,
  giveSchema, acceptSchema, giveReturnSchema,
  jobReceiptSchema, presenceSchema, vestSchema, backReleaseSchema,
  epochOpenSchema, sealEntrySchema, islandSettleSchema, islandReleaseSchema, handbackSchema, equivProofSchema, approvalSchema,
])
/** Keys are named so that `k` and `eid` sort first in DAG-CBOR (by length, then bytes): `peekEntry` relies on it. */
export type Entry = z.output<typeof entrySchema>
export type EntryKind = Entry['k']
export type EntryOf<Kind extends EntryKind> = Extract<Entry, { k: Kind }>

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

function number64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

const logBytes = (log: LogId) => concatBytes(Uint8Array.of(log.hub), number32(log.epoch))

export const holdEidOf = (hub: number, request: Uint8Array) => eidOf('Hold', Uint8Array.of(hub), request)
export const giveEidOf = (request: Uint8Array) => eidOf('Give', request)
/** Ids of what can happen once to a hold or a give: `Settle`, `Expire`; `Accept`, `GiveReturn`. */
export const eidOfOnce = (kind: 'Settle' | 'Expire' | 'Accept' | 'GiveReturn', of: Uint8Array) => eidOf(kind, of)

export type Unnamed<Each extends Entry> = Each extends Entry ? Omit<Each, 'eid'> : never

/** The id that an entry must have, from what makes it the same entry. */
export function expectedEid(entry: Unnamed<Entry>): Uint8Array {
  let eid: Uint8Array
  switch (entry.k) {
    case 'AccountOpen':
    case 'KeyAdd':
    case 'KeyRevoke':
      eid = eidOf(entry.k, entry.publicKey)
      break
    case 'TierSet':
      eid = eidOf(entry.k, entry.account, number64(entry.rev))
      break
    case 'Grant':
      eid = isPlanted('double-mint') ? eidOf(entry.k, entry.account, utf8(entry.source), number64(entry.amount)) : eidOf(entry.k, entry.account, utf8(entry.source))
      break
    case 'Purchase':
    case 'Chargeback':
      eid = eidOf(entry.k, utf8(entry.payment))
      break
    case 'Hold':
      eid = holdEidOf(entry.hub, entry.request)
      break
    case 'Extend':
    case 'Progress':
      eid = eidOf(entry.k, entry.hold, number64(entry.step))
      break
    case 'Settle':
      eid = isPlanted('settled-twice') ? eidOf(entry.k, entry.hold, number64(entry.completionTokens)) : eidOfOnce(entry.k, entry.hold)
      break
    case 'Expire':
      eid = eidOfOnce(entry.k, entry.hold)
      break
    case 'Refund':
      eid = eidOf(entry.k, entry.hold, utf8(entry.reason))
      break
    case 'Give':
      eid = giveEidOf(entry.request)
      break
    case 'Accept':
    case 'GiveReturn':
      eid = eidOfOnce(entry.k, entry.give)
      break
    case 'JobReceipt':
      eid = receiptIdOf(entry.jobId)
      break
    case 'Presence':
      eid = eidOf(entry.k, Uint8Array.of(entry.hub), entry.contributor, entry.boot, number64(entry.deviceFromMs))
      break
    case 'Vest':
      eid = eidOf(entry.k, entry.contributor, utf8(entry.device), number64(entry.total))
      break
    case 'BackRelease':
      eid = eidOf(entry.k, entry.account, number64(entry.step))
      break
    case 'EpochOpen':
      eid = eidOf(entry.k, logBytes(entry))
      break
    case 'Seal':
    case 'IslandRelease':
    case 'Handback':
      eid = eidOf(entry.k, logBytes(entry.log))
      break
    case 'IslandSettle':
      eid = eidOf(entry.k, logBytes(entry.log), entry.account)
      break
    case 'EquivProof':
      eid = eidOf(entry.k, logBytes(entry.fork))
      break
    case 'Approval':
      eid = eidOf(entry.k, entry.change, Uint8Array.of(entry.hub))
      break
  }
  return eid
}

/** Fills in the id and encodes. Throws FRAME_MALFORMED where a field does not fit. */
export function encodeEntry(fields: Unnamed<Entry>): EncodedEntry {
  const entry: unknown = { ...fields, eid: expectedEid(fields) }
  const bytes = encode(entry)
  return { entry: looksLikeEntry(entry) ? entry : decodeEntry(bytes), bytes }
}

/** What an hour of a job's work earns (µcr): of its one device, or of each of several that earns. 0n and an empty list earn nothing. */
export type ReceiptRate = bigint | readonly DeviceRate[]

/** As `encodeEntry`, for documents that were checked already: the second check would cost as much as everything else here. */
export function encodeReceipt(
  { jobId, account, contributor }: Pick<Ticket, 'jobId' | 'account' | 'contributor'>, { ticket, half, observation }: Receipt, rate: ReceiptRate = 0n,
): EncodedEntry {
  const earns = typeof rate === 'bigint' ? rate === 0n ? {} : { rate } : rate.length === 0 ? {} : { rates: [...rate] }
  const entry: Entry = {
    k: 'JobReceipt', eid: receiptIdOf(jobId), jobId, account, contributor, ticket, observation,
    ...(half === undefined ? {} : { half: withoutKey(half) }), ...earns,
  }
  return { entry, bytes: encode(entry) }
}

export function receiptIn({ ticket, half, observation }: EntryOf<'JobReceipt'>): Receipt {
  return { ticket, observation, ...(half === undefined ? {} : { half }) }
}

/** As it comes from the contributor it has its key, which the ticket has too. */
function withoutKey({ body, signature, batch }: SignedHalf): SignedHalf {
  return { body, signature, ...(batch === undefined ? {} : { batch }) }
}

/** Throws FRAME_MALFORMED where the bytes are no entry that this version knows. */
export function decodeEntry(bytes: Uint8Array): Entry {
  return decode(entrySchema, bytes, looksLikeEntry)
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

