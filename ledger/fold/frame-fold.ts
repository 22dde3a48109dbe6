/**
 * Folds whole frames: all entries of one, then a look at the invariants of every account that it touched. A violation is
 * a fault of this program, and stopping is better than going on with wrong money.
 */
import type { FoldableFrame, FrameHeader } from '../frame.ts'
import { applyEntry } from './apply.ts'
import { checkMoney } from './invariants.ts'
import { EntryRefused } from './refused.ts'
import { nameOf, type AccountId, type LedgerState, type LogState } from './state.ts'

export interface FoldOptions {
  /** This hub: a refused entry of its own log is a fault of this program and is thrown, not noted. */
  readonly me?: number
}

/**
 * The frame must be the next one of its log, and all that it rests on must be in the state (causal.ts); a RangeError
 * otherwise. A frame of a log that is sealed or refused changes nothing. A refused entry ends its log: what stood before it
 * counts, it and everything after it does not.
 */
export function foldFrame(state: LedgerState, frame: FoldableFrame, { me }: FoldOptions = {}): void {
  const { header } = frame
  const name = nameOf(frame.log)
  const known = state.logs.get(name)
  if (known !== undefined && known.status.is !== 'live') return
  if (header.no !== (known?.frame ?? 0) + 1) throw new RangeError(`frame ${header.no} of log ${name} does not follow frame ${known?.frame ?? 0}`)
  if (known !== undefined) noteSeen(known, header)

  const before = state.touched
  const touched = new Set<AccountId>()
  state.touched = touched
  try {
    applyAll(state, frame, me)
    checkTouched(state, touched)
  } finally {
    for (const id of touched) before.add(id)
    state.touched = before
  }
  const log = state.logs.get(name)
  if (log !== undefined) endFrame(log, header)
}

function applyAll(state: LedgerState, { header, entries, entryBytes }: FoldableFrame, me: number | undefined): void {
  const name = nameOf(header)
  const { tsMs, hub, epoch, no, firstSeq } = header
  for (const [index, entry] of entries.entries()) {
    try {
      applyEntry(state, { entry, bytes: entryBytes[index]! }, { tsMs, hub, epoch, frame: no, seq: firstSeq + index })
    } catch (error) {
      const log = state.logs.get(name)
      if (!(error instanceof EntryRefused) || hub === me || log === undefined) throw error
      log.status = { is: 'refused', frame: no, problem: error.problem }
      return
    }
    if (entry.k === 'EpochOpen') noteSeen(state.logs.get(name)!, header)
  }
}

function checkTouched(state: LedgerState, touched: ReadonlySet<AccountId>): void {
  for (const id of touched) {
    const problem = checkMoney(state.accounts.get(id)!)
    if (problem !== undefined) throw new Error(`the ledger would be wrong, account ${id}: ${problem}`)
  }
}

/**
 * For the author, who applies its entries one by one and builds the frame from them: the frame is in the state now.
 * The accounts in `state.touched` are looked at as in `foldFrame`.
 */
export function closeFrame(state: LedgerState, header: FrameHeader): void {
  const log = state.logs.get(nameOf(header))!
  noteSeen(log, header)
  endFrame(log, header)
  checkTouched(state, state.touched)
}

function noteSeen(log: LogState, { no, seen }: FrameHeader): void {
  log.seen = { frame: no, vector: seen }
}

function endFrame(log: LogState, { no, tsMs }: FrameHeader): void {
  log.frame = no
  log.tsMs = tsMs
}
