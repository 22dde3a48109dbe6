/**
 * What a hub does by itself: lets holds go that are over, settles what a former process left open, pays one of two back
 * where a request was served twice, takes in gives, takes back lost ones, logs approved grants, releases what was frozen.
 * Pay stands in pay-duty.ts.
 *
 * Everything is found from the entries of the frame that was folded and from small indexes; the state is looked through
 * once, when a log is opened or the state was folded anew. A duty that led to nothing is tried again after a while.
 */
import { toHex } from '../../protocol/bytes.ts'
import { readAdminChange } from '../admin-change.ts'
import type { Entry } from '../entries/entry.ts'
import type { LogName } from '../fold/state.ts'
import { approvalsNeeded } from '../fold/apply-money.ts'
import { keyIn } from '../fold/slots.ts'
import { clearingLogOf } from '../fold/views.ts'
import { isPlanted } from '../planted-bugs.ts'
import { ISLAND_RELEASE_MS } from '../rules.ts'
import { actsFor, idBytes } from './decide/common.ts'
import { decideGrant } from './decide/money.ts'
import { decideAccept, decideGiveReturn, decideIslandRelease } from './decide/moves.ts'
import { decideExpire, decideRefund, decideResolve } from './decide/running.ts'
import { isDoubled, paidInVain } from './doubles.ts'
import type { HubEffect, HubEvent, Intent } from './events.ts'
import { popDue, pushDue } from './expiry-heap.ts'
import { hasPassed } from './has-passed.ts'
import { nameOfLog, type HubState } from './hub-state.ts'
import { stepPay } from './pay-duty.ts'

/** An entry that was asked for and is not there is asked for again. */
const AGAIN_MS = 5_000
const EXPIRIES_PER_TICK = 1_024
/** Reason of a refund that this module makes. */
export const SUPERSEDED = 'superseded'

export function stepDuties(hub: HubState, event: HubEvent, nowMs: number): readonly HubEffect[] {
  const effects: HubEffect[] = []
  if (event.type === 'writing') {
    if (event.log !== undefined && hub.duties.lookedThrough !== nameOfLog(event.log)) lookThrough(hub, nameOfLog(event.log), nowMs, effects)
  } else if (event.type === 'refolded') {
    if (hub.writing !== undefined) lookThrough(hub, nameOfLog(hub.writing), nowMs, effects)
  } else if (event.type === 'folded') {
    for (const { entry } of event.entries) noteEntry(hub, nameOfLog(event.log), entry)
  } else if (event.type === 'tick') {
    if (hub.writing !== undefined) tick(hub, nameOfLog(hub.writing), nowMs, effects)
  }
  if (hub.writing !== undefined) effects.push(...stepPay(hub, event, nowMs))
  return effects
}

/** Everything that stands open. */
function lookThrough(hub: HubState, mine: LogName, nowMs: number, effects: HubEffect[]): void {
  const { duties, state } = hub
  duties.lookedThrough = mine
  duties.expiries.length = 0
  duties.resolved.clear()
  duties.released.clear()
  for (const key of state.openHolds) {
    const hold = state.holds.get(key)!
    if (hold.log !== mine) continue
    if (duties.mine.has(hold.eid)) pushDue(duties.expiries, { atMs: hold.expiresAt, hold: key })
    else ask(hub, decideResolve(hub, hold), nowMs, effects)
  }
  lookForDoubles(hub)
  for (const [name, { status }] of state.logs) if (status.is === 'sealed' && !status.returned) duties.sealed.add(name)
  for (const [id, change] of state.changes) if (change.hubs.size >= approvalsNeeded()) duties.grants.add(id)
}

/** All requests that more than one hub was asked for. */
function lookForDoubles({ duties, state }: HubState): void {
  for (const [key, hold] of state.holds) if (hold.supersedes !== undefined) duties.doubles.add(key)
}

function noteEntry(hub: HubState, log: LogName, entry: Entry): void {
  const { duties, state } = hub
  const own = hub.writing !== undefined && log === nameOfLog(hub.writing)
  if (own) duties.asked.delete(toHex(entry.eid))
  if (entry.k === 'Hold') {
    const key = keyIn(toHex(entry.eid), log, (id) => state.holds.get(id)?.log)
    if (key !== undefined && own) pushDue(duties.expiries, { atMs: entry.expiresAt, hold: key })
    if (key !== undefined && isDoubled(hub, key)) duties.doubles.add(key)
  } else if (entry.k === 'Settle' || entry.k === 'Expire') {
    const hold = toHex(entry.hold)
    if (isDoubled(hub, hold)) duties.doubles.add(hold)
    if (own) duties.mine.delete(hold)
  } else if (entry.k === 'Seal') {
    duties.sealed.add(nameOfLog(entry.log))
    // What the sealed log's hub has not paid back is paid back by its successor.
    lookForDoubles(hub)
  } else if (entry.k === 'IslandRelease') {
    duties.released.add(nameOfLog(entry.log))
  } else if (entry.k === 'Approval') {
    const id = toHex(entry.change)
    if ((state.changes.get(id)?.hubs.size ?? 0) >= approvalsNeeded()) duties.grants.add(id)
  }
}

function tick(hub: HubState, mine: LogName, nowMs: number, effects: HubEffect[]): void {
  const { duties, state } = hub
  for (const [id, atMs] of duties.asked) if (hasPassed(AGAIN_MS, { sinceMs: atMs, nowMs })) duties.asked.delete(id)

  for (let count = 0; count < EXPIRIES_PER_TICK; count += 1) {
    const due = popDue(duties.expiries, nowMs)
    if (due === undefined) break
    const hold = state.holds.get(due.hold)
    if (hold === undefined || hold.outcome !== undefined || hold.log !== mine) continue
    // It was extended, or its Expire is not logged yet.
    pushDue(duties.expiries, { atMs: hold.expiresAt >= nowMs ? hold.expiresAt : nowMs + AGAIN_MS, hold: due.hold })
    if (hold.expiresAt >= nowMs) continue
    // One of a former process that came into the state late is settled at its last note.
    ask(hub, duties.mine.has(hold.eid) ? decideExpire(hub, { hold: idBytes(hold.eid), onlyIfOver: true }) : decideResolve(hub, hold), nowMs, effects)
  }

  for (const key of duties.doubles) {
    const losers = paidInVain(hub, key).filter((hold) => actsFor(hub, hold.log) === mine)
    // Until they are paid back this is looked at again; a settlement or a hold that comes later brings it back.
    if (losers.length === 0 || isPlanted('duplicate-kept')) duties.doubles.delete(key)
    else for (const { eid } of losers) ask(hub, decideRefund(hub, { hold: idBytes(eid), amountMicroCredits: 'all', reason: SUPERSEDED }), nowMs, effects)
  }

  for (const give of state.gives.values()) {
    if (give.to === mine) ask(hub, decideAccept(hub, give), nowMs, effects)
    else if (state.logs.get(give.to)?.status.is === 'sealed' && actsFor(hub, give.from) === mine) ask(hub, decideGiveReturn(hub, give), nowMs, effects)
  }

  for (const id of duties.grants) grant(hub, mine, id, nowMs, effects)
  for (const name of duties.sealed) afterSeal(hub, mine, name, nowMs, effects)
}

/** Where somebody asked for this lately, it is on its way. */
function ask(hub: HubState, intent: Intent, nowMs: number, effects: HubEffect[]): void {
  const id = toHex(intent.eid)
  if (hub.duties.asked.has(id)) return
  hub.duties.asked.set(id, nowMs)
  effects.push({ type: 'append', intent })
}

// --- grants and seals ---

function grant(hub: HubState, mine: LogName, id: string, nowMs: number, effects: HubEffect[]): void {
  const body = hub.state.changes.get(id)?.body
  const change = body === undefined ? undefined : readAdminChange(body).change
  // Gone with the end of a log that was cut, or not a grant.
  if (change?.type !== 'grant') {
    hub.duties.grants.delete(id)
    return
  }
  const { account, amount, source } = change
  const intent = decideGrant(hub, { account, amountMicroCredits: amount, source, approved: idBytes(id) })
  if (hub.state.mints.has(toHex(intent.eid))) hub.duties.grants.delete(id)
  else if (clearingLogOf(hub.state, toHex(account)) === mine) ask(hub, intent, nowMs, effects)
}

function afterSeal(hub: HubState, mine: LogName, name: LogName, nowMs: number, effects: HubEffect[]): void {
  const status = hub.state.logs.get(name)?.status
  if (status?.is !== 'sealed') {
    hub.duties.sealed.delete(name)
    return
  }
  if (actsFor(hub, name) !== mine) return
  if (!hub.duties.released.has(name)) {
    if (nowMs - status.at.tsMs >= ISLAND_RELEASE_MS) ask(hub, decideIslandRelease(hub, name), nowMs, effects)
    return
  }
  // Nothing of the lost end counts any more: what is still held is settled as far as anybody knows.
  if (!hub.duties.resolved.has(name)) {
    hub.duties.resolved.add(name)
    for (const key of hub.state.openHolds) {
      const hold = hub.state.holds.get(key)!
      if (hold.log === name) ask(hub, decideResolve(hub, hold), nowMs, effects)
    }
  }
  if (status.returned) hub.duties.sealed.delete(name)
}
