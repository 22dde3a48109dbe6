/**
 * Checkpoints: what all logs together give up to certain frames, as text of which two hubs sign the exact bytes.
 *
 *     triforce.ckpt/v1
 *     network <name>
 *     round <n>
 *     prev <SHA-256 of the final checkpoint before, 64 zeros in the first>
 *     time <Unix ms of the proposer>
 *     log <hub> <epoch> <frame> <treeSize> <treeRoot> live|sealed|refused        one for each log, ascending
 *     state <root of the state tree> accounts <n> available <µcr> held <µcr> inflight ... frozen ... back ... debt ... minted ... spent ...
 *     system <name> <µcr>                                                        one for each, ascending by name
 *
 * Lines end with a line feed, numbers are decimal, hashes hexadecimal. Spec: docs/ledger.md#checkpoints
 */
import { z } from 'zod'
import { bytesEqual, fromHex, toHex } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { sha256, verifySignature } from '../../protocol/crypto.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { bytesOf } from '../../protocol/fields.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { CHECKPOINT_BYTES_MAX } from '../../protocol/messages/ledger-checkpoint.ts'
import { bytesUpTo, hubIndexField } from '../../protocol/messages/ledger-fields.ts'
import type { Signer } from '../../protocol/ports.ts'
import { signedBytes } from '../../protocol/signed.ts'
import type { LogName } from '../fold/state.ts'
import type { FrameContext } from '../frame.ts'
import { nameOfLog } from '../hub/hub-state.ts'
import { totalNames, type StateTotals } from './state-leaf.ts'

/** Signatures of distinct hubs that make a checkpoint final. */
export const FINAL_SIGNATURES = 2

const logStates = ['live', 'sealed', 'refused'] as const

export interface CheckpointLog {
  readonly log: LogId
  /** Its last frame that is in the state. */
  readonly frame: number
  /** The log's RFC 6962 head at that frame. */
  readonly treeSize: number
  readonly treeRoot: Uint8Array
  readonly is: typeof logStates[number]
}

/** What the state at these frames is. */
export interface CheckpointContent {
  /** Ascending by hub and epoch. */
  readonly logs: readonly CheckpointLog[]
  readonly root: Uint8Array
  readonly accounts: number
  readonly totals: StateTotals
  /** µcr of `system:` accounts, ascending by name. */
  readonly system: readonly (readonly [string, bigint])[]
}

export interface Checkpoint extends CheckpointContent {
  readonly network: string
  readonly round: number
  readonly prev: Uint8Array
  readonly timeMs: number
}

export interface Cosignature {
  readonly hub: number
  readonly signature: Uint8Array
}

/** A checkpoint that at least two hubs have signed. */
export interface FinalCheckpoint {
  readonly checkpoint: Checkpoint
  /** The exact bytes that were signed. */
  readonly body: Uint8Array
  readonly signatures: readonly Cosignature[]
  /** SHA-256 of `body`. */
  readonly hash: Uint8Array
}

export const NO_CHECKPOINT_HASH = new Uint8Array(32)

export function checkpointBytes(checkpoint: Checkpoint): Uint8Array {
  const { network, round, prev, timeMs } = checkpoint
  const lines = ['triforce.ckpt/v1', `network ${network}`, `round ${round}`, `prev ${toHex(prev)}`, `time ${timeMs}`, ...contentLines(checkpoint)]
  return new Uint8Array(Buffer.from(`${lines.join('\n')}\n`, 'utf8'))
}

function contentLines({ logs, root, accounts, totals, system }: CheckpointContent): string[] {
  return [
    ...logs.map(({ log, frame, treeSize, treeRoot, is }) => `log ${log.hub} ${log.epoch} ${frame} ${treeSize} ${toHex(treeRoot)} ${is}`),
    `state ${toHex(root)} accounts ${accounts} ${totalNames.map((name) => `${name} ${totals[name]}`).join(' ')}`,
    ...system.map(([name, amount]) => `system ${name} ${amount}`),
  ]
}

const headPattern = /^triforce\.ckpt\/v1\nnetwork (?<network>\S{1,64})\nround (?<round>\d{1,16})\nprev (?<prev>[0-9a-f]{64})\ntime (?<time>\d{1,16})\n/
const logPattern = /^log (?<hub>[0-2]) (?<epoch>\d{1,10}) (?<frame>\d{1,16}) (?<size>\d{1,16}) (?<root>[0-9a-f]{64}) (?<is>live|sealed|refused)$/
const statePattern = new RegExp(`^state (?<root>[0-9a-f]{64}) accounts (?<accounts>\\d{1,16}) ${totalNames.map((name) => `${name} (?<${name}>\\d{1,40})`).join(' ')}$`)
const systemPattern = /^system (?<name>\S{1,64}) (?<amount>-?\d{1,40})$/

/** Throws FRAME_MALFORMED where the bytes are not exactly those that `checkpointBytes` writes for what they say. */
export function parseCheckpoint(bytes: Uint8Array): Checkpoint {
  const malformed = (problem: string): never => { throw new TriforceError('FRAME_MALFORMED', { field: 'checkpoint', problem }) }
  if (bytes.byteLength > CHECKPOINT_BYTES_MAX) return malformed('too long')
  const text = Buffer.from(bytes).toString('utf8')
  const head = headPattern.exec(text)
  if (head?.groups === undefined) return malformed('its first five lines')
  const lines = text.slice(head[0].length).split('\n')
  const logs: CheckpointLog[] = []
  const system: [string, bigint][] = []
  let state: Record<string, string> | undefined
  for (const [at, line] of lines.entries()) {
    if (at === lines.length - 1 && line === '') break
    const log = logPattern.exec(line)?.groups
    const sums = statePattern.exec(line)?.groups
    const named = systemPattern.exec(line)?.groups
    if (log !== undefined && state === undefined) {
      logs.push({
        log: { hub: Number(log['hub']), epoch: Number(log['epoch']) }, frame: Number(log['frame']), treeSize: Number(log['size']), treeRoot: fromHex(log['root']!)!,
        is: logStates.find((name) => name === log['is'])!,
      })
    } else if (sums !== undefined && state === undefined) {
      state = sums
    } else if (named !== undefined && state !== undefined) {
      system.push([named['name']!, BigInt(named['amount']!)])
    } else {
      return malformed(`line ${at + 6}`)
    }
  }
  if (state === undefined) return malformed('no line about the state')
  const said = state
  const amount = (name: keyof StateTotals) => BigInt(said[name]!)
  const { network, round, prev, time } = head.groups
  const checkpoint: Checkpoint = {
    network: network!, round: Number(round), prev: fromHex(prev!)!, timeMs: Number(time), logs, root: fromHex(said['root']!)!, accounts: Number(said['accounts']),
    totals: {
      available: amount('available'), held: amount('held'), inflight: amount('inflight'), frozen: amount('frozen'), back: amount('back'),
      debt: amount('debt'), minted: amount('minted'), spent: amount('spent'),
    },
    system,
  }
  const ascending = logs.every(({ log }, at) => at === 0 || compareLogs(logs[at - 1]!.log, log) < 0)
    && system.every(([name], at) => at === 0 || system[at - 1]![0] < name)
  if (!ascending) return malformed('its lines are not in order')
  if (!bytesEqual(checkpointBytes(checkpoint), bytes)) return malformed('a number is not written as it should be')
  return checkpoint
}

export function compareLogs(a: LogId, b: LogId): number {
  return a.hub - b.hub || a.epoch - b.epoch
}

export function signCheckpoint(signer: Signer, body: Uint8Array): Uint8Array {
  return signer.sign(signedBytes('checkpoint', body))
}

export function checkpointSigned(body: Uint8Array, { hub, signature }: Cosignature, { hubKeys }: FrameContext): boolean {
  const key = hubKeys[hub]
  return key !== undefined && verifySignature(key, signedBytes('checkpoint', body), signature)
}

/**
 * A final checkpoint from its bytes. Signatures are checked, put in order of hubs and each hub's counted once.
 * Throws FRAME_MALFORMED, or SIGNATURE_INVALID where one is false or they are of fewer than two hubs of this network.
 */
export function openFinal(body: Uint8Array, signatures: readonly Cosignature[], context: FrameContext): FinalCheckpoint {
  const checkpoint = parseCheckpoint(body)
  const distinct = new Map(signatures.map((signature) => [signature.hub, signature]))
  const valid = checkpoint.network === context.network && distinct.size >= FINAL_SIGNATURES
    && signatures.every((signature) => checkpointSigned(body, signature, context))
  if (!valid) throw new TriforceError('SIGNATURE_INVALID', { document: 'checkpoint', round: checkpoint.round })
  return { checkpoint, body, signatures: [...distinct.values()].sort((a, b) => a.hub - b.hub), hash: sha256(body) }
}

const storedSchema = z.strictObject({
  v: z.literal(1), body: bytesUpTo(CHECKPOINT_BYTES_MAX), signatures: z.array(z.strictObject({ hub: hubIndexField, signature: bytesOf(64) })).max(3),
})

/** For the store; `readFinal` reads it. */
export function encodeFinal({ body, signatures }: Pick<FinalCheckpoint, 'body' | 'signatures'>): Uint8Array {
  return encode({ v: 1, body, signatures: signatures.map(({ hub, signature }) => ({ hub, signature })) })
}

/** Throws as `openFinal`. */
export function decodeFinal(bytes: Uint8Array, context: FrameContext): FinalCheckpoint {
  const { body, signatures } = decode(storedSchema, bytes)
  return openFinal(body, signatures, context)
}

/** Frames by log. */
export type Frontiers = ReadonlyMap<LogName, number>

export function framesOf({ logs }: Pick<CheckpointContent, 'logs'>): Frontiers {
  return new Map(logs.map(({ log, frame }) => [nameOfLog(log), frame]))
}

/** True where `a` has every frame of `b`. */
export function covers(a: Frontiers, b: Frontiers): boolean {
  for (const [log, frame] of b) if ((a.get(log) ?? 0) < frame) return false
  return true
}

/** What differs between what was proposed and what was computed here, in words; empty where nothing does. */
export function contentDifferences(proposed: CheckpointContent, computed: CheckpointContent): string[] {
  const found: string[] = []
  const compare = (what: string, theirs: unknown, ours: unknown) => {
    if (String(theirs) !== String(ours)) found.push(`${what} is ${String(theirs)} there and ${String(ours)} here`)
  }
  const here = new Map(computed.logs.map((row) => [nameOfLog(row.log), row]))
  for (const theirs of proposed.logs) {
    const name = nameOfLog(theirs.log)
    const ours = here.get(name)
    here.delete(name)
    compare(`frame of log ${name}`, theirs.frame, ours?.frame ?? 'missing')
    compare(`entries in log ${name}`, theirs.treeSize, ours?.treeSize ?? 'missing')
    compare(`tree root of log ${name}`, toHex(theirs.treeRoot), ours === undefined ? 'missing' : toHex(ours.treeRoot))
    compare(`status of log ${name}`, theirs.is, ours?.is ?? 'missing')
  }
  for (const [name, { frame }] of here) compare(`frame of log ${name}`, 'missing', frame)
  compare('number of accounts', proposed.accounts, computed.accounts)
  for (const name of totalNames) compare(name, proposed.totals[name], computed.totals[name])
  const ours = new Map(computed.system)
  for (const [name, amount] of proposed.system) {
    compare(name, amount, ours.get(name) ?? 'missing')
    ours.delete(name)
  }
  for (const [name, amount] of ours) compare(name, 'missing', amount)
  compare('root of the state', toHex(proposed.root), toHex(computed.root))
  return found
}
