/** What people and other parts ask of a state: accounts, keys, balances, rights, tiers. Reads only. */
import { fromHex } from '../../protocol/bytes.ts'
import type { Account, ApiKeyRecord } from '../interface.ts'
import { newestRev } from '../tables/lookup.ts'
import { homeOf } from './homes.ts'
import { quotaOf, tokensLeft } from './quota.ts'
import { UNLIMITED_TOKENS, type AccountId, type AccountState, type LedgerState, type LogName, type Unit } from './state.ts'


/** All µcr. */
export interface Balance {
  /** What all logs together may spend. */
  readonly available: bigint
  readonly held: bigint
  readonly inflight: bigint
  readonly frozen: bigint
  readonly back: bigint
  readonly debt: bigint
}

/** The log that may mint for the account; undefined while its home hub has none. */
export function clearingLogOf(state: LedgerState, account: AccountId): LogName | undefined {
  return state.clearing[state.accounts.get(account)?.home ?? homeOf(state.hubKeys, account)]
}

export function balanceOf(state: LedgerState, account: AccountId): Balance {
  const known = state.accounts.get(account)
  if (known === undefined) return { available: 0n, held: 0n, inflight: 0n, frozen: 0n, back: 0n, debt: 0n }
  const { held, inflight, back, debt } = known
  return { available: sumOf(known.rights), held, inflight, frozen: sumOf(known.frozen), back, debt }
}

/**
 * What a log may spend of the account: µcr, or tokens of a day's quota of `quotaTokensPerDay` (null: without bound).
 * May be negative for a quota that is lower than the one before.
 */
export function rightsOf(state: LedgerState, account: AccountId, log: LogName, unit: Unit, quotaTokensPerDay: number | null = 0): bigint {
  const known = state.accounts.get(account)
  if (unit === 0) return known?.rights.get(log) ?? 0n
  const home = known?.home ?? homeOf(state.hubKeys, account)
  return BigInt(tokensLeft(state.logs.get(log), log, known, home, unit, quotaTokensPerDay ?? UNLIMITED_TOKENS))
}

/**
 * The account's tier on a UTC day. A change to a higher quota counts from its own day, any other from the next; of
 * several on one day the highest quota counts.
 */
export function tierOn(state: LedgerState, account: AccountId, day: number): string {
  const known = state.accounts.get(account)
  const rev = newestRev(state, 'tiers')
  const quota = (tier: string) => quotaOf(state, rev, tier) ?? 0
  let tier = known?.opened?.tier ?? 'free'
  const changes = known?.tiers ?? []
  for (const change of changes) if (change.day < day) tier = change.tier
  for (const change of changes) if (change.day === day && quota(change.tier) > quota(tier)) tier = change.tier
  return tier
}

/** The tier is that of the newest change, also where it counts from tomorrow only. */
export function accountOf(state: LedgerState, id: AccountId): Account | undefined {
  const known = state.accounts.get(id)
  if (known?.opened === undefined) return undefined
  const { publicKey, name, tier } = known.opened
  return { id: fromHex(id)!, publicKey: fromHex(publicKey)!, name, tier: known.tiers.at(-1)?.tier ?? tier, balanceMicroCredits: sumOf(known.rights) + known.inflight }
}

/** Ascending by id. */
export function accountsOf(state: LedgerState): readonly Account[] {
  return [...state.accounts.keys()].sort().flatMap((id) => accountOf(state, id) ?? [])
}

/** Gives undefined where the key is unknown or revoked; a revoked key never comes back. */
export function apiKeyOf(state: LedgerState, publicKey: string): ApiKeyRecord | undefined {
  const placed = state.keys.get(publicKey)
  if (placed === undefined || state.revokedKeys.has(publicKey)) return undefined
  return { publicKey: fromHex(publicKey)!, account: fromHex(placed.account)!, name: placed.name, createdAt: placed.at.tsMs, ...(placed.terms === undefined ? {} : { terms: placed.terms }) }
}

/** Ascending by key; without revoked ones. */
export function apiKeysOf(state: LedgerState, account: AccountId): readonly ApiKeyRecord[] {
  return [...state.keysOfAccount.get(account) ?? []].sort().flatMap((key) => apiKeyOf(state, key) ?? [])
}

/** µcr by name of system account, ascending by name. With the money of all accounts they sum to zero. */
export function systemTotals(state: LedgerState): ReadonlyMap<string, bigint> {
  return new Map([...state.system].sort(([a], [b]) => a < b ? -1 : 1))
}

/** What an account owns in all: what came in less what went out, µcr. Negative while it owes more than it has. */
export function worthOf({ minted, spent }: AccountState): bigint {
  return minted - spent
}

function sumOf(amounts: ReadonlyMap<LogName, bigint>): bigint {
  let sum = 0n
  for (const amount of amounts.values()) sum += amount
  return sum
}
