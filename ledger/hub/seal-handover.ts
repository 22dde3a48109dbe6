/**
 * A hub whose log was sealed hands its successor the frames of it that nobody else had, and logs the facts in them again in its
 * new log. What the successor makes of them is seal-return.ts.
 */
import { bytesEqual } from '../../protocol/bytes.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { decodeEntry, peekEntry, type EncodedEntry, type EntryKind } from '../entries/entry.ts'
import type { LogName } from '../fold/state.ts'
import { decodeFrame, type LogTail } from '../frame.ts'
import type { HubEffect, HubEvent, HubMessage } from './events.ts'
import { nameOfLog, type HubState } from './hub-state.ts'
import { persistCase, type SealCase } from './seal-case.ts'
import { successorOf } from './seal-documents.ts'

/** What was asked for and is not done after this long is asked for again. */
const AGAIN_MS = 5_000
/** A hand-over that led to nothing is repeated after AGAIN_MS, then after twice as long each time, up to this. */
const HAND_OVER_AGAIN_MS_MAX = 120_000
/** Facts count as logged again when the log was writable for so long after they were asked for. */
const RELOGGED_MS = 60_000

/** Facts that no balance depends on at that moment, so they may be logged again as they are. */
const facts: ReadonlySet<EntryKind> = new Set<EntryKind>(['AccountOpen', 'KeyAdd', 'KeyRevoke', 'JobReceipt', 'Presence'])

/** What the hub that came back has handed over. */
interface HandOver {
  next: number
  loading: boolean
  complete: boolean
  completeMs: number
  /** When it was complete for the first time; how often since. */
  firstMs: number
  times: number
}

export function createHandOvers({ tailOf }: { readonly tailOf: (log: LogId) => LogTail }) {
  const handOvers = new Map<LogName, HandOver>()
  /** Own logs whose seal is signed and whose Seal is not in the state, since when. */
  const unfolded = new Map<LogName, number>()

  function tick(hub: HubState, known: SealCase, nowMs: number): HubEffect[] {
    const name = nameOfLog(known.log)
    const status = hub.state.logs.get(name)?.status
    return isDue(name, status?.is === 'sealed', nowMs) ? handOver(hub, known, status?.is === 'sealed' && status.returned, nowMs) : []
  }

  /**
   * Once the Seal is in the state. It may not come into it for long: it may rest on frames that this hub must not take before
   * another seal is decided, and that is decided only when this one is over. So after a while it goes by the signatures alone.
   */
  function isDue(name: LogName, folded: boolean, nowMs: number): boolean {
    const sinceMs = unfolded.get(name) ?? nowMs
    if (!folded) {
      unfolded.set(name, sinceMs)
      return nowMs - sinceMs >= AGAIN_MS
    }
    // Before that the successor may not have known of it either.
    if (unfolded.delete(name)) handOvers.delete(name)
    return true
  }

  /** The hub that came back: one message of frames each tick, from the start for each connection. */
  function handOver(hub: HubState, known: SealCase, returned: boolean, nowMs: number): HubEffect[] {
    const { log, certificate } = known
    const name = nameOfLog(log)
    const to = successorOf(log.hub)
    const over = handOvers.get(name)
    if (over?.complete === true && known.relogged === undefined && nowMs - over.firstMs >= RELOGGED_MS) {
      known.relogged = over.next
      return persistCase(known)
    }
    if (returned && known.relogged !== undefined || hub.writing!.epoch <= log.epoch || tailOf(log).no > certificate!.no) return []
    if (!returned && !hub.connected.has(to)) {
      handOvers.delete(name)
      return []
    }
    if (over?.complete === true && (returned || nowMs - over.completeMs < Math.min(AGAIN_MS * 2 ** over.times, HAND_OVER_AGAIN_MS_MAX)) || over?.loading === true) return []
    const next = over === undefined || over.complete ? certificate!.no + 1 : over.next
    handOvers.set(name, { next, loading: true, complete: false, completeMs: 0, firstMs: over?.firstMs ?? Infinity, times: over?.times ?? 0 })
    return [{ type: 'loadOrphans', log, from: next }]
  }

  function loaded(hub: HubState, { log, from, frames, last }: Extract<HubEvent, { type: 'orphans' }>, known: SealCase | undefined, nowMs: number): HubEffect[] {
    const over = handOvers.get(nameOfLog(log))
    if (known?.certificate === undefined || over?.loading !== true || over.next !== from) return []
    over.loading = false
    // They cannot be read yet: asked for again with the next tick.
    if (frames.length === 0 && !last) return []
    over.next = from + frames.length
    over.complete = last
    over.completeMs = nowMs
    if (last) over.firstMs = Math.min(over.firstMs, nowMs)
    if (last) over.times += 1
    const effects: HubEffect[] = known.relogged === undefined ? frames.flatMap(logAgain) : []
    const lost = frames.length === 0 && from === known.certificate.no + 1
    const message: HubMessage = { t: 'orphans', log, from, frames: [...frames], last, lost }
    const to = successorOf(log.hub)
    if (hub.connected.has(to)) effects.push({ type: 'send', hub: to, message })
    return effects
  }

  function logAgain(bytes: Uint8Array): HubEffect[] {
    const effects: HubEffect[] = []
    for (const entryBytes of decodeFrame(bytes).entryBytes) {
      const kind = peekEntry(entryBytes)?.kind
      if (kind === undefined || !facts.has(kind)) continue
      const encoded: EncodedEntry = { entry: decodeEntry(entryBytes), bytes: entryBytes }
      const { entry } = encoded
      effects.push({
        type: 'append', intent: { eid: entry.eid, same: (logged) => bytesEqual(logged.bytes, encoded.bytes), decide: () => ({ type: 'entries', entries: [encoded] }) },
      })
    }
    return effects
  }

  return {
    tick,
    loaded,
    restart(): void {
      handOvers.clear()
      unfolded.clear()
    },
  }
}
