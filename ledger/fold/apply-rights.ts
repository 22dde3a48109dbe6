/** Folds the moving of rights from one log to another: given, then accepted or, where that cannot happen any more, returned. */
import { toHex } from '../../protocol/bytes.ts'
import type { EntryOf } from '../entries/entry.ts'
import { isPlanted } from '../planted-bugs.ts'
import { dayOf, lossOf } from '../rules.ts'
import { actsFor, NO_EFFECT, sees, type Effect, type Scene } from './effect.ts'
import { credit, QUOTA, quotaDayFor, quotaLogFor, system, tokens, type Part, type Posting } from './postings.ts'
import { quotaOf, tokensLeftAt } from './quota.ts'
import { refuse } from './refused.ts'
import { keyIn, newKey, type OwnerOf } from './slots.ts'
import { accountFor, emptyAccount, nameOf, UNLIMITED_TOKENS, type AccountId, type EntryId, type GiveState, type LedgerState, type LogName, type Unit } from './state.ts'

const ownerIn = (state: LedgerState): OwnerOf => (key) => state.gives.get(key)?.from ?? state.givesDone.get(key)

export function give(scene: Scene, entry: EntryOf<'Give'>): Effect {
  const { state, at, log } = scene
  const eid = toHex(entry.eid)
  const ownerOf = ownerIn(state)
  if (keyIn(eid, log, ownerOf) !== undefined) return NO_EFFECT
  const id = toHex(entry.account)
  const { unit, amount } = entry
  const to = nameOf(entry.target)
  if (to === log) refuse('it gives to its own log')
  const perDay = unit === 0 ? 0 : refuseBeyondShare(scene, id, entry)
  if (unit === 0 && (state.accounts.get(id)?.rights.get(log) ?? 0n) < amount) refuse('it gives more than its log may spend')
  if (unit === 0 && isPlanted('rights-without-accept')) return { postings: [credit(id, 'rights', -amount, log), credit(id, 'rights', amount, to)] }
  return {
    postings: [unit === 0 ? credit(id, 'rights', -amount, log) : tokens(id, unit, 'given', -amount, log), inflight(id, unit, amount)],
    after: () => {
      const key = newKey(eid, log, ownerOf, (from, other) => { moveGive(state, from, other) })
      state.gives.set(key, { eid, account: id, unit, from: log, to, amount, at } satisfies GiveState)
      if (unit === 0) return
      const of = quotaLogFor(quotaDayFor(accountFor(state, id), unit), log)
      of.quota = Math.max(of.quota, perDay)
    },
  }
}

/** The daily quota by which the log has that much to give: as the entry names it, else as a hold of this log did. */
function refuseBeyondShare(scene: Scene, id: AccountId, { unit, amount, quota }: EntryOf<'Give'>): number {
  const { state, log, at } = scene
  // A day that has not begun may begin after this log's seal, as its successor's.
  if (unit > dayOf(at.tsMs)) refuse('it gives quota of a day that has not begun')
  const account = state.accounts.get(id) ?? emptyAccount(state, id)
  const perDay = quota === undefined ? account.quota.get(unit)?.logs.get(log)?.quota ?? 0
    : quotaOf(state, quota.tierRev, quota.tier) ?? refuse('it names a tier that is not approved')
  // Who has no bound needs no tokens from elsewhere, and any number of them could be given.
  if (perDay === UNLIMITED_TOKENS) refuse('it gives of a quota without a bound')
  if (amount > BigInt(tokensLeftAt(scene, account, unit, perDay))) refuse("it gives more quota than its log's share")
  return perDay
}

function moveGive(state: LedgerState, from: EntryId, to: EntryId): void {
  const open = state.gives.get(from)
  if (open !== undefined) state.gives.set(to, open)
  state.gives.delete(from)
  const done = state.givesDone.get(from)
  if (done !== undefined) state.givesDone.set(to, done)
  state.givesDone.delete(from)
}

const inflight = (account: AccountId, unit: Unit, amount: bigint): Posting => unit === 0 ? credit(account, 'inflight', amount) : tokens(account, unit, 'inflight', amount)

const arrived = (account: AccountId, unit: Unit, part: Part, amount: bigint, log: LogName): Posting =>
  unit === 0 ? credit(account, 'rights', amount, log) : tokens(account, unit, part, amount, log)

export function accept(scene: Scene, entry: EntryOf<'Accept'>): Effect {
  const { state, log } = scene
  const id = toHex(entry.account)
  const from = nameOf(entry.from)
  const { unit, amount } = entry
  const key = keyIn(toHex(entry.give), from, ownerIn(state))
  if (key === undefined) return acceptLost(scene, entry, from)
  const given = state.gives.get(key)
  if (given === undefined) return NO_EFFECT
  if (!sees(scene, given.at)) refuse('its give had not arrived')
  if (given.to !== log || given.account !== id || given.unit !== unit || given.amount !== amount) refuse('its give says otherwise')
  return {
    postings: [inflight(id, unit, -amount), arrived(id, unit, 'accepted', amount, log)],
    after: () => { if (!isPlanted('accepted-twice')) finish(state, key, from) },
  }
}

/**
 * The give stood in an end of its log that does not count: a second history, or one that was lost. What was accepted in
 * good faith stays, at the cost of the hub whose log it was.
 */
function acceptLost(scene: Scene, entry: EntryOf<'Accept'>, from: LogName): Effect {
  const { state, log } = scene
  const giver = state.logs.get(from)
  if (giver === undefined || giver.status.is === 'live') refuse('its give is not known')
  const id = toHex(entry.account)
  const { unit, amount } = entry
  return {
    postings: [arrived(id, unit, 'accepted', amount, log), unit === 0 ? system(lossOf(giver.log.hub), -amount) : system(QUOTA, -amount, unit)],
    after: () => {
      const ownerOf = ownerIn(state)
      const eid = toHex(entry.give)
      if (keyIn(eid, from, ownerOf) === undefined) finish(state, newKey(eid, from, ownerOf, (at, other) => { moveGive(state, at, other) }), from)
    },
  }
}

export function giveReturn(scene: Scene, entry: EntryOf<'GiveReturn'>): Effect {
  const { state, log } = scene
  const { key, from } = giveHere(scene, toHex(entry.give))
  const given = state.gives.get(key)
  if (given === undefined) return NO_EFFECT
  const target = state.logs.get(given.to)?.status
  if (target?.is !== 'sealed' || !sees(scene, target.at)) refuse('it may still be accepted')
  const { account, unit, amount } = given
  return {
    postings: [inflight(account, unit, -amount), arrived(account, unit, 'given', amount, unit === 0 ? log : from)],
    after: () => { finish(state, key, from) },
  }
}

/** A give of this log, or of one that it succeeds. */
function giveHere(scene: Scene, eid: EntryId): { readonly key: EntryId; readonly from: LogName } {
  const { state, log } = scene
  const ownerOf = ownerIn(state)
  const key = keyIn(eid, log, ownerOf) ?? eid
  const from = ownerOf(key) ?? refuse('its give is not known')
  if (from !== log && !actsFor(scene, from)) refuse('its give stands in another log')
  return { key, from }
}

function finish(state: LedgerState, key: EntryId, from: LogName): void {
  state.gives.delete(key)
  state.givesDone.set(key, from)
}
