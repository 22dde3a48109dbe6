/** Folds proofs of a fork, and changes that need two hubs. */
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { encode } from '../../protocol/codec.ts'
import { changeIdOf, readAdminChange, type AdminChange } from '../admin-change.ts'
import type { EntryOf } from '../entries/entry.ts'
import { tableKeyOf } from '../tables/lookup.ts'
import { approvalsNeeded } from './apply-money.ts'
import { NO_EFFECT, type Effect, type Scene } from './effect.ts'
import { refuse } from './refused.ts'
import { comparePositions, nameOf, type ChangeState, type Position } from './state.ts'

export function equivProof({ state }: Scene, entry: EntryOf<'EquivProof'>): Effect {
  const forked = state.logs.get(nameOf(entry.fork)) ?? refuse('the forked log is not known')
  return { postings: [], after: () => { forked.forked = true } }
}

export function approval({ state, at }: Scene, entry: EntryOf<'Approval'>): Effect {
  const { hub, document } = entry
  const id = toHex(entry.change)
  if (hub !== at.hub || !bytesEqual(document.key, state.hubKeys[hub]!)) refuse('another hub has signed it')
  if (!bytesEqual(changeIdOf(document.body), entry.change)) refuse('it does not have the id of its change')
  const change = readChange(document.body)
  if (change.network !== state.network) refuse('its change is of another network')
  // One hub signs one content for a revision, and any two pairs of hubs share one: so a revision has one content.
  const signed = change.change.type === 'table' ? `${hub}/${tableKeyOf(change.change.table, change.change.rev)}` : undefined
  const before = signed === undefined ? undefined : state.signed.get(signed)
  if (before !== undefined && before !== id) refuse('its hub has signed another content for that revision')
  const known = state.changes.get(id)
  const former = known?.hubs.get(hub)
  if (former !== undefined && comparePositions(former, at) <= 0) return NO_EFFECT
  return {
    postings: [],
    after: () => {
      const found = known ?? { body: document.body, hubs: new Map<number, Position>(), at } satisfies ChangeState
      if (known === undefined) state.changes.set(id, found)
      found.hubs.set(hub, at)
      if (comparePositions(at, found.at) < 0) found.at = at
      if (signed !== undefined) state.signed.set(signed, id)
      if (found.hubs.size < approvalsNeeded() || change.change.type !== 'table') return
      const key = tableKeyOf(change.change.table, change.change.rev)
      if (!state.tables.has(key)) state.tables.set(key, encode(change.change.content))
    },
  }
}

function readChange(body: Uint8Array): AdminChange {
  try {
    return readAdminChange(body)
  } catch {
    return refuse('its change cannot be read')
  }
}
