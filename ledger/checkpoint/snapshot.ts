/**
 * Snapshots: the state at a final checkpoint on this hub's own disk, so that a start folds only what came after it.
 *
 * A snapshot is believed only where its checkpoint has the signatures of two hubs, every chunk has the hash that the
 * manifest names, the root and the sums computed anew from the chunks are those of the checkpoint, holds and gives fit the
 * accounts, and its logs end in frames that are on the disk. Anything else is put aside with a warning, and the logs are
 * folded from their beginning. Two places take turns, so one good snapshot is there while another is written.
 */
import { z } from 'zod'
import { bytesEqual } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { bytesField, countField, hashField, publicKeyField } from '../../protocol/fields.ts'
import { epochField, logIdSchema } from '../../protocol/messages/ledger-fields.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { signedSchema } from '../../protocol/signed.ts'
import { checkState } from '../fold/invariants.ts'
import type { LedgerState, LogName } from '../fold/state.ts'
import { RULES_VERSION, type FrameContext, type LogTail } from '../frame.ts'
import { nameOfLog } from '../hub/hub-state.ts'
import { contentDifferences, decodeFinal, encodeFinal, type FinalCheckpoint } from './checkpoint.ts'
import { createFinalFold, sumProblems, type FinalFold, type FoldStart } from './final-fold.ts'
import { createStateReader, dumpChunks, dumpedFields, STATE_DUMP_FORMAT } from './state-dump.ts'

export const SNAPSHOT_SLOTS = 2

/** Blobs of the store that belong to snapshots. */
export const snapshotRowPrefix = 'snapshot/'
export const manifestKey = (slot: number) => `${snapshotRowPrefix}${slot}`
export const chunkKey = (slot: number, index: number) => `${snapshotRowPrefix}${slot}/${index}`

const tailSchema = z.strictObject({
  log: logIdSchema, no: countField, hash: hashField, size: countField, nodes: z.array(hashField), tsMs: countField,
  seen: z.array(z.strictObject({ epoch: epochField, no: countField })), key: publicKeyField, certificate: signedSchema,
})

const manifestSchema = z.strictObject({
  v: z.literal(1), dump: z.literal(STATE_DUMP_FORMAT), rules: z.literal(RULES_VERSION), fields: z.string(), network: z.string(),
  final: bytesField, tails: z.array(tailSchema), hashes: z.array(hashField),
})
type Manifest = z.output<typeof manifestSchema>

export interface SnapshotRow {
  readonly key: string
  /** Undefined: the row is to go. */
  readonly value: Uint8Array | undefined
}

/**
 * The rows of a snapshot, in the order in which they are to be kept, each one synced before the next is asked for: first the
 * old manifest of the place goes, last the new one comes. `fold` must not change until the last was taken.
 */
export function* snapshotRows(slot: number, final: FinalCheckpoint, fold: Pick<FinalFold, 'state' | 'tails'>): Generator<SnapshotRow> {
  yield { key: manifestKey(slot), value: undefined }
  const hashes: Uint8Array[] = []
  for (const chunk of dumpChunks(fold.state)) {
    yield { key: chunkKey(slot, hashes.length), value: chunk }
    hashes.push(sha256(chunk))
  }
  const manifest: z.input<typeof manifestSchema> = {
    v: 1, dump: STATE_DUMP_FORMAT, rules: RULES_VERSION, fields: dumpedFields.join(' '), network: final.checkpoint.network, final: encodeFinal(final), hashes,
    tails: [...fold.tails.values()].map(({ log, no, hash, tree, tsMs, seen, epochKey }) => ({
      log: { hub: log.hub, epoch: log.epoch }, no, hash: plain(hash), size: tree.size, nodes: tree.nodes.map(plain), tsMs,
      seen: seen.map((of) => ({ epoch: of.epoch, no: of.no })), key: epochKey!.key, certificate: epochKey!.certificate,
    })),
  }
  const bytes = encode(manifest)
  yield { key: manifestKey(slot), value: new Uint8Array(Buffer.concat([sha256(bytes), bytes])) }
}

const plain = (bytes: Uint8Array) => Uint8Array.from(bytes)

export interface SnapshotSource {
  /** Blobs of the store. */
  get(key: string): Promise<Uint8Array | undefined>
  /** Hash of a stored frame; undefined where it is not here. */
  frameHash(log: LogId, no: number): Promise<Uint8Array | undefined>
}

export interface LoadedSnapshot {
  /** The state that goes on with all frames after the snapshot's. */
  readonly live: LedgerState
  /** An instance of its own for the checkpoint machine, and where the logs stand in both. */
  readonly start: FoldStart & { readonly round: number; readonly slot: number }
  readonly final: FinalCheckpoint
}

/** The newest snapshot that can be believed. `onBroken` is told of each that cannot, in a sentence. */
export async function loadSnapshot(source: SnapshotSource, context: FrameContext, onBroken: (text: string) => void): Promise<LoadedSnapshot | undefined> {
  const found: { readonly slot: number; readonly manifest: Manifest; readonly final: FinalCheckpoint }[] = []
  for (let slot = 0; slot < SNAPSHOT_SLOTS; slot += 1) {
    try {
      const manifest = await readManifest(source, slot)
      if (manifest !== undefined) found.push({ slot, manifest, final: decodeFinal(manifest.final, context) })
    } catch (error) {
      onBroken(broken(slot, error))
    }
  }
  found.sort((a, b) => b.final.checkpoint.round - a.final.checkpoint.round)
  for (const { slot, manifest, final } of found) {
    try {
      const tails = await readTails(source, manifest)
      const live = await readState(source, slot, manifest)
      checkRestored(live, tails, final, context)
      const start = { state: await readState(source, slot, manifest), tails, round: final.checkpoint.round, slot }
      return { live, start, final }
    } catch (error) {
      onBroken(broken(slot, error))
    }
  }
  return undefined
}

function broken(slot: number, error: unknown): string {
  const { message } = toTriforceError(error)
  return `snapshot ${slot} is not used: ${message}; the state is computed from the logs instead`
}

function damaged(detail: string): never {
  throw new TriforceError('LOG_DAMAGED', {}, { detail })
}

async function readManifest(source: SnapshotSource, slot: number): Promise<Manifest | undefined> {
  const value = await source.get(manifestKey(slot))
  if (value === undefined) return undefined
  const bytes = value.subarray(32)
  if (!bytesEqual(sha256(bytes), value.subarray(0, 32))) damaged('its manifest is damaged')
  let manifest: Manifest
  try {
    manifest = decode(manifestSchema, bytes)
  } catch {
    return damaged('it has the form of another version of the program')
  }
  return manifest.fields === dumpedFields.join(' ') ? manifest : damaged('it has the form of another version of the program')
}

async function readTails(source: SnapshotSource, { tails }: Manifest): Promise<Map<LogName, LogTail>> {
  const found = new Map<LogName, LogTail>()
  for (const { log, no, hash, size, nodes, tsMs, seen, key, certificate } of tails) {
    const stored = await source.frameHash(log, no)
    if (stored === undefined || !bytesEqual(stored, hash)) damaged(`frame ${no} of log ${nameOfLog(log)}, up to which it goes, is not on the disk`)
    found.set(nameOfLog(log), { log, no, hash, tree: { size, nodes }, tsMs, seen, epochKey: { key, certificate } })
  }
  return found
}

async function readState(source: SnapshotSource, slot: number, { hashes }: Manifest): Promise<LedgerState> {
  const reader = createStateReader()
  for (const [index, hash] of hashes.entries()) {
    const chunk = await source.get(chunkKey(slot, index))
    if (chunk === undefined || !bytesEqual(sha256(chunk), hash)) return damaged(`its part ${index + 1} of ${hashes.length} is damaged or missing`)
    reader.add(chunk)
  }
  return reader.state()
}

/** Throws LOG_DAMAGED where the restored state is not what two hubs have signed. */
function checkRestored(state: LedgerState, tails: ReadonlyMap<LogName, LogTail>, { checkpoint }: FinalCheckpoint, context: FrameContext): void {
  const own = state.network === context.network && state.hubKeys.every((key, hub) => bytesEqual(key, context.hubKeys[hub]!))
  if (!own) damaged('it is of another federation')
  const content = createFinalFold(context, { state, tails }).content()
  const [problem] = [...contentDifferences(checkpoint, content), ...sumProblems(content), ...checkState(state)]
  if (problem !== undefined) damaged(`it is not the state of its checkpoint: ${problem}`)
}
