/**
 * Verifies every stored log from its first frame: contiguous numbers, hash chain, signatures, tree roots, readable
 * entries, index rows. LevelDB itself opens with a hole or a shorter end where a file is broken, so nothing is taken on
 * trust. A log counts up to its last good frame, and the rest is fetched again from the other hubs.
 *
 * In the own log a frame that is broken is told apart from an end that is lost: where everything behind it is whole and
 * hangs together, nothing but that frame is missing, and the log can be continued once it is back.
 */
import { bytesEqual } from '../../protocol/bytes.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { decodeEntry, peekEntry } from '../entries/entry.ts'
import { checkChain, decodeFrame, emptyTail, type Frame, type FrameContext, type LogTail } from '../frame.ts'
import { readable } from './frame-reader.ts'
import { logName, type LogStore } from './log-store.ts'
import { createRowSum } from './row-sum.ts'

export interface VerificationOptions {
  /** Whose log must be whole to be continued. */
  readonly hub: number
  readonly context: FrameContext
  readonly hubNames: readonly string[]
}

export interface Damage {
  readonly log: LogId
  /** First frame that is missing or broken. */
  readonly no: number
  readonly detail: string
  /** The last frame, where all frames behind the broken ones are whole and hang together; undefined where an end may be lost. */
  readonly end: { readonly no: number; readonly hash: Uint8Array } | undefined
}

export interface Verification {
  readonly frames: number
  readonly entries: number
  /** Broken logs, each once. */
  readonly damages: readonly Damage[]
  /** Index rows that were missing or wrong and are written again. */
  readonly rowsRepaired: number
}

/** What stands behind the first broken frame of a log. */
interface Behind {
  readonly damage: Omit<Damage, 'end'>
  readonly key: Uint8Array | undefined
  last: Frame | undefined
  /** Number of the last row, readable or not. */
  lastNo: number
  whole: boolean
}

export async function verifyLogs(store: LogStore, { context }: VerificationOptions): Promise<Verification> {
  const broken = new Map<string, Behind>()
  const listings = createRowSum()
  let frames = 0
  let entries = 0
  let rowsRepaired = 0

  for await (const rows of store.scan()) {
    const good: Frame[] = []
    for (const { log, no, bytes } of rows) {
      const behind = broken.get(logName(log))
      if (behind !== undefined) {
        lookBehind(behind, log, no, bytes)
        continue
      }
      const tail = store.tails.get(logName(log)) ?? emptyTail(log)
      const result = check(bytes, no, tail, context)
      if ('detail' in result) {
        const found: Behind = { damage: { log, no: tail.no + 1, detail: result.detail }, key: tail.epochKey?.key, last: undefined, lastNo: tail.no, whole: true }
        broken.set(logName(log), found)
        lookBehind(found, log, no, bytes)
        continue
      }
      store.setTail(result.tail)
      good.push(result.frame)
    }
    rowsRepaired += await store.repairEids(good)
    for (const frame of good) {
      frames += 1
      entries += frame.header.n
      for (const { key, value } of await store.listingsOf(frame)) listings.add(key, value)
    }
  }

  const stored = await store.sumOfListings()
  if (!stored.equals(listings)) {
    await store.rebuildListings()
    rowsRepaired += listings.rows
  }
  const damages = [...broken.values()].map(({ damage, last, lastNo, whole }): Damage => ({
    ...damage, end: whole && last !== undefined && last.header.no === lastNo ? { no: lastNo, hash: last.hash } : undefined,
  }))
  return { frames, entries, damages, rowsRepaired }
}

function lookBehind(behind: Behind, log: LogId, no: number, bytes: Uint8Array): void {
  behind.lastNo = no
  const found = behind.key === undefined ? undefined : readable(bytes, log, no, behind.key)
  if (found === undefined) return
  const joins = behind.last?.header.no !== no - 1 || bytesEqual(found.header.prevHash, behind.last.hash)
  if (!joins) behind.whole = false
  behind.last = found
}

interface Checked {
  readonly frame: Frame
  readonly tail: LogTail
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
  for (const [index, entryBytes] of frame.entryBytes.entries()) {
    // Receipts were read when they were stored, and their hashes are checked above.
    if (peekEntry(entryBytes)?.kind === 'JobReceipt') continue
    try {
      decodeEntry(entryBytes)
    } catch {
      return { detail: `its entry ${frame.header.firstSeq + index} cannot be read` }
    }
  }
  return { frame, tail: chain.tail }
}

export function logLabel(log: LogId, hubNames: readonly string[]): string {
  return `the log of hub "${hubNames[log.hub] ?? log.hub}" (epoch ${log.epoch})`
}
