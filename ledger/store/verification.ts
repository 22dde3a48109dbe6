/**
 * Verifies every stored log from its first frame: contiguous numbers, hash chain, signatures, tree roots, readable
 * entries, index rows. LevelDB itself opens with a hole or a shorter end where a file is broken, so nothing is taken on
 * trust. A broken own log stops the hub with LOG_DAMAGED; a broken copy of another hub's log counts up to its last good
 * frame, and the rest is fetched again.
 */
import type { LogId } from '../../protocol/messages/ledger.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { decodeEntry, peekEntry, type Entry } from '../entries/entry.ts'
import { checkChain, decodeFrame, emptyTail, type Frame, type FrameContext, type LogTail } from '../frame.ts'
import type { Position } from '../state.ts'
import { logName, type LogStore } from './log-store.ts'

export interface VerificationOptions {
  /** Whose logs must be whole. */
  readonly hub: number
  readonly context: FrameContext
  readonly hubNames: readonly string[]
  /** Called with every entry that the fold reads, in the order of its log. */
  readonly apply: (entry: Entry, at: Position) => void
}

export interface Damage {
  readonly log: LogId
  /** First frame that is missing or broken. */
  readonly no: number
  readonly detail: string
}

export interface Verification {
  readonly frames: number
  readonly entries: number
  /** Broken copies of other hubs' logs, one for each log. */
  readonly damages: readonly Damage[]
  /** Index rows that were missing or wrong and are written again. */
  readonly rowsRepaired: number
}

export async function verifyLogs(store: LogStore, { hub, context, hubNames, apply }: VerificationOptions): Promise<Verification> {
  const damages = new Map<string, Damage>()
  let frames = 0
  let entries = 0
  let receipts = 0
  let rowsRepaired = 0

  for await (const rows of store.scan()) {
    const good: Frame[] = []
    for (const { log, no, bytes } of rows) {
      if (damages.has(logName(log))) continue
      const tail = store.tails.get(logName(log)) ?? emptyTail(log)
      const result = check(bytes, no, tail, context)
      if ('detail' in result) {
        const damage = { log, no: tail.no + 1, detail: result.detail }
        if (log.hub === hub) throw ownLogDamaged(damage, hubNames)
        damages.set(logName(log), damage)
        continue
      }
      store.setTail(result.tail)
      good.push(result.frame)
      receipts += result.receipts
      for (const { entry, seq } of result.entries) apply(entry, { tsMs: result.tail.tsMs, ...log, seq })
    }
    rowsRepaired += await store.repairEids(good)
    frames += good.length
    entries += good.reduce((sum, frame) => sum + frame.header.n, 0)
  }

  const listed = await store.countListed()
  if (listed.byAccount !== receipts || listed.byContributor !== receipts) {
    await store.rebuildListings()
    rowsRepaired += receipts
  }
  return { frames, entries, damages: [...damages.values()], rowsRepaired }
}

interface Checked {
  readonly frame: Frame
  readonly tail: LogTail
  /** Those that the fold reads. Tickets and receipts were read when they were stored, and their hashes are checked here. */
  readonly entries: readonly { readonly entry: Entry; readonly seq: number }[]
  readonly receipts: number
}

function check(bytes: Uint8Array, no: number, tail: LogTail, context: FrameContext): Checked | { readonly detail: string } {
  if (no !== tail.no + 1) return { detail: 'it is missing' }
  let frame: Frame
  try {
    frame = decodeFrame(bytes)
  } catch {
    return { detail: 'its bytes cannot be read as a frame' }
  }
  const chain = checkChain(frame, tail, context)
  if (!chain.ok) return { detail: chain.detail }
  const entries: { entry: Entry; seq: number }[] = []
  let receipts = 0
  for (const [index, entryBytes] of frame.entryBytes.entries()) {
    const seq = frame.header.firstSeq + index
    const kind = peekEntry(entryBytes)?.kind
    if (kind === 'JobReceipt') receipts += 1
    if (kind === 'JobReceipt' || kind === 'JobTicket') continue
    try {
      entries.push({ entry: decodeEntry(entryBytes), seq })
    } catch {
      return { detail: `its entry ${seq} cannot be read` }
    }
  }
  return { frame, tail: chain.tail, entries, receipts }
}

export function logLabel(log: LogId, hubNames: readonly string[]): string {
  return `the log of hub "${hubNames[log.hub] ?? log.hub}" (epoch ${log.epoch})`
}

function ownLogDamaged({ log, no, detail }: Damage, hubNames: readonly string[]): TriforceError {
  return new TriforceError('LOG_DAMAGED', { hub: log.hub, epoch: log.epoch, frame: no, problem: detail }, {
    detail: `${logLabel(log, hubNames)} is damaged on this disk at frame ${no}: ${detail}. It is not continued. Keep the ledger folder for inspection, `
      + 'move it aside, and start the hub again with an empty one: it fetches its log back from the other hubs and goes on in a new epoch',
  })
}
