/**
 * The receipt file: everything about one receipt as JSON text, first for people, then the logged entry, which holds the
 * documents, and the proof that a hub of the federation signed it with a frame of its log. Made of signed bytes alone, so
 * every hub gives the same text, and verified with the federation file alone: the text is built again from the entry
 * and must be the same to the byte.
 * Spec: docs/ledger.md#receipt-file
 */
import { z } from 'zod'
import { bytesEqual, toHex } from '../protocol/bytes.ts'
import { decode } from '../protocol/codec.ts'
import { verifySignature } from '../protocol/crypto.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { Federation } from '../protocol/federation.ts'
import { receiptHalfSchema, ticketHashOf, type Receipt } from '../protocol/messages/receipt.ts'
import { ticketSchema } from '../protocol/messages/ticket.ts'
import { peerIdOf, publicKeyOf } from '../protocol/peer-key.ts'
import { signatureHolds, signedBytes, type Signed } from '../protocol/signed.ts'
import { halfMisfit } from './admission.ts'
import { decodeEntry, encodeReceipt, receiptIn, type EntryOf, type ReceiptRate } from './entries/entry.ts'
import { frameHeaderSchema, openEpochKey, type FrameHeader } from './frame.ts'
import { leafHash, verifyInclusion } from '../protocol/merkle.ts'

export const RECEIPT_FILE_FORMAT = 'triforce-receipt/1'

/** A receipt has some 4,000 characters; its entry is bounded by LOG_ENTRY_BYTES_MAX. */
export const RECEIPT_FILE_CHARS_MAX = 64 * 1024

/** Depth of a tree of LOG_FRAME_ENTRIES_MAX leaves. */
const PATH_MAX = 10

/** What a hub takes from its store to write the file. */
export interface ReceiptProof {
  readonly entry: Uint8Array
  /** Place of the entry in its frame, and the hashes from it to the frame's root. */
  readonly index: number
  readonly path: readonly Uint8Array[]
  readonly header: Uint8Array
  readonly headerSignature: Uint8Array
  /** Certificate of the key that signed the header. */
  readonly epochKey: Signed
}

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/, 'must be base64url').max(16_384).transform((text) => new Uint8Array(Buffer.from(text, 'base64url')))
const signedText = z.strictObject({ body: base64url, key: base64url, signature: base64url })

const receiptFileSchema = z.looseObject({
  format: z.literal(RECEIPT_FILE_FORMAT),
  proof: z.strictObject({
    entry: base64url,
    index: z.number().int().min(0).max(999),
    path: z.array(base64url).max(PATH_MAX),
    header: base64url,
    headerSignature: base64url,
    epochKey: signedText,
  }),
})

export interface VerifiedReceipt {
  readonly id: Uint8Array
  readonly receipt: Receipt
  /** The hub that logged it, and where: its place in that hub's log. */
  readonly hub: number
  readonly epoch: number
  readonly seq: number
  readonly loggedAt: number
  /** What an hour of the work earns on all its devices together, µcr; 0n: nothing. */
  readonly earnsMicroCreditsPerHour: bigint
}

export function writeReceiptFile(proof: ReceiptProof, federation: Federation): string {
  const entry = receiptEntry(proof.entry)
  const { observation } = entry
  const ticket = decode(ticketSchema, entry.ticket)
  const half = entry.half === undefined ? undefined : decode(receiptHalfSchema, entry.half.body)
  const header = decode(frameHeaderSchema, proof.header)
  const usage = half?.usage ?? observation.usage
  const earns = perHour(rateOf(entry))

  return `${JSON.stringify({
    format: RECEIPT_FILE_FORMAT,
    id: `rcpt_${toHex(entry.eid)}`,
    network: ticket.network,
    jobId: toHex(ticket.jobId),
    model: ticket.model,
    modelDigest: half?.modelDigest ?? null,
    account: toHex(ticket.account),
    contributor: peerIdOf(ticket.contributor),
    hub: { name: federation.hubs[header.hub]!.name, peerId: federation.hubs[header.hub]!.peerId },
    promptTokens: usage.promptTokens,
    completionTokens: usage.completionTokens,
    finish: observation.finish,
    device: half?.device ?? null,
    ...(half?.devices === undefined ? {} : { devices: half.devices }),
    computedMs: half === undefined ? null : half.endMs - half.startMs,
    observedMs: observation.observedMs,
    path: observation.path,
    requestHash: toHex(ticket.requestHash),
    outputHash: toHex(observation.outputHash),
    ...(earns === 0n ? {} : { earnsMicroCreditsPerHour: String(earns) }),
    priceRevision: ticket.priceRev,
    classRevision: ticket.classRev,
    issuedAt: time(ticket.issuedAt),
    endedAt: time(observation.endedAt),
    loggedAt: time(header.tsMs),
    log: { hub: header.hub, epoch: header.epoch, frame: header.no, entry: header.firstSeq + proof.index },
    signedBy: half === undefined ? ['hub'] : ['contributor', 'hub'],
    proof: {
      entry: text(proof.entry),
      index: proof.index,
      path: proof.path.map(text),
      header: text(proof.header),
      headerSignature: text(proof.headerSignature),
      epochKey: signedAsText(proof.epochKey),
    },
  }, null, 2)}\n`
}

type ReceiptEntry = EntryOf<'JobReceipt'>

/** Throws RECEIPT_INVALID. */
function receiptEntry(bytes: Uint8Array): ReceiptEntry {
  const entry = attempt(() => decodeEntry(bytes))
  return entry?.k === 'JobReceipt' ? entry : refuse('the log entry is no receipt that this version can read')
}

/** What an hour of the work earns (µcr), as the hub logged it. */
function rateOf({ rate, rates }: ReceiptEntry): ReceiptRate {
  return rates ?? rate ?? 0n
}

/** On all devices together. */
function perHour(rate: ReceiptRate): bigint {
  return typeof rate === 'bigint' ? rate : rate.reduce((sum, one) => sum + one.rate, 0n)
}

/** Needs no network. Throws RECEIPT_INVALID with a sentence that says what does not fit. */
export function verifyReceiptFile(input: string, federation: Federation): VerifiedReceipt {
  const { proof } = readFile(input)
  const header = attempt(() => decode(frameHeaderSchema, proof.header)) ?? refuse('the frame header cannot be read: its bytes were changed')
  checkFrameOf(proof, header, federation)
  const entry = receiptEntry(proof.entry)
  checkDocuments(entry, proof.entry, publicKeyOf(federation.hubs[header.hub]!.peerId)!, federation)
  compare(input, writeReceiptFile(proof, federation))
  return {
    id: entry.eid, receipt: receiptIn(entry), hub: header.hub, epoch: header.epoch, seq: header.firstSeq + proof.index, loggedAt: header.tsMs,
    earnsMicroCreditsPerHour: perHour(rateOf(entry)),
  }
}

/** The hub has signed the entry: with the frame that it stands in, by the key that it certified for its log. */
function checkFrameOf(proof: ReceiptProof, header: FrameHeader, federation: Federation): void {
  if (header.network !== federation.network) refuse(`the receipt is of the network "${header.network}", the federation file of "${federation.network}"`)
  const log = { hub: header.hub, epoch: header.epoch }
  const hubKeys = federation.hubs.map((hub) => publicKeyOf(hub.peerId)!)
  const epochKey = attempt(() => openEpochKey(proof.epochKey, log, { network: federation.network, hubKeys }))
  if (epochKey === undefined) refuse(`the key of the log was not certified by the hub "${federation.hubs[header.hub]!.name}" of this federation`)
  if (!verifySignature(epochKey.key, signedBytes('logFrame', proof.header), proof.headerSignature)) refuse("the frame header was not signed with its log's key")
  if (!verifyInclusion(leafHash(proof.entry), proof.index, header.n, proof.path, header.entriesRoot)) refuse('the entry is not in the frame')
}

/** `hub`: key of the hub in whose log it stands. */
function checkDocuments(entry: ReceiptEntry, bytes: Uint8Array, hub: Uint8Array, federation: Federation): void {
  const ticket = attempt(() => decode(ticketSchema, entry.ticket)) ?? refuse('the ticket cannot be read')
  if (ticket.network !== federation.network) refuse(`the ticket is of the network "${ticket.network}", the federation file of "${federation.network}"`)
  if (!bytesEqual(ticket.hub, hub)) refuse(`the ticket was issued by ${peerIdOf(ticket.hub)}, not by the hub that logged it`)
  if (!bytesEqual(encodeReceipt(ticket, receiptIn(entry), rateOf(entry)).bytes, bytes)) refuse('the log entry is not that of its ticket')
  if (entry.half === undefined) return
  const half = attempt(() => decode(receiptHalfSchema, entry.half!.body)) ?? refuse("the contributor's half cannot be read")
  if (!signatureHolds('receiptHalf', { ...entry.half, key: ticket.contributor })) refuse('the signature of the contributor does not fit')
  const misfit = halfMisfit(half, ticket, ticketHashOf({ body: entry.ticket }), entry.observation)
  if (misfit !== undefined) refuse(`${misfit.field} of the contributor's half ${misfit.problem}`)
}

function refuse(detail: string): never {
  throw new TriforceError('RECEIPT_INVALID', {}, { detail: `the receipt is not valid: ${detail}` })
}

function attempt<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch {
    return undefined
  }
}

function readFile(input: string): z.output<typeof receiptFileSchema> {
  if (input.length > RECEIPT_FILE_CHARS_MAX) refuse('the file is longer than a receipt can be')
  const value = attempt(() => JSON.parse(input) as unknown) ?? refuse('the file is not JSON: it was cut or changed')
  const format = (value as { format?: unknown }).format
  if (format !== RECEIPT_FILE_FORMAT) refuse(`its format is ${JSON.stringify(format)?.slice(0, 40) ?? 'missing'}, not "${RECEIPT_FILE_FORMAT}"`)
  const parsed = receiptFileSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  return refuse(`the file has no readable ${issue?.path.map(String).join('.') || 'content'} (${issue?.message ?? ''})`)
}

/** Says at which line the text is not what the signed documents give. */
function compare(input: string, canonical: string): void {
  if (input === canonical) return
  const given = input.split('\n')
  const line = canonical.split('\n').findIndex((text, index) => text !== given[index])
  if (line === -1) refuse('there is something after its end')
  const short = (text: string | undefined) => text === undefined ? 'nothing' : `\`${text.trim().slice(0, 80)}\``
  const [says, gives] = [short(given[line]), short(canonical.split('\n')[line])]
  if (says === gives) refuse(`line ${line + 1} differs from what the signed documents give, in white space, its line end, or far to the right`)
  refuse(`line ${line + 1} says ${says}, but the signed documents give ${gives}`)
}

function time(unixMs: number): string {
  return unixMs <= 8.64e15 ? new Date(unixMs).toISOString() : String(unixMs)
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}

function signedAsText({ body, key, signature }: Signed): { body: string; key: string; signature: string } {
  return { body: text(body), key: text(key), signature: text(signature) }
}
