/** What happens to a hold after it was made: more is reserved, use is noted, it is charged, let go, paid back. */
import { fromHex, toHex } from '../../../protocol/bytes.ts'
import { encodeEntry, expectedEid } from '../../entries/entry.ts'
import { chargeOf } from '../../fold/charge.ts'
import { UNLIMITED_TOKENS, type EntryId, type HoldState, type LogName } from '../../fold/state.ts'
import { rightsOf } from '../../fold/views.ts'
import { isPlanted } from '../../planted-bugs.ts'
import { priceOf } from '../../tables/lookup.ts'
import type { Decision, Intent } from '../events.ts'
import { nameOfLog, type HubState } from '../hub-state.ts'
import { elsewhereOf, pendingGives, rightsShort, shortWait } from '../short.ts'
import { budgetLeft, budgetSpent } from './budget.ts'
import { holdHere, idBytes, log, nothing, refuse } from './common.ts'
import { HOLD_MS_DEFAULT, HOLD_MS_MAX, isFree } from './hold.ts'

export interface Usage {
  readonly promptTokens: number
  readonly completionTokens: number
}

export interface ExtendAsk {
  readonly hold: Uint8Array
  /** 1, 2, ...: the same step again is the same extension. */
  readonly step: number
  /** Use that is to be covered in all, from the first token. */
  readonly promptTokens: number
  readonly completionTokensMax: number
  readonly holdMs?: number
  /** The use is known: nothing is written where what is held pays for it. */
  readonly exact?: boolean
}

function over(id: EntryId, { outcome }: HoldState): Decision {
  return refuse('HOLD_OVER', { hold: id, settled: outcome!.settled, chargeMicroCredits: String(outcome!.charge) })
}

/** Throws FRAME_MALFORMED where a field does not fit. */
export function decideExtend(hub: HubState, ask: ExtendAsk): Intent {
  const id = toHex(ask.hold)
  const wait = shortWait()
  return {
    eid: expectedEid({ k: 'Extend', hold: ask.hold, step: ask.step, credits: 0n, quotaTokens: 0, expiresAt: 0 }),
    decide: (moment) => {
      const found = holdHere(hub, id, moment)
      if ('refusal' in found) return found.refusal
      const { hold } = found
      if (hold.outcome !== undefined) return over(id, hold)
      if (ask.step <= hold.extensions) return nothing
      if (ask.step !== hold.extensions + 1) return refuse('ENTRY_INVALID', { problem: 'a step is left out', step: ask.step, next: hold.extensions + 1 })
      if (moment.tsMs > hold.expiresAt) return refuse('HOLD_OVER', { hold: id, expired: true })
      const account = hub.state.accounts.get(hold.account)!
      if (account.debt > 0n && !isPlanted('debt-ignored')) return refuse('ACCOUNT_IN_DEBT', { debtMicroCredits: String(account.debt) })
      const price = priceOf(hub.state, hold.priceRev, hold.priceRow)
      if (price === undefined) return refuse('ENTRY_INVALID', { problem: 'unknown price', row: hold.priceRow })

      const usage = { promptTokens: ask.promptTokens, completionTokens: ask.completionTokensMax }
      if (ask.exact === true && chargeOf(usage, hold.quotaTokens, price).charge <= hold.credits) return nothing
      const missing = Math.max(0, usage.promptTokens + usage.completionTokens - hold.quotaTokens)
      const quotaTokens = isFree(price) ? 0 : Math.min(missing, quotaLeft(hub, hold, nameOfLog(moment.log)))
      const total = chargeOf(usage, hold.quotaTokens + quotaTokens, price).charge
      const credits = total > hold.credits ? total - hold.credits : 0n
      const budget = hold.key === undefined ? undefined : budgetLeft(hub, fromHex(hold.key), hold.day)
      if (budget !== undefined && credits > budget) return budgetSpent(credits, budget)
      const name = nameOfLog(moment.log)
      const rights = account.rights.get(name) ?? 0n
      const accepts = credits > rights ? pendingGives(hub, hold.account, moment.log).filter(({ unit }) => unit === 0) : []
      const here = rights + accepts.reduce((sum, { amount }) => sum + amount, 0n)
      if (here < credits) {
        const short = rightsShort(hub, wait, { account: hold.account, unit: 0, min: credits - here, want: (credits - here) * 2n }, moment)
        if (short !== undefined) return short
        const elsewhere = elsewhereOf(hub, hold.account, 0, name)
        const context = { neededMicroCredits: String(credits), hereMicroCredits: String(here), elsewhereMicroCredits: String(elsewhere) }
        return refuse(here + elsewhere >= credits ? 'RIGHTS_UNREACHABLE' : 'INSUFFICIENT_CREDITS', context)
      }
      const expiresAt = Math.max(hold.expiresAt, moment.tsMs + Math.min(ask.holdMs ?? HOLD_MS_DEFAULT, HOLD_MS_MAX))
      const extend = encodeEntry({ k: 'Extend', hold: ask.hold, step: ask.step, credits, quotaTokens, expiresAt })
      return log(...accepts.map(({ encoded }) => encoded), extend)
    },
  }
}

/** Tokens that the hold's log may still take from the hold's day; a hold without quota takes none. */
function quotaLeft(hub: HubState, hold: HoldState, mine: LogName): number {
  if (hold.quotaDay === undefined || hold.log !== mine) return 0
  if (hold.quotaPerDay === UNLIMITED_TOKENS) return UNLIMITED_TOKENS
  const left = rightsOf(hub.state, hold.account, hold.log, hold.quotaDay, hold.quotaPerDay)
  return left > 0n ? Number(left) : 0
}

/** Use so far, cumulative. What a hub settles by when the process that served the request is gone. */
export function decideProgress(hub: HubState, { hold: holdId, step, promptTokens, completionTokens }: { readonly hold: Uint8Array; readonly step: number } & Usage): Intent {
  const id = toHex(holdId)
  const encoded = encodeEntry({ k: 'Progress', hold: holdId, step, promptTokens, completionTokens })
  return {
    eid: encoded.entry.eid,
    decide: (moment) => {
      const found = holdHere(hub, id, moment)
      if ('refusal' in found) return found.refusal
      const { outcome, progress } = found.hold
      if (outcome !== undefined) return over(id, found.hold)
      if (progress === undefined) return log(encoded)
      if (step <= progress.step) return nothing
      const less = promptTokens < progress.promptTokens || completionTokens < progress.completionTokens
      return less ? refuse('ENTRY_INVALID', { problem: 'less use than before', hold: id, step }) : log(encoded)
    },
  }
}

/** What the hold costs for this use, never more than it holds. Quota covers the first tokens. */
export function settlementOf(hub: HubState, hold: HoldState, usage: Usage): { readonly charge: bigint; readonly quotaTokens: number } {
  const price = priceOf(hub.state, hold.priceRev, hold.priceRow)
  if (price === undefined) return { charge: 0n, quotaTokens: 0 }
  const { charge, quotaTokens } = chargeOf(usage, hold.quotaTokens, price)
  return { charge: charge < hold.credits ? charge : hold.credits, quotaTokens: Math.min(quotaTokens, hold.quotaTokens) }
}

export interface SettleAsk extends Usage {
  readonly hold: Uint8Array
  readonly receipt?: Uint8Array
  /** µcr: what the caller was told that it costs, where somebody settles who may know less of the hold. Never more is charged. */
  readonly chargeMax?: bigint
}

/** Charges for the use, computed here, and lets the rest go. The first settlement counts; the same again is the same. */
export function decideSettle(hub: HubState, ask: SettleAsk): Intent {
  const id = toHex(ask.hold)
  const { promptTokens, completionTokens } = ask
  const sameUse = (settled: Usage) => settled.promptTokens === promptTokens && settled.completionTokens === completionTokens
  return {
    eid: expectedEid({ k: 'Settle', hold: ask.hold, promptTokens, completionTokens, charge: 0n, quotaTokens: 0 }),
    same: ({ entry }) => entry.k === 'Settle' && sameUse(entry),
    decide: (moment) => {
      const found = holdHere(hub, id, moment)
      if ('refusal' in found) return found.refusal
      const { outcome } = found.hold
      if (outcome?.settled === true && sameUse(outcome)) return nothing
      if (outcome !== undefined && !isPlanted(outcome.settled ? 'settled-twice' : 'expired-settled')) return over(id, found.hold)
      const { receipt, chargeMax } = ask
      const { charge: price, quotaTokens } = settlementOf(hub, found.hold, ask)
      const charge = chargeMax !== undefined && chargeMax < price ? chargeMax : price
      return log(encodeEntry({ k: 'Settle', hold: ask.hold, promptTokens, completionTokens, charge, quotaTokens, ...(receipt === undefined ? {} : { receipt }) }))
    },
  }
}

/** Settles an open hold at its last noted use, or lets it go where none was noted: for holds that nobody is at any more. */
export function decideResolve(hub: HubState, { eid, progress }: HoldState): Intent {
  const hold = idBytes(eid)
  return progress === undefined ? decideExpire(hub, { hold })
    : decideSettle(hub, { hold, promptTokens: progress.promptTokens, completionTokens: progress.completionTokens })
}

/** All that is held goes back. */
export function decideExpire(hub: HubState, { hold: holdId, onlyIfOver = false }: { readonly hold: Uint8Array; readonly onlyIfOver?: boolean }): Intent {
  const id = toHex(holdId)
  const encoded = encodeEntry({ k: 'Expire', hold: holdId })
  return {
    eid: encoded.entry.eid,
    decide: (moment) => {
      const found = holdHere(hub, id, moment)
      if ('refusal' in found) return found.refusal
      const { outcome, expiresAt } = found.hold
      if (outcome !== undefined) return outcome.settled ? over(id, found.hold) : nothing
      // It was extended since the duty asked for this.
      return onlyIfOver && moment.tsMs <= expiresAt ? nothing : log(encoded)
    },
  }
}

export interface RefundAsk {
  readonly hold: Uint8Array
  /** µcr; `all`: whatever is left of the charge and of the quota's tokens. */
  readonly amountMicroCredits: bigint | 'all'
  readonly quotaTokens?: number
  readonly reason: string
  /** Where less is left than that, what is left is paid back. Default false: it is refused. */
  readonly atMost?: boolean
}

export function decideRefund(hub: HubState, { hold: holdId, amountMicroCredits, quotaTokens = 0, reason, atMost = false }: RefundAsk): Intent {
  const id = toHex(holdId)
  return {
    eid: expectedEid({ k: 'Refund', hold: holdId, account: new Uint8Array(16), amount: 0n, quotaTokens: 0, reason }),
    same: ({ entry }) => entry.k === 'Refund' && (amountMicroCredits === 'all' || atMost || entry.amount === amountMicroCredits && entry.quotaTokens === quotaTokens),
    decide: (moment) => {
      const found = holdHere(hub, id, moment)
      if ('refusal' in found) return found.refusal
      const { outcome, account } = found.hold
      const { refunded, refundedTokens } = isPlanted('refunded-twice') ? { refunded: 0n, refundedTokens: 0 } : found.hold
      if (outcome?.settled !== true) return refuse('ENTRY_INVALID', { problem: 'not settled', hold: id }, 'only a settled hold can be paid back: settle it or let it expire')
      const left = outcome.charge - refunded
      const leftTokens = outcome.quotaTokens - refundedTokens
      const amount = amountMicroCredits === 'all' || atMost && amountMicroCredits > left ? left : amountMicroCredits
      const tokens = amountMicroCredits === 'all' || atMost && quotaTokens > leftTokens ? leftTokens : quotaTokens
      if (amount === 0n && tokens === 0) return nothing
      if (amount > left || tokens > leftTokens) return refuse('ENTRY_INVALID', { problem: 'more than was charged', hold: id, leftMicroCredits: String(left), leftTokens })
      return log(encodeEntry({ k: 'Refund', hold: holdId, account: idBytes(account), amount, quotaTokens: tokens, reason }))
    },
  }
}
