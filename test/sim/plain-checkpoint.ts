/** Final checkpoints as they lie on a disk, read as the text that docs/ledger.md describes; and which seals are signed there. */
import { decodeFrame, type FrameHeader } from '../../ledger/frame.ts'
import { decodeSealRow, sealRowPrefix } from '../../ledger/hub/seal-documents.ts'
import { frameKey, keptKey } from '../../ledger/store/buckets.ts'
import { withoutSum } from '../../ledger/store/checked-value.ts'
import { toHex } from '../../protocol/bytes.ts'
import { keyBytes, keyText, spoiltValues, type DiskImage } from './sim-disk.ts'

export interface PlainCheckpoint {
  readonly round: number
  /** Frames by log, `<hub>/<epoch>`. */
  readonly frames: ReadonlyMap<string, number>
  /** Hexadecimal roots of the logs' trees with those frames. */
  readonly trees: ReadonlyMap<string, string>
  /** Logs that are sealed or refused. */
  readonly ended: ReadonlySet<string>
  /** Hexadecimal. */
  readonly root: string
}

const KEY = keptKey('checkpoint/final')
const read = new WeakMap<Uint8Array, PlainCheckpoint | undefined>()

/** The newest final checkpoint on the disk; undefined where there is none or its row is broken. */
export function finalOn({ rows }: DiskImage): PlainCheckpoint | undefined {
  const row = rows.get(keyText(KEY))
  if (row === undefined) return undefined
  if (!read.has(row)) read.set(row, parse(withoutSum(KEY, row)))
  return read.get(row)
}

/** Logs whose seal both other hubs have signed, as this disk says: `<hub>/<epoch>`. */
export function sealsOn({ keys, rows }: DiskImage): string[] {
  const prefix = keyText(keptKey(sealRowPrefix))
  return keys.filter((key) => key.startsWith(prefix)).flatMap((key) => {
    const bytes = withoutSum(keyBytes(key), rows.get(key)!)
    if (bytes === undefined) return []
    const { log, signatures } = decodeSealRow(bytes)
    return signatures.length === 2 ? [`${log.hub}/${log.epoch}`] : []
  })
}

function parse(bytes: Uint8Array | undefined): PlainCheckpoint | undefined {
  if (bytes === undefined) return undefined
  const text = Buffer.from(bytes).toString('latin1')
  const lines = text.slice(text.indexOf('triforce.ckpt/v1\n')).split('\n').map((line) => line.split(' '))
  const one = (name: string) => lines.find(([first]) => first === name)!
  const logs = lines.filter(([first]) => first === 'log')
  return {
    round: Number(one('round')[1]), root: one('state')[1]!,
    frames: new Map(logs.map(([, hub, epoch, frame]) => [`${hub}/${epoch}`, Number(frame)])),
    trees: new Map(logs.map(([, hub, epoch, , , tree]) => [`${hub}/${epoch}`, tree!])),
    ended: new Set(logs.filter((words) => words.at(-1) !== 'live').map(([, hub, epoch]) => `${hub}/${epoch}`)),
  }
}

/** Has it all of these frames? */
export function hasAll({ frames }: PlainCheckpoint, heads: readonly { readonly hub: number; readonly epoch: number; readonly frames: number }[]): boolean {
  return heads.every(({ hub, epoch, frames: count }) => (frames.get(`${hub}/${epoch}`) ?? 0) >= count)
}

/** Everything that its frames rest on must be in it: what the last frame of each log had seen of the others. */
export function opennessOf(checkpoint: PlainCheckpoint, images: readonly DiskImage[]): string[] {
  const problems: string[] = []
  for (const [name, no] of checkpoint.frames) {
    const [hub, epoch] = name.split('/').map(Number)
    const key = keyText(frameKey({ hub: hub!, epoch: epoch! }, no))
    // Of a log with two histories the disks may have different frames with one number.
    const header = images.flatMap(({ rows }) => headerOf(rows.get(key)) ?? []).find(({ treeRoot }) => toHex(treeRoot) === checkpoint.trees.get(name))
    for (const [other, seen] of (header?.seen ?? []).entries()) {
      const log = `${other}/${seen.epoch}`
      if (seen.no === 0 || other === hub || checkpoint.ended.has(log) || (checkpoint.frames.get(log) ?? 0) >= seen.no) continue
      problems.push(`round ${checkpoint.round} has frame ${no} of log ${name}, which has seen frame ${seen.no} of log ${log}, and of that only ${checkpoint.frames.get(log) ?? 0}`)
    }
  }
  return problems
}

function headerOf(stored: Uint8Array | undefined): FrameHeader | undefined {
  try {
    // A flipped bit may leave a frame that can be read, and says something else.
    return stored === undefined || spoiltValues.has(stored) ? undefined : decodeFrame(stored).header
  } catch {
    // Torn by the simulator.
    return undefined
  }
}
