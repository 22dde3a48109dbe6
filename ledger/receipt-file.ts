/**
 * The receipt file: everything about one receipt as JSON text, first for people, then the signed documents and the proof
 * that a hub of the federation logged it. Made of signed bytes alone, so every hub gives the same text, and verified
 * with the federation file alone: the text is built again from the documents inside and must be the same to the byte.
 * Spec: docs/ledger.md#receipt-file
 */
import { z } from 'zod'
import { bytesEqual, toHex } from '../protocol/bytes.ts'
import { decode } from '../protocol/codec.ts'
import { verifySignature } from '../protocol/crypto.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { Federation } from '../protocol/federation.ts'
import { observationSchema, receiptHalfSchema, receiptIdOf, ticketHashOf, type Receipt } from '../protocol/messages/receipt.ts'
import { ticketSchema } from '../protocol/messages/ticket.ts'
import { peerIdOf, publicKeyOf } from '../protocol/peer-key.ts'
import { signedBytes, type Signed, type SignatureDomain } from '../protocol/signed.ts'
import { decodeEntry, encodeReceipt, type ReceiptRate } from './entries/entry.ts'
import { frameHeaderSchema, openEpochKey } from './frame.ts'
import { leafHash, verifyInclusion } from './merkle.ts'

export const RECEIPT_FILE_FORMAT = 'triforce-receipt/1'

/** A receipt has some 6,000 characters; its entry is bounded by LOG_ENTRY_BYTES_MAX. */
export const RECEIPT_FILE_CHARS_MAX = 64 * 1024

/** Depth of a tree of LOG_FRAME_ENTRIES_MAX leaves. */
const PATH_MAX = 10

/** What a hub takes from its store to write the file. */
export interface ReceiptProof {
  readonly receipt: Receipt
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
  documents: z.strictObject({ ticket: signedText, half: signedText.nullable(), observation: signedText }),
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
  const { receipt } = proof
  const ticket = decode(ticketSchema, receipt.ticket.body)
  const half = receipt.half === undefined ? undefined : decode(receiptHalfSchema, receipt.half.body)
  const observation = decode(observationSchema, receipt.observation.body)
  const header = decode(frameHeaderSchema, proof.header)
  const usage = half?.usage ?? observation.observedUsage
  const earns = perHour(rateOf(proof.entry))

  return `${JSON.stringify({
    format: RECEIPT_FILE_FORMAT,
    id: `rcpt_${toHex(receiptIdOf(ticket.jobId))}`,
    network: ticket.network,
    jobId: toHex(ticket.jobId),
    model: ticket.model,
    modelDigest: half?.modelDigest ?? null,
    account: toHex(ticket.account),
    contributor: peerIdOf(ticket.contributor),
    hub: { name: federation.hubs[header.hub]!.name, peerId: federation.hubs[header.hub]!.peerId },
    promptTokens: usage.promptTokens,
    completionTokens: usage.completionTokens,
    finish: half?.finish ?? observation.finish,
    device: half?.device ?? null,
    ...(half?.devices === undefined ? {} : { devices: half.devices }),
    computedMs: half === undefined ? null : half.endMs - half.startMs,
    observedMs: observation.observedMs,
    path: observation.path,
    requestHash: toHex(ticket.requestHash),
    outputHash: toHex(half?.outputHash ?? observation.outputHash),
    ...(earns === 0n ? {} : { earnsMicroCreditsPerHour: String(earns) }),
    priceRevision: ticket.priceRev,
    classRevision: ticket.classRev,
    issuedAt: time(ticket.issuedAt),
    endedAt: time(observation.endedAt),
    loggedAt: time(header.tsMs),
    log: { hub: header.hub, epoch: header.epoch, frame: header.no, entry: header.firstSeq + proof.index },
    signedBy: half === undefined ? ['hub'] : ['contributor', 'hub'],
    documents: {
      ticket: signedAsText(receipt.ticket),
      half: receipt.half === undefined ? null : signedAsText(receipt.half),
      observation: signedAsText(receipt.observation),
    },
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

/** What an hour of the work earns (µcr), as the hub logged it. Throws RECEIPT_INVALID. */
function rateOf(bytes: Uint8Array): ReceiptRate {
  const entry = attempt(() => decodeEntry(bytes))
  return entry?.k === 'JobReceipt' ? entry.rates ?? entry.rate ?? 0n : refuse('the log entry is no receipt that this version can read')
}

/** On all devices together. */
function perHour(rate: ReceiptRate): bigint {
  return typeof rate === 'bigint' ? rate : rate.reduce((sum, one) => sum + one.rate, 0n)
}

/** Needs no network. Throws RECEIPT_INVALID with a sentence that says what does not fit. */
export function verifyReceiptFile(input: string, federation: Federation): VerifiedReceipt {
  const { documents, proof } = readFile(input)
  const receipt: Receipt = {
    ticket: documents.ticket, observation: documents.observation, ...(documents.half === null ? {} : { half: documents.half }),
  }
  const ticket = openAs('the ticket', ticketSchema, receipt.ticket)
  const observation = openAs('the observation', observationSchema, receipt.observation)
  const half = receipt.half === undefined ? undefined : openAs("the contributor's half", receiptHalfSchema, receipt.half)
  const header = openAs('the frame header', frameHeaderSchema, { body: proof.header })

  if (ticket.network !== federation.network) refuse(`the receipt is of the network "${ticket.network}", the federation file of "${federation.network}"`)
  const clearing = federation.hubs.find((hub) => bytesEqual(publicKeyOf(hub.peerId)!, ticket.hub))
  if (clearing === undefined) refuse(`the hub ${peerIdOf(ticket.hub)} that issued the ticket is not in this federation`)
  checkSignature('the hub on the ticket', 'ticket', receipt.ticket, ticket.hub)
  checkSignature('the hub on the observation', 'observation', receipt.observation, ticket.hub)
  if (receipt.half !== undefined) checkSignature('the contributor', 'receiptHalf', receipt.half, ticket.contributor)

  const ticketHash = ticketHashOf(receipt.ticket)
  for (const [name, document] of [['the observation', observation], ["the contributor's half", half]] as const) {
    if (document === undefined) continue
    const same = bytesEqual(document.ticketHash, ticketHash) && bytesEqual(document.jobId, ticket.jobId)
    if (!same) refuse(`${name} belongs to another ticket`)
  }

  if (!bytesEqual(encodeReceipt(ticket.jobId, receipt, rateOf(proof.entry)).bytes, proof.entry)) refuse('the log entry is not that of these documents')
  if (!verifyInclusion(leafHash(proof.entry), proof.index, header.n, proof.path, header.entriesRoot)) refuse('the entry is not in the frame')
  if (header.network !== federation.network) refuse('the frame belongs to another network')

  const log = { hub: header.hub, epoch: header.epoch }
  const hubKeys = federation.hubs.map((hub) => publicKeyOf(hub.peerId)!)
  const epochKey = attempt(() => openEpochKey(proof.epochKey, log, { network: federation.network, hubKeys }))
  if (epochKey === undefined) refuse(`the key of the log was not certified by the hub "${federation.hubs[header.hub]!.name}" of this federation`)
  if (!verifySignature(epochKey.key, signedBytes('logFrame', proof.header), proof.headerSignature)) refuse("the frame header was not signed with its log's key")

  compare(input, writeReceiptFile({ receipt, ...proof }, federation))
  return { id: receiptIdOf(ticket.jobId), receipt, hub: header.hub, epoch: header.epoch, seq: header.firstSeq + proof.index, loggedAt: header.tsMs, earnsMicroCreditsPerHour: perHour(rateOf(proof.entry)) }
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

function openAs<Schema extends z.ZodType>(name: string, schema: Schema, document: Pick<Signed, 'body'>): z.output<Schema> {
  return attempt(() => decode(schema, document.body)) ?? refuse(`${name} cannot be read: its bytes were changed`)
}

function checkSignature(who: string, domain: SignatureDomain, document: Signed, key: Uint8Array): void {
  const good = bytesEqual(document.key, key) && verifySignature(key, signedBytes(domain, document.body), document.signature)
  if (!good) refuse(`the signature of ${who} does not fit`)
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
