/**
 * What this hub knows of the sealing of one log: promises, signatures, the certificate, a proof of a fork. Kept on the
 * disk as one row for each log and read back at the start.
 */
import { bytesEqual } from '../../protocol/bytes.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { Signed } from '../../protocol/signed.ts'
import { encodeEntry, expectedEid, type Entry, type Unnamed } from '../entries/entry.ts'
import type { LedgerState } from '../fold/state.ts'
import type { FrameContext } from '../frame.ts'
import { isPlanted } from '../planted-bugs.ts'
import type { HubEffect } from './events.ts'
import { nameOfLog, type HubState } from './hub-state.ts'
import {
  decodeSealRow, encodeSealRow, openCertificate, openPromise, sealRowKey, successorOf, type ForkProof, type LogEnd, type SealCertificate,
} from './seal-documents.ts'

export interface SealCase {
  readonly log: LogId
  /** This hub has promised once, though it may have taken that back: the other hub may have signed because of it. */
  promised: boolean
  /** This hub takes no frames beyond `end` until the seal is decided. */
  promise: { readonly document: Signed; readonly end: LogEnd; readonly forced: boolean; readonly atMs: number } | undefined
  /** Where the other hub has promised to stop. */
  peerPromise: LogEnd | undefined
  /** What this hub and the other one have signed; a longer end takes the place of a shorter one. */
  signature: SealCertificate | undefined
  peerSignature: SealCertificate | undefined
  /** Both signatures: the log ends here, whatever else happens. */
  certificate: SealCertificate | undefined
  fork: ForkProof | undefined
  /** A peer has sent another first frame, with another key that the hub has certified too: two histories without a proof of one key. */
  twoKeys: boolean
  /** The other hub has sent a frame that is another one than ours: of a forked log it has the other history. */
  differs: boolean
  /** An admin of this hub wants the log sealed though its hub may be connected. */
  wanted: boolean
  /** Its own hub has asked: it has given the log up. */
  given: boolean
  /** Own sealed log: facts of its lost end up to this frame are logged again. */
  relogged: number | undefined
  /** Its row is on its way to the disk, and has changed again meanwhile. */
  writing: boolean
  changed: boolean
  /** Times (ms) of the last try, of the last message, of the last entry that was asked for, and of the last question for another branch. */
  triedMs: number
  sentMs: number
  appendedMs: number
  comparedMs: number
  /** Frame to which the log is being cut; undefined when nothing is under way. */
  cutTo: number | undefined
  /** How often another branch was found further down. */
  cuts: number
}

export function createCase(log: LogId): SealCase {
  return {
    log, promised: false, promise: undefined, peerPromise: undefined, signature: undefined, peerSignature: undefined, certificate: undefined, 
    fork: undefined, twoKeys: false, differs: false, wanted: false, given: false, relogged: undefined, writing: false, changed: false, triedMs: -Infinity, sentMs: -Infinity, appendedMs: -Infinity, comparedMs: -Infinity, cutTo: undefined, cuts: 0,
  }
}

/** The clock was set back: nothing waits since a time that is still to come. */
export function restartTimes(known: SealCase, nowMs: number): void {
  Object.assign(known, { triedMs: -Infinity, sentMs: -Infinity, appendedMs: -Infinity, comparedMs: -Infinity })
  if (known.promise !== undefined) known.promise = { ...known.promise, atMs: nowMs }
}

/**
 * Rows that cannot be read are left out: a promise that is gone only makes the hub ask again. The clock may have been set back
 * while the hub was down: a promise waits since now at the latest, or it would hold its log up until that time comes again.
 */
export function readCases({ rows, nowMs }: { readonly rows: ReadonlyMap<string, Uint8Array>; readonly nowMs: number }, me: number, context: FrameContext): Map<string, SealCase> {
  const cases = new Map<string, SealCase>()
  for (const value of rows.values()) {
    if (value.byteLength === 0) continue
    try {
      const row = decodeSealRow(value)
      const known = createCase(row.log)
      if (row.promise !== undefined) {
        const opened = openPromise(row.promise.document, me, context)
        if (opened !== undefined) known.promise = { document: row.promise.document, end: opened, forced: row.promise.forced, atMs: Math.min(row.promise.atMs, nowMs) }
      }
      known.promised = row.promised ?? row.promise !== undefined
      const signed = row.signatures.length === 0 ? undefined : openCertificate(row.log, row.signatures, context)
      if (signed?.signatures.length === 2) known.certificate = signed
      else known.signature = signed
      known.relogged = row.relogged
      if (row.fork !== undefined) known.fork = { log: row.log, ...row.fork }
      cases.set(nameOfLog(row.log), known)
    } catch {
      continue
    }
  }
  return cases
}

/** One write at a time, so that `persisted` says which one it was. */
export function persistCase(known: SealCase): HubEffect[] {
  known.changed = known.writing
  known.promised ||= known.promise !== undefined
  if (known.writing) return []
  known.writing = true
  const signed = known.certificate ?? known.signature
  return [{
    type: 'persist', key: sealRowKey(known.log), value: encodeSealRow({
      log: known.log, signatures: [...signed?.signatures ?? []],
      ...(known.promise === undefined ? {} : { promise: { document: known.promise.document, forced: known.promise.forced, atMs: known.promise.atMs } }),
      ...(known.promised ? { promised: true } : {}),
      ...(known.fork === undefined ? {} : { fork: { no: known.fork.no, first: known.fork.first, second: known.fork.second } }),
      ...(known.relogged === undefined ? {} : { relogged: known.relogged }),
    }),
  }]
}

/** The row is on the disk; where it has changed since, it goes there again. */
export function casePersisted(known: SealCase): HubEffect[] {
  known.writing = false
  return known.changed ? persistCase(known) : []
}

/**
 * Where the log will end once both have signed: the longer promise. Of a log with two histories, of which each hub has
 * another one, the successor's counts, and the other hub waits for its signature: the Seal stands in the successor's log,
 * so what that log built on the other history could never be folded before it.
 */
export function finalOf({ log, promise, peerPromise, peerSignature, differs }: SealCase, { me, forked }: { readonly me: number; readonly forked: boolean }): LogEnd | undefined {
  if (promise === undefined || peerPromise === undefined) return undefined
  const own = promise.end
  const leads = successorOf(log.hub) === me
  if (own.no === peerPromise.no) return leads || sameEnd(own, peerPromise) ? own : peerPromise
  const longer = own.no > peerPromise.no ? own : peerPromise
  if (!forked) return longer
  if (leads) return differs ? own : longer
  return peerSignature ?? (longer === own ? undefined : longer)
}

export const sameEnd = (one: LogEnd, other: LogEnd) => one.no === other.no && bytesEqual(one.hash, other.hash)

/** True where the state has a newer log of the same hub: nobody writes this one any more. */
export function isAbandoned(state: LedgerState, log: LogId): boolean {
  for (const other of state.logs.values()) if (other.log.hub === log.hub && other.log.epoch > log.epoch && other.frame > 0) return true
  return false
}

/** Its hub writes it no more. Of a log with two histories the newer log may rest on the one that is not here, so it says so itself. */
export function isGivenUp(state: LedgerState, { log, given }: SealCase): boolean {
  return given || isAbandoned(state, log)
}

export function isForked(state: LedgerState, known: SealCase | undefined, name: string): boolean {
  return known?.fork !== undefined || known?.twoKeys === true || state.logs.get(name)?.forked === true
}

export function isSealed(state: LedgerState, log: LogId): boolean {
  return state.logs.get(nameOfLog(log))?.status.is === 'sealed'
}

/** True while this log's seal is under way or its hub is not back. */
export function isOpen(state: LedgerState, { log, promise, signature, certificate }: SealCase): boolean {
  const status = state.logs.get(nameOfLog(log))?.status
  if (status?.is === 'sealed') return !status.returned
  return promise !== undefined || signature !== undefined || certificate !== undefined
}

export interface SealManner {
  /** An admin wants it or a fork was proved, so it may happen though its hub is connected. */
  readonly forced: boolean
  /** The other hub has signed already and takes no more of the log until this one does. */
  readonly owed: boolean
}

/** Why this hub does not promise; undefined where it does. */
export function refusalOf(hub: HubState, cases: ReadonlyMap<string, SealCase>, known: SealCase, { forced, owed }: SealManner): string | undefined {
  const { log } = known
  const { state } = hub
  const name = nameOfLog(log)
  if (log.hub === hub.me) return "it is this hub's own log; ask the admin of another hub"
  if (isSealed(state, log) || known.certificate !== undefined) return 'it is sealed already'
  if (hub.writing === undefined) return 'this hub does not write now'
  const outstanding = state.outstandingSeal !== undefined && state.outstandingSeal !== name
    || [...cases.values()].some((other) => other !== known && isOpen(state, other))
  if (outstanding && !isPlanted('two-seals')) return "another hub's log is sealed and that hub is not back yet"
  // The hub of a log with two histories writes no more, and might be the one that has to end another seal.
  if ([...cases.values()].some((other) => other !== known && isForked(state, other, nameOfLog(other.log)) && !isSealed(state, other.log))) return "another log has two histories, and is sealed first"
  const agreed = forced && (known.wanted || isForked(state, known, name))
  if (hub.connected.has(log.hub) && !owed && !agreed && !isGivenUp(state, known)) return 'its hub is connected'
  return undefined
}

/** Logs an entry unless what it says is so already when its frame is built. */
export function appendOnce(fields: Unnamed<Entry>, wanted: (state: LedgerState) => boolean, hub: HubState): HubEffect {
  return {
    type: 'append', intent: { eid: expectedEid(fields), decide: () => ({ type: 'entries', entries: wanted(hub.state) ? [encodeEntry(fields)] : [] }) },
  }
}

/** The fold takes the Seal: the log ends here as signed, and no other hub is out. */
export function canSeal(state: LedgerState, { log, no }: LogEnd): boolean {
  const known = state.logs.get(nameOfLog(log))
  if (known === undefined || known.status.is === 'sealed' || state.outstandingSeal !== undefined && !isPlanted('two-seals')) return false
  return known.status.is === 'refused' ? known.status.frame <= no : known.frame === no
}
