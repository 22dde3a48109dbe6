/**
 * A hub whose log was sealed comes back. It gives its successor the frames that nobody else had (seal-handover.ts); the successor
 * charges what was spent in them to what it kept frozen, lets the rest go, ends the sealed log's open holds, and hands the hub
 * its clearing back.
 */
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { encodeEntry, expectedEid, type Entry, type EntryOf } from '../entries/entry.ts'
import { quotaOf } from '../fold/quota.ts'
import { UNLIMITED_TOKENS, type AccountId, type EntryId, type HoldState, type LogName } from '../fold/state.ts'
import { checkFrame, decodeFrame, type FrameContext, type LogTail } from '../frame.ts'
import { ISLAND_RELEASE_MS } from '../rules.ts'
import { hasFrozen, hasOpenHold } from '../fold/apply-seals.ts'
import { priceOf } from '../tables/lookup.ts'
import { idBytes, nothing } from './decide/common.ts'
import { isFree } from './decide/hold.ts'
import { decideRefund, decideResolve, decideSettle, settlementOf } from './decide/running.ts'
import type { HubEffect, HubMessage, Intent } from './events.ts'
import { nameOfLog, type HubState } from './hub-state.ts'
import type { SealCase } from './seal-case.ts'
import { successorOf } from './seal-documents.ts'
import { createHandOvers } from './seal-handover.ts'

export interface ReturnComponents {
  readonly me: number
  readonly context: FrameContext
  readonly tailOf: (log: LogId) => LogTail
}

/** Entries that are asked for at once; the next ones with the next tick, so that other writers get their turn. */
const APPENDS_PER_TICK = 512
/** What was asked for and is not done after this long is asked for again. */
const AGAIN_MS = 5_000
/** Entries of a lost end that are remembered while it comes in. */
const NOTED_MAX = 65_536
/** What the successor learns from the lost end of one log. */
interface Lost {
  /** How far it has come in. */
  tail: LogTail
  complete: boolean
  /** µcr charged for holds that stand in the lost end themselves. */
  readonly spent: Map<AccountId, bigint>
  readonly holds: Map<EntryId, AccountId>
  /** Settlements and refunds of holds that every hub knows. */
  readonly settles: Map<EntryId, EntryOf<'Settle'>>
  readonly refunds: EntryOf<'Refund'>[]
  work: Intent[] | undefined
  next: number
  doneMs: number
}

export function createReturns({ me, context, tailOf }: ReturnComponents) {
  const lostEnds = new Map<LogName, Lost>()
  const handOvers = createHandOvers({ tailOf })

  function tick(hub: HubState, cases: ReadonlyMap<LogName, SealCase>, nowMs: number): HubEffect[] {
    const effects: HubEffect[] = []
    for (const known of cases.values()) {
      const status = hub.state.logs.get(nameOfLog(known.log))?.status
      if (known.certificate === undefined || known.writing || hub.writing === undefined) continue
      if (known.log.hub === me) effects.push(...handOvers.tick(hub, known, nowMs))
      else if (status?.is === 'sealed' && successorOf(known.log.hub) === me && !status.returned) effects.push(...resolve(hub, known, nowMs))
    }
    return effects
  }

  /** The successor takes the lost end. */
  function takeOrphans(
    hub: HubState, from: number, message: Extract<HubMessage, { t: 'orphans' }>, known: SealCase | undefined, nowMs: number,
  ): HubEffect[] {
    const { log } = message
    const end = known?.certificate
    const tail = tailOf(log)
    const name = nameOfLog(log)
    // A hub that lost its disk has the log again before it is in the state, and would not know of the holds that are settled in the lost end.
    if (end === undefined || from !== log.hub || successorOf(log.hub) !== me || !isOut(hub, name) || tail.no !== end.no || !bytesEqual(tail.hash, end.hash)) return []
    const lost = message.from === end.no + 1 ? restart(name, tail) : lostEnds.get(name)
    if (lost === undefined || lost.complete || message.from !== lost.tail.no + 1) return []
    for (const bytes of message.frames) {
      const check = checkFrame(decodeFrame(bytes), lost.tail, context)
      if (!check.ok) {
        // Of another history than the one that counts: nothing of it is anybody's debt, and nothing more is to come.
        lost.complete ||= check.problem === 'prevHash'
        const text = `the lost end of log ${name} cannot be taken from frame ${lost.tail.no + 1} on: ${check.detail}`
        return [{ type: 'warn', text }, ...hub.writing === undefined ? [] : resolve(hub, known!, nowMs)]
      }
      for (const entry of check.frame.entries) note(hub, lost, name, entry)
      lost.tail = check.frame.tail
    }
    lost.complete = message.last || message.lost
    return known === undefined || hub.writing === undefined ? [] : resolve(hub, known, nowMs)
  }

  function restart(name: LogName, tail: LogTail): Lost {
    const lost: Lost = {
      tail, complete: false, spent: new Map(), holds: new Map(), settles: new Map(), refunds: [], work: undefined, next: 0, doneMs: 0,
    }
    lostEnds.set(name, lost)
    return lost
  }

  function note(hub: HubState, lost: Lost, name: LogName, entry: Entry): void {
    if (lost.holds.size + lost.settles.size + lost.refunds.length >= NOTED_MAX) return
    const spend = (account: AccountId, amount: bigint) => {
      const sum = (lost.spent.get(account) ?? 0n) + amount
      lost.spent.set(account, sum < 0n ? 0n : sum)
    }
    if (entry.k === 'Hold') {
      if (!mayCost(hub, entry)) return
      lost.holds.set(toHex(entry.eid), toHex(entry.account))
    } else if (entry.k === 'Settle') {
      const account = lost.holds.get(toHex(entry.hold))
      const hold = hub.state.holds.get(toHex(entry.hold))
      if (account !== undefined) spend(account, entry.charge)
      else if (hold?.log === name) {
        lost.settles.set(toHex(entry.hold), entry)
        // What was reserved in the lost end as well is not in the hold that the others know.
        spend(hold.account, beyond(entry.charge, chargeOf(hub, hold, entry)))
      }
    } else if (entry.k === 'Refund') {
      const account = lost.holds.get(toHex(entry.hold))
      const hold = hub.state.holds.get(toHex(entry.hold))
      if (account !== undefined) spend(account, -entry.amount)
      else if (hold?.log === name) {
        const before = paidBack(lost, hold.eid)
        lost.refunds.push(entry)
        const settle = lost.settles.get(hold.eid)
        // What goes beyond the charge of the hold that the others know is of what was reserved in the lost end.
        const covered = settle === undefined ? undefined : chargeOf(hub, hold, settle)
        if (covered !== undefined) spend(hold.account, beyond(before, covered) - beyond(before + entry.amount, covered))
      }
    }
  }

  /** Asks for the successor's entries in their order, a part with each tick. */
  function resolve(hub: HubState, known: SealCase, nowMs: number): HubEffect[] {
    const name = nameOfLog(known.log)
    const lost = lostEnds.get(name) ?? restart(name, tailOf(known.log))
    const status = hub.state.logs.get(name)?.status
    if (!lost.complete && status?.is === 'sealed' && nowMs < status.at.tsMs + ISLAND_RELEASE_MS) return []
    if (lost.work !== undefined && lost.next >= lost.work.length && nowMs - lost.doneMs >= AGAIN_MS) lost.work = undefined
    if (lost.work === undefined) {
      lost.work = workOf(hub, known.log, name, lost)
      lost.next = 0
    }
    const part = lost.work.slice(lost.next, lost.next + APPENDS_PER_TICK)
    if (part.length > 0) lost.doneMs = nowMs
    lost.next += part.length
    return part.map((intent) => ({ type: 'append', intent }))
  }

  function workOf(hub: HubState, log: LogId, name: LogName, lost: Lost): Intent[] {
    const open = [...hub.state.openHolds].flatMap((id) => hub.state.holds.get(id) ?? []).filter((hold) => hold.log === name && !lost.settles.has(hold.eid))
    return [
      ...[...lost.spent].filter(([, amount]) => amount > 0n).map(([account, amount]) => islandSettle(hub, log, name, account, amount)),
      // More of the day's quota may have been reserved in the lost end, so it may have cost less than what is known of the hold gives.
      ...[...lost.settles.values()].map(({ hold, promptTokens, completionTokens, charge, receipt }) => (
        decideSettle(hub, { hold, promptTokens, completionTokens, chargeMax: charge, ...(receipt === undefined ? {} : { receipt }) }))),
      ...lost.refunds.map(({ hold, amount, quotaTokens, reason }) => decideRefund(hub, { hold, amountMicroCredits: amount, quotaTokens, reason, atMost: true })),
      onceSealed(hub, name, { k: 'IslandRelease', log }),
      ...open.map((hold) => decideResolve(hub, hold)),
      handback(hub, log, name),
    ]
  }

  /** Hands over again, and asks again for what is due. */
  function restartAll(): void {
    handOvers.restart()
    for (const lost of lostEnds.values()) lost.doneMs = -Infinity
  }

  return { tick, loaded: handOvers.loaded, takeOrphans, restart: restartAll }
}

/** A hold of a free model, or of a tier without bound, costs nothing whatever becomes of it, and an island may have served any number of them. */
function mayCost({ state }: HubState, { credits, quota, priceRev, priceRow }: EntryOf<'Hold'>): boolean {
  const price = priceOf(state, priceRev, priceRow)
  // What a quota covers at first may be extended beyond it.
  return credits > 0n || (price === undefined || !isFree(price)) && (quota === undefined || quotaOf(state, quota.tierRev, quota.tier) !== UNLIMITED_TOKENS)
}

/** What the successor charges for it: no more than its hub did, and than the hold that the others know gives. */
function chargeOf(hub: HubState, hold: HoldState, settle: EntryOf<'Settle'>): bigint {
  const { charge } = settlementOf(hub, hold, settle)
  return charge < settle.charge ? charge : settle.charge
}

const beyond = (amount: bigint, covered: bigint) => amount > covered ? amount - covered : 0n

const paidBack = ({ refunds }: Lost, hold: EntryId) => refunds.reduce((sum, refund) => toHex(refund.hold) === hold ? sum + refund.amount : sum, 0n)

function isOut(hub: HubState, name: LogName): boolean {
  const status = hub.state.logs.get(name)?.status
  return status?.is === 'sealed' && !status.returned
}

function islandSettle(hub: HubState, log: LogId, name: LogName, account: AccountId, spent: bigint): Intent {
  const fields = { k: 'IslandSettle', log, account: idBytes(account) } as const
  return {
    eid: expectedEid({ ...fields, amount: 1n }),
    decide: () => {
      const frozen = hub.state.accounts.get(account)?.frozen.get(name) ?? 0n
      const amount = spent < frozen ? spent : frozen
      return { type: 'entries', entries: amount > 0n && isOut(hub, name) ? [encodeEntry({ ...fields, amount })] : [] }
    },
  }
}

function onceSealed(hub: HubState, name: LogName, fields: Omit<EntryOf<'IslandRelease'>, 'eid'>): Intent {
  return { eid: expectedEid(fields), decide: () => ({ type: 'entries', entries: isOut(hub, name) ? [encodeEntry(fields)] : [] }) }
}

/** To the newest log of the hub that came back; nothing while it has none. */
function handback(hub: HubState, log: LogId, name: LogName): Intent {
  return {
    eid: expectedEid({ k: 'Handback', log, target: log }),
    decide: () => {
      if (!isOut(hub, name) || hasFrozen(hub.state, name) || hasOpenHold(hub.state, name)) return nothing
      const newer = [...hub.state.logs.values()].filter((other) => other.log.hub === log.hub && other.log.epoch > log.epoch && other.frame > 0 && other.status.is === 'live')
      const target = newer.toSorted((one, other) => other.log.epoch - one.log.epoch)[0]?.log
      return { type: 'entries', entries: target === undefined ? [] : [encodeEntry({ k: 'Handback', log, target })] }
    },
  }
}
