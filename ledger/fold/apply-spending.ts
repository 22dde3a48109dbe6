/**
 * Folds spending: a hold reserves, and is settled or expires once. Whatever concerns a hold stands in its log, or in the
 * successor's once that is sealed, so its entries have one order everywhere.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { EntryOf } from '../entries/entry.ts'
import { isPlanted } from '../planted-bugs.ts'
import { dayOf, REVENUE } from '../rules.ts'
import { priceOf } from '../tables/lookup.ts'
import { chargeOf } from './charge.ts'
import { refuseUnlessClearing } from './apply-money.ts'
import { actsFor, NO_EFFECT, type Effect, type Scene } from './effect.ts'
import { credit, QUOTA, quotaDayFor, quotaLogFor, system, tokens, type Posting } from './postings.ts'
import { takeFromBudget } from './key-use.ts'
import { quotaOf, tokensLeftAt } from './quota.ts'
import { refuse } from './refused.ts'
import { keyIn, newKey } from './slots.ts'
import { accountFor, emptyAccount, type AccountId, type EntryId, type HoldState, type LedgerState } from './state.ts'

export function hold(scene: Scene, entry: EntryOf<'Hold'>): Effect {
  const { state, at, log } = scene
  const eid = toHex(entry.eid)
  const ownerOf = (key: EntryId) => state.holds.get(key)?.log
  if (entry.hub !== at.hub) refuse("it is another hub's hold")
  if (keyIn(eid, log, ownerOf) !== undefined) return NO_EFFECT
  const id = toHex(entry.account)
  const { credits, quota } = entry
  if ((state.accounts.get(id)?.rights.get(log) ?? 0n) < credits) refuse('it holds more credits than its log may spend')
  if (priceOf(state, entry.priceRev, entry.priceRow) === undefined) refuse('it names a price that is not approved')
  if (entry.key !== undefined) refuseUnlessClearing(scene, id)
  const quotaPerDay = quota === undefined ? 0 : quotaPerDayOf(scene, id, quota)

  const held: HoldState = {
    eid, account: id, log, key: entry.key === undefined ? undefined : toHex(entry.key), day: dayOf(at.tsMs), requestHash: toHex(entry.requestHash), priceRow: entry.priceRow, priceRev: entry.priceRev,
    credits, quotaTokens: quota?.tokens ?? 0, quotaDay: quota?.day, quotaPerDay, expiresAt: entry.expiresAt, extensions: 0,
    progress: undefined, outcome: undefined, refunded: 0n, refundedTokens: 0, refundReasons: [],
    supersedes: entry.supersedes === undefined ? undefined : toHex(entry.supersedes.hold), supersededBy: undefined,
  }
  return {
    postings: reserved(scene, id, credits, quota?.day, held.quotaTokens),
    after: () => {
      const key = newKey(eid, log, ownerOf, (from, to) => { moveHold(state, from, to) })
      state.holds.set(key, held)
      state.openHolds.add(key)
      if (quota !== undefined) {
        const of = quotaLogFor(quotaDayFor(accountFor(state, id), quota.day), log)
        of.quota = Math.max(of.quota, quotaPerDay)
      }
      linkSuperseded(state, eid, held)
      takeFromBudget(state, held, credits)
    },
  }
}

/** The daily quota that a hold names, if its log has as many tokens left. */
function quotaPerDayOf(scene: Scene, id: AccountId, quota: NonNullable<EntryOf<'Hold'>['quota']>): number {
  const { state, at } = scene
  if (quota.day !== dayOf(at.tsMs)) refuse('it holds quota of another day than its own')
  const perDay = quotaOf(state, quota.tierRev, quota.tier) ?? refuse('it names a tier that is not approved')
  if (quota.tokens > tokensLeftAt(scene, state.accounts.get(id) ?? emptyAccount(state, id), quota.day, perDay)) refuse("it holds more quota than its log's share")
  return perDay
}

function reserved({ log }: Scene, account: AccountId, credits: bigint, day: number | undefined, quotaTokens: number): Posting[] {
  const postings = [credit(account, 'rights', -credits, log), credit(account, 'held', credits)]
  if (day !== undefined && quotaTokens > 0) postings.push(tokens(account, day, 'used', quotaTokens, log), system(QUOTA, -BigInt(quotaTokens), day))
  return postings
}

function moveHold(state: LedgerState, from: EntryId, to: EntryId): void {
  const moved = state.holds.get(from)!
  state.holds.set(to, moved)
  state.holds.delete(from)
  if (state.openHolds.delete(from)) state.openHolds.add(to)
}

/** Both orders: the hold that supersedes may be folded before the one that it supersedes. */
function linkSuperseded(state: LedgerState, eid: EntryId, held: HoldState): void {
  for (const by of state.superseding.get(eid) ?? []) {
    const other = state.holds.get(by)
    if (other !== undefined) link(held, other)
  }
  if (held.supersedes === undefined) return
  const waiting = state.superseding.get(held.supersedes)
  if (waiting === undefined) state.superseding.set(held.supersedes, [eid])
  else if (!waiting.includes(eid)) {
    waiting.push(eid)
    waiting.sort()
  }
  const superseded = state.holds.get(held.supersedes)
  if (superseded !== undefined) link(superseded, held)
}

function link(superseded: HoldState, by: HoldState): void {
  if (superseded.account !== by.account || superseded.requestHash !== by.requestHash || superseded.eid === by.eid) return
  if (superseded.supersededBy === undefined || by.eid < superseded.supersededBy) superseded.supersededBy = by.eid
}

/** The hold that an entry in this log speaks of. Throws EntryRefused where there is none, or another log must speak of it. */
function holdOf(scene: Scene, id: Uint8Array): { readonly key: EntryId; readonly held: HoldState } {
  const { state, log } = scene
  const plain = toHex(id)
  const key = keyIn(plain, log, (other) => state.holds.get(other)?.log) ?? plain
  const held = state.holds.get(key) ?? refuse('its hold is not known')
  if (held.log !== log && !actsFor(scene, held.log)) refuse('its hold stands in another log')
  return { key, held }
}

export function extend(scene: Scene, entry: EntryOf<'Extend'>): Effect {
  const { state, log } = scene
  const { held } = holdOf(scene, entry.hold)
  if (entry.step <= held.extensions) return NO_EFFECT
  if (held.outcome !== undefined) refuse('its hold is over')
  if (entry.step !== held.extensions + 1) refuse(`it is extension ${entry.step} of a hold with ${held.extensions}`)
  const account = state.accounts.get(held.account)
  if ((account?.rights.get(log) ?? 0n) < entry.credits) refuse('it holds more credits than its log may spend')
  if (entry.quotaTokens > 0) {
    if (held.quotaDay === undefined || held.log !== log) refuse('its hold has no quota here')
    if (entry.quotaTokens > tokensLeftAt(scene, account!, held.quotaDay, held.quotaPerDay)) refuse("it holds more quota than its log's share")
  }
  return {
    postings: reserved(scene, held.account, entry.credits, held.quotaDay, entry.quotaTokens),
    after: () => {
      held.extensions = entry.step
      held.credits += entry.credits
      held.quotaTokens += entry.quotaTokens
      held.expiresAt = Math.max(held.expiresAt, entry.expiresAt)
      takeFromBudget(state, held, entry.credits)
    },
  }
}

export function progress(scene: Scene, { hold: id, step, promptTokens, completionTokens }: EntryOf<'Progress'>): Effect {
  const { held } = holdOf(scene, id)
  if (held.outcome !== undefined || step <= (held.progress?.step ?? 0)) return NO_EFFECT
  return { postings: [], after: () => { held.progress = { step, promptTokens, completionTokens } } }
}

/** What a hold took comes to `charge` and `quotaTokens`; the rest goes back to where this log may spend it. */
export function settle(scene: Scene, entry: EntryOf<'Settle'>): Effect {
  const { state } = scene
  const { key, held } = holdOf(scene, entry.hold)
  const { charge, quotaTokens, promptTokens, completionTokens } = entry
  if (held.outcome !== undefined && !isPlanted(held.outcome.settled ? 'settled-twice' : 'expired-settled')) return NO_EFFECT
  if (held.outcome !== undefined) return settledAgain(scene, held, charge)
  if (charge > held.credits) refuse('it charges more than is held')
  if (quotaTokens > held.quotaTokens) refuse('it uses more quota than is held')
  const price = priceOf(state, held.priceRev, held.priceRow)!
  if (charge > chargeOf(entry, held.quotaTokens, price).charge) refuse('it charges more than the price of its hold')
  return {
    postings: [...released(scene, held, charge, quotaTokens), system(REVENUE, charge)],
    after: () => {
      held.outcome = { charge, quotaTokens, promptTokens, completionTokens, settled: true }
      state.openHolds.delete(key)
      takeFromBudget(state, held, charge - held.credits)
    },
  }
}

/** For two planted bugs: charges once more, from what the log may spend. */
function settledAgain({ state, log }: Scene, held: HoldState, charge: bigint): Effect {
  const rights = state.accounts.get(held.account)?.rights.get(log) ?? 0n
  return charge > rights ? NO_EFFECT : { postings: [credit(held.account, 'rights', -charge, log), system(REVENUE, charge)] }
}

export function expire(scene: Scene, entry: EntryOf<'Expire'>): Effect {
  const { state } = scene
  const { key, held } = holdOf(scene, entry.hold)
  if (held.outcome !== undefined) return NO_EFFECT
  return {
    postings: released(scene, held, 0n, 0),
    after: () => {
      const { promptTokens = 0, completionTokens = 0 } = held.progress ?? {}
      held.outcome = { charge: 0n, quotaTokens: 0, promptTokens, completionTokens, settled: false }
      state.openHolds.delete(key)
      takeFromBudget(state, held, -held.credits)
    },
  }
}

/** The end of a hold, without the other side of the charge. Quota goes back to the log and the day that it was taken from. */
function released({ at, log }: Scene, held: HoldState, charge: bigint, quotaTokens: number): Posting[] {
  const { account, credits, quotaDay } = held
  const postings: Posting[] = []
  const back = held.quotaTokens - quotaTokens
  if (quotaDay !== undefined && back > 0) {
    const day = isPlanted('quota-day-of-settle') ? dayOf(at.tsMs) : quotaDay
    postings.push(tokens(account, day, 'used', -back, held.log), system(QUOTA, BigInt(back), day))
  }
  postings.push(credit(account, 'held', -credits), credit(account, 'rights', credits - charge, log))
  return postings
}

export function refund(scene: Scene, entry: EntryOf<'Refund'>): Effect {
  const { state, log } = scene
  const { held } = holdOf(scene, entry.hold)
  const { amount, quotaTokens, reason } = entry
  if (held.refundReasons.includes(reason) && !isPlanted('refunded-twice')) return NO_EFFECT
  if (toHex(entry.account) !== held.account) refuse('it is not the account of its hold')
  if (held.outcome?.settled !== true) refuse('its hold is not settled')
  const { outcome } = held
  if (!isPlanted('refunded-twice')) {
    if (held.refunded + amount > outcome.charge) refuse('it pays back more than was charged')
    if (held.refundedTokens + quotaTokens > outcome.quotaTokens) refuse('it gives back more quota than was used')
  }
  const postings = [credit(held.account, 'rights', amount, log), system(REVENUE, -amount)]
  if (held.quotaDay !== undefined && quotaTokens > 0) {
    postings.push(tokens(held.account, held.quotaDay, 'used', -quotaTokens, held.log), system(QUOTA, BigInt(quotaTokens), held.quotaDay))
  }
  return {
    postings,
    after: () => {
      held.refunded += amount
      takeFromBudget(state, held, -amount)
      held.refundedTokens += quotaTokens
      held.refundReasons = [...held.refundReasons, reason]
    },
  }
}

