/**
 * Rights that are short here and elsewhere not: asks donors one after the other, best first, until what is needed has
 * come, all have answered, or time is over; answers other hubs' asks; and fetches ahead for accounts that spend here.
 *
 * A `Give` in the donor's log is the answer to an ask; it counts once it is folded here. Intents that wait look at the
 * state themselves (short.ts) when they are told to `retry`. An ask that is repeated has the same request id, so it is
 * the same Give.
 */
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { giveEidOf, type EncodedEntry, type EntryKind } from '../entries/entry.ts'
import type { AccountId, Unit } from '../fold/state.ts'
import { tierOn } from '../fold/views.ts'
import { MS_PER_HOUR } from '../rules.ts'
import { newestRev, tierRow } from '../tables/lookup.ts'
import { decideGive, generosity, giveable } from './decide/moves.ts'
import type { HubEffect, HubEvent } from './events.ts'
import { hasPassed } from './has-passed.ts'
import { nameOfLog, type HubState } from './hub-state.ts'
import { askKey, type Demand, type RightsAsk } from './rights-state.ts'
import { inOtherLogs, liveLogOf, onTheWayElsewhere, rightsIn } from './short.ts'

/** Accounts for which this hub asks at one time; one more waits in vain and may try again. */
export const RIGHTS_ASKS_MAX = 4_096
/** Accounts whose demand is remembered. */
const DEMAND_ACCOUNTS_MAX = 50_000
/** Accounts that are looked at for fetching ahead, each tick. */
const LOW_PER_TICK = 64
/** Entries of the own log after which it may spend more. */
const bringsRights: ReadonlySet<EntryKind> = new Set<EntryKind>([
  'Grant', 'Purchase', 'Vest', 'BackRelease', 'Settle', 'Expire', 'Refund', 'Accept', 'GiveReturn', 'Seal', 'IslandRelease',
])
/** A failed ask stays this long, so that those who wait see it. */
const FAILED_KEPT_MS = 1_000
/** Fetching ahead of one account is tried this often. */
const AHEAD_EVERY_MS = 30_000
/** Below this part of an hour's demand rights are low, and this much of it is asked for then. */
const LOW_PERCENT = 20n
const AHEAD_HOURS = 2n

export function stepRights(hub: HubState, event: HubEvent, nowMs: number): readonly HubEffect[] {
  const effects: HubEffect[] = []
  if (event.type === 'short') {
    start(hub, event, false, nowMs, effects)
  } else if (event.type === 'message') {
    if (event.message.t === 'rightsAsk') answer(hub, event.hub, event.message, nowMs, effects)
    else if (event.message.t === 'rightsNone') refused(hub, event.hub, event.message, nowMs, effects)
  } else if (event.type === 'folded') {
    if (event.log.hub === hub.me) ownFolded(hub, event.entries, event.tsMs, effects)
    else arrived(hub, event.entries, nowMs, effects)
  } else if (event.type === 'disconnected') {
    for (const ask of hub.rights.asks.values()) if (ask.asked?.hub === event.hub) nextDonor(hub, ask, nowMs, effects)
  } else if (event.type === 'tick') {
    tick(hub, nowMs, effects)
  } else if (event.type === 'writing' && event.log !== undefined && hub.rights.counterOf.log !== nameOfLog(event.log)) {
    hub.rights.counterOf.log = nameOfLog(event.log)
    // Rights for another log are of no use.
    for (const ask of hub.rights.asks.values()) if (ask.failedMs === undefined) fail(hub, ask, nowMs, effects)
  }
  for (const { hub: asker, request, have } of hub.rights.noneDue.splice(0)) {
    if (hub.connected.has(asker)) effects.push({ type: 'send', hub: asker, message: { t: 'rightsNone', request, have } })
  }
  return effects
}

// --- asking ---

interface Need { readonly account: AccountId; readonly unit: Unit; readonly min: bigint; readonly want: bigint }

function start(hub: HubState, { account, unit, min, want }: Need, background: boolean, nowMs: number, effects: HubEffect[]): void {
  const { asks } = hub.rights
  const key = askKey(account, unit)
  const known = asks.get(key)
  if (known !== undefined && known.failedMs === undefined) {
    if (min > known.min) known.min = min
    if (want > known.want) known.want = want
    known.background &&= background
    return
  }
  if (known === undefined && asks.size >= RIGHTS_ASKS_MAX) return
  const ask: RightsAsk = {
    account, unit, min, want, startedMs: nowMs, background, donors: donorsOf(hub, account, unit), asked: undefined, refused: new Map(), secondRound: false, came: 0n, failedMs: undefined,
  }
  asks.set(key, ask)
  nextDonor(hub, ask, nowMs, effects)
}

/** Connected hubs, the one that has most first. */
function donorsOf(hub: HubState, account: AccountId, unit: Unit): number[] {
  const known = (other: number) => knownOf(hub, other, account, unit)
  return [...hub.connected].filter((other) => other !== hub.me).sort((a, b) => {
    const more = known(b) - known(a)
    return more > 0n ? 1 : more < 0n ? -1 : a - b
  })
}

function knownOf(hub: HubState, other: number, account: AccountId, unit: Unit): bigint {
  const name = liveLogOf(hub.state, other)
  return name === undefined ? 0n : rightsIn(hub.state, account, name, unit, quotaPerDay(hub, account, unit))
}

function quotaPerDay(hub: HubState, account: AccountId, unit: Unit): number {
  if (unit === 0) return 0
  return tierRow(hub.state, newestRev(hub.state, 'tiers'), tierOn(hub.state, account, unit))?.tokensPerDay ?? 0
}

function nextDonor(hub: HubState, ask: RightsAsk, nowMs: number, effects: HubEffect[]): void {
  forget(hub, ask)
  for (let donor = nextOf(hub, ask); donor !== undefined; donor = nextOf(hub, ask)) {
    if (!hub.connected.has(donor)) continue
    const left = ask.min > ask.came ? ask.min - ask.came : 1n
    const said = ask.refused.get(donor)
    const has = said ?? knownOf(hub, donor, ask.account, ask.unit)
    // What one donor cannot give alone, two may give together; one that seems to have nothing is asked for the whole.
    const min = has > 0n && has < left ? has : left
    hub.rights.counter += 1
    const request = requestId(hub, ask, nowMs)
    ask.asked = { hub: donor, request, requestHex: toHex(request), sentMs: nowMs, min, again: false }
    hub.rights.requests.set(toHex(giveEidOf(request)), askKey(ask.account, ask.unit))
    sendAsk(hub, ask, effects)
    return
  }
  secondRound(hub, ask, nowMs, effects)
}

function nextOf(hub: HubState, ask: RightsAsk): number | undefined {
  return hub.writing === undefined ? undefined : ask.donors.shift()
}

/** Nobody had enough alone. Together? */
function secondRound(hub: HubState, ask: RightsAsk, nowMs: number, effects: HubEffect[]): void {
  const together = [...ask.refused.values()].reduce((sum, have) => sum + have, ask.came)
  const willing = [...ask.refused].filter(([, have]) => have > 0n).map(([hub]) => hub)
  if (!ask.secondRound && willing.length > 0 && together >= ask.min) {
    ask.secondRound = true
    ask.donors = willing
    nextDonor(hub, ask, nowMs, effects)
    return
  }
  // What is between two other logs now can be given by its receiver soon: all are asked again with the next tick.
  const mayCome = hub.writing !== undefined && hub.connected.size > 0 && nowMs - ask.startedMs < hub.settings.rightsWaitMsMax
  if (mayCome && onTheWayElsewhere(hub, ask.account, ask.unit, nameOfLog(hub.writing!)) > 0n) return
  fail(hub, ask, nowMs, effects)
}

function askAll(hub: HubState, ask: RightsAsk, nowMs: number, effects: HubEffect[]): void {
  ask.donors = donorsOf(hub, ask.account, ask.unit)
  ask.refused.clear()
  ask.secondRound = false
  nextDonor(hub, ask, nowMs, effects)
}

function requestId(hub: HubState, { account, unit }: RightsAsk, nowMs: number): Uint8Array {
  const text = `triforce/rights-request/1\0${nameOfLog(hub.writing!)}/${account}/${unit}/${nowMs}/${hub.rights.counter}`
  return sha256(Buffer.from(text, 'utf8')).slice(0, 16)
}

function sendAsk(hub: HubState, { account, unit, min, came, want, asked }: RightsAsk, effects: HubEffect[]): void {
  // The log was sealed while it asked: there is nothing to give to until the next one is open.
  if (hub.writing === undefined) return
  const left = want > came ? want - came : 1n
  const least = asked!.min < 1n ? 1n : asked!.min
  effects.push({
    type: 'send', hub: asked!.hub,
    message: {
      t: 'rightsAsk', request: asked!.request, log: hub.writing, account: fromHex(account)!, unit, min: least, want: left > least ? left : min > least ? min : least,
    },
  })
}

function refused(hub: HubState, from: number, { request, have }: { readonly request: Uint8Array; readonly have: bigint }, nowMs: number, effects: HubEffect[]): void {
  const key = hub.rights.requests.get(toHex(giveEidOf(request)))
  const ask = key === undefined ? undefined : hub.rights.asks.get(key)
  if (ask?.asked?.hub !== from || ask.asked.requestHex !== toHex(request)) return
  ask.refused.set(from, have)
  nextDonor(hub, ask, nowMs, effects)
}

/** Frames of another hub: is there something for this one in them? */
function arrived(hub: HubState, entries: readonly EncodedEntry[], nowMs: number, effects: HubEffect[]): void {
  const { writing } = hub
  if (writing === undefined) return
  let came = false
  for (const { entry } of entries) {
    if (entry.k !== 'Give' || nameOfLog(entry.target) !== nameOfLog(writing)) continue
    came = true
    const key = hub.rights.requests.get(toHex(entry.eid))
    const ask = key === undefined ? undefined : hub.rights.asks.get(key)
    if (ask === undefined || ask.failedMs !== undefined) continue
    ask.came += entry.amount
    if (ask.came >= ask.min) end(hub, ask)
    else nextDonor(hub, ask, nowMs, effects)
  }
  if (came) effects.push({ type: 'retry' })
}

function fail(hub: HubState, ask: RightsAsk, nowMs: number, effects: HubEffect[]): void {
  forget(hub, ask)
  ask.failedMs = nowMs
  if (!ask.background) effects.push({ type: 'retry' })
}

function end(hub: HubState, ask: RightsAsk): void {
  forget(hub, ask)
  hub.rights.asks.delete(askKey(ask.account, ask.unit))
}

function forget(hub: HubState, ask: RightsAsk): void {
  if (ask.asked === undefined) return
  hub.rights.requests.delete(toHex(giveEidOf(ask.asked.request)))
  ask.asked = undefined
}

// --- giving ---

interface Asked { readonly request: Uint8Array; readonly log: { readonly hub: number; readonly epoch: number }; readonly account: Uint8Array; readonly unit: Unit; readonly min: bigint; readonly want: bigint }

function answer(hub: HubState, asker: number, { request, log, account, unit, min, want }: Asked, nowMs: number, effects: HubEffect[]): void {
  const none = (have: bigint) => { effects.push({ type: 'send', hub: asker, message: { t: 'rightsNone', request, have } }) }
  // Given and under way: its frame is the answer.
  if (hub.state.gives.has(toHex(giveEidOf(request)))) return
  if (hub.writing === undefined || log.hub !== asker || liveLogOf(hub.state, asker) !== nameOfLog(log)) {
    none(0n)
    return
  }
  const have = giveable(hub, nameOfLog(hub.writing), toHex(account), unit, nowMs)
  if (generosity({ have, min, want }) === undefined) none(have)
  else effects.push({ type: 'append', intent: decideGive(hub, { request, account, unit, target: log, min, want }) })
}

// --- ahead of need ---

function ownFolded(hub: HubState, entries: readonly EncodedEntry[], tsMs: number, effects: HubEffect[]): void {
  for (const { entry } of entries) {
    if (entry.k === 'Hold') noteDemand(hub, toHex(entry.account), entry.credits, tsMs)
    if (entry.k === 'Extend') {
      const account = hub.state.holds.get(toHex(entry.hold))?.account
      if (account !== undefined) noteDemand(hub, account, entry.credits, tsMs)
    }
  }
  // What somebody waits for may be here by another way.
  if (hub.rights.asks.size > 0 && entries.some(({ entry }) => bringsRights.has(entry.k))) effects.push({ type: 'retry' })
}

function noteDemand(hub: HubState, account: AccountId, credits: bigint, tsMs: number): void {
  if (credits === 0n) return
  const { demand, low } = hub.rights
  const hour = Math.floor(tsMs / MS_PER_HOUR)
  let known = demand.get(account)
  if (known === undefined) {
    if (demand.size >= DEMAND_ACCOUNTS_MAX) demand.delete(demand.keys().next().value!)
    known = { hour, now: 0n, before: 0n, askedMs: undefined }
    demand.set(account, known)
  }
  turn(known, hour)
  known.now += credits
  low.add(account)
}

function turn(demand: Demand, hour: number): void {
  if (hour <= demand.hour) return
  demand.before = hour === demand.hour + 1 ? demand.now : 0n
  demand.now = 0n
  demand.hour = hour
}

/** µcr in the last sixty minutes, with the hour before as if it had been even. */
export function hourlyDemand(demand: Demand, nowMs: number): bigint {
  turn(demand, Math.floor(nowMs / MS_PER_HOUR))
  const left = BigInt(MS_PER_HOUR - nowMs % MS_PER_HOUR)
  return demand.now + demand.before * left / BigInt(MS_PER_HOUR)
}

function fetchAhead(hub: HubState, nowMs: number, effects: HubEffect[]): void {
  const { writing } = hub
  if (writing === undefined || hub.connected.size === 0) return
  const name = nameOfLog(writing)
  let looked = 0
  for (const account of hub.rights.low) {
    if (looked >= LOW_PER_TICK) return
    looked += 1
    hub.rights.low.delete(account)
    const known = hub.rights.demand.get(account)
    if (known === undefined || known.askedMs !== undefined && !hasPassed(AHEAD_EVERY_MS, { sinceMs: known.askedMs, nowMs })) continue
    const demand = hourlyDemand(known, nowMs)
    const here = rightsIn(hub.state, account, name, 0, 0)
    if (here * 100n >= demand * LOW_PERCENT || inOtherLogs(hub, account, 0, name) === 0n) continue
    known.askedMs = nowMs
    start(hub, { account, unit: 0, min: 1n, want: demand * AHEAD_HOURS }, true, nowMs, effects)
  }
}

function tick(hub: HubState, nowMs: number, effects: HubEffect[]): void {
  const { rightsResendMs, rightsWaitMsMax } = hub.settings
  for (const [key, ask] of hub.rights.asks) {
    if (ask.failedMs !== undefined) {
      if (hasPassed(FAILED_KEPT_MS, { sinceMs: ask.failedMs, nowMs })) hub.rights.asks.delete(key)
    } else if (hasPassed(rightsWaitMsMax, { sinceMs: ask.startedMs, nowMs })) {
      fail(hub, ask, nowMs, effects)
    } else if (ask.asked === undefined) {
      askAll(hub, ask, nowMs, effects)
    } else if (nowMs - ask.asked.sentMs >= 2 * rightsResendMs) {
      nextDonor(hub, ask, nowMs, effects)
    } else if (!ask.asked.again && nowMs - ask.asked.sentMs >= rightsResendMs) {
      ask.asked = { ...ask.asked, again: true }
      sendAsk(hub, ask, effects)
    }
  }
  fetchAhead(hub, nowMs, effects)
}
