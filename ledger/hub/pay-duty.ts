/**
 * Pay: at a final checkpoint every device is paid what its facts are worth beyond what it was paid, not more often than
 * the setting says unless somebody asks. Each hub pays the contributors whose accounts it clears for.
 */
import { payOf } from '../earning/pay.ts'
import type { AccountId, LedgerState } from '../fold/state.ts'
import { clearingLogOf } from '../fold/views.ts'
import { NEWCOMER_MS, NEWCOMER_RECEIPTS } from '../rules.ts'
import { decideBackRelease, decideVest, earningAccount, type VestAsk } from './decide/earning.ts'
import type { HubEffect, HubEvent } from './events.ts'
import { hasPassed } from './has-passed.ts'
import { nameOfLog, type FinalState, type HubState } from './hub-state.ts'

/** Entries that one event brings; the rest comes with the next ones. */
const PAY_PER_EVENT = 256

export function stepPay(hub: HubState, event: HubEvent, nowMs: number): readonly HubEffect[] {
  const { duties, final } = hub
  if (event.type === 'vest') duties.vestAsked = true
  const due = duties.vestAsked || duties.vestedMs === undefined || hasPassed(hub.settings.vestEveryMs, { sinceMs: duties.vestedMs, nowMs })
  if (final !== undefined && final.round > duties.vestedRound && due && duties.pay.length === 0) {
    duties.vestedRound = final.round
    duties.vestedMs = nowMs
    duties.vestAsked = false
    duties.pay = payDue(hub, final)
  }
  return duties.pay.splice(0, PAY_PER_EVENT).map((each) => ({
    type: 'append', intent: 'release' in each ? decideBackRelease(hub, each.release) : decideVest(hub, each),
  }))
}

/** Computed in the step in which the checkpoint became final, so that its state is exactly that of the round. */
function payDue(hub: HubState, { round, state }: FinalState): (VestAsk | { readonly release: AccountId })[] {
  const mine = nameOfLog(hub.writing!)
  const records = recordsOf(hub, state)
  const pay: (VestAsk | { readonly release: AccountId })[] = []
  for (const device of state.devices.values()) {
    const account = earningAccount(hub, device.contributor)
    if (account === undefined || clearingLogOf(hub.state, account) !== mine || !hub.mayPay(device.contributor)) continue
    const total = payOf(device)
    const paid = hub.state.devices.get(`${device.contributor}/${device.device}`)?.vested ?? 0n
    if (total > paid) pay.push({ contributor: device.contributor, device: device.device, total, round, newcomer: isNewcomer(hub, records.get(account)) })
  }
  const waiting = waitingAccounts(hub, state)
  for (const [account, record] of records) {
    const back = hub.state.accounts.get(account)?.back ?? 0n
    if (back > 0n && clearingLogOf(hub.state, account) === mine && !isNewcomer(hub, record) && !waiting.has(account)) pay.push({ release: account })
  }
  return pay
}

/** Accounts with a contributor that may not be paid: nothing that was held back is let go either. */
function waitingAccounts(hub: HubState, state: LedgerState): ReadonlySet<AccountId> {
  const waiting = new Set<AccountId>()
  for (const { contributor } of state.devices.values()) {
    const account = hub.mayPay(contributor) ? undefined : earningAccount(hub, contributor)
    if (account !== undefined) waiting.add(account)
  }
  return waiting
}

/** What the devices of one account have done together, seen at `nowMs`. */
export interface EarningRecord { receipts: number; firstAt: number; readonly nowMs: number }

/** What each account's devices have done together, up to the newest frame of that state. */
function recordsOf(hub: HubState, state: LedgerState): Map<AccountId, EarningRecord> {
  let nowMs = 0
  for (const log of state.logs.values()) nowMs = Math.max(nowMs, log.tsMs)
  const records = new Map<AccountId, EarningRecord>()
  for (const { contributor, receipts, firstAt } of state.devices.values()) {
    const account = earningAccount(hub, contributor)
    if (account === undefined) continue
    const known = records.get(account)
    if (known === undefined) records.set(account, { receipts, firstAt, nowMs })
    else {
      known.receipts += receipts
      known.firstAt = Math.min(known.firstAt, firstAt)
    }
  }
  return records
}

/** True while half of the pay is held back. */
export function isNewcomer(hub: HubState, record: EarningRecord | undefined): boolean {
  if (!hub.settings.holdBack) return false
  return record === undefined || record.receipts < NEWCOMER_RECEIPTS || record.nowMs - record.firstAt < NEWCOMER_MS
}

