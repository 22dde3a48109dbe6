/** Two histories of one log: what is done with a proof of them, or with the other first frame, of which there is no proof. */
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { LogTail } from '../frame.ts'
import type { HubEffect } from './events.ts'
import { nameOfLog, type HubState } from './hub-state.ts'
import { appendOnce, isSealed, persistCase, sameEnd, type SealCase } from './seal-case.ts'
import { forkProven, successorOf, type ForkProof } from './seal-documents.ts'

export interface ForksComponents {
  readonly me: number
  readonly tailOf: (log: LogId) => LogTail
  readonly caseOf: (log: LogId) => SealCase
  /** The third hub, which seals a log with this one. */
  readonly otherOf: (log: LogId) => number
}

/** Where this hub's branch is known to differ, at `no` or before. */
export const branchOf = ({ fork }: SealCase, no: number) => fork !== undefined && fork.no < no ? fork.no : no

/** Frames of the log after this one are moved aside, unless that is under way. */
export function cut(known: SealCase, frame: number): HubEffect[] {
  if (known.cutTo !== undefined) return []
  known.cutTo = Math.max(0, frame)
  return [{ type: 'truncate', log: known.log, frame: known.cutTo }]
}

export function createForks({ me, tailOf, caseOf, otherOf }: ForksComponents) {
  /**
   * A proof from anywhere: kept, logged, passed on. Where the log is being sealed on another branch, this hub's goes. `seen`: this
   * hub has the other frame, and has checked it; the first ones may have two keys, of which no proof can be made.
   */
  function takeFork(hub: HubState, proof: ForkProof, { from, seen = false }: { readonly from?: number | undefined; readonly seen?: boolean } = {}): HubEffect[] {
    const key = tailOf(proof.log).epochKey?.key
    if (key === undefined) return []
    const proven = forkProven(proof, key)
    if (!proven && (!seen || proof.no !== 1)) return []
    const known = caseOf(proof.log)
    known.twoKeys ||= !proven
    const effects: HubEffect[] = []
    if (proven && known.fork === undefined) {
      known.fork = proof
      effects.push(...persistCase(known), { type: 'warn', text: `the log ${nameOfLog(proof.log)} has two histories from frame ${proof.no} on, both signed by its hub` })
      for (const peer of hub.connected) effects.push(...tellFork(hub, known, peer))
      effects.push(...logFork(hub, known))
    }
    const tail = tailOf(proof.log)
    known.differs ||= from === otherOf(proof.log)
    const leads = successorOf(proof.log.hub) === me
    const end = known.certificate ?? (leads ? undefined : known.peerSignature)
    if (end !== undefined && !sameEnd({ log: proof.log, no: tail.no, hash: tail.hash }, end) && proof.no <= tail.no) {
      // Each time further down, so that a long branch takes few steps.
      const under = cut(known, Math.max(proof.no > 1 ? 1 : 0, proof.no - 2 ** known.cuts))
      if (under.length > 0) known.cuts += 1
      effects.push(...under)
    }
    return effects
  }

  /** Whoever was away when it was found has to know too, and first of all its hub: it would write on, and sign what others rest on. */
  function tellFork({ state }: HubState, { fork }: SealCase, peer: number): HubEffect[] {
    if (fork === undefined || isSealed(state, fork.log)) return []
    const { log, no, first, second } = fork
    return [{ type: 'send', hub: peer, message: { t: 'fork', log, no, first, second } }]
  }

  function logFork(hub: HubState, { log, fork }: SealCase): HubEffect[] {
    const name = nameOfLog(log)
    if (fork === undefined || hub.writing === undefined || log.hub === me || hub.state.logs.get(name)?.forked !== false) return []
    const position = { hub: log.hub, epoch: log.epoch, no: fork.no }
    return [appendOnce({ k: 'EquivProof', fork: position, first: fork.first, second: fork.second }, (state) => state.logs.get(name)?.forked === false, hub)]
  }

  return { takeFork, logFork, tellFork }
}
