/**
 * One request that several hubs served: a client that got no answer began it again elsewhere, each time naming the hold
 * before (`supersedes`). Those holds are a tree; of the paid ones the deepest stays, and of equals the one with the
 * smallest id. Depths are compared within one tree only, so hubs that know more or less of it never disagree.
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

function treeOf(state: LedgerState, key: EntryId): readonly { readonly hold: HoldState; readonly depth: number }[] {
  let root = state.holds.get(key)
  if (root === undefined) return []
  const climbed = new Set([root.eid])
  for (;;) {
    const above: HoldState | undefined = root.supersedes === undefined ? undefined : state.holds.get(root.supersedes)
    if (above === undefined || climbed.has(above.eid) || !sameRequest(root, above)) break
    climbed.add(above.eid)
    root = above
  }
  const tree = [{ hold: root, depth: 0 }]
  const seen = new Set([root.eid])
  // The list grows while it is read.
  for (const { hold, depth } of tree) {
    for (const id of state.superseding.get(hold.eid) ?? []) {
      const below = state.holds.get(id)
      if (below === undefined || seen.has(id) || !sameRequest(hold, below)) continue
      seen.add(id)
      tree.push({ hold: below, depth: depth + 1 })
    }
  }
  return tree
}
