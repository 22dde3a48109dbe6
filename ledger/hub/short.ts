/** What an intent looks at when this log is short of rights: what other logs have, what is arriving, how long it waited. */
import type { LogId } from '../../protocol/messages/ledger.ts'
import { encodeEntry, type EncodedEntry } from '../entries/entry.ts'
import type { AccountId, GiveState, LedgerState, LogName, Unit } from '../fold/state.ts'
import { rightsOf } from '../fold/views.ts'
import type { Decision, Moment } from './events.ts'
import { logOfName, nameOfLog, type HubState } from './hub-state.ts'
import { askKey } from './rights-state.ts'

/** Since when an intent waits for one unit; each intent has its own. */
export interface ShortWait { sinceMs: number | undefined; over: boolean }

export function shortWait(): ShortWait {
  return { sinceMs: undefined, over: false }
}

/** `short` while other hubs may still give; undefined once there is nobody to ask, they have answered, or time is over. */
export function rightsShort(
  hub: HubState, wait: ShortWait, need: { readonly account: AccountId; readonly unit: Unit; readonly min: bigint; readonly want: bigint }, moment: Moment,
): Decision | undefined {
  if (wait.over) return undefined
  if (wait.sinceMs === undefined) {
    wait.sinceMs = moment.nowMs
    wait.over = hub.connected.size === 0
  } else {
    // A clock that was set back meanwhile: else every failure from now on looks like one before the wait began, and it is asked again at once, for ever.
    wait.sinceMs = Math.min(wait.sinceMs, moment.nowMs)
    const failedMs = hub.rights.asks.get(askKey(need.account, need.unit))?.failedMs
    wait.over = moment.nowMs - wait.sinceMs >= hub.settings.rightsWaitMsMax || failedMs !== undefined && failedMs >= wait.sinceMs
  }
  return wait.over ? undefined : { type: 'short', ...need }
}

/** The newest log of a hub, where entries of it still count. */
export function liveLogOf(state: LedgerState, hub: number): LogName | undefined {
  let newest: LogName | undefined
  let epoch = -1
  for (const [name, { log }] of state.logs) {
    if (log.hub !== hub || log.epoch <= epoch) continue
    newest = name
    epoch = log.epoch
  }
  const found = newest === undefined ? undefined : state.logs.get(newest)
  return found?.status.is === 'live' && !found.forked ? newest : undefined
}

/** What the live logs of the other hubs may spend of the account, µcr or tokens, as far as this hub knows. */
export function inOtherLogs(hub: HubState, account: AccountId, unit: Unit, mine: LogName, quotaTokensPerDay = 0): bigint {
  let sum = 0n
  for (const other of hub.state.hubKeys.keys()) {
    if (other === hub.me) continue
    const name = liveLogOf(hub.state, other)
    if (name === undefined || name === mine) continue
    const rights = rightsIn(hub.state, account, name, unit, quotaTokensPerDay)
    if (rights > 0n) sum += rights
  }
  return sum
}

/** What is on its way from one log to another one than `mine`: spendable nowhere at this moment, and soon again somewhere. */
export function onTheWayElsewhere(hub: HubState, account: AccountId, unit: Unit, mine: LogName): bigint {
  let sum = 0n
  for (const give of hub.state.gives.values()) if (give.account === account && give.unit === unit && give.to !== mine) sum += give.amount
  return sum
}

/** All that the account has in other logs, or on its way to one of them. */
export function elsewhereOf(hub: HubState, account: AccountId, unit: Unit, mine: LogName, quotaTokensPerDay = 0): bigint {
  return inOtherLogs(hub, account, unit, mine, quotaTokensPerDay) + onTheWayElsewhere(hub, account, unit, mine)
}

export function rightsIn(state: LedgerState, account: AccountId, name: LogName, unit: Unit, quotaTokensPerDay: number): bigint {
  return unit === 0 ? state.accounts.get(account)?.rights.get(name) ?? 0n : rightsOf(state, account, name, unit, quotaTokensPerDay)
}

export interface PendingGive {
  readonly unit: Unit
  readonly amount: bigint
  /** The Accept. */
  readonly encoded: EncodedEntry
}

/** Gives to log `to` that are in the state and not accepted; of one account, or of all. */
export function pendingGives(hub: HubState, account: AccountId | undefined, to: LogId): readonly PendingGive[] {
  if (hub.state.gives.size === 0) return []
  const name = nameOfLog(to)
  const pending: PendingGive[] = []
  for (const give of hub.state.gives.values()) {
    if (give.to === name && (account === undefined || give.account === account)) pending.push({ unit: give.unit, amount: give.amount, encoded: acceptOf(give) })
  }
  return pending
}

export function acceptOf({ eid, account, unit, amount, from }: GiveState): EncodedEntry {
  return encodeEntry({ k: 'Accept', give: bytesOfHex(eid), from: logOfName(from), account: bytesOfHex(account), unit, amount })
}

function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}

