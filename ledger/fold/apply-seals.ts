/**
 * Folds what happens to logs: they begin, are sealed, and their hub comes back. A Seal moves the rights of every account
 * at once; that happens rarely, so it may take its time.
 */
import { HUBS_PER_FEDERATION } from '../../protocol/federation.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { EntryOf } from '../entries/entry.ts'
import { isPlanted } from '../planted-bugs.ts'
import { dayOf, ISLAND_CAP_MICRO_CREDITS, REVENUE } from '../rules.ts'
import { readPrevious } from './documents.ts'
import { NO_EFFECT, type Effect, type Scene } from './effect.ts'
import { credit, system, type Posting } from './postings.ts'
import { refuse } from './refused.ts'
import { nameOf, type LedgerState, type LogName, type LogState, type LogStatus } from './state.ts'

/** The hub that takes over when this one's log is sealed. */
export function successorOf(hub: number): number {
  return (hub + 1) % HUBS_PER_FEDERATION
}

export function epochOpen({ state, at, log }: Scene, entry: EntryOf<'EpochOpen'>): Effect {
  if (entry.hub !== at.hub || entry.epoch !== at.epoch) refuse('it opens another log')
  if (state.logs.has(log)) refuse('its log is open')
  // Only a hub's first log begins with rights of its own: to clear, and to give out quotas.
  const previous = readPrevious(entry.key.body)
  const first = previous === undefined && ![...state.logs.values()].some((known) => known.log.hub === at.hub)
  return {
    postings: [],
    after: () => {
      state.logs.set(log, {
        log: { hub: at.hub, epoch: at.epoch }, frame: 0, tsMs: 0, seen: { frame: 0, vector: [] },
        shares: first ? [{ hub: at.hub, from: 0, until: undefined, since: undefined }] : [], status: { is: 'live' }, forked: false,
      })
      if (first) state.clearing[at.hub] = log
      if (previous !== undefined) takeOver(state, nameOf({ hub: at.hub, epoch: previous.epoch }), log, at)
    },
  }
}

/**
 * A hub that stood in for another one has lost its own log and goes on in this one: it speaks for the sealed log from here
 * on, and its former log does not. The rights that the seal gave it stay where they are until that log is sealed as well.
 */
function takeOver(state: LedgerState, former: LogName, log: LogName, at: Scene['at']): void {
  for (const sealed of state.logs.values()) {
    const { log: { hub }, status } = sealed
    if (status.is !== 'sealed' || status.successor !== former || status.returned) continue
    const before = logAt(state, former)
    moveShare(hub, before, logAt(state, log), Math.max(dayOf(at.tsMs), dayOf(before.tsMs)))
    if (state.clearing[hub] === former) moveClearing(state, hub, log, at)
    sealed.status = { ...status, successor: log }
  }
}

export function seal({ state, at, log }: Scene, entry: EntryOf<'Seal'>): Effect {
  const name = nameOf(entry.log)
  const sealed = state.logs.get(name) ?? refuse('the sealed log is not known')
  if (sealed.status.is === 'sealed') return NO_EFFECT
  if (successorOf(entry.log.hub) !== at.hub) refuse('its hub is not the successor')
  if (state.outstandingSeal !== undefined && !isPlanted('two-seals')) refuse('another log is sealed and its hub not back')
  const ended = sealed.status.is === 'refused' ? sealed.status.frame <= entry.frame : sealed.frame === entry.frame
  if (!ended) refuse(`the sealed log ends at frame ${sealed.frame} here`)
  const sealedDay = Math.max(dayOf(at.tsMs), dayOf(sealed.tsMs))
  return {
    postings: inherited(state, name, log),
    after: () => {
      moveShare(entry.log.hub, sealed, logAt(state, log), sealedDay)
      for (const share of sealed.shares) share.until = Math.min(share.until ?? sealedDay, sealedDay)
      if (state.clearing[entry.log.hub] === name) moveClearing(state, entry.log.hub, log, at)
      sealed.status = { is: 'sealed', frame: entry.frame, successor: log, sealedDay, returned: false, at }
      state.outstandingSeal = name
    },
  }
}

/** All rights of the sealed log become the successor's, but what its lost end may have spent. */
function* inherited(state: LedgerState, sealed: LogName, successor: LogName): Generator<Posting> {
  for (const [id, account] of state.accounts) {
    const rights = account.rights.get(sealed)
    if (rights === undefined) continue
    const cap = isPlanted('nothing-frozen') ? 0n : ISLAND_CAP_MICRO_CREDITS
    const frozen = rights < cap ? rights : cap
    yield credit(id, 'rights', -rights, sealed)
    yield credit(id, 'frozen', frozen, sealed)
    yield credit(id, 'rights', rights - frozen, successor)
  }
}

/** The sealed log, if this log is the one that may speak of it. */
function sealedHere({ state, log }: Scene, name: LogName): { readonly sealed: LogState; readonly status: Extract<LogStatus, { is: 'sealed' }> } {
  const sealed = state.logs.get(name)
  if (sealed?.status.is !== 'sealed' || sealed.status.successor !== log) return refuse('its log does not stand in for that one')
  return { sealed, status: sealed.status }
}

export function islandSettle(scene: Scene, entry: EntryOf<'IslandSettle'>): Effect {
  const { state } = scene
  const name = nameOf(entry.log)
  sealedHere(scene, name)
  const eid = toHex(entry.eid)
  if (state.mints.has(eid)) return NO_EFFECT
  const id = toHex(entry.account)
  if ((state.accounts.get(id)?.frozen.get(name) ?? 0n) < entry.amount) refuse('it takes more than is frozen')
  return {
    postings: [credit(id, 'frozen', -entry.amount, name), system(REVENUE, entry.amount)],
    after: () => {
      state.mints.add(eid)
      state.islandSpent += entry.amount
    },
  }
}

export function islandRelease(scene: Scene, entry: EntryOf<'IslandRelease'>): Effect {
  const name = nameOf(entry.log)
  sealedHere(scene, name)
  return { postings: released(scene.state, name, scene.log) }
}

function* released(state: LedgerState, sealed: LogName, successor: LogName): Generator<Posting> {
  for (const [id, account] of state.accounts) {
    const frozen = account.frozen.get(sealed)
    if (frozen === undefined) continue
    yield credit(id, 'frozen', -frozen, sealed)
    yield credit(id, 'rights', frozen, successor)
  }
}

export function handback(scene: Scene, entry: EntryOf<'Handback'>): Effect {
  const { state, at, log } = scene
  const name = nameOf(entry.log)
  const { sealed, status } = sealedHere(scene, name)
  if (status.returned) return NO_EFFECT
  const { hub } = entry.log
  const target = state.logs.get(nameOf(entry.target)) ?? refuse('the new log is not known')
  // Whether the new log is refused meanwhile depends on what else has arrived: an honest successor may not have seen it.
  if (target.log.hub !== hub || target.log.epoch <= entry.log.epoch) refuse('the new log cannot follow that one')
  if (hasFrozen(state, name)) refuse('something is still frozen')
  if (hasOpenHold(state, name)) refuse('a hold is still open')
  return {
    postings: [],
    after: () => {
      moveShare(hub, logAt(state, log), target, dayOf(at.tsMs), at)
      if (state.clearing[hub] === log) moveClearing(state, hub, nameOf(entry.target), at)
      sealed.status = { ...status, returned: true }
      if (state.outstandingSeal === name) state.outstandingSeal = undefined
    },
  }
}

export function hasFrozen(state: LedgerState, sealed: LogName): boolean {
  for (const { frozen } of state.accounts.values()) if (frozen.has(sealed)) return true
  return false
}

export function hasOpenHold(state: LedgerState, log: LogName): boolean {
  for (const key of state.openHolds) if (state.holds.get(key)!.log === log) return true
  return false
}

function moveClearing(state: LedgerState, hub: number, to: LogName, at: Scene['at']): void {
  state.clearing[hub] = to
  state.clearingSince[hub] = at
}

/**
 * A hub's share of quotas goes from one log to another with the end of a day. A log that has it only from a later day on, since
 * clocks differ, gives it from that day on: no day counts twice.
 */
function moveShare(hub: number, from: LogState, to: LogState, day: number, since?: Scene['at']): void {
  for (const share of from.shares) {
    if (share.hub !== hub || share.until !== undefined) continue
    const next = Math.max(day + 1, share.from)
    share.until = next - 1
    to.shares.push({ hub, from: next, until: undefined, since })
  }
}

function logAt(state: LedgerState, name: LogName): LogState {
  return state.logs.get(name)!
}
