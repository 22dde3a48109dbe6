/**
 * The fold: one entry into the state.
 *
 * The state is a plain function of the set of entries of a causally closed version vector: whatever order the logs were
 * folded in, each entry after all that its author had seen, the state is the same. Nothing here reads a clock, a
 * signature or a disk. Spec: docs/ledger.md
 */
import type { EncodedEntry, Entry } from '../entries/entry.ts'
import { addKey, openAccount, revokeKey, setTier } from './apply-accounts.ts'
import { approval, equivProof } from './apply-changes.ts'
import { backRelease, jobReceipt, presence, vest } from './apply-earning.ts'
import { chargeback, grant, purchase } from './apply-money.ts'
import { accept, give, giveReturn } from './apply-rights.ts'
import { epochOpen, handback, islandRelease, islandSettle, seal } from './apply-seals.ts'
import { expire, extend, hold, progress, refund, settle } from './apply-spending.ts'
import type { Effect, Scene } from './effect.ts'
import { post, type Posting } from './postings.ts'
import { refuse } from './refused.ts'
import { nameOf, type LedgerState, type Position } from './state.ts'

/** Throws EntryRefused for an entry that no honest hub logs; then nothing has changed. */
export function applyEntry(state: LedgerState, { entry, bytes }: EncodedEntry, at: Position): void {
  const log = nameOf(at)
  const { postings, after } = effectOf({ state, at, log }, entry)
  post(state, postings, log, bytes)
  after?.()
}

/**
 * What an entry moves if it is folded into this state next, and nothing where it adds nothing. The sums by unit are zero.
 * Throws EntryRefused. Of entries that move something in every account the postings are made while they are read.
 */
export function postingsOf(state: LedgerState, entry: Entry, at: Position): Iterable<Posting> {
  return effectOf({ state, at, log: nameOf(at) }, entry).postings
}

function effectOf(scene: Scene, entry: Entry): Effect {
  const known = scene.state.logs.get(scene.log)
  if (known === undefined) {
    if (entry.k !== 'EpochOpen') refuse('its log does not begin with an EpochOpen')
  } else if (known.status.is !== 'live') {
    refuse(`its log is ${known.status.is}`)
  }
  switch (entry.k) {
    case 'AccountOpen': return openAccount(scene, entry)
    case 'KeyAdd': return addKey(scene, entry)
    case 'KeyRevoke': return revokeKey(scene, entry)
    case 'TierSet': return setTier(scene, entry)
    case 'Grant': return grant(scene, entry)
    case 'Purchase': return purchase(scene, entry)
    case 'Chargeback': return chargeback(scene, entry)
    case 'Hold': return hold(scene, entry)
    case 'Extend': return extend(scene, entry)
    case 'Progress': return progress(scene, entry)
    case 'Settle': return settle(scene, entry)
    case 'Expire': return expire(scene, entry)
    case 'Refund': return refund(scene, entry)
    case 'Give': return give(scene, entry)
    case 'Accept': return accept(scene, entry)
    case 'GiveReturn': return giveReturn(scene, entry)
    case 'JobReceipt': return jobReceipt(scene, entry)
    case 'Presence': return presence(scene, entry)
    case 'Vest': return vest(scene, entry)
    case 'BackRelease': return backRelease(scene, entry)
    case 'EpochOpen': return epochOpen(scene, entry)
    case 'Seal': return seal(scene, entry)
    case 'IslandSettle': return islandSettle(scene, entry)
    case 'IslandRelease': return islandRelease(scene, entry)
    case 'Handback': return handback(scene, entry)
    case 'EquivProof': return equivProof(scene, entry)
    case 'Approval': return approval(scene, entry)
  }
}
