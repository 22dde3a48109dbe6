/**
 * Reserving for a request: the day's quota first, then credits, at the newest prices and tiers, which the hold pins.
 *
 * Where this log is short of what the account has elsewhere, the decision waits for rights (`short`), once for quota and
 * then for credits. Gives that have arrived are accepted in the frame of the hold.
 */
import { bytesEqual, toHex } from '../../../protocol/bytes.ts'
import { encodeEntry, holdEidOf, type EncodedEntry } from '../../entries/entry.ts'
import { chargeOf, type TokenPrice } from '../../fold/charge.ts'
import type { AccountId, AccountState, HoldState } from '../../fold/state.ts'
import { rightsOf, tierOn } from '../../fold/views.ts'
import { isPlanted } from '../../planted-bugs.ts'
import { dayOf } from '../../rules.ts'
import { newestRev, priceOf, priceRowOf, tierRow } from '../../tables/lookup.ts'
import { holdsOfRequest, isPaid } from '../doubles.ts'
import type { Decision, Intent, Moment } from '../events.ts'
import { nameOfLog, type HubState } from '../hub-state.ts'
import { elsewhereOf, pendingGives, rightsShort, shortWait, type ShortWait } from '../short.ts'
import { budgetLeft, budgetSpent } from './budget.ts'
import { accountStateOf, log, notHome, nothing, refuse, unknownAccount } from './common.ts'

export const HOLD_MS_DEFAULT = 600_000
/** An hour: no answer takes longer, and what is forgotten comes back within it. */
export const HOLD_MS_MAX = 3_600_000
/** Holds of one request at all hubs; each look at them goes through all of them. */
const HOLDS_OF_REQUEST_MAX = 32

export interface HoldAsk {
  /** 16 bytes that the client chose before it asked: the same again is the same hold. */
  readonly request: Uint8Array
  readonly requestHash: Uint8Array
  readonly account: Uint8Array
  readonly provider: string
  readonly model: string
  readonly promptTokens: number
  /** Most that the answer may have, and least that is worth a hold; default: the same. */
  readonly completionTokensMax: number
  readonly completionTokensMin?: number
  /** How long the hold lasts unless it is extended. Default 10 minutes, at most an hour. */
  readonly holdMs?: number
  /** The same request was begun at another hub, and its outcome is not known to the client: the hold that it asked for first, of all hubs. */
  readonly supersedes?: { readonly hub: number; readonly hold: Uint8Array }
  /** Of an API key with a budget, which then counts. */
  readonly key?: Uint8Array
}

interface Terms {
  readonly priceRow: string
  readonly priceRev: number
  readonly quotaHere: number
  readonly quotaElsewhere: boolean
  readonly unlimited: boolean
  readonly tier: string
  readonly tierRev: number
  readonly day: number
}

/** Throws FRAME_MALFORMED where a field does not fit. */
export function decideHold(hub: HubState, ask: HoldAsk): Intent {
  const eid = holdEidOf(hub.me, ask.request)
  const id = toHex(eid)
  const account = toHex(ask.account)
  const requestHash = toHex(ask.requestHash)
  const quotaWait = shortWait()
  const creditWait = shortWait()
  return {
    eid,
    same: ({ entry }) => entry.k === 'Hold' && bytesEqual(entry.account, ask.account) && bytesEqual(entry.requestHash, ask.requestHash),
    decide: (moment) => {
      const known = hub.state.holds.get(id)
      if (known !== undefined) {
        return known.account === account && known.requestHash === requestHash ? nothing : refuse('ENTRY_CONFLICT', { kind: 'Hold', hold: id })
      }
      const state = accountStateOf(hub, account)
      if (state === undefined) return unknownAccount(account)
      if (state.debt > 0n && !isPlanted('debt-ignored')) return refuse('ACCOUNT_IN_DEBT', { debtMicroCredits: String(state.debt) })
      const doubled = supersededOutcome(hub, ask, account, requestHash)
      if (doubled !== undefined) return doubled

      const elsewhere = ask.key === undefined ? undefined : notHome(hub, account, moment)
      if (elsewhere !== undefined) return elsewhere
      const terms = termsOf(hub, ask, account, moment)
      const budget = budgetLeft(hub, ask.key, terms.day)
      const decided = reserve(hub, ask, { account, state, terms, budget, moment, quotaWait, creditWait })
      if (decided.type === 'entries') hub.duties.mine.add(id)
      return decided
    },
  }
}

/** What is known of the same request at another hub: refused where that one is paid, or where it is another request. */
function supersededOutcome(hub: HubState, { supersedes }: HoldAsk, account: AccountId, requestHash: string): Decision | undefined {
  if (supersedes === undefined) return undefined
  if (supersedes.hub === hub.me) {
    return refuse('ENTRY_INVALID', { problem: 'supersedes a hold of this hub' }, 'repeat the request at this hub with the request id that it had here')
  }
  const id = toHex(supersedes.hold)
  const known = holdsOfRequest(hub, id)
  const other = known.find((hold) => hold.account !== account || hold.requestHash !== requestHash)
  if (other !== undefined) return refuse('ENTRY_CONFLICT', { kind: 'Hold', hold: id })
  const done = known.find(isPaid)
  if (done === undefined) {
    return known.length < HOLDS_OF_REQUEST_MAX ? undefined
      : refuse('ENTRY_INVALID', { problem: 'begun too often', hold: id }, `the request was begun ${known.length} times: ask anew, without "supersedes"`)
  }
  const { charge, promptTokens, completionTokens } = done.outcome!
  return refuse('HOLD_DONE', { hold: done.eid, chargeMicroCredits: String(charge), promptTokens, completionTokens })
}

function termsOf(hub: HubState, ask: HoldAsk, account: AccountId, moment: Moment): Terms {
  const priceRev = newestRev(hub.state, 'prices')
  const tierRev = newestRev(hub.state, 'tiers')
  const day = dayOf(moment.tsMs)
  const tier = tierOn(hub.state, account, day)
  const perDay = tierRow(hub.state, tierRev, tier)?.tokensPerDay
  const unlimited = perDay === null
  const quota = perDay ?? 0
  const here = unlimited ? 0n : rightsOf(hub.state, account, nameOfLog(moment.log), day, quota)
  return {
    priceRow: priceRowOf(hub.state, priceRev, ask.provider, ask.model), priceRev, tier, tierRev, day, unlimited,
    quotaHere: Number(here < 0n ? 0n : here),
    quotaElsewhere: !unlimited && elsewhereOf(hub, account, day, nameOfLog(moment.log), quota) > 0n,
  }
}

interface Reserving {
  readonly account: AccountId
  readonly state: AccountState
  readonly terms: Terms
  /** µcr that the key may still take; undefined: no bound. */
  readonly budget: bigint | undefined
  readonly moment: Moment
  readonly quotaWait: ShortWait
  readonly creditWait: ShortWait
}

function reserve(hub: HubState, ask: HoldAsk, { account, terms, budget, state, moment, quotaWait, creditWait }: Reserving): Decision {
  const { promptTokens } = ask
  const completionTokensMin = Math.min(ask.completionTokensMin ?? ask.completionTokensMax, ask.completionTokensMax)
  const price = priceOf(hub.state, terms.priceRev, terms.priceRow)
  if (price === undefined) return refuse('ENTRY_INVALID', { problem: 'unknown price', row: terms.priceRow })
  const accepts = pendingGives(hub, account, moment.log)
  const come = (unit: number) => accepts.filter((accept) => accept.unit === unit).reduce((sum, accept) => sum + accept.amount, 0n)
  const costOf = (completionTokens: number, quota: number) => chargeOf({ promptTokens, completionTokens }, quota, price).charge

  const tokens = promptTokens + ask.completionTokensMax
  const free = isFree(price)
  const quotaHere = terms.unlimited ? tokens : free ? 0 : terms.quotaHere + Number(come(terms.day))
  const day = terms.day
  if (quotaHere < tokens && !free && (terms.quotaElsewhere || quotaWait.sinceMs !== undefined)) {
    const missing = BigInt(tokens - quotaHere)
    const wait = rightsShort(hub, quotaWait, { account, unit: day, min: 1n, want: missing }, moment)
    if (wait !== undefined) return wait
  }

  const quota = Math.min(quotaHere, tokens)
  const here = (state.rights.get(nameOfLog(moment.log)) ?? 0n) + come(0)
  const least = costOf(completionTokensMin, quota)
  if (budget !== undefined && least > budget) return budgetSpent(least, budget)
  const completionTokensMax = budget === undefined || costOf(ask.completionTokensMax, quota) <= budget ? ask.completionTokensMax
    : longest(completionTokensMin, ask.completionTokensMax, (count) => costOf(count, quota) <= budget)
  const most = costOf(completionTokensMax, quota)
  if (here < most) {
    const elsewhere = elsewhereOf(hub, account, 0, nameOfLog(moment.log)) > 0n
    // With enough for a shorter answer, only what other hubs are known to have is worth a wait.
    if (here < least || elsewhere || creditWait.sinceMs !== undefined) {
      const min = here < least ? least - here : 1n
      const wait = rightsShort(hub, creditWait, { account, unit: 0, min, want: (most - here) * 2n }, moment)
      if (wait !== undefined) return wait
    }
    if (here < least) return tooLittle(hub, account, { here, least, terms, quota, tokens, moment })
  }
  const completionTokens = here >= most ? completionTokensMax : longest(completionTokensMin, completionTokensMax, (count) => costOf(count, quota) <= here)
  const held = Math.min(quota, promptTokens + completionTokens)
  const credits = costOf(completionTokens, held)
  const hold = encodeEntry({
    k: 'Hold', hub: hub.me, request: ask.request, requestHash: ask.requestHash, account: ask.account,
    priceRow: terms.priceRow, priceRev: terms.priceRev, credits,
    ...(held === 0 ? {} : { quota: { day, tokens: held, tier: terms.tier, tierRev: terms.tierRev } }),
    expiresAt: moment.tsMs + Math.min(ask.holdMs ?? HOLD_MS_DEFAULT, HOLD_MS_MAX),
    ...(ask.supersedes === undefined ? {} : { supersedes: { hub: ask.supersedes.hub, hold: ask.supersedes.hold } }),
    ...(ask.key === undefined ? {} : { key: ask.key }),
  })
  return log(...used(accepts, { credits: credits > (state.rights.get(nameOfLog(moment.log)) ?? 0n), quota: held > terms.quotaHere, day }), hold)
}

/** Only the gives that the hold needs: the others have their duty. */
function used(
  accepts: readonly { readonly unit: number; readonly encoded: EncodedEntry }[], { credits, quota, day }: { credits: boolean; quota: boolean; day: number },
): EncodedEntry[] {
  return accepts.filter(({ unit }) => unit === 0 ? credits : unit === day && quota).map(({ encoded }) => encoded)
}

function tooLittle(
  hub: HubState, account: AccountId,
  { here, least, terms, quota, tokens, moment }: { here: bigint; least: bigint; terms: Terms; quota: number; tokens: number; moment: Moment },
): Decision {
  const elsewhere = elsewhereOf(hub, account, 0, nameOfLog(moment.log))
  const context = { neededMicroCredits: String(least), hereMicroCredits: String(here), elsewhereMicroCredits: String(elsewhere) }
  if (here + elsewhere >= least) return refuse('RIGHTS_UNREACHABLE', context)
  // Somebody who lives on quota alone is told about the quota.
  if (here + elsewhere === 0n && !terms.unlimited && tierRow(hub.state, terms.tierRev, terms.tier)?.tokensPerDay !== 0) {
    return refuse('QUOTA_EXCEEDED', { tier: terms.tier, freeTokens: quota, neededTokens: tokens })
  }
  return refuse('INSUFFICIENT_CREDITS', context)
}

/** The largest count from `least` to `most` for which `fits` holds; it holds for `least`, and for all below one for which it holds. */
function longest(least: number, most: number, fits: (count: number) => boolean): number {
  let low = least
  let high = most
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fits(middle)) low = middle
    else high = middle - 1
  }
  return low
}

/** Local models: they take neither quota nor credits. */
export function isFree({ promptMicroCredits, completionMicroCredits }: TokenPrice): boolean {
  return promptMicroCredits === 0n && completionMicroCredits === 0n
}

/** Tokens of an answer that what is held covers, after `promptTokens`. */
export function completionTokensCovered(hub: HubState, hold: HoldState, promptTokens: number, most: number): number {
  const price = priceOf(hub.state, hold.priceRev, hold.priceRow)
  if (price === undefined) return 0
  const fits = (completionTokens: number) => chargeOf({ promptTokens, completionTokens }, hold.quotaTokens, price).charge <= hold.credits
  return fits(0) ? longest(0, most, fits) : 0
}

