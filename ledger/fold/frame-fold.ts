/**
 * Folds whole frames: all entries of one, then a look at the invariants of every account that it touched. A violation is
 * a fault of this program, and stopping is better than going on with wrong money.
 */
import type { Entry } from '../entries/entry.ts'
import type { FoldableFrame, FrameHeader } from '../frame.ts'
import { applyEntry } from './apply.ts'
import { checkMoney } from './invariants.ts'
import { EntryRefused } from './refused.ts'
import { nameOf, type LedgerState, type LogState } from './state.ts'

/** What of a frame the fold reads. `undefined` stands for an entry that changes nothing (stored.ts). */
export interface FoldInput extends Pick<FoldableFrame, 'log' | 'header' | 'entryBytes'> {
  readonly entries: readonly (Entry | undefined)[]
}

export interface FoldOptions {
  /** This hub: a refused entry of its own log is a fault of this program and is thrown, not noted. */
  readonly me?: number
}

/**
 * The frame must be the next one of its log, and all that it rests on must be in the state (causal.ts); a RangeError
 * otherwise. A frame of a log that is sealed or refused changes nothing. A refused entry ends its log: what stood before it
 * counts, it and everything after it does not.
 */
export function foldFrame(state: LedgerState, frame: FoldInput, { me }: FoldOptions = {}): void {
  const { header } = frame
  const name = nameOf(frame.log)
  const known = state.logs.get(name)
  if (known !== undefined && known.status.is !== 'live') return
  if (header.no !== (known?.frame ?? 0) + 1) throw new RangeError(`frame ${header.no} of log ${name} does not follow frame ${known?.frame ?? 0}`)
  if (known !== undefined) noteSeen(known, header)

  applyAll(state, frame, me)
  checkRecent(state)
  const log = state.logs.get(name)
  if (log !== undefined) endFrame(log, header)
}

function applyAll(state: LedgerState, { header, entries, entryBytes }: FoldInput, me: number | undefined): void {
  const name = nameOf(header)
  const { tsMs, hub, epoch, no, firstSeq } = header
  for (const [index, entry] of entries.entries()) {
    if (entry === undefined) continue
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

function checkRecent(state: LedgerState): void {
  for (const id of state.recent) {
    const problem = checkMoney(state.accounts.get(id)!)
    if (problem !== undefined) throw new Error(`the ledger would be wrong, account ${id}: ${problem}`)
  }
  state.recent.clear()
}

/**
 * For the author, who applies its entries one by one and builds the frame from them: the frame is in the state now.
 * Looks at the accounts that its entries touched as `foldFrame` does.
 */
export function closeFrame(state: LedgerState, header: FrameHeader): void {
  const log = state.logs.get(nameOf(header))!
  noteSeen(log, header)
  endFrame(log, header)
  checkRecent(state)
}

function noteSeen(log: LogState, { no, seen }: FrameHeader): void {
  log.seen = { frame: no, vector: seen }
}

function endFrame(log: LogState, { no, tsMs }: FrameHeader): void {
  log.frame = no
  log.tsMs = tsMs
}
