/**
 * What the folding of one kind of entry works with: the state as it is before the entry, where the entry stands, and the
 * effect that it gives. Checks come first and throw; nothing changes until the effect is carried out, so a refused entry
 * leaves no trace.
 */
import type { LedgerState, LogName, LogState, Position } from './state.ts'
import type { Posting } from './postings.ts'

export interface Scene {
  readonly state: LedgerState
  readonly at: Position
  /** The log that the entry stands in. */
  readonly log: LogName
}

export interface Effect {
  readonly postings: Iterable<Posting>
  /** Everything that is not money. Runs after the postings. */
  readonly after?: () => void
}

/** The entry adds nothing: what it says is so already. */
export const NO_EFFECT: Effect = Object.freeze({ postings: [] })

/**
 * Is this position before the entry in the order of causes? Where an entry rests on another log, it must have been seen
 * by its author; what merely arrived here earlier does not count, or hubs would disagree.
 * An own frame that is being built sees all that is in the state.
 */
export function sees({ state, at, log }: Scene, position: Position | undefined): boolean {
  if (position === undefined || position.hub === at.hub && position.epoch === at.epoch) return true
  const author = state.logs.get(log)
  if (author === undefined || author.seen.frame !== at.frame) return true
  const seen = author.seen.vector[position.hub]
  return seen !== undefined && (seen.epoch > position.epoch || seen.epoch === position.epoch && seen.no >= position.frame)
}

/** May this log act for that one: is it the same, or the successor of its successors, all sealed? */
export function actsFor(scene: Scene, other: LogName): boolean {
  let name = other
  while (name !== scene.log) {
    const status: LogState['status'] | undefined = scene.state.logs.get(name)?.status
    // A Seal stands in the successor's log, so a chain of them always ends.
    if (status?.is !== 'sealed' || !sees(scene, status.at)) return false
    name = status.successor
  }
  return true
}
