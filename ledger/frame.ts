/**
 * Frames: the unit in which a log grows. A frame is one group commit: some entries, and a header that chains it to the
 * frame before, commits to its entries and to the whole log so far (RFC 6962), and is signed with the log's own key.
 *
 * Pure: building takes the end of a log and gives a frame with the new end; checking takes bytes and the end they must
 * continue. Spec: docs/ledger.md#frames
 */
import { z } from 'zod'
import { bytesEqual } from '../protocol/bytes.ts'
import { decode, encode } from '../protocol/codec.ts'
import { sha256, verifySignature } from '../protocol/crypto.ts'
import { TriforceError } from '../protocol/errors.ts'
import { HUBS_PER_FEDERATION } from '../protocol/federation.ts'
import { bytesField, bytesOf, countField, hashField } from '../protocol/fields.ts'
import { LOG_FRAME_BYTES_MAX, LOG_FRAME_ENTRIES_MAX } from '../protocol/limits.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import { epochField, hubIndexField, LOG_ENTRY_BYTES_MAX, LOG_STORED_FRAME_BYTES_MAX } from '../protocol/messages/ledger-fields.ts'
import type { Signer } from '../protocol/ports.ts'
import { bytesFrom, countFrom, isBytes, isCount, isHash, listOf, oneOf, shapeOf, textUpTo } from '../protocol/shape.ts'
import { openDocument, signedBytes, type Signed } from '../protocol/signed.ts'
import { epochKeySchema, type EpochKey } from './entries/control.ts'
import { decodeEntry, expectedEid, type EncodedEntry, type Entry } from './entries/entry.ts'
import { appendLeaves, emptyFrontier, leafHash, rootOf, rootOfLeaves, type Frontier } from '../protocol/merkle.ts'
import { isPlanted } from './planted-bugs.ts'

/** Rules by which entries are folded; a frame under newer rules than these is refused, not guessed at. */
export const RULES_VERSION = 1

const isEpoch = countFrom(0, 0xffff_ffff)
const seenSchema = z.strictObject({ epoch: epochField, no: countField })

export const frameHeaderSchema = z.strictObject({
  v: z.literal(1),
  network: z.string().max(64),
  hub: hubIndexField,
  epoch: epochField,
  /** 1 is the first. */
  no: countField.min(1),
  /** Number of the first entry in the log; 0 is the first of all. */
  firstSeq: countField,
  n: z.number().int().min(1).max(LOG_FRAME_ENTRIES_MAX),
  /** SHA-256 of the header before; 32 zero bytes in frame 1. */
  prevHash: hashField,
  /** RFC 6962 root over this frame's entries: a receipt's proof is then at most ten hashes. */
  entriesRoot: hashField,
  /** RFC 6962 head of the whole log with this frame. */
  treeSize: countField,
  treeRoot: hashField,
  /** Grows with every frame of a log, also where the clock does not. */
  tsMs: countField,
  /** What of each hub's newest log was on the author's disk. */
  seen: z.array(seenSchema).length(HUBS_PER_FEDERATION),
  rules: z.number().int().min(0).max(0xffff),
})
export type FrameHeader = z.output<typeof frameHeaderSchema>
/** A header as it must be, for `decode`. */
export const looksLikeHeader = shapeOf({
  v: oneOf(1), network: textUpTo(64), hub: countFrom(0, HUBS_PER_FEDERATION - 1), epoch: isEpoch, no: countFrom(1), firstSeq: isCount,
  n: countFrom(1, LOG_FRAME_ENTRIES_MAX), prevHash: isHash, entriesRoot: isHash, treeSize: isCount, treeRoot: isHash, tsMs: isCount,
  seen: listOf(shapeOf({ epoch: isEpoch, no: isCount }), HUBS_PER_FEDERATION, HUBS_PER_FEDERATION), rules: countFrom(0, 0xffff),
})
export type Seen = FrameHeader['seen']

export const storedFrameSchema = z.strictObject({ header: bytesField, signature: bytesOf(64), entries: z.array(bytesField) })
export const looksLikeStored = shapeOf({ header: isBytes, signature: bytesFrom(64), entries: listOf(isBytes, 0, LOG_FRAME_ENTRIES_MAX) })

/** The end of a log: all that is needed to check or build its next frame. */
export interface LogTail {
  readonly log: LogId
  /** Frames in the log. */
  readonly no: number
  readonly hash: Uint8Array
  readonly tree: Frontier
  readonly tsMs: number
  readonly seen: Seen
  /** The certificate of the key that signs this log; absent while the log is empty. */
  readonly epochKey: { readonly key: Uint8Array; readonly certificate: Signed } | undefined
}

export interface Frame {
  readonly log: LogId
  readonly bytes: Uint8Array
  readonly headerBytes: Uint8Array
  readonly header: FrameHeader
  readonly signature: Uint8Array
  readonly entryBytes: readonly Uint8Array[]
  /** SHA-256 of the header's bytes. */
  readonly hash: Uint8Array
}

/** A frame that was checked, its entries decoded: all that the fold reads. */
export interface FoldableFrame extends Frame {
  readonly entries: readonly Entry[]
}

/** A frame that is known to continue its log, and the log's end after it. */
export interface CheckedFrame extends FoldableFrame {
  readonly tail: LogTail
}

export interface FrameContext {
  readonly network: string
  /** Node keys of the three hubs. */
  readonly hubKeys: readonly Uint8Array[]
}

/** `prevHash` with a valid signature is special: the author has signed two histories. */
export type FrameProblem =
  | 'decode' | 'network' | 'log' | 'no' | 'rules' | 'epochKey' | 'signature' | 'prevHash' | 'sequence' | 'time' | 'seen'
  | 'entriesRoot' | 'treeRoot' | 'entry'

export type FrameCheck =
  | { readonly ok: true; readonly frame: CheckedFrame }
  | { readonly ok: false; readonly problem: FrameProblem; readonly detail: string }

const ZERO_HASH = new Uint8Array(32)

export function emptyTail(log: LogId): LogTail {
  const seen = Array.from({ length: HUBS_PER_FEDERATION }, () => ({ epoch: 0, no: 0 }))
  return { log, no: 0, hash: ZERO_HASH, tree: emptyFrontier, tsMs: 0, seen, epochKey: undefined }
}

export function buildFrame(
  tail: LogTail, entries: readonly EncodedEntry[],
  { network, signer, nowMs, seen }: { readonly network: string; readonly signer: Signer; readonly nowMs: number; readonly seen: Seen },
): CheckedFrame {
  const leaves = entries.map(({ bytes }) => leafHash(bytes))
  const tree = appendLeaves(tail.tree, leaves)
  const header: FrameHeader = {
    v: 1, network, ...tail.log, no: tail.no + 1, firstSeq: tail.tree.size, n: entries.length, prevHash: tail.hash,
    entriesRoot: rootOfLeaves(leaves), treeSize: tree.size, treeRoot: rootOf(tree), tsMs: Math.max(tail.tsMs + 1, nowMs), seen, rules: RULES_VERSION,
  }
  const headerBytes = encode(header)
  const signature = signer.sign(signedBytes('logFrame', headerBytes))
  const entryBytes = entries.map(({ bytes }) => bytes)
  const first = entries[0]!.entry
  const epochKey = tail.epochKey ?? (first.k === 'EpochOpen' ? { key: signer.publicKey, certificate: first.key } : undefined)
  const hash = sha256(headerBytes)
  return {
    log: tail.log, bytes: encode({ header: headerBytes, signature, entries: entryBytes }), headerBytes, header, signature, entryBytes, hash,
    entries: entries.map(({ entry }) => entry),
    tail: { log: tail.log, no: header.no, hash, tree, tsMs: header.tsMs, seen, epochKey },
  }
}

/** Throws FRAME_MALFORMED; checks form and bounds only. The frame's parts lie in `bytes`, which must not change any more. */
export function decodeFrame(bytes: Uint8Array): Frame {
  const { header: headerBytes, signature, entries: entryBytes } = decode(storedFrameSchema, bytes, looksLikeStored, { views: true })
  const header = decode(frameHeaderSchema, headerBytes, looksLikeHeader)
  return { log: { hub: header.hub, epoch: header.epoch }, bytes, headerBytes, header, signature, entryBytes, hash: sha256(headerBytes) }
}

/** True where the frame's header was signed with the key of its log. */
export function frameSigned(frame: Frame, key: Uint8Array): boolean {
  return verifySignature(key, signedBytes('logFrame', frame.headerBytes), frame.signature)
}

/**
 * Does the frame continue this log? Everything that can be checked without other logs is checked. `signed`: its signature was
 * checked a moment ago, by whoever read it from the disk.
 */
export function checkFrame(frame: Frame, tail: LogTail, context: FrameContext, { signed = false }: { readonly signed?: boolean } = {}): FrameCheck {
  const chain = checkChain(frame, tail, context, { signed })
  if (!chain.ok) return chain
  const entries: Entry[] = []
  for (const [index, bytes] of frame.entryBytes.entries()) {
    const fail = (detail: string): FrameCheck => ({ ok: false, problem: 'entry', detail: `entry ${frame.header.firstSeq + index} ${detail}` })
    try {
      const entry = decodeEntry(bytes)
      if (!bytesEqual(entry.eid, expectedEid(entry))) return fail('does not have the id of its content')
      if ((entry.k === 'EpochOpen') !== (frame.header.firstSeq + index === 0)) return fail('is an EpochOpen that does not stand first, or is first and none')
      entries.push(entry)
    } catch {
      return fail('cannot be read')
    }
  }
  return { ok: true, frame: { ...frame, entries, tail: chain.tail } }
}

/** As `checkFrame`, without reading the entries: enough for a frame that was checked when it was stored. */
export function checkChain(
  frame: Frame, tail: LogTail, context: FrameContext, { signed = false }: { readonly signed?: boolean } = {},
): { readonly ok: true; readonly tail: LogTail } | Extract<FrameCheck, { ok: false }> {
  const { header, entryBytes } = frame
  const fail = (problem: FrameProblem, detail: string) => ({ ok: false as const, problem, detail })

  if (header.network !== context.network) return fail('network', `it belongs to the network "${header.network}"`)
  if (header.hub !== tail.log.hub || header.epoch !== tail.log.epoch) return fail('log', 'it belongs to another log')
  if (header.no !== tail.no + 1) return fail('no', `it has number ${header.no}, not ${tail.no + 1}`)
  if (header.rules > RULES_VERSION) return fail('rules', `it follows rules ${header.rules}; this program knows ${RULES_VERSION}`)

  const epochKey = tail.epochKey ?? epochKeyIn(frame, context)
  if (epochKey === undefined) return fail('epochKey', 'the log does not begin with a key that its hub has certified')
  if (!signed && !frameSigned(frame, epochKey.key)) return fail('signature', "its signature is not that of the log's key")
  if (!bytesEqual(header.prevHash, tail.hash) && !isPlanted('no-chain-check')) return fail('prevHash', 'it does not continue the frame before it')

  const size = tail.tree.size + entryBytes.length
  if (header.n !== entryBytes.length || header.firstSeq !== tail.tree.size || header.treeSize !== size) {
    return fail('sequence', 'its entries are not numbered on from the frame before')
  }
  if (header.tsMs <= tail.tsMs) return fail('time', 'its time is not after that of the frame before')
  if (header.seen.some((now, hub) => (now.epoch - tail.seen[hub]!.epoch || now.no - tail.seen[hub]!.no) < 0)) {
    return fail('seen', 'what it says of other logs goes back behind the frame before')
  }
  if (frame.bytes.byteLength > LOG_STORED_FRAME_BYTES_MAX || entryBytes.reduce((sum, bytes) => sum + bytes.byteLength, 0) > LOG_FRAME_BYTES_MAX
    || entryBytes.some((bytes) => bytes.byteLength > LOG_ENTRY_BYTES_MAX)) return fail('entry', 'its entries are larger than allowed')

  const leaves = entryBytes.map(leafHash)
  if (!bytesEqual(rootOfLeaves(leaves), header.entriesRoot)) return fail('entriesRoot', 'its entries do not give its root')
  const tree = appendLeaves(tail.tree, leaves)
  if (!bytesEqual(rootOf(tree), header.treeRoot) && !isPlanted('no-chain-check')) return fail('treeRoot', 'the log up to it does not give its tree root')

  return { ok: true, tail: { log: tail.log, no: header.no, hash: frame.hash, tree, tsMs: header.tsMs, seen: header.seen, epochKey } }
}

/** The key certificate in the first entry of frame 1, where it is what it must be. */
function epochKeyIn(frame: Frame, context: FrameContext): LogTail['epochKey'] {
  const first = frame.entryBytes[0]
  if (frame.header.no !== 1 || first === undefined) return undefined
  try {
    const entry = decodeEntry(first)
    // The fold opens the log that the entry names; another one than the header's would stop whoever takes the frame.
    if (entry.k !== 'EpochOpen' || entry.hub !== frame.log.hub || entry.epoch !== frame.log.epoch) return undefined
    const { key } = openEpochKey(entry.key, frame.log, context)
    return { key, certificate: entry.key }
  } catch {
    return undefined
  }
}

/** The certificate's content, where its hub signed it for this log. Throws SIGNATURE_INVALID or FRAME_MALFORMED. */
export function openEpochKey(certificate: Signed, log: LogId, context: FrameContext): EpochKey {
  const content = openDocument('epochKey', epochKeySchema, certificate)
  const fits = bytesEqual(certificate.key, context.hubKeys[log.hub]!) && content.network === context.network
    && content.hub === log.hub && content.epoch === log.epoch
  if (!fits) throw new TriforceError('SIGNATURE_INVALID', { document: 'epochKey' })
  return content
}
