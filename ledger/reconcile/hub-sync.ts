/**
 * The exchange of logs as a state machine: what to send to each of the two other hubs, and when.
 *
 * `step` takes an event and gives effects; it changes the state it is given, does no I/O and reads no clock, so equal
 * histories give equal effects. exchange.ts carries the effects out.
 *
 * - An author pushes its own logs to every peer, from where the peer's `hello` says that it stands.
 * - Every hub acknowledges what is on its disk to both others, so each knows what the others could give: to the author at once, to the third from time to time.
 * - A hub that lacks frames of an absent author asks a peer that has them (`want`), and so it asks for its own lost ones.
 * - On the way to one peer are at most `inFlightBytesMax` that it has not acknowledged; a slow stream stops everything
 *   but the collecting of acknowledgements, of which only the newest of each log is kept.
 * A new connection starts from nothing but the heads in `hello`, so it may break at any point.
 */
import { TriforceError } from '../../protocol/errors.ts'
import type { Head, LedgerMessage, LogId } from '../../protocol/messages/ledger.ts'
import { LOG_EPOCHS_MAX, LOG_MESSAGE_BYTES_MAX, LOG_MESSAGE_FRAMES_MAX } from '../../protocol/messages/ledger-fields.ts'
import { nameOf, newPeer, type Peer, type SyncState } from './sync-state.ts'

/** The messages of the exchange of frames. */
export type SyncMessage = Extract<LedgerMessage, { t: 'hello' | 'frames' | 'want' | 'ack' }>

export type SyncEvent =
  | { readonly type: 'connected'; readonly hub: number }
  | { readonly type: 'disconnected'; readonly hub: number }
  /** The stream to the peer takes no more, until `drained`. */
  | { readonly type: 'blocked'; readonly hub: number }
  | { readonly type: 'drained'; readonly hub: number }
  | { readonly type: 'message'; readonly hub: number; readonly message: SyncMessage }
  /** Frames of `hub` were dealt with: `log` is now known up to `no`; `gap` where those that came begin later; `limited` where some were dropped at the log's limit. */
  | { readonly type: 'accepted'; readonly hub: number; readonly log: LogId; readonly no: number; readonly gap: boolean; readonly limited: boolean }
  /** A log reaches further on this hub's disk; `frames` are the new ones. */
  | { readonly type: 'durable'; readonly head: Head; readonly frames: readonly Uint8Array[] }
  | { readonly type: 'loaded'; readonly hub: number; readonly log: LogId; readonly from: number; readonly frames: readonly Uint8Array[]; readonly once?: boolean }
  /** What was to be loaded cannot be read: the peer has to get it elsewhere. */
  | { readonly type: 'unreadable'; readonly hub: number; readonly log: LogId; readonly from: number; readonly once?: boolean }
  /** Something that limits a log may have changed. */
  | { readonly type: 'limits' }
  /** More authors may be acknowledged to than before. */
  | { readonly type: 'heard' }
  /** Acknowledgements for which nobody waits have been collected for long enough. */
  | { readonly type: 'collected' }
  /** The peer's frame `no` is said to differ from ours: ask for it as evidence. */
  | { readonly type: 'disputed'; readonly hub: number; readonly log: LogId; readonly no: number }
  /** The log was cut on our disk; `head` is its end now, undefined where nothing of it is left. */
  | { readonly type: 'truncated'; readonly log: LogId; readonly head: Head | undefined }
  /** Two histories of this log exist: it is not asked for any more. */
  | { readonly type: 'forked'; readonly log: LogId }

export type SyncEffect =
  | { readonly type: 'send'; readonly hub: number; readonly message: LedgerMessage }
  /** Read frames from the disk and come back with `loaded`. */
  | {
    readonly type: 'load'; readonly hub: number; readonly log: LogId; readonly from: number; readonly bytesMax: number; readonly framesMax: number
    /** Frames that the peer has had already and asks for again: beside everything else that it is sent. */
    readonly once?: boolean
  }
  /** Check and store frames, then come back with `accepted`. */
  | { readonly type: 'accept'; readonly hub: number; readonly log: LogId; readonly frames: readonly Uint8Array[] }
  /** The peer's heads are known. */
  | { readonly type: 'greeted'; readonly hub: number; readonly heads: readonly Head[] }
  | { readonly type: 'acked'; readonly hub: number; readonly log: LogId; readonly no: number }

/** More than that a peer is not sent again at once. */
const AGAIN_MAX = 8

/** Throws PROTOCOL_VIOLATION for a message that no honest hub sends. */
export function step(state: SyncState, event: SyncEvent): readonly SyncEffect[] {
  const effects: SyncEffect[] = []
  switch (event.type) {
    case 'connected':
      state.peers.set(event.hub, newPeer())
      effects.push({ type: 'send', hub: event.hub, message: { t: 'hello', v: 1, network: state.network, heads: [...state.heads.values()].filter(({ log, no }) => log.hub !== event.hub || state.mayAck(event.hub) && no <= state.limitOf(log)) } })
      return effects
    case 'disconnected':
      state.peers.delete(event.hub)
      for (const [name, hub] of state.asked) if (hub === event.hub) state.asked.delete(name)
      // The two that are left must know what each could give.
      for (const peer of state.peers.values()) flushLater(peer)
      break
    case 'blocked':
    case 'drained': {
      const peer = state.peers.get(event.hub)
      if (peer !== undefined) peer.blocked = event.type === 'blocked'
      break
    }
    case 'message':
      takeMessage(state, event.hub, event.message, effects)
      break
    case 'accepted': {
      const name = nameOf(event.log)
      const before = state.known.get(name) ?? 0
      const limited = state.limitOf(event.log) !== Number.POSITIVE_INFINITY
      // A log that is being sealed may have been cut while these frames were looked at: then it ends where they say.
      state.known.set(name, event.gap && limited ? event.no : Math.max(before, event.no))
      // Nothing new will become durable and be acknowledged for these; say again what is, or they stay in flight forever.
      const head = state.heads.get(name)
      if (event.no <= before && head !== undefined) state.peers.get(event.hub)?.acksDue.set(name, head)
      if (event.limited && event.hub === event.log.hub) state.dropped.add(name)
      if (!event.gap) state.asked.delete(name)
      else if (limited || !state.asked.has(name)) ask(state, event.hub, event.log, event.no + 1, LOG_MESSAGE_BYTES_MAX)
      break
    }
    case 'durable':
      takeDurable(state, event.head, event.frames, effects)
      break
    case 'loaded': {
      const peer = state.peers.get(event.hub)
      if (peer === undefined) break
      if (event.once === true) {
        againDone(peer, event.hub, effects)
        if (event.frames.length > 0) effects.push({ type: 'send', hub: event.hub, message: { t: 'frames', log: event.log, frames: [...event.frames] } })
        break
      }
      peer.loading = false
      sendFrames(state, event.hub, event.log, event.from, event.frames, effects)
      break
    }
    case 'truncated': {
      const name = nameOf(event.log)
      const no = event.head?.no ?? 0
      if (event.head === undefined) state.heads.delete(name)
      else state.heads.set(name, event.head)
      state.known.set(name, no)
      state.asked.delete(name)
      for (const peer of state.peers.values()) {
        dropInFlight(peer, name, (sent) => sent.no > no)
        const cursor = peer.cursors.get(name)
        if (cursor !== undefined && cursor.next > no + 1) cursor.next = no + 1
      }
      break
    }
    case 'unreadable': {
      const peer = state.peers.get(event.hub)
      if (peer === undefined) break
      if (event.once === true) {
        againDone(peer, event.hub, effects)
        break
      }
      peer.loading = false
      if (peer.cursors.get(nameOf(event.log))?.next === event.from) peer.cursors.delete(nameOf(event.log))
      break
    }
    case 'limits':
      for (const name of state.forked) state.asked.delete(name)
      break
    case 'heard':
      // Its own hello to them left their logs out.
      for (const [hub, peer] of state.peers) for (const [name, head] of state.heads) if (head.log.hub === hub) peer.acksDue.set(name, head)
      break
    case 'collected':
      for (const peer of state.peers.values()) flushLater(peer)
      break
    case 'disputed':
      ask(state, event.hub, event.log, event.no, 1)
      break
    case 'forked':
      state.forked.add(nameOf(event.log))
      break
  }
  askForMissing(state)
  for (const hub of state.peers.keys()) pump(state, hub, effects)
  return effects
}

/** Frames that the peer has had already, beside everything else that it is sent. */
function loadAgain(peer: Peer, hub: number, { log, from, bytesMax }: Extract<SyncMessage, { t: 'want' }>, effects: SyncEffect[]): void {
  peer.again += 1
  effects.push({ type: 'load', hub, log, from, bytesMax: Math.min(bytesMax, LOG_MESSAGE_BYTES_MAX), framesMax: LOG_MESSAGE_FRAMES_MAX, once: true })
}

function flushLater(peer: Peer): void {
  for (const [name, head] of peer.acksLater) peer.acksDue.set(name, head)
  peer.acksLater.clear()
}

/** Of each log only the newest question waits: who asks again has no use for the former answer. */
function againDone(peer: Peer, hub: number, effects: SyncEffect[]): void {
  peer.again -= 1
  const [due] = peer.againDue
  if (due === undefined) return
  peer.againDue.delete(due[0])
  loadAgain(peer, hub, due[1], effects)
}

function violation(problem: string): TriforceError {
  return new TriforceError('PROTOCOL_VIOLATION', { problem })
}

function takeMessage(state: SyncState, hub: number, message: SyncMessage, effects: SyncEffect[]): void {
  const peer = state.peers.get(hub)
  // A message that was still being read when its stream closed.
  if (peer === undefined) return
  if (peer.greeted === (message.t === 'hello')) throw violation(peer.greeted ? 'a second hello' : `${message.t} before hello`)

  switch (message.t) {
    case 'hello':
      if (message.network !== state.network) throw violation('hello of another network')
      peer.greeted = true
      for (const head of message.heads) noteHead(peer, head.log, head.no)
      for (const { log } of state.heads.values()) if (log.hub === state.me) pushFrom(peer, log, (peer.heads.get(nameOf(log))?.no ?? 0) + 1)
      effects.push({ type: 'greeted', hub, heads: message.heads })
      for (const head of message.heads) effects.push({ type: 'acked', hub, log: head.log, no: head.no })
      return
    case 'frames':
      effects.push({ type: 'accept', hub, log: message.log, frames: message.frames })
      return
    case 'want': {
      const name = nameOf(message.log)
      if (message.from <= (peer.heads.get(name)?.no ?? 0)) {
        if (peer.again < AGAIN_MAX) loadAgain(peer, hub, message, effects)
        else peer.againDue.set(name, message)
        return
      }
      dropInFlight(peer, name, ({ no }) => no >= message.from)
      if (message.log.hub === state.me) pushFrom(peer, message.log, message.from)
      else peer.cursors.set(name, { log: message.log, next: message.from, budget: Math.min(message.bytesMax, LOG_MESSAGE_BYTES_MAX) })
      return
    }
    case 'ack':
      noteHead(peer, message.log, message.no)
      dropInFlight(peer, nameOf(message.log), ({ no }) => no <= message.no)
      skipTo(peer, nameOf(message.log), message.no + 1)
      effects.push({ type: 'acked', hub, log: message.log, no: message.no })
  }
}

function noteHead(peer: Peer, log: LogId, no: number): void {
  const name = nameOf(log)
  const known = peer.heads.get(name)
  if (known === undefined) {
    const epochs = [...peer.heads.values()].filter((head) => head.log.hub === log.hub).length
    if (epochs >= LOG_EPOCHS_MAX) throw violation('more logs than a hub may have')
  }
  if (no > (known?.no ?? 0)) peer.heads.set(name, { log, no })
}

function pushFrom(peer: Peer, log: LogId, next: number): void {
  peer.cursors.set(nameOf(log), { log, next, budget: Number.POSITIVE_INFINITY })
}

/** What the peer got from elsewhere is not sent to it again. */
function skipTo(peer: Peer, name: string, next: number): void {
  const cursor = peer.cursors.get(name)
  if (cursor !== undefined && cursor.next < next) cursor.next = next
}

function dropInFlight(peer: Peer, name: string, drop: (sent: { readonly no: number }) => boolean): void {
  const kept = []
  for (const sent of peer.inFlight.get(name) ?? []) {
    if (drop(sent)) peer.inFlightBytes -= sent.bytes
    else kept.push(sent)
  }
  if (kept.length === 0) peer.inFlight.delete(name)
  else peer.inFlight.set(name, kept)
}

function ask(state: SyncState, hub: number, log: LogId, from: number, bytesMax: number): void {
  const peer = state.peers.get(hub)
  if (peer === undefined) return
  state.asked.set(nameOf(log), hub)
  peer.wantsDue.set(nameOf(log), { log, from, bytesMax })
}

/** Asks for every log of which a peer has more than we, unless its author is there to push it. */
function askForMissing(state: SyncState): void {
  for (const name of state.dropped) {
    const head = state.heads.get(name)
    if (head === undefined || !state.peers.has(head.log.hub)) state.dropped.delete(name)
    else if (!state.asked.has(name) && state.limitOf(head.log) === Number.POSITIVE_INFINITY) {
      state.dropped.delete(name)
      ask(state, head.log.hub, head.log, (state.known.get(name) ?? 0) + 1, LOG_MESSAGE_BYTES_MAX)
    }
  }
  for (const [hub, peer] of state.peers) {
    for (const [name, { log, no }] of peer.heads) {
      const known = state.known.get(name) ?? 0
      if (no <= known || state.asked.has(name)) continue
      const limit = state.limitOf(log)
      const limited = limit !== Number.POSITIVE_INFINITY
      // A log with two histories is asked for only where two hubs have agreed on one of them.
      if (known >= limit || !limited && state.forked.has(name)) continue
      // Its author may send the history that does not count.
      if (hub === log.hub && state.forked.has(name)) continue
      const author = log.hub === state.me || limited ? undefined : state.peers.get(log.hub)
      const pushed = author?.greeted === true && (author.heads.get(name)?.no ?? 0) > known
      if (!pushed) ask(state, hub, log, known + 1, LOG_MESSAGE_BYTES_MAX)
    }
  }
}

function takeDurable(state: SyncState, head: Head, frames: readonly Uint8Array[], effects: SyncEffect[]): void {
  const name = nameOf(head.log)
  const first = !state.heads.has(name)
  state.heads.set(name, head)
  state.known.set(name, Math.max(state.known.get(name) ?? 0, head.no))
  for (const [hub, peer] of state.peers) {
    // Frames of our own that came back from this peer take up its window until they are acknowledged.
    if (head.log.hub !== state.me || (peer.heads.get(name)?.no ?? 0) >= head.no) {
      // Its author pushes it to both, so the third waits for nothing.
      const isThird = head.log.hub !== hub && state.peers.get(head.log.hub)?.greeted === true;
      (isThird ? peer.acksLater : peer.acksDue).set(name, { log: head.log, no: head.no })
    }
    // Our hello to it is out already, so what came since is told as well; what it is to get, its own hello says.
    if (head.log.hub !== state.me || !peer.greeted) continue
    if (first) pushFrom(peer, head.log, (peer.heads.get(name)?.no ?? 0) + 1)
    // Straight from memory, where the peer has had everything before.
    const cursor = peer.cursors.get(name)
    const free = !peer.blocked && !peer.loading && peer.inFlightBytes < state.inFlightBytesMax
    if (cursor !== undefined && free && cursor.next === head.no - frames.length + 1) sendFrames(state, hub, head.log, cursor.next, frames, effects)
  }
}

function endOf(state: SyncState, name: string): number {
  return state.heads.get(name)?.no ?? 0
}

function sendFrames(state: SyncState, hub: number, log: LogId, from: number, frames: readonly Uint8Array[], effects: SyncEffect[]): void {
  const name = nameOf(log)
  const peer = state.peers.get(hub)!
  const cursor = peer.cursors.get(name)
  if (cursor === undefined || cursor.next !== from) return
  if (frames.length === 0) {
    // The peer asked for more than we have.
    if (Number.isFinite(cursor.budget)) peer.cursors.delete(name)
    else cursor.dryAt = endOf(state, name)
    return
  }
  let message: Uint8Array[] = []
  let bytes = 0
  const flush = () => {
    if (message.length > 0) effects.push({ type: 'send', hub, message: { t: 'frames', log, frames: message } })
    message = []
    bytes = 0
  }
  const sent = peer.inFlight.get(name) ?? []
  for (const frame of frames) {
    if (bytes + frame.byteLength > LOG_MESSAGE_BYTES_MAX || message.length >= LOG_MESSAGE_FRAMES_MAX) flush()
    message.push(frame)
    bytes += frame.byteLength
    sent.push({ no: cursor.next, bytes: frame.byteLength })
    peer.inFlightBytes += frame.byteLength
    cursor.next += 1
    cursor.budget -= frame.byteLength
  }
  flush()
  peer.inFlight.set(name, sent)
  if (cursor.budget <= 0) peer.cursors.delete(name)
}

/** Sends what is due to one peer, and reads on where one of its cursors lags. */
function pump(state: SyncState, hub: number, effects: SyncEffect[]): void {
  const peer = state.peers.get(hub)!
  if (!peer.greeted || peer.blocked) return
  for (const [name, { log, no }] of peer.acksDue) {
    if (log.hub === hub && !state.mayAck(hub)) continue
    peer.acksDue.delete(name)
    // What is stored beyond the end of a sealed log is on its way out, and must not count for its author.
    const counts = Math.min(no, state.limitOf(log))
    if (counts > 0) effects.push({ type: 'send', hub, message: { t: 'ack', log, no: counts } })
  }
  for (const { log, from, bytesMax } of peer.wantsDue.values()) effects.push({ type: 'send', hub, message: { t: 'want', log, from, bytesMax } })
  peer.wantsDue.clear()

  if (peer.loading || peer.inFlightBytes >= state.inFlightBytesMax) return
  for (const [name, cursor] of peer.cursors) {
    if (cursor.next > endOf(state, name) || cursor.dryAt === endOf(state, name)) {
      if (Number.isFinite(cursor.budget)) peer.cursors.delete(name)
      continue
    }
    peer.loading = true
    // To the end of the line, so that each log gets its turn.
    peer.cursors.delete(name)
    peer.cursors.set(name, cursor)
    const bytesMax = Math.min(LOG_MESSAGE_BYTES_MAX, cursor.budget, state.inFlightBytesMax - peer.inFlightBytes)
    effects.push({ type: 'load', hub, log: cursor.log, from: cursor.next, bytesMax, framesMax: LOG_MESSAGE_FRAMES_MAX })
    return
  }
}
