/**
 * One request that several hubs served: a client that got no answer began it again elsewhere, each time naming the hold
 * that it asked for first (`supersedes`). It names the first and not the one before, since that may never have been
 * logged, and then nothing would connect the two. Those holds are a tree; of the paid ones the deepest stays, and of
 * equals the one with the smallest id.
 */
import type { EntryId, HoldState, LedgerState } from '../fold/state.ts'
import type { HubState } from './hub-state.ts'

/** True where another hold names this one, or this one another. */
export function isDoubled({ state }: HubState, key: EntryId): boolean {
  const hold = state.holds.get(key)
  return hold !== undefined && (hold.supersedes !== undefined || state.superseding.has(hold.eid))
}

/** Holds of the same request that were paid though a better one is paid too. */
export function paidInVain({ state }: HubState, key: EntryId): readonly HoldState[] {
  const tree = treeOf(state, key).filter(({ hold }) => isPaid(hold)).sort((a, b) => b.depth - a.depth || (a.hold.eid < b.hold.eid ? -1 : 1))
  return tree.slice(1).map(({ hold }) => hold)
}

/** All known holds of the request that this one was made for, from the first on. */
export function holdsOfRequest({ state }: HubState, key: EntryId): readonly HoldState[] {
  return treeOf(state, key).map(({ hold }) => hold)
}

/** Something was charged, in credits or quota, and not all of it paid back. */
export function isPaid({ outcome, refunded, refundedTokens }: HoldState): boolean {
  return outcome?.settled === true && (outcome.charge > refunded || outcome.quotaTokens > refundedTokens)
}

function sameRequest(a: HoldState, b: HoldState): boolean {
  return a.account === b.account && a.requestHash === b.requestHash
}

/** The first hold may be unknown, since it was never logged: those that name it belong together all the same. */
function treeOf(state: LedgerState, key: EntryId): readonly { readonly hold: HoldState; readonly depth: number }[] {
  let root = key
  const climbed = new Set([root])
  for (;;) {
    const hold = state.holds.get(root)
    const above = hold?.supersedes
    if (hold === undefined || above === undefined || climbed.has(above)) break
    const other = state.holds.get(above)
    if (other !== undefined && !sameRequest(hold, other)) break
    climbed.add(above)
    root = above
  }
  const first = state.holds.get(root)
  const model = first ?? state.holds.get(key) ?? namedBy(state, root)
  if (model === undefined) return []
  const tree: { readonly id: EntryId; readonly hold: HoldState | undefined; readonly depth: number }[] = [{ id: root, hold: first, depth: 0 }]
  const seen = new Set([root])
  // The list grows while it is read.
  for (const { id, depth } of tree) {
    for (const below of state.superseding.get(id) ?? []) {
      const hold = state.holds.get(below)
      if (hold === undefined || seen.has(below) || !sameRequest(model, hold)) continue
      seen.add(below)
      tree.push({ id: below, hold, depth: depth + 1 })
    }
  }
  return tree.flatMap(({ hold, depth }) => hold === undefined ? [] : [{ hold, depth }])
}

function namedBy(state: LedgerState, id: EntryId): HoldState | undefined {
  const [first] = state.superseding.get(id) ?? []
  return first === undefined ? undefined : state.holds.get(first)
}
