/** Folds money that comes in from outside, or is taken back: only the log that clears for the account may say so, and once. */
import { toHex } from '../../protocol/bytes.ts'
import { readAdminChange } from '../admin-change.ts'
import { expectedEid, type EntryOf } from '../entries/entry.ts'
import { isPlanted } from '../planted-bugs.ts'
import { dayOf, FIAT_IN, GRANTS_PER_DAY_MICRO_CREDITS, PROMO, PURCHASES_PER_DAY_MICRO_CREDITS } from '../rules.ts'
import { NO_EFFECT, sees, type Effect, type Scene } from './effect.ts'
import { homeOf } from './homes.ts'
import { credit, system, type Posting } from './postings.ts'
import { refuse } from './refused.ts'
import type { AccountId, LedgerState, Position } from './state.ts'

export function grant(scene: Scene, entry: EntryOf<'Grant'>): Effect {
  const { state, at } = scene
  const id = toHex(entry.account)
  const eid = toHex(entry.eid)
  refuseUnlessClearing(scene, id)
  if (isIn(scene, eid)) return NO_EFFECT
  const budget = `${at.hub}/${dayOf(at.tsMs)}`
  const granted = (state.granted.get(budget) ?? 0n) + entry.amount
  if (entry.approved !== undefined) refuseUnlessApproved(scene, entry, entry.approved)
  else if (granted > GRANTS_PER_DAY_MICRO_CREDITS) refuse('it is above what one hub may grant in a day')
  return {
    postings: [...mintPostings(scene, id, entry.amount), system(PROMO, -entry.amount)],
    after: () => {
      state.mints.add(eid)
      if (entry.approved === undefined) state.granted.set(budget, granted)
    },
  }
}

export function purchase(scene: Scene, entry: EntryOf<'Purchase'>): Effect {
  const id = toHex(entry.account)
  const eid = mintKeyOf(entry.eid, id)
  refuseUnlessClearing(scene, id)
  if (isIn(scene, eid)) return NO_EFFECT
  const { state, at } = scene
  const budget = `${at.hub}/${dayOf(at.tsMs)}`
  const purchased = (state.purchased.get(budget) ?? 0n) + entry.amount
  if (purchased > PURCHASES_PER_DAY_MICRO_CREDITS) refuse('it is above what one hub may log of purchases in a day')
  return {
    postings: [...mintPostings(scene, id, entry.amount), system(FIAT_IN, -entry.amount)],
    after: () => {
      state.mints.add(eid)
      state.purchased.set(budget, purchased)
      state.purchases.set(eid, entry.amount)
    },
  }
}

/** Takes back a purchase, all of it or a part: what this log may spend of the account; the rest becomes its debt. */
export function chargeback(scene: Scene, entry: EntryOf<'Chargeback'>): Effect {
  const { state, log } = scene
  const id = toHex(entry.account)
  const eid = mintKeyOf(entry.eid, id)
  refuseUnlessClearing(scene, id)
  if (isIn(scene, eid)) return NO_EFFECT
  if ((purchaseOf(state, id, entry) ?? refuse('its payment is not known')) < entry.amount) refuse('it takes back more than was paid')
  const rights = state.accounts.get(id)?.rights.get(log) ?? 0n
  const taken = rights < entry.amount ? rights : entry.amount
  return {
    postings: [credit(id, 'rights', -taken, log), credit(id, 'debt', taken - entry.amount), system(FIAT_IN, entry.amount)],
    after: () => { state.mints.add(eid) },
  }
}

/** µcr of the purchase that a chargeback is of; undefined where there is none of this account. */
export function purchaseOf(state: LedgerState, account: AccountId, { account: bytes, payment }: { readonly account: Uint8Array; readonly payment: string }): bigint | undefined {
  const eid = expectedEid({ k: 'Purchase', account: bytes, amount: 1n, payment, product: '' })
  return state.purchases.get(mintKeyOf(eid, account))
}

/** The account's side of money that comes in: a debt is repaid first, the rest this log may spend. */
export function mintPostings({ state, log }: Scene, account: AccountId, amount: bigint): readonly Posting[] {
  const debt = state.accounts.get(account)?.debt ?? 0n
  const repaid = debt < amount ? debt : amount
  return [credit(account, 'debt', repaid), credit(account, 'rights', amount - repaid, log)]
}

/** True where the same mint is in the state already. Clearing logs follow one another, so which one came first is the same everywhere. */
export function isIn({ state }: Scene, eid: string): boolean {
  return state.mints.has(eid) && !isPlanted('double-mint')
}

/**
 * Two hubs may log one payment for two accounts before they hear of each other. Each clears for its own account, so both
 * count: else which one does would depend on the order of arrival.
 */
export const mintKeyOf = (eid: Uint8Array, account: AccountId) => `${toHex(eid)}/${account}`

export function refuseUnlessClearing(scene: Scene, account: AccountId): void {
  const { state, log } = scene
  if (isPlanted('mint-anywhere')) return
  const home = state.accounts.get(account)?.home ?? homeOf(state.hubKeys, account)
  if (state.clearing[home] !== log || !sees(scene, state.clearingSince[home])) refuse('its log does not clear for the account')
}

function refuseUnlessApproved(scene: Scene, entry: EntryOf<'Grant'>, approved: Uint8Array): void {
  const found = scene.state.changes.get(toHex(approved))
  const approvals: Position[] = found === undefined ? [] : [...found.hubs.values()].filter((position) => sees(scene, position))
  if (found === undefined || approvals.length < approvalsNeeded()) refuse('two hubs have not approved the grant')
  const { change } = readAdminChange(found.body)
  const fits = change.type === 'grant' && toHex(change.account) === toHex(entry.account) && change.amount === entry.amount && change.source === entry.source
  if (!fits) refuse('two hubs have approved another grant')
}

/** Hubs that must sign a change. */
export function approvalsNeeded(): number {
  return isPlanted('one-approval') ? 1 : 2
}
