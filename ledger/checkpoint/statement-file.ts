/**
 * The statement file: all that has moved an account's money, and the proof that it is all, as JSON text. First for people,
 * then the signed documents; like a receipt file it is made of these alone, and its text is built again to verify it.
 *
 * With the federation file alone it proves: a hub's log has each entry, with its time (signed headers); none is left out
 * (hash chains whose heads stand in the account's leaf); what the entries come to is the balance (the leaf is in the state
 * tree); and two hubs have signed the root of that tree at a certain time (the final checkpoint). Spec: docs/ledger.md#statement-file
 */
import { z } from 'zod'
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { decode } from '../../protocol/codec.ts'
import { TriforceError, toTriforceError } from '../../protocol/errors.ts'
import { HUBS_PER_FEDERATION, type Federation } from '../../protocol/federation.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { epochField, hubIndexField } from '../../protocol/messages/ledger-fields.ts'
import { publicKeyOf } from '../../protocol/peer-key.ts'
import { verifySignature } from '../../protocol/crypto.ts'
import { signedBytes, type Signed } from '../../protocol/signed.ts'
import { decodeEntry } from '../entries/entry.ts'
import { nextHead } from '../fold/chain.ts'
import { frameHeaderSchema, openEpochKey, type FrameContext, type FrameHeader } from '../frame.ts'
import { leafHash, verifyInclusion } from '../../protocol/merkle.ts'
import type { AccountProof } from './account-proof.ts'
import { compareLogs, openFinal, type FinalCheckpoint } from './checkpoint.ts'
import { moneyOf, readLeaf, totalNames, type StateLeaf, type StateTotals } from './state-leaf.ts'
import { decodeProof, encodeProof, openStateProof } from './state-tree.ts'
import { readEntries, type PlacedEntry, type PlacedLine } from './statement-lines.ts'

export const STATEMENT_FILE_FORMAT = 'triforce-statement/1'

/** Some 20,000 entries. Larger ones are neither written nor read. */
export const STATEMENT_FILE_CHARS_MAX = 64 * 1024 * 1024

const PATH_MAX = 10

/** A frame, with those of its entries that have moved the account's money. */
export interface StatementFrame {
  readonly header: Uint8Array
  readonly signature: Uint8Array
  readonly entries: readonly { readonly index: number; readonly bytes: Uint8Array; readonly path: readonly Uint8Array[] }[]
}

export interface StatementParts extends AccountProof {
  /** Ascending by log and number. */
  readonly frames: readonly StatementFrame[]
  /** Certificates of the keys that signed the headers, ascending by log. */
  readonly epochKeys: readonly { readonly log: LogId; readonly certificate: Signed }[]
}

export interface VerifiedStatement {
  /** 16 bytes, hexadecimal. */
  readonly account: string
  /** Time of the checkpoint, Unix ms: what was logged later is not in it. */
  readonly asOfMs: number
  readonly checkpoint: FinalCheckpoint
  /** Hubs that have signed the checkpoint. */
  readonly hubs: readonly number[]
  /** µcr. */
  readonly balance: StateTotals
  readonly leaf: StateLeaf
  /** In order of time. */
  readonly lines: readonly PlacedLine[]
  /** Ids of the receipts that its charges rest on, hexadecimal. */
  readonly receipts: ReadonlySet<string>
}

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/, 'must be base64url').max(131_072).transform((text) => new Uint8Array(Buffer.from(text, 'base64url')))
const signedText = z.strictObject({ body: base64url, key: base64url, signature: base64url })

const statementFileSchema = z.looseObject({
  format: z.literal(STATEMENT_FILE_FORMAT),
  documents: z.strictObject({
    checkpoint: base64url,
    signatures: z.array(z.strictObject({ hub: hubIndexField, signature: base64url })).max(HUBS_PER_FEDERATION),
    leaf: base64url,
    path: base64url,
    epochKeys: z.array(z.strictObject({ hub: hubIndexField, epoch: epochField, certificate: signedText })).max(256),
    frames: z.array(z.strictObject({
      header: base64url, signature: base64url,
      entries: z.array(z.strictObject({ index: z.number().int().min(0).max(999), entry: base64url, path: z.array(base64url).max(PATH_MAX) })).min(1),
    })),
  }),
})

/** Throws STATEMENT_INVALID where the statement would be too large. */
export function writeStatementFile(parts: StatementParts, federation: Federation): string {
  const { checkpoint, signatures, body } = parts.final
  const leaf = readLeaf(parts.leaf) ?? refuse('its leaf cannot be read')
  const { lines } = readEntries(placedEntries(parts.frames))
  const text = `${JSON.stringify({
    format: STATEMENT_FILE_FORMAT,
    network: checkpoint.network,
    account: leaf.account,
    asOf: time(checkpoint.timeMs),
    round: checkpoint.round,
    signedBy: signatures.map(({ hub }) => federation.hubs[hub]?.name ?? `hub ${hub}`),
    balanceMicroCredits: Object.fromEntries(totalNames.map((name) => [name, String(leaf.totals[name])])),
    entries: lines.map((line) => ({
      at: time(line.at), kind: line.kind, amountMicroCredits: String(line.amount), heldMicroCredits: String(line.held), quotaTokens: line.quotaTokens,
      why: line.why, id: toHex(line.id), hold: line.hold === undefined ? null : toHex(line.hold),
      receipt: line.receipt === undefined ? null : `rcpt_${toHex(line.receipt)}`,
      log: { hub: line.hub, epoch: line.epoch, frame: line.frame, entry: line.seq },
    })),
    documents: {
      checkpoint: base64(body),
      signatures: signatures.map(({ hub, signature }) => ({ hub, signature: base64(signature) })),
      leaf: base64(parts.leaf),
      path: base64(encodeProof(parts.path)),
      epochKeys: parts.epochKeys.map(({ log, certificate }) => ({
        hub: log.hub, epoch: log.epoch,
        certificate: { body: base64(certificate.body), key: base64(certificate.key), signature: base64(certificate.signature) },
      })),
      frames: parts.frames.map(({ header, signature, entries }) => ({
        header: base64(header), signature: base64(signature),
        entries: entries.map(({ index, bytes, path }) => ({ index, entry: base64(bytes), path: path.map(base64) })),
      })),
    },
  }, null, 2)}\n`
  if (text.length > STATEMENT_FILE_CHARS_MAX) refuse('the account has more entries than a statement file can hold')
  return text
}

/** Needs no network. Throws STATEMENT_INVALID with a sentence that says what does not fit. */
export function verifyStatement(input: string, federation: Federation): VerifiedStatement {
  const { documents } = readFile(input)
  const context: FrameContext = { network: federation.network, hubKeys: federation.hubs.map(({ peerId }) => publicKeyOf(peerId)!) }
  const final = attempt(() => openFinal(documents.checkpoint, documents.signatures, context), 'its checkpoint is not signed by two hubs of this federation')
  const path = decodeProof(documents.path) ?? refuse('the path to the root of the state cannot be read')
  const { checkpoint } = final

  const leaf = readLeaf(documents.leaf) ?? refuse("the account's leaf cannot be read")
  const root = openStateProof(documents.leaf, path)?.root
  if (root === undefined || !bytesEqual(root.hash, checkpoint.root)) refuse("the account's balance is not in the state that the hubs signed")
  if (root.money !== moneyOf(checkpoint.totals) || root.debt !== checkpoint.totals.debt) refuse('the sums of the state tree are not those of the checkpoint')

  const epochKeys = documents.epochKeys.map(({ hub, epoch, certificate }) => ({ log: { hub, epoch }, certificate }))
  const frames = documents.frames.map(({ header, signature, entries }): StatementFrame => ({
    header, signature, entries: entries.map(({ index, entry, path: hashes }) => ({ index, bytes: entry, path: hashes })),
  }))
  checkFrames(frames, epochKeys, final, context)
  checkChains(frames, leaf)

  const { lines, sums } = readEntries(placedEntries(frames))
  for (const name of ['minted', 'spent', 'held', 'inflight', 'back'] as const) {
    if (sums[name] !== leaf.totals[name]) refuse(`its entries give ${sums[name]} µcr ${name}, the balance says ${leaf.totals[name]}`)
  }
  if (moneyOf(leaf.totals) - leaf.totals.debt !== leaf.totals.minted - leaf.totals.spent) refuse('its balance is not what came in less what went out')

  compare(input, writeStatementFile({ final, leaf: documents.leaf, path, frames, epochKeys }, federation))
  const receipts = new Set(lines.flatMap(({ receipt }) => receipt === undefined ? [] : [toHex(receipt)]))
  return {
    account: leaf.account, asOfMs: checkpoint.timeMs, checkpoint: final, hubs: final.signatures.map(({ hub }) => hub), balance: leaf.totals, leaf, lines, receipts,
  }
}

/** Every frame is signed with its log's key, is in the checkpoint, and has the entries. */
function checkFrames(frames: readonly StatementFrame[], epochKeys: StatementParts['epochKeys'], { checkpoint }: FinalCheckpoint, context: FrameContext): void {
  const keys = new Map(epochKeys.map(({ log, certificate }) => {
    const { key } = attempt(() => openEpochKey(certificate, log, context), `the key of log ${log.hub}/${log.epoch} is not certified by its hub`)
    return [`${log.hub}/${log.epoch}`, key]
  }))
  const ends = new Map(checkpoint.logs.map(({ log, frame }) => [`${log.hub}/${log.epoch}`, frame]))
  const used = new Set<string>()
  let before: FrameHeader | undefined
  for (const { header: bytes, signature, entries } of frames) {
    const header = openHeader(bytes)
    const name = `${header.hub}/${header.epoch}`
    used.add(name)
    if (header.network !== context.network) refuse('a frame belongs to another network')
    const key = keys.get(name) ?? refuse(`the key of log ${name} is missing`)
    if (!verifySignature(key, signedBytes('logFrame', bytes), signature)) refuse(`frame ${header.no} of log ${name} was not signed with its log's key`)
    if (header.no > (ends.get(name) ?? 0)) refuse(`frame ${header.no} of log ${name} is not in the checkpoint`)
    if (before !== undefined && (compareLogs(before, header) || before.no - header.no) >= 0) refuse('its frames are not in order')
    before = header
    let last = -1
    for (const { index, bytes: entry, path } of entries) {
      if (index <= last || !verifyInclusion(leafHash(entry), index, header.n, path, header.entriesRoot)) refuse(`an entry is not in frame ${header.no} of log ${name}`)
      last = index
    }
  }
  if (used.size !== keys.size || keys.size !== epochKeys.length) refuse('it has a key of a log without entries, or one twice')
}

/** The entries are exactly those whose hash chains stand in the leaf: none is missing, changed or out of order. */
function checkChains(frames: readonly StatementFrame[], { chains }: StateLeaf): void {
  const found = new Map<string, { entries: number; head: Uint8Array | undefined }>()
  for (const { header: bytes, entries } of frames) {
    const { hub, epoch } = openHeader(bytes)
    const name = `${hub}/${epoch}`
    const chain = found.get(name) ?? { entries: 0, head: undefined }
    for (const entry of entries) {
      chain.entries += 1
      chain.head = nextHead(chain.head, entry.bytes)
    }
    found.set(name, chain)
  }
  for (const { log, entries, head } of chains) {
    const chain = found.get(log)
    found.delete(log)
    if ((chain?.entries ?? 0) !== entries) refuse(`log ${log} has ${entries} entries of the account, the statement ${chain?.entries ?? 0}`)
    if (chain?.head === undefined || !bytesEqual(chain.head, head)) refuse(`the entries of log ${log} are not those of the account, or not in order`)
  }
  const [extra] = found.keys()
  if (extra !== undefined) refuse(`it has entries of log ${extra} that are not the account's`)
}

function placedEntries(frames: readonly StatementFrame[]): PlacedEntry[] {
  return frames.flatMap(({ header: bytes, entries }) => {
    const { hub, epoch, no, firstSeq, tsMs } = openHeader(bytes)
    return entries.map(({ index, bytes: entry }) => ({
      entry: attempt(() => decodeEntry(entry), 'an entry cannot be read'), log: { hub, epoch }, frame: no, seq: firstSeq + index, tsMs,
    }))
  })
}

function openHeader(bytes: Uint8Array): FrameHeader {
  return attempt(() => decode(frameHeaderSchema, bytes), 'the header of a frame cannot be read')
}

function refuse(detail: string): never {
  throw new TriforceError('STATEMENT_INVALID', {}, { detail: `the statement is not valid: ${detail}` })
}

function attempt<T>(run: () => T, otherwise: string): T {
  try {
    return run()
  } catch (error) {
    if (toTriforceError(error).code === 'STATEMENT_INVALID') throw error
    return refuse(otherwise)
  }
}

function readFile(input: string): z.output<typeof statementFileSchema> {
  if (input.length > STATEMENT_FILE_CHARS_MAX) refuse('the file is longer than a statement can be')
  const value = attempt(() => JSON.parse(input) as unknown, 'the file is not JSON: it was cut or changed')
  const format = typeof value === 'object' && value !== null ? (value as { format?: unknown }).format : undefined
  if (format !== STATEMENT_FILE_FORMAT) refuse(`its format is ${JSON.stringify(format)?.slice(0, 40) ?? 'missing'}, not "${STATEMENT_FILE_FORMAT}"`)
  const parsed = statementFileSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  return refuse(`the file has no readable ${issue?.path.map(String).join('.') || 'content'} (${issue?.message ?? ''})`)
}

/** Says at which line the text is not what the signed documents give. */
function compare(input: string, canonical: string): void {
  if (input === canonical) return
  const given = input.split('\n')
  const lines = canonical.split('\n')
  const line = lines.findIndex((text, index) => text !== given[index])
  if (line === -1) refuse('there is something after its end')
  const short = (text: string | undefined) => text === undefined ? 'nothing' : `\`${text.trim().slice(0, 80)}\``
  refuse(`line ${line + 1} says ${short(given[line])}, but the signed documents give ${short(lines[line])}`)
}

function time(unixMs: number): string {
  return unixMs <= 8.64e15 ? new Date(unixMs).toISOString() : String(unixMs)
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}
