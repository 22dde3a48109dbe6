/**
 * What the entries of one account come to: a line for each, in words, and the sums that they give. It knows nothing but
 * the entries themselves, so the holder of a statement can add up what the hubs say.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { Entry } from '../entries/entry.ts'
import type { StatementLine } from '../interface.ts'
import { compareLogs } from './checkpoint.ts'

/** An entry and where it stands. */
export interface PlacedEntry {
  readonly entry: Entry
  readonly log: LogId
  readonly frame: number
  /** Number of the entry in its log. */
  readonly seq: number
  readonly tsMs: number
}

export interface PlacedLine extends StatementLine {
  readonly frame: number
}

/** µcr that follow from the entries alone. */
export interface EntrySums {
  readonly minted: bigint
  readonly spent: bigint
  readonly held: bigint
  readonly inflight: bigint
  readonly back: bigint
}

interface Held { readonly log: string; credits: bigint; open: boolean; readonly priceRow: string }

/** By time, then log and number. */
export function comparePlaced(a: PlacedEntry, b: PlacedEntry): number {
  return a.tsMs - b.tsMs || compareLogs(a.log, b.log) || a.seq - b.seq
}

/** `entries`: all that have moved money or quota of one account. Lines are in order of time. */
export function readEntries(entries: readonly PlacedEntry[]): { readonly lines: readonly PlacedLine[]; readonly sums: EntrySums } {
  const holds = collectHolds(entries)
  const gives = new Map<string, { readonly from: string; readonly amount: bigint; done: boolean }>()
  for (const { entry, log } of entries) {
    if (entry.k === 'Give' && entry.unit === 0) gives.set(`${toHex(entry.eid)}/${nameOf(log)}`, { from: nameOf(log), amount: entry.amount, done: false })
  }
  const sums = { minted: 0n, spent: 0n, held: 0n, inflight: 0n, back: 0n }
  const lines = [...entries].sort(comparePlaced).map((placed) => {
    const moved = movedBy(placed, holds, gives)
    if (moved.amount > 0n && placed.entry.k !== 'Refund') sums.minted += moved.amount
    else sums.spent -= moved.amount
    sums.held += moved.held
    sums.back += moved.back
    const { entry, log, frame, seq, tsMs } = placed
    const line: PlacedLine = {
      id: entry.eid, kind: entry.k, at: tsMs, hub: log.hub, epoch: log.epoch, frame, seq, amount: moved.amount, held: moved.held,
      quotaTokens: moved.quotaTokens, why: moved.why, hold: moved.hold, receipt: moved.receipt,
    }
    return line
  })
  for (const { amount, done } of gives.values()) if (!done) sums.inflight += amount
  return { lines, sums }
}

const nameOf = ({ hub, epoch }: LogId) => `${hub}/${epoch}`

/** By id; a hub that lost its disk may have two of one id, in two logs. */
function collectHolds(entries: readonly PlacedEntry[]): Map<string, Held[]> {
  const holds = new Map<string, Held[]>()
  for (const { entry, log } of entries) {
    if (entry.k !== 'Hold') continue
    const id = toHex(entry.eid)
    holds.set(id, [...holds.get(id) ?? [], { log: nameOf(log), credits: entry.credits, open: true, priceRow: entry.priceRow }])
  }
  for (const { entry, log } of entries) {
    if (entry.k !== 'Extend') continue
    const held = holdOf(holds, entry.hold, log)
    if (held !== undefined) held.credits += entry.credits
  }
  return holds
}

function holdOf(holds: ReadonlyMap<string, readonly Held[]>, id: Uint8Array, log: LogId): Held | undefined {
  const found = holds.get(toHex(id)) ?? []
  return found.find((held) => held.log === nameOf(log)) ?? found.find(({ open }) => open) ?? found[0]
}

interface Moved {
  readonly amount: bigint
  readonly held: bigint
  readonly back: bigint
  readonly quotaTokens: number
  readonly why: string
  readonly hold: Uint8Array | undefined
  readonly receipt: Uint8Array | undefined
}

const nothing: Moved = { amount: 0n, held: 0n, back: 0n, quotaTokens: 0, why: '', hold: undefined, receipt: undefined }

function movedBy(
  { entry, log }: PlacedEntry, holds: ReadonlyMap<string, readonly Held[]>, gives: Map<string, { readonly amount: bigint; done: boolean }>,
): Moved {
  switch (entry.k) {
    case 'Grant':
      return { ...nothing, amount: entry.amount, why: entry.source }
    case 'Purchase':
      return { ...nothing, amount: entry.amount, why: entry.product }
    case 'Chargeback':
      return { ...nothing, amount: -entry.amount, why: entry.payment }
    case 'Vest':
      return { ...nothing, amount: entry.delta, back: entry.back, why: entry.device }
    case 'BackRelease':
      return { ...nothing, back: -entry.amount }
    case 'Hold':
      return { ...nothing, held: entry.credits, quotaTokens: entry.quota?.tokens ?? 0, why: entry.priceRow, hold: entry.eid }
    case 'Extend':
      return { ...nothing, held: entry.credits, quotaTokens: entry.quotaTokens, hold: entry.hold }
    case 'Settle':
    case 'Expire': {
      const held = holdOf(holds, entry.hold, log)
      const released = held?.open === true ? held.credits : 0n
      if (held !== undefined) held.open = false
      const why = held?.priceRow ?? ''
      if (entry.k === 'Expire') return { ...nothing, held: -released, why, hold: entry.hold }
      return { ...nothing, amount: -entry.charge, held: -released, quotaTokens: entry.quotaTokens, why, hold: entry.hold, receipt: entry.receipt }
    }
    case 'Refund':
      return { ...nothing, amount: entry.amount, quotaTokens: -entry.quotaTokens, why: entry.reason, hold: entry.hold }
    case 'IslandSettle':
      return { ...nothing, amount: -entry.amount }
    case 'Accept': {
      if (entry.unit !== 0) return nothing
      const give = gives.get(`${toHex(entry.give)}/${nameOf(entry.from)}`)
      // What came from a lost end of a log came from outside: the hub of that log bears it.
      if (give === undefined) return { ...nothing, amount: entry.amount, why: `lost by hub ${entry.from.hub}` }
      give.done = true
      return nothing
    }
    case 'GiveReturn':
      for (const [key, give] of gives) if (key.startsWith(`${toHex(entry.give)}/`)) give.done = true
      return nothing
    case 'Give':
    case 'Seal':
    case 'IslandRelease':
    case 'AccountOpen':
    case 'KeyAdd':
    case 'KeyRevoke':
    case 'TierSet':
    case 'Progress':
    case 'JobReceipt':
    case 'Presence':
    case 'EpochOpen':
    case 'Handback':
    case 'EquivProof':
    case 'Approval':
      return nothing
  }
}
