/**
 * The second instance of the state: folded to exactly the frames that a checkpoint names, not to all that is here.
 * It only goes forward. It holds at most one batch of frames of each log that it is still to fold; more are asked for.
 */
import type { AccountId, LedgerState, LogName } from '../fold/state.ts'
import { createState } from '../fold/state.ts'
import { dependenciesMet } from '../fold/causal.ts'
import { foldFrame } from '../fold/frame-fold.ts'
import { checkFrame, decodeFrame, emptyTail, type CheckedFrame, type FrameCheck, type FrameContext, type LogTail } from '../frame.ts'
import { logOfName } from '../hub/hub-state.ts'
import { bytesEqual } from '../../protocol/bytes.ts'
import { rootOf } from '../../protocol/merkle.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { compareLogs, type CheckpointContent, type CheckpointLog, type Frontiers } from './checkpoint.ts'
import { writeLeaf } from './state-leaf.ts'
import { createStateTree, type StateProof } from './state-tree.ts'
import { isPlanted } from '../planted-bugs.ts'

/** Where the instance begins: at nothing, or at a snapshot. */
export interface FoldStart {
  readonly state: LedgerState
  /** Ends of the logs that are in the state. */
  readonly tails: ReadonlyMap<LogName, LogTail>
}

export type FoldProgress =
  | { readonly is: 'reached' }
  /** These frames come next. */
  | { readonly is: 'load'; readonly log: LogId; readonly from: number; readonly to: number }
  /** The target cannot be reached: it goes back, or names frames without those that they rest on. */
  | { readonly is: 'stuck'; readonly problem: string }

export interface FinalFold {
  readonly state: LedgerState
  /** Ends of the logs in the state. */
  readonly tails: ReadonlyMap<LogName, LogTail>
  /** Frames that are in the state. */
  readonly frames: Frontiers
  /** Folds what is here of the target, and says what is missing. */
  advance(target: Frontiers): FoldProgress
  /** Takes frames that were asked for; gives what is wrong with one that does not continue its log. `signed`: their signatures were checked when they were read. */
  take(log: LogId, from: number, frames: readonly (Uint8Array | CheckedFrame)[], how?: { readonly signed?: boolean }): string | undefined
  /** What a checkpoint says of this state. */
  content(): CheckpointContent
  /** The leaf and the proof of an account, as of the last `content`. */
  prove(account: AccountId): { readonly leaf: Uint8Array; readonly path: StateProof } | undefined
}

export function createFinalFold(context: FrameContext, start?: FoldStart): FinalFold {
  const state = start?.state ?? createState(context.network, context.hubKeys)
  const tails = new Map<LogName, LogTail>(start?.tails)
  const frames = new Map([...tails].map(([name, { no }]) => [name, no]))
  const waiting = new Map<LogName, CheckedFrame[]>()
  const tree = createStateTree()
  tree.update(state.accounts, state.accounts.keys())
  state.touched = new Set()

  /** Folds from one log while it can; true where it folded any. */
  function foldLog(name: LogName, to: number): boolean {
    const queue = waiting.get(name) ?? []
    let folded = 0
    for (const frame of queue) {
      if (frame.header.no > to || !dependenciesMet(state, frame) && !isPlanted('open-checkpoint')) break
      foldFrame(state, frame)
      folded += 1
      // A log that was refused or sealed does not go on, whatever comes of it.
      if ((state.logs.get(name)?.frame ?? 0) < frame.header.no) continue
      frames.set(name, frame.header.no)
      tails.set(name, frame.tail)
    }
    queue.splice(0, folded)
    if (queue.length === 0) waiting.delete(name)
    return folded > 0
  }

  return {
    state,
    tails,
    frames,

    advance(target) {
      for (const [name, frame] of frames) {
        if ((target.get(name) ?? 0) < frame) return { is: 'stuck', problem: `it has log ${name} only up to frame ${target.get(name) ?? 0} of ${frame}` }
      }
      for (let folded = true; folded;) {
        folded = false
        for (const [name, to] of target) if (foldLog(name, to)) folded = true
      }
      let blocked: LogName | undefined
      for (const [name, to] of target) {
        const from = (frames.get(name) ?? 0) + 1
        if (from > to) continue
        const status = state.logs.get(name)?.status
        if (status?.is === 'refused') return { is: 'stuck', problem: `log ${name} is refused here at frame ${status.frame}: ${status.problem}` }
        if (status?.is === 'sealed') return { is: 'stuck', problem: `log ${name} is sealed here at frame ${status.frame}` }
        if (!waiting.has(name)) return { is: 'load', log: logOfName(name), from, to }
        blocked ??= name
      }
      if (blocked === undefined) return { is: 'reached' }
      return { is: 'stuck', problem: `frame ${(frames.get(blocked) ?? 0) + 1} of log ${blocked} rests on frames that it leaves out` }
    },

    take(log, from, loaded, how) {
      const name = `${log.hub}/${log.epoch}`
      // What was asked for before the instance was replaced, or twice.
      if (waiting.has(name) || from !== (frames.get(name) ?? 0) + 1) return undefined
      const queue: CheckedFrame[] = []
      let tail = tails.get(name) ?? emptyTail(log)
      for (const frame of loaded) {
        const check = frame instanceof Uint8Array ? checkFrame(decodeFrame(frame), tail, context, how) : continued(frame, tail)
        if (!check.ok) return `frame ${tail.no + 1} of log ${name} does not fit: ${check.detail}`
        queue.push(check.frame)
        tail = check.frame.tail
      }
      if (queue.length > 0) waiting.set(name, queue)
      return undefined
    },

    content() {
      const changed = state.touched
      state.touched = new Set()
      tree.update(state.accounts, changed)
      // An account without money was never touched by a posting, but is a leaf all the same.
      if (tree.root.accounts !== state.accounts.size) tree.update(state.accounts, state.accounts.keys())
      const { hash: root, accounts, totals } = tree.root
      const logs: CheckpointLog[] = [...tails.values()].map((tail) => ({
        log: tail.log, frame: tail.no, treeSize: tail.tree.size, treeRoot: rootOf(tail.tree), is: state.logs.get(`${tail.log.hub}/${tail.log.epoch}`)?.status.is ?? 'live',
      }))
      return {
        logs: logs.sort((a, b) => compareLogs(a.log, b.log)), root, accounts, totals,
        system: [...state.system].filter(([, amount]) => amount !== 0n).sort(([a], [b]) => (a < b ? -1 : 1)),
      }
    },

    prove(account) {
      const of = state.accounts.get(account)
      const path = tree.proof(account)
      if (of === undefined || path === undefined) return undefined
      return { leaf: Uint8Array.from(writeLeaf(account, of).bytes), path }
    },
  }
}

/** It was checked once as a whole; that it is the next one here is looked at again. */
function continued(frame: CheckedFrame, tail: LogTail): FrameCheck {
  const follows = frame.header.no === tail.no + 1 && bytesEqual(frame.header.prevHash, tail.hash)
  return follows ? { ok: true, frame } : { ok: false, problem: 'prevHash', detail: 'it does not continue the frame before it' }
}

/** What is wrong with the sums of a state, in words: money neither comes into being nor vanishes. */
export function sumProblems({ totals, system }: CheckpointContent): string[] {
  const { available, held, inflight, frozen, back, debt, minted, spent } = totals
  const owned = available + held + inflight + frozen + back - debt
  const others = system.reduce((sum, [, amount]) => sum + amount, 0n)
  const problems: string[] = []
  if (owned !== minted - spent) problems.push(`accounts own ${owned} µcr, but ${minted} came in and ${spent} went out`)
  if (owned + others !== 0n) problems.push(`accounts own ${owned} µcr, but the system accounts are at ${others}`)
  return problems
}
