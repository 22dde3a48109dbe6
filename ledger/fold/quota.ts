/** A day's quota of cloud tokens, and which part of it a log may give out. */
import { isPlanted } from '../planted-bugs.ts'
import { tierRow } from '../tables/lookup.ts'
import { sees, type Scene } from './effect.ts'
import { UNLIMITED_TOKENS, type AccountState, type LedgerState, type LogName, type LogState, type Position } from './state.ts'

/** The part of hub `hub`: a quarter, the home hub the rest. */
export function shareOf(quotaTokensPerDay: number, hub: number, home: number): number {
  if (isPlanted('quota-not-shared')) return quotaTokensPerDay
  const quarter = Math.floor(quotaTokensPerDay / 4)
  return hub === home ? quotaTokensPerDay - 2 * quarter : quarter
}

/** Tokens of a day that a log has by itself, without what was given and accepted. `known`: does this Handback count? */
export function ownTokens(
  log: LogState | undefined, home: number, day: number, quotaTokensPerDay: number, known: (since: Position | undefined) => boolean = () => true,
): number {
  if (quotaTokensPerDay === UNLIMITED_TOKENS) return UNLIMITED_TOKENS
  let sum = 0
  for (const { hub, from, until, since } of log?.shares ?? []) {
    if (from <= day && (until === undefined || day <= until) && known(since)) sum += shareOf(quotaTokensPerDay, hub, home)
  }
  return sum
}

/** Tokens of a day that a log may still give out; UNLIMITED_TOKENS where there is no bound. May be negative under a lower quota than before. */
export function tokensLeft(
  log: LogState | undefined, name: LogName, account: AccountState | undefined, home: number, day: number, quotaTokensPerDay: number,
  known?: (since: Position | undefined) => boolean,
): number {
  if (quotaTokensPerDay === UNLIMITED_TOKENS) return UNLIMITED_TOKENS
  const of = account?.quota.get(day)?.logs.get(name)
  return ownTokens(log, home, day, quotaTokensPerDay, known) + (of === undefined ? 0 : of.accepted - of.given - of.used)
}

/** As `tokensLeft`, for an entry: what its author had not seen does not count. */
export function tokensLeftAt(scene: Scene, account: AccountState, day: number, quotaTokensPerDay: number): number {
  return tokensLeft(scene.state.logs.get(scene.log), scene.log, account, account.home, day, quotaTokensPerDay, (since) => sees(scene, since))
}

/** Tokens a day of a tier; UNLIMITED_TOKENS without bound, undefined where the revision or the tier is not known. */
export function quotaOf(state: LedgerState, tierRev: number, tier: string): number | undefined {
  const row = tierRow(state, tierRev, tier)
  return row === undefined ? undefined : row.tokensPerDay ?? UNLIMITED_TOKENS
}
