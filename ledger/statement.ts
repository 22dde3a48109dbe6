/** An account's money entries in words, newest first, read from the logs themselves. */
import { bytesEqual, toHex } from '../protocol/bytes.ts'
import type { Entry } from './entries/entry.ts'
import { slotOf } from './fold/slots.ts'
import type { HoldState } from './fold/state.ts'
import type { HubState } from './hub/hub-state.ts'
import type { LedgerMoney, StatementLine } from './interface.ts'
import { logName, type LogStore, type StoredEntry } from './store/log-store.ts'

export interface StatementComponents {
  readonly hub: HubState
  readonly store: Pick<LogStore, 'listing' | 'entryAt'>
}

/** Lines of one call at most. */
const LINES_MAX = 1_000

type Words = Pick<StatementLine, 'amount' | 'held' | 'quotaTokens' | 'why' | 'hold' | 'receipt'>

const NOTHING: Words = { amount: 0n, held: 0n, quotaTokens: 0, why: '', hold: undefined, receipt: undefined }

export function createStatement({ hub, store }: StatementComponents): Pick<LedgerMoney, 'statement'> {
  /** The hold that an entry speaks of; of two with one id, the one whose log is not ended. */
  function holdOf(eid: Uint8Array, { frame }: StoredEntry): HoldState | undefined {
    return hub.state.holds.get(slotOf(toHex(eid), logName(frame.log))) ?? hub.state.holds.get(toHex(eid))
  }

  function wordsOf(entry: Entry, stored: StoredEntry): Words | undefined {
    switch (entry.k) {
      case 'Grant':
        return { ...NOTHING, amount: entry.amount, why: entry.source }
      case 'Purchase':
        return { ...NOTHING, amount: entry.amount, why: entry.product }
      case 'Chargeback':
        return { ...NOTHING, amount: -entry.amount, why: entry.payment }
      case 'Hold':
        return { ...NOTHING, held: entry.credits, why: entry.priceRow, hold: entry.eid }
      case 'Extend':
        return { ...NOTHING, held: entry.credits, why: holdOf(entry.hold, stored)?.priceRow ?? '', hold: entry.hold }
      case 'Settle': {
        const hold = holdOf(entry.hold, stored)
        return {
          amount: -entry.charge, held: -(hold?.credits ?? entry.charge), quotaTokens: entry.quotaTokens, why: hold?.priceRow ?? '', hold: entry.hold, receipt: entry.receipt,
        }
      }
      case 'Expire': {
        const hold = holdOf(entry.hold, stored)
        return { ...NOTHING, held: -(hold?.credits ?? 0n), why: hold?.priceRow ?? '', hold: entry.hold }
      }
      case 'Refund':
        return { ...NOTHING, amount: entry.amount, quotaTokens: -entry.quotaTokens, why: entry.reason, hold: entry.hold }
      case 'Vest':
        return { ...NOTHING, amount: entry.delta, why: entry.device }
      case 'IslandSettle':
        return { ...NOTHING, amount: -entry.amount, why: logName(entry.log) }
      case 'BackRelease':
      case 'Give':
      case 'Accept':
      case 'GiveReturn':
        return NOTHING
      case 'AccountOpen':
      case 'KeyAdd':
      case 'KeyRevoke':
      case 'TierSet':
      case 'Progress':
      case 'JobReceipt':
      case 'Presence':
      case 'EpochOpen':
      case 'Seal':
      case 'IslandRelease':
      case 'Handback':
      case 'EquivProof':
      case 'Approval':
        return undefined
    }
  }

  /** All lines before `before`, at least `countMin` where there are so many; `more`: there may be older ones. */
  async function linesBefore(account: Uint8Array, before: number | undefined, countMin: number): Promise<{ readonly lines: StatementLine[]; readonly more: boolean }> {
    const lines: StatementLine[] = []
    let listed = 0
    for (const { log, no, indexes, tsMs } of await store.listing({ money: account }, before, countMin)) {
      listed += indexes.length
      for (const index of indexes.toReversed()) {
        const stored = await store.entryAt({ log, no, index })
        const words = wordsOf(stored.entry, stored)
        if (words !== undefined) lines.push({ id: stored.entry.eid, kind: stored.entry.k, at: tsMs, ...log, seq: stored.frame.header.firstSeq + index, ...words })
      }
    }
    return { lines, more: listed >= countMin }
  }

  return {
    statement: async ({ account, from = 0, to, after, limit }) => {
      const wanted = Math.min(limit, LINES_MAX)
      if (wanted <= 0) return []
      const before = after === undefined ? to : Math.min(after.at + 1, to ?? Number.MAX_SAFE_INTEGER)
      for (let count = wanted; ; count *= 2) {
        const { lines, more } = await linesBefore(account, before, count)
        const seen = after === undefined ? -1 : lines.findIndex(({ at, id }) => at === after.at && bytesEqual(id, after.id))
        const rest = (seen === -1 ? lines.filter(({ at }) => after === undefined || at < after.at) : lines.slice(seen + 1)).filter(({ at }) => at >= from)
        const beyond = lines.some(({ at }) => at < from)
        if (rest.length >= wanted || !more || beyond) return rest.slice(0, wanted)
      }
    },
  }
}
