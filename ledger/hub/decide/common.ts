/** What all decisions share: refusals, and whether this log is the one that may log it. */
import { bytesEqual, fromHex, toHex } from '../../../protocol/bytes.ts'
import { TriforceError, type ErrorCode, type ErrorContext } from '../../../protocol/errors.ts'
import type { EncodedEntry } from '../../entries/entry.ts'
import type { AccountId, AccountState, EntryId, HoldState, LogName } from '../../fold/state.ts'
import { mintKeyOf } from '../../fold/apply-money.ts'
import { slotOf } from '../../fold/slots.ts'
import { clearingLogOf } from '../../fold/views.ts'
import { isPlanted } from '../../planted-bugs.ts'
import type { Decision, Moment } from '../events.ts'
import { logOfName, nameOfLog, type HubState } from '../hub-state.ts'

/** Nothing is to be done: it is so already. */
export const nothing: Decision = Object.freeze({ type: 'entries', entries: [] })

export function log(...entries: readonly EncodedEntry[]): Decision {
  return { type: 'entries', entries }
}

export function refuse(code: ErrorCode, context: ErrorContext, detail?: string): Decision {
  return { type: 'refuse', error: new TriforceError(code, context, detail === undefined ? {} : { detail }) }
}

/** For entries whose bytes do not depend on the moment of logging. */
export function sameBytes(encoded: EncodedEntry): (logged: EncodedEntry) => boolean {
  return (logged) => bytesEqual(logged.bytes, encoded.bytes)
}

export function accountStateOf(hub: HubState, account: AccountId): AccountState | undefined {
  const state = hub.state.accounts.get(account)
  return state?.opened === undefined ? undefined : state
}

export function unknownAccount(account: AccountId): Decision {
  return refuse('ENTRY_INVALID', { problem: 'unknown account', account }, 'no such account is known to this hub: open it first, or try again in a second if it is new')
}

/** A refusal where another log clears for the account; undefined where this one does. */
export function notHome(hub: HubState, account: AccountId, moment: Moment): Decision | undefined {
  const clearing = clearingLogOf(hub.state, account)
  if (clearing === nameOfLog(moment.log) || isPlanted('mint-anywhere')) return undefined
  if (clearing === undefined) return refuse('NOT_HOME', {}, "the account's home hub has no log yet: start that hub")
  return refuse('NOT_HOME', { hub: logOfName(clearing).hub })
}

/** A mint that is in the state, logged by whichever hub cleared then. `account`: of a purchase or chargeback. */
export function minted(hub: HubState, eid: Uint8Array, account?: AccountId): boolean {
  return hub.state.mints.has(account === undefined ? toHex(eid) : mintKeyOf(eid, account)) && !isPlanted('double-mint')
}

/** A hold that this log may act on, or why not. */
export function holdHere(hub: HubState, id: EntryId, moment: Moment): { readonly hold: HoldState } | { readonly refusal: Decision } {
  const first = hub.state.holds.get(id)
  if (first === undefined) return { refusal: refuse('HOLD_UNKNOWN', { hold: id }) }
  const name = actsFor(hub, first.log)
  if (name === nameOfLog(moment.log)) return { hold: first }
  // A hub that lost its disk may have logged the request again.
  for (const log of hub.state.logs.keys()) {
    const hold = hub.state.holds.get(slotOf(id, log))
    if (hold !== undefined && actsFor(hub, log) === nameOfLog(moment.log)) return { hold }
  }
  return { refusal: refuse('NOT_HOME', { hub: logOfName(name).hub, hold: id }, 'the hold stands in the log of another hub: ask that hub') }
}

/** The log itself, or the one that stands in for it once it is sealed. */
export function actsFor(hub: HubState, name: LogName): LogName {
  let acting = name
  for (let steps = 0; steps < 256; steps += 1) {
    const status = hub.state.logs.get(acting)?.status
    if (status?.is !== 'sealed') return acting
    acting = status.successor
  }
  return acting
}

export function idBytes(hex: string): Uint8Array {
  return fromHex(hex)!
}
