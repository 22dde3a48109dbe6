/**
 * Postings: what an entry moves, as amounts that sum to zero for each unit. Money and quotas of a state are changed by
 * `post` and by nothing else, so a balance is nothing but the sum of its postings.
 *
 * An account is split into parts; a system account has one. What a debt takes and what was given count as negative, so
 * that all parts of an account together are what it owns. The other side of a quota is `system:QUOTA`, the day's
 * allowance, which is never stored.
 */
import { chainEntry } from './chain.ts'
import { accountFor, type AccountId, type AccountState, type LedgerState, type LogName, type QuotaDay, type QuotaLog, type Unit } from './state.ts'
import { REVENUE } from '../rules.ts'

/** The other side of tokens that a day's quota allows. */
export const QUOTA = 'system:QUOTA'

/** `used`, `given`, `accepted`: of a day's quota, where `rights` and `held` are of credits. */
export type Part = 'rights' | 'held' | 'inflight' | 'frozen' | 'back' | 'debt' | 'used' | 'given' | 'accepted' | 'system'

export interface Posting {
  /** Hexadecimal account id, or the name of a system account. */
  readonly account: AccountId
  readonly unit: Unit
  readonly part: Part
  /** Of `rights`, `frozen`, `used`, `given` and `accepted`; else empty. */
  readonly log: LogName
  /** µcr or tokens; negative where the account gives. */
  readonly amount: bigint
}

/** µcr of an account. */
export function credit(account: AccountId, part: Part, amount: bigint, log: LogName = ''): Posting {
  return { account, unit: 0, part, log, amount }
}

/** Tokens of an account's quota of a UTC day. */
export function tokens(account: AccountId, day: number, part: Part, amount: number | bigint, log: LogName = ''): Posting {
  return { account, unit: day, part, log, amount: BigInt(amount) }
}

export function system(name: string, amount: bigint, unit: Unit = 0): Posting {
  return { account: name, unit, part: 'system', log: '', amount }
}

/**
 * Applies an entry's postings. Those of a system account follow those of the account that they are the other side of.
 * `bytes`, `log`: the entry, for the accounts' hash chains. Throws an Error where a sum is not zero: a fault of this program.
 */
export function post(state: LedgerState, postings: Iterable<Posting>, log: LogName, bytes: Uint8Array): void {
  let creditSum = 0n
  let tokenSum = 0n
  let id: AccountId | undefined
  let account: AccountState | undefined
  for (const posting of postings) {
    const { unit, amount } = posting
    if (amount === 0n) continue
    if (unit === 0) creditSum += amount
    else tokenSum += amount
    if (posting.part === 'system') {
      if (unit === 0) postSystem(state, account, posting)
      continue
    }
    if (posting.account !== id || account === undefined) {
      id = posting.account
      account = accountFor(state, id)
      chainEntry(account, log, bytes)
      state.touched.add(id)
      state.recent.add(id)
    }
    if (unit === 0) postCredit(account, posting)
    else postTokens(account, posting)
  }
  if (creditSum !== 0n || tokenSum !== 0n) throw new Error(`the postings of an entry in log ${log} sum to ${creditSum} µcr and ${tokenSum} tokens`)
}

function postSystem(state: LedgerState, account: AccountState | undefined, { account: name, amount }: Posting): void {
  state.system.set(name, (state.system.get(name) ?? 0n) + amount)
  if (account === undefined) return
  // A refund takes back what was spent; every other source brings in money, every other target takes it out.
  if (amount > 0n || name === REVENUE) account.spent += amount
  else account.minted -= amount
}

function postCredit(account: AccountState, { part, log, amount }: Posting): void {
  switch (part) {
    case 'rights':
      addTo(account.rights, log, amount)
      return
    case 'frozen':
      addTo(account.frozen, log, amount)
      return
    case 'held':
      account.held += amount
      return
    case 'inflight':
      account.inflight += amount
      return
    case 'back':
      account.back += amount
      return
    case 'debt':
      account.debt -= amount
      return
    case 'used':
    case 'given':
    case 'accepted':
    case 'system':
      throw new Error(`credits have no part "${part}"`)
  }
}

function postTokens(account: AccountState, { unit, part, log, amount }: Posting): void {
  const day = quotaDayFor(account, unit)
  if (part === 'inflight') {
    day.inflight += Number(amount)
    return
  }
  const of = quotaLogFor(day, log)
  if (part === 'used') of.used += Number(amount)
  else if (part === 'given') of.given -= Number(amount)
  else if (part === 'accepted') of.accepted += Number(amount)
  else throw new Error(`a quota has no part "${part}"`)
}

function addTo(map: Map<LogName, bigint>, log: LogName, amount: bigint): void {
  const sum = (map.get(log) ?? 0n) + amount
  if (sum === 0n) map.delete(log)
  else map.set(log, sum)
}

export function quotaDayFor(account: AccountState, day: number): QuotaDay {
  const known = account.quota.get(day)
  if (known !== undefined) return known
  const fresh: QuotaDay = { logs: new Map(), inflight: 0 }
  account.quota.set(day, fresh)
  return fresh
}

export function quotaLogFor(day: QuotaDay, log: LogName): QuotaLog {
  const known = day.logs.get(log)
  if (known !== undefined) return known
  const fresh: QuotaLog = { used: 0, given: 0, accepted: 0, quota: 0 }
  day.logs.set(log, fresh)
  return fresh
}
