/**
 * Seals: two hubs retire the log of the third so that its rights do not stand idle. Each promises to take no more frames
 * of it, they agree on the longer of what they have, both sign that, and the successor logs it.
 *
 * Since a frame counts as replicated only when one of the two has it, nothing that was acknowledged so lies beyond the
 * end that they sign, and nothing beyond it can be acknowledged so afterwards: no clock and no lease is needed.
 * What happens when the hub comes back stands in seal-return.ts. Spec: docs/ledger.md#seals-and-returns
 */
import type { HubMessage, HubEffect, HubEvent } from './events.ts'
import { bytesEqual } from '../../protocol/bytes.ts'
import { HUBS_PER_FEDERATION } from '../../protocol/federation.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { LogEnds } from '../../protocol/messages/ledger-seal.ts'
import { LOG_EPOCHS_MAX } from '../../protocol/messages/ledger-fields.ts'
import type { Signer } from '../../protocol/ports.ts'
import type { LedgerState, LogName } from '../fold/state.ts'
import type { FrameContext, LogTail } from '../frame.ts'
import { isPlanted } from '../planted-bugs.ts'
import { nameOfLog, type HubMachine, type HubState } from './hub-state.ts'
import {
  appendOnce, canSeal, casePersisted, createCase, finalOf, isForked, isGivenUp, isOpen, isSealed, persistCase, readCases, refusalOf, restartTimes, sameEnd,
  type SealCase, type SealManner,
} from './seal-case.ts'
import {
  openCertificate, openPromise, sealRowKey, signPromise, signSeal, successorOf, type LogEnd, type SealCertificate,
} from './seal-documents.ts'
import { branchOf, createForks, cut } from './seal-forks.ts'
import { createReturns } from './seal-return.ts'
import { createMemory, memoryRowKey } from './memory.ts'
import { createRecalls, recallRowKey } from './recalls.ts'

export interface SealComponents extends FrameContext {
  /** The hub's node key. */
  readonly signer: Signer
  /** The end of a log with all frames that were accepted, on the disk or on their way there. */
  readonly tailOf: (log: LogId) => LogTail
  /** Ends of all logs on the disk. */
  readonly ends: () => LogEnds
}

export interface SealOptions {
  /** Rows of the store whose key begins with `sealRowPrefix`. */
  readonly rows: ReadonlyMap<string, Uint8Array>
  /** Start of this process: hubs that have not connected since count as gone since then. */
  readonly nowMs: number
  /** A hub that neither of the others reaches for so long is sealed where its rights are needed. Default 60,000. */
  readonly unreachableMs?: number
  /** A promise that the other hub does not answer is taken back after this. Default 10,000. */
  readonly promiseMs?: number
}

export const sealDefaults = Object.freeze({ unreachableMs: 60_000, promiseMs: 10_000 })

/** Messages and entries that led to nothing yet are repeated after this. */
const AGAIN_MS = 5_000
/** Promises of both are there, but the frames do not come. */
const PULL_MS = 60_000
const SHORTAGES_MAX = 256
const CASES_MAX = HUBS_PER_FEDERATION * LOG_EPOCHS_MAX

export interface SealMachine {
  readonly step: HubMachine
  /** Number of the last frame of a log that may be accepted now; infinite for nearly every log. */
  limitOf(state: LedgerState, log: LogId): number
  /** The end of a sealed log, from the moment at which its certificate is known. */
  endOf(log: LogId): LogEnd | undefined
  /** Are there two histories of this log, by the state or by a proof that is kept? */
  isForked(state: LedgerState, log: LogId): boolean
  /** May frames of this author be acknowledged to it? Not where this hub may have promised to take no more of its log, and has forgotten it. */
  mayAck(author: number): boolean
  /** How many hubs have still to tell what this one may have forgotten. */
  readonly unheard: number
}

interface Shortage { readonly atMs: number; readonly account: string; readonly unit: number }

export function createSeal(components: SealComponents, options: SealOptions): SealMachine {
  const { network, hubKeys, signer, tailOf } = components
  const { unreachableMs, promiseMs } = { ...sealDefaults, ...options }
  const me = hubKeys.findIndex((key) => bytesEqual(key, signer.publicKey))
  const cases = readCases(options, me, components)
  const downSince = new Map(hubKeys.map((_, hub) => [hub, options.nowMs]))
  let shortages: Shortage[] = []
  let lastMs = options.nowMs
  const returns = createReturns({ me, context: components, tailOf })
  const memory = createMemory({ me, tailOf, limitOf: (state, log) => limitOf(state, log) }, options.rows.get(memoryRowKey))
  const { takeFork, logFork, tellFork } = createForks({ me, tailOf, caseOf: (log) => caseOf(log), otherOf: (log) => otherOf(log) })
  const recalls = createRecalls({ me, cases, ends: components.ends, tell, otherOf: (log) => otherOf(log) })
  for (const known of cases.values()) promiseAllTaken(known)

  /** The frames up to the other hub's promise came in after this hub's was made. Own frames may rest on them, so it stands for them too. */
  function promiseAllTaken(known: SealCase): void {
    const { no, hash } = tailOf(known.log)
    if (known.promise === undefined || known.certificate !== undefined || no <= known.promise.end.no) return
    const end: LogEnd = { log: known.log, no, hash }
    known.promise = { ...known.promise, document: signPromise(signer, network, end), end }
  }

  function caseOf(log: LogId): SealCase {
    const name = nameOfLog(log)
    const known = cases.get(name) ?? createCase(log)
    cases.set(name, known)
    return known
  }

  const otherOf = (log: LogId) => hubKeys.findIndex((_, hub) => hub !== me && hub !== log.hub)

  const endOfBoth = (state: LedgerState, known: SealCase) => finalOf(known, { me, forked: isForked(state, known, nameOfLog(known.log)) })

  const refusal = (hub: HubState, known: SealCase, how: SealManner) => (
    memory.unheard > 0 ? 'this hub lost its disk, and not both others have told yet what it had promised' : refusalOf(hub, cases, known, how))

  function promise(known: SealCase, forced: boolean, nowMs: number): HubEffect[] {
    const { no, hash } = tailOf(known.log)
    const end: LogEnd = { log: known.log, no, hash }
    known.promise = { document: signPromise(signer, network, end), end, forced, atMs: nowMs }
    known.triedMs = nowMs
    return persistCase(known)
  }

  function release(known: SealCase): HubEffect[] {
    known.promise = undefined
    known.peerPromise = undefined
    return persistCase(known)
  }

  /** Signs where this hub has the log exactly up to the agreed end. */
  function advance(hub: HubState, known: SealCase, nowMs: number): HubEffect[] {
    if (isForked(hub.state, known, nameOfLog(known.log))) promiseAllTaken(known)
    const final = endOfBoth(hub.state, known)
    if (known.certificate !== undefined || final === undefined || final.no === 0) return []
    const tail = tailOf(known.log)
    if (!sameEnd({ log: known.log, no: tail.no, hash: tail.hash }, final)) {
      if (tail.no < final.no) return []
      // Another branch: the successor's is the one that counts, once a frame proves that there are two.
      if (isForked(hub.state, known, nameOfLog(known.log))) return cut(known, tail.no > final.no ? final.no : branchOf(known, final.no) - 1)
      if (tail.no > final.no) return []
      if (nowMs - known.comparedMs < AGAIN_MS) return []
      known.comparedMs = nowMs
      return [{ type: 'compare', hub: otherOf(known.log), log: known.log, no: final.no }]
    }
    if (known.signature !== undefined && sameEnd(known.signature, final)) return complete(hub, known, nowMs)
    known.signature = { ...final, signatures: [signSeal(signer, network, final)] }
    return [...persistCase(known), ...complete(hub, known, nowMs)]
  }

  /** Both have signed the same. */
  function complete(hub: HubState, known: SealCase, nowMs: number): HubEffect[] {
    const { signature, peerSignature } = known
    if (signature === undefined || peerSignature === undefined || !sameEnd(signature, peerSignature)) return []
    return adopt(hub, known, { ...signature, signatures: [...signature.signatures, ...peerSignature.signatures] }, nowMs)
  }

  function adopt(hub: HubState, known: SealCase, certificate: SealCertificate, nowMs: number): HubEffect[] {
    if (known.certificate !== undefined) return []
    const order = (key: Uint8Array) => hubKeys.findIndex((other) => bytesEqual(other, key))
    known.certificate = { ...certificate, signatures: certificate.signatures.toSorted((a, b) => order(a.key) - order(b.key)) }
    known.sentMs = -Infinity
    const text = `the log ${nameOfLog(known.log)} is sealed at frame ${certificate.no}${known.log.hub === me ? '; this hub goes on in a new one' : ''}`
    return [...persistCase(known), { type: 'warn', text }, ...followUp(hub, known, nowMs)]
  }

  /** What is due once the rows of a log are on the disk; may be asked again at any time. */
  function followUp(hub: HubState, known: SealCase, nowMs: number): HubEffect[] {
    if (known.writing) return []
    const { log, certificate } = known
    const effects: HubEffect[] = []
    const due = nowMs - known.sentMs >= AGAIN_MS
    if (certificate === undefined) {
      if (due && known.promise !== undefined) {
        known.sentMs = nowMs
        effects.push(...tell(hub, known, otherOf(log)))
      }
      return effects
    }
    const tail = tailOf(log)
    if (tail.no > certificate.no) effects.push(...cut(known, certificate.no))
    else if (tail.no === certificate.no && !bytesEqual(tail.hash, certificate.hash)) effects.push(...cut(known, branchOf(known, certificate.no) - 1))
    if (isSealed(hub.state, log)) return effects
    if (due) {
      known.sentMs = nowMs
      for (const peer of hub.connected) effects.push(...tell(hub, known, peer))
    }
    const ready = successorOf(log.hub) === me && hub.writing !== undefined && (hub.state.logs.get(nameOfLog(log))?.frame ?? 0) >= certificate.no
    if (ready && nowMs - known.appendedMs >= AGAIN_MS) {
      known.appendedMs = nowMs
      effects.push(appendOnce({ k: 'Seal', log, frame: certificate.no, hash: certificate.hash, signatures: [...certificate.signatures] }, (state) => canSeal(state, certificate), hub))
    }
    return effects
  }

  /** All that a peer needs to know of this log's seal. */
  function tell(hub: HubState, known: SealCase, peer: number): HubEffect[] {
    const send = (message: HubMessage): HubEffect => ({ type: 'send', hub: peer, message })
    if (!hub.connected.has(peer) || known.writing) return []
    if (known.certificate !== undefined) return [send({ t: 'sealCertificate', log: known.log, signatures: [...known.certificate.signatures] })]
    if (known.promise === undefined || peer === known.log.hub) return []
    return [
      send({ t: 'sealAsk', log: known.log, forced: known.promise.forced }), send({ t: 'sealPromise', document: known.promise.document }),
      ...known.signature === undefined ? [] : [send({ t: 'sealCertificate', log: known.log, signatures: [...known.signature.signatures] })],
    ]
  }

  function begin(hub: HubState, log: LogId, how: SealManner, nowMs: number): HubEffect[] {
    const known = caseOf(log)
    if (known.promise !== undefined) return []
    return refusal(hub, known, how) === undefined ? promise(known, how.forced, nowMs) : []
  }

  function takeMessage(hub: HubState, from: number, message: HubMessage, nowMs: number): HubEffect[] {
    switch (message.t) {
      case 'sealAsk': {
        // No hub has so many logs: names that somebody made up would fill the memory.
        if (cases.size >= CASES_MAX && !cases.has(nameOfLog(message.log))) return []
        const known = caseOf(message.log)
        known.given ||= from === message.log.hub
        if (known.certificate !== undefined || known.promise !== undefined && from !== message.log.hub) {
          // The answer; `sealAsk` itself is never answered with one, or two hubs would go on for ever.
          return tell(hub, known, from).filter((effect) => effect.type !== 'send' || effect.message.t !== 'sealAsk')
        }
        return begin(hub, message.log, { forced: message.forced, owed: false }, nowMs)
      }
      case 'sealPromise': {
        const peer = openPromise(message.document, from, components)
        const known = peer === undefined ? undefined : cases.get(nameOfLog(peer.log))
        if (peer === undefined || known?.promise === undefined) return []
        // A shorter one than before is an old message, or that of a hub that has lost what it promised.
        if (known.peerPromise === undefined || peer.no > known.peerPromise.no) known.peerPromise = { log: peer.log, no: peer.no, hash: peer.hash }
        return [...advance(hub, known, nowMs), ...followUp(hub, known, nowMs)]
      }
      case 'sealCertificate': {
        const certificate = openCertificate(message.log, message.signatures, components)
        if (certificate === undefined) return []
        const known = caseOf(message.log)
        if (certificate.signatures.length === 2) return adopt(hub, known, certificate, nowMs)
        if (message.log.hub === me || !bytesEqual(certificate.signatures[0]!.key, hubKeys[from]!)) return []
        known.peerSignature = certificate
        // Nobody signs without this hub's promise, so there was one.
        if (memory.awaits(from)) known.promised = true
        if (known.promise !== undefined) return advance(hub, known, nowMs)
        // Its word alone is not enough to fence a hub that is there: it owes its signature to a promise of this hub.
        return begin(hub, message.log, { forced: false, owed: known.promised }, nowMs)
      }
      case 'fork': {
        const { log, no, first, second } = message
        return takeFork(hub, { log, no, first, second })
      }
      case 'orphans':
        return returns.takeOrphans(hub, from, message, cases.get(nameOfLog(message.log)), nowMs)
      case 'recall':
        return recalls.asked(from, message.question)
      case 'recalled':
      case 'rightsAsk':
      case 'rightsNone':
      case 'ask':
      case 'answer':
      case 'checkpoint':
      case 'cosign':
      case 'final':
        return []
    }
  }

  /** The clock was set back: what waits since a time to come would wait for it once more. */
  function clockSetBack(nowMs: number): void {
    for (const known of cases.values()) restartTimes(known, nowMs)
    for (const hub of downSince.keys()) downSince.set(hub, nowMs)
    shortages = []
    returns.restart()
  }

  function tick(hub: HubState, nowMs: number): HubEffect[] {
    if (nowMs < lastMs) clockSetBack(nowMs)
    lastMs = nowMs
    const effects: HubEffect[] = []
    for (const known of cases.values()) {
      if (known.fork !== undefined && nowMs - known.appendedMs >= AGAIN_MS && hub.state.logs.get(nameOfLog(known.log))?.forked === false) {
        known.appendedMs = nowMs
        effects.push(...logFork(hub, known))
      }
      if (known.promise !== undefined && known.signature === undefined && known.certificate === undefined && isStale(hub, known, nowMs)) effects.push(...release(known))
      effects.push(...advance(hub, known, nowMs), ...followUp(hub, known, nowMs))
    }
    effects.push(...sealTheGone(hub, nowMs), ...askForOwn(hub, nowMs), ...returns.tick(hub, cases, nowMs))
    return effects
  }

  /** A promise that leads nowhere would keep this hub from helping the other one; nothing was signed, so it can be taken back. */
  function isStale(hub: HubState, known: SealCase, nowMs: number): boolean {
    const age = nowMs - known.promise!.atMs
    if (age >= (known.peerPromise === undefined ? promiseMs : PULL_MS)) return true
    const mayBeConnected = known.promise!.forced || known.peerSignature !== undefined || isGivenUp(hub.state, known)
    return hub.connected.has(known.log.hub) && !mayBeConnected
  }

  function sealTheGone(hub: HubState, nowMs: number): HubEffect[] {
    shortages = shortages.filter(({ atMs }) => nowMs - atMs < unreachableMs)
    const effects: HubEffect[] = []
    for (const gone of hubKeys.keys()) {
      const unreachable = gone !== me && !hub.connected.has(gone) && nowMs - (downSince.get(gone) ?? nowMs) >= unreachableMs
      if (!unreachable || !hub.connected.has(3 - me - gone)) continue
      for (const { log, status } of hub.state.logs.values()) {
        if (log.hub !== gone || status.is !== 'live' || nowMs - caseOf(log).triedMs < unreachableMs / 2) continue
        const needed = shortages.some(({ account, unit }) => unit > 0 || (hub.state.accounts.get(account)?.rights.get(nameOfLog(log)) ?? 0n) > 0n)
        if (needed) effects.push(...begin(hub, log, { forced: false, owed: false }, nowMs))
      }
    }
    return effects
  }

  /** Rights of an own log that this hub gave up come back only by a seal, so it asks for that itself. */
  function askForOwn(hub: HubState, nowMs: number): HubEffect[] {
    if (hub.writing === undefined || hub.state.outstandingSeal !== undefined) return []
    const old = [...hub.state.logs.values()].find(({ log, status }) => log.hub === me && log.epoch < hub.writing!.epoch && status.is === 'live')
    if (old === undefined || nowMs - caseOf(old.log).sentMs < AGAIN_MS) return []
    caseOf(old.log).sentMs = nowMs
    return [...hub.connected].map((peer): HubEffect => ({ type: 'send', hub: peer, message: { t: 'sealAsk', log: old.log, forced: false } }))
  }

  /** What a peer tells of its seals is taken first: only then has it told. */
  function step(hub: HubState, event: HubEvent, nowMs: number): readonly HubEffect[] {
    return [...stepSeals(hub, event, nowMs), ...memory.step(hub, event, nowMs)]
  }

  function stepSeals(hub: HubState, event: HubEvent, nowMs: number): readonly HubEffect[] {
    switch (event.type) {
      case 'connected':
        downSince.delete(event.hub)
        return [...cases.values()].flatMap((known) => [...tellFork(hub, known, event.hub), ...isOpen(hub.state, known) ? tell(hub, known, event.hub) : []])
      case 'disconnected':
        downSince.set(event.hub, nowMs)
        recalls.gone(event.hub)
        return []
      case 'message':
        return takeMessage(hub, event.hub, event.message, nowMs)
      case 'short':
        if (shortages.length >= SHORTAGES_MAX) shortages.shift()
        shortages.push({ atMs: nowMs, account: event.account, unit: event.unit })
        return []
      case 'persisted': {
        if (event.key === recallRowKey) return recalls.written(hub)
        const known = [...cases.values()].find(({ log }) => sealRowKey(log) === event.key)
        if (known === undefined) return []
        const again = casePersisted(known)
        known.sentMs = -Infinity
        return [...again, ...advance(hub, known, nowMs), ...followUp(hub, known, nowMs)]
      }
      case 'tick':
        return tick(hub, nowMs)
      case 'seal': {
        const known = caseOf(event.log)
        known.wanted = true
        if (known.promise !== undefined && !known.promise.forced) {
          known.promise = { ...known.promise, forced: true }
          return persistCase(known)
        }
        const reason = known.promise === undefined ? refusal(hub, known, { forced: true, owed: false }) : undefined
        if (reason !== undefined) return [{ type: 'warn', text: `the log ${nameOfLog(event.log)} is not sealed: ${reason}` }]
        return known.promise === undefined ? promise(known, true, nowMs) : []
      }
      case 'forked':
        return [...takeFork(hub, event, { from: event.from, seen: true }), ...cases.has(nameOfLog(event.log)) ? advance(hub, caseOf(event.log), nowMs) : []]
      case 'orphans':
        return returns.loaded(hub, event, cases.get(nameOfLog(event.log)), nowMs)
      case 'folded': {
        const known = cases.get(nameOfLog(event.log))
        return known === undefined ? [] : [...advance(hub, known, nowMs), ...followUp(hub, known, nowMs)]
      }
      case 'refolded':
        for (const known of cases.values()) known.cutTo = undefined
        return [...cases.values()].flatMap((known) => [...advance(hub, known, nowMs), ...followUp(hub, known, nowMs)])
      case 'forgot':
      case 'writing':
      case 'replicated':
      case 'vest':
      case 'loaded':
      case 'prove':
        return []
    }
  }

  function limitOf(state: LedgerState, log: LogId): number {
    const name: LogName = nameOfLog(log)
    const known = cases.get(name)
    if (known?.certificate !== undefined) return known.certificate.no
    const status = state.logs.get(name)?.status
    if (status?.is === 'sealed') return status.frame
    if (known?.promise !== undefined && !isPlanted('no-fence')) return (endOfBoth(state, known) ?? known.promise.end).no
    return isForked(state, known, name) ? tailOf(log).no : Number.POSITIVE_INFINITY
  }

  return {
    step,
    limitOf,
    endOf: (log) => cases.get(nameOfLog(log))?.certificate,
    isForked: (state, log) => isForked(state, cases.get(nameOfLog(log)), nameOfLog(log)),
    mayAck: (author) => memory.mayAck(author),
    get unheard() { return memory.unheard },
  }
}
