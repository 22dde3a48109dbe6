/**
 * Spreads fresh money: what an account gets is minted in one log, but should be spendable at every hub also when that
 * hub is gone. So the log that mints soon gives a quarter of what the account has to each other hub, where little is left.
 */
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { MICRO_CREDITS_PER_CREDIT } from '../../protocol/units.ts'
import type { EncodedEntry } from '../entries/entry.ts'
import type { AccountId } from '../fold/state.ts'
import { decideGive } from './decide/moves.ts'
import type { HubEffect, HubEvent } from './events.ts'
import { logOfName, nameOfLog, type HubState } from './hub-state.ts'
import { liveLogOf, rightsIn } from './short.ts'

/** Accounts that wait to be looked at; beyond it a hub fetches what it needs when it needs it. */
const DUE_MAX = 50_000
/** Accounts looked at each tick: at most twice as many gives. */
const PER_TICK = 256
/** A hub's part of what an account may spend. */
const PART_DIVISOR = 4n
/** Less than this is not worth two entries. */
const GIVE_MIN = MICRO_CREDITS_PER_CREDIT

export interface SpreadState {
  /** Accounts that got money in this hub's log since they were looked at. */
  readonly due: Set<AccountId>
  count: number
}

export function createSpread(): SpreadState {
  return { due: new Set(), count: 0 }
}

export function stepSpread(hub: HubState, event: HubEvent, nowMs: number): readonly HubEffect[] {
  const effects: HubEffect[] = []
  if (hub.writing === undefined || !hub.settings.spread) return effects
  if (event.type === 'folded' && nameOfLog(event.log) === nameOfLog(hub.writing)) note(hub.spread, event.entries)
  if (event.type !== 'tick' || hub.connected.size === 0) return effects
  for (const account of [...hub.spread.due].slice(0, PER_TICK)) {
    hub.spread.due.delete(account)
    give(hub, account, nowMs, effects)
  }
  return effects
}

function note({ due }: SpreadState, entries: readonly EncodedEntry[]): void {
  for (const { entry } of entries) {
    const isMint = entry.k === 'Grant' || entry.k === 'Purchase' || entry.k === 'Vest' || entry.k === 'BackRelease'
    if (isMint && due.size < DUE_MAX) due.add(toHex(entry.account))
  }
}

function give(hub: HubState, account: AccountId, nowMs: number, effects: HubEffect[]): void {
  const mine = nameOfLog(hub.writing!)
  const all = [...hub.state.accounts.get(account)?.rights.values() ?? []].reduce((sum, rights) => sum + rights, 0n)
  const part = all / PART_DIVISOR
  for (const other of hub.connected) {
    const name = liveLogOf(hub.state, other)
    if (name === undefined || name === mine) continue
    const missing = part - rightsIn(hub.state, account, name, 0, 0)
    if (missing * 2n < part || missing < GIVE_MIN) continue
    hub.spread.count += 1
    const request = sha256(Buffer.from(`triforce/spread/1\0${mine}/${account}/${other}/${nowMs}/${hub.spread.count}`, 'utf8')).slice(0, 16)
    const ask = { request, account: fromHex(account)!, unit: 0, target: logOfName(name), min: 1n, want: missing }
    effects.push({ type: 'append', intent: decideGive(hub, ask) })
  }
}
