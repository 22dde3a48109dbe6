/**
 * Carries out what hub-sync.ts decides: sends and reads, checks and stores, and keeps a slow stream from being sent
 * more than it takes. The only part of the exchange that waits for anything.
 */
import { bytesEqual } from '../../protocol/bytes.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { decodeLedgerMessage, encodeLedgerMessage, LEDGER_MESSAGE_BYTES_MAX, type Head, type LedgerMessage, type LogId } from '../../protocol/messages/ledger.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import type { CommitLane } from '../commit-lane.ts'
import { checkFrame, decodeFrame, type CheckedFrame, type FrameCheck, type FrameContext, type LogTail } from '../frame.ts'
import type { HubMessage } from '../hub/events.ts'
import type { ForkProof } from '../hub/seal-documents.ts'
import type { HubSync } from '../interface.ts'
import type { RecentFrames } from '../recent-frames.ts'
import { logName, type LogStore } from '../store/log-store.ts'
import { step, type SyncEffect, type SyncEvent, type SyncMessage } from './hub-sync.ts'
import { createSyncState, framesMissing, greetedPeers, isGreeted, ownLogsBehind, peersHave, peersWith } from './sync-state.ts'
import { takeFrames, type ReplicaComponents } from './replica.ts'

export interface ExchangeComponents extends ReplicaComponents {
  readonly store: Pick<LogStore, 'tails' | 'frameBytes' | 'frame' | 'rawFrame'>
  readonly lane: Pick<CommitLane, 'tailOf' | 'hashOf' | 'offer' | 'room' | 'between'>
  /** A hub that was away for a while lacks what went to the disk last: that is sent from memory, and need not be read and checked for each peer. */
  readonly recent: Pick<RecentFrames, 'range'>
  /** May frames of this author be acknowledged to it? */
  readonly mayAck: (author: number) => boolean
  readonly log: Log
  readonly clock: Pick<Clock, 'after'>
  /** A peer came, left, said where it stands, or sent something: what is known of the own log may have changed. */
  readonly onChange: () => void
  readonly onAcked: (log: LogId, no: number) => void
  readonly onForked: (log: LogId, no: number, proof: ForkProof | undefined, from: number) => void
  /** A frame of an own log is broken on this disk, and no peer has it. */
  readonly onDamaged: (error: TriforceError) => void
  readonly onConnected: (hub: number) => void
  readonly onDisconnected: (hub: number) => void
  /** What does not belong to the exchange of frames, from a peer that has said hello. */
  readonly onMessage: (hub: number, message: HubMessage) => void
}

export interface ExchangeOptions {
  readonly network: string
  readonly hub: number
  /** See LOG_IN_FLIGHT_BYTES_MAX. */
  readonly inFlightBytesMax?: number
}

export interface Exchange {
  readonly sync: HubSync
  durable(frames: readonly CheckedFrame[]): void
  /** To a peer with a stream. Where it is slow for long the message is lost: whoever needs an answer asks again. */
  send(hub: number, message: HubMessage): void
  /** The log was cut on our disk: it ends as the store says now. */
  truncated(log: LogId): void
  /** Asks the peer for a frame of which it has another version than we, as evidence. */
  compare(hub: number, log: LogId, no: number): void
  /** Peers with a stream. */
  readonly connected: number
  /** Peers that have said where they stand, so that they can acknowledge. */
  readonly greeted: number
  /** More authors may be acknowledged to than before. */
  heard(): void
  /** A promise or a seal came or went: other frames may be accepted now. */
  limitsChanged(): void
  /** A stored frame as a peer has it, unchecked; undefined where none gives it in time. */
  fetchFrame(log: LogId, no: number): Promise<Uint8Array | undefined>
  /** Peers whose heads were also compared with ours. */
  readonly compared: number
  peersHave(log: LogId): number
  /** Frames that connected peers have and this disk has not. */
  readonly missing: number
  /** Own logs of which a peer has more than we, or says to have another version. */
  ownLogsBehind(): readonly LogId[]
}

interface Link {
  readonly send: (message: Uint8Array) => boolean
  blocked: boolean
  /** What was decided before the stream said that it is full: the messages of one step, and OUTBOX_MAX others. */
  outbox: Uint8Array[]
}

/** Messages besides frames that wait for a slow stream. */
const OUTBOX_MAX = 1_024

/** Acknowledgements for which nobody waits are collected for so long. */
const COLLECT_MS = 100

/** How long a peer has to give a frame that is broken here. */
const FETCH_MS_MAX = 3_000

export function createExchange(components: ExchangeComponents, options: ExchangeOptions): Exchange {
  const { store, lane, recent, log, clock, limitOf, mayAck, onChange, onAcked, onForked, onDamaged, onConnected, onDisconnected, onMessage } = components
  const heads = [...store.tails.values()].map((tail): Head => ({ log: tail.log, no: tail.no, hash: tail.hash }))
  const state = createSyncState({ me: options.hub, heads, limitOf, mayAck, ...options })
  const links = new Map<number, Link>()
  const compared = new Set<number>()
  /** Logs of which a peer named another hash and has not yet sent the frame that would prove it. */
  const disputes = new Map<string, { readonly log: LogId; readonly hub: number }>()
  /** Frames that somebody waits for, by log and number. */
  const fetches = new Map<string, (bytes: Uint8Array) => void>()

  let collecting = false

  function run(event: SyncEvent): void {
    for (const effect of step(state, event)) perform(effect)
    if (collecting || event.type !== 'durable' || ![...state.peers.values()].some(({ acksLater }) => acksLater.size > 0)) return
    collecting = true
    clock.after(COLLECT_MS, () => {
      collecting = false
      run({ type: 'collected' })
    })
  }

  function perform(effect: SyncEffect): void {
    switch (effect.type) {
      case 'send':
        send(effect.hub, encodeLedgerMessage(effect.message))
        return
      case 'load':
        void load(effect)
        return
      case 'acked':
        onAcked(effect.log, effect.no)
        return
      // Only a message causes these, and `receive` waits for them.
      case 'accept':
      case 'greeted':
        throw new Error(`${effect.type} outside of receive`)
    }
  }

  function send(hub: number, message: Uint8Array): void {
    const link = links.get(hub)
    if (link === undefined) return
    if (link.blocked) link.outbox.push(message)
    else if (!trySend(hub, link, message)) block(hub, link)
  }

  function trySend(hub: number, link: Link, message: Uint8Array): boolean {
    try {
      return link.send(message)
    } catch (error) {
      // The stream is closing; `disconnected` will follow.
      log.debug('message to a hub not sent', { hub, problem: toTriforceError(error).message })
      return false
    }
  }

  function block(hub: number, link: Link): void {
    link.blocked = true
    run({ type: 'blocked', hub })
  }

  async function load({ hub, log: id, from, bytesMax, framesMax, once = false }: Extract<SyncEffect, { type: 'load' }>): Promise<void> {
    const link = links.get(hub)
    let frames: readonly Uint8Array[] | undefined
    try {
      const near = recent.range(id, from, from + framesMax - 1, bytesMax)
      frames = near.length > 0 ? near.map(({ bytes }) => bytes) : await store.frameBytes(id, from, { bytesMax, framesMax })
    } catch (error) {
      log.error('frames cannot be read for a peer', { log: logName(id), from, problem: toTriforceError(error).message })
      // Nothing behind it would ever be on two disks. At the next start the hub verifies its log and goes on in a new one.
      if (id.hub === options.hub) onDamaged(toTriforceError(error))
    }
    // The stream for which they were read may be gone, and another one there.
    if (links.get(hub) === link) run(frames === undefined ? { type: 'unreadable', hub, log: id, from, once } : { type: 'loaded', hub, log: id, from, frames, once })
  }

  async function accept({ hub, log: id, frames }: Extract<SyncEffect, { type: 'accept' }>, link: Link): Promise<void> {
    if (fetches.size > 0) for (const bytes of frames) fetches.get(`${logName(id)}/${numberOf(bytes)}`)?.(bytes)
    // Of a log with two histories nothing more is taken, but a frame that proves it still may come.
    const forked = state.forked.has(logName(id)) && limitOf(id) === Number.POSITIVE_INFINITY
    const taken = await takeFrames(forked ? { ...components, limitOf: () => lane.tailOf(id).no } : components, id, frames)
    if (disputes.get(logName(id))?.hub === hub) disputes.delete(logName(id))
    if (taken.type === 'forked') {
      // Behind what waits for the disk: an answer that came before ours is there would prove nothing, and be asked for again and again.
      if (taken.ask) {
        lane.between(() => {
          if (links.get(hub) === link) run({ type: 'disputed', hub, log: id, no: taken.no })
          return Promise.resolve()
        })
      }
      run({ type: 'forked', log: id })
      onForked(id, taken.no, taken.proof, hub)
    } else {
      const no = id.hub === options.hub ? await goOn(id, taken.no) : taken.no
      if (links.get(hub) === link) run({ type: 'accepted', hub, log: id, no, gap: taken.gap, limited: taken.limited })
    }
    onChange()
    await lane.room()
  }

  /** Behind a frame of an own log that came back stand others which only this disk may have. */
  async function goOn(id: LogId, no: number): Promise<number> {
    for (let tail = lane.tailOf(id); components.ownTail(id) === undefined && tail.no < limitOf(id); tail = lane.tailOf(id)) {
      const bytes = await store.rawFrame(id, tail.no + 1)
      const check = bytes === undefined ? undefined : checked(bytes, lane.tailOf(id), components.context)
      if (check?.ok !== true) return lane.tailOf(id).no
      lane.offer(check.frame)
      await lane.room()
    }
    return components.ownTail(id) === undefined ? lane.tailOf(id).no : no
  }

  /** Waits for one frame from peers that have it, one after the other. */
  async function fetchFrame(id: LogId, no: number): Promise<Uint8Array | undefined> {
    const name = `${logName(id)}/${no}`
    for (const hub of peersWith(state, id, no)) {
      const bytes = await new Promise<Uint8Array | undefined>((resolve) => {
        const cancel = clock.after(FETCH_MS_MAX, () => { resolve(undefined) })
        fetches.set(name, (found) => {
          cancel()
          resolve(found)
        })
        run({ type: 'disputed', hub, log: id, no })
      })
      fetches.delete(name)
      if (bytes !== undefined) return bytes
    }
    return undefined
  }

  /** A head that is not ours at the same number is no proof; the frame itself is, so it is asked for. */
  async function compareHeads(hub: number, heads: readonly Head[]): Promise<void> {
    for (const { log: id, no, hash } of heads) {
      const tail = components.ownTail(id) ?? lane.tailOf(id)
      if (no > tail.no || state.forked.has(logName(id))) continue
      const ours = no === tail.no ? tail.hash : await lane.hashOf(id, no)
      if (ours === undefined || bytesEqual(ours, hash)) continue
      disputes.set(logName(id), { log: id, hub })
      run({ type: 'disputed', hub, log: id, no })
    }
  }

  const sync: HubSync = {
    connected: (hub, send) => {
      if (links.has(hub)) sync.disconnected(hub)
      links.set(hub, { send, blocked: false, outbox: [] })
      run({ type: 'connected', hub })
      onConnected(hub)
      onChange()
    },
    drained: (hub) => {
      const link = links.get(hub)
      if (link === undefined || !link.blocked) return
      while (link.outbox.length > 0) if (!trySend(hub, link, link.outbox.shift()!)) return
      link.blocked = false
      run({ type: 'drained', hub })
    },
    disconnected: (hub) => {
      if (!links.delete(hub)) return
      compared.delete(hub)
      for (const [name, dispute] of disputes) if (dispute.hub === hub) disputes.delete(name)
      run({ type: 'disconnected', hub })
      onDisconnected(hub)
      onChange()
    },
    receive: async (hub, message) => {
      if (message.byteLength > LEDGER_MESSAGE_BYTES_MAX) throw new TriforceError('FRAME_TOO_LARGE', { bytes: message.byteLength })
      const link = links.get(hub)
      if (link === undefined) return
      const read = decodeLedgerMessage(message)
      if (!isSyncMessage(read)) {
        if (!isGreeted(state, hub)) throw new TriforceError('PROTOCOL_VIOLATION', { problem: `${read.t} before hello` })
        onMessage(hub, read)
        // A promise or a seal may have come: other frames are wanted now, and the own log may have ended.
        run({ type: 'limits' })
        onChange()
        return
      }
      const effects = step(state, { type: 'message', hub, message: read })
      // What is sent goes out first: after a wait, later frames could overtake it.
      for (const effect of effects) if (effect.type !== 'accept' && effect.type !== 'greeted') perform(effect)
      // A peer has more of an own log than this disk.
      if (read.t === 'ack' && read.log.hub === options.hub && read.no > (state.known.get(logName(read.log)) ?? 0)) onChange()
      for (const effect of effects) {
        if (effect.type === 'accept') await accept(effect, link)
        if (effect.type !== 'greeted') continue
        await compareHeads(hub, effect.heads)
        if (links.get(hub) === link) compared.add(hub)
        onChange()
      }
    },
  }

  return {
    sync,
    durable: (frames) => {
      const byLog = Map.groupBy(frames, (frame) => logName(frame.log))
      for (const group of byLog.values()) {
        const { log: id, header, hash } = group.at(-1)!
        run({ type: 'durable', head: { log: id, no: header.no, hash }, frames: group.map(({ bytes }) => bytes) })
      }
    },
    send: (hub, message) => {
      const link = links.get(hub)
      if (link === undefined || link.blocked && link.outbox.length >= OUTBOX_MAX) return
      send(hub, encodeLedgerMessage(message))
    },
    truncated: (id) => {
      const tail = store.tails.get(logName(id))
      run({ type: 'truncated', log: id, head: tail === undefined ? undefined : { log: id, no: tail.no, hash: tail.hash } })
    },
    fetchFrame,
    heard: () => { run({ type: 'heard' }) },
    limitsChanged: () => { run({ type: 'limits' }) },
    compare: (hub, id, no) => { run({ type: 'disputed', hub, log: id, no }) },
    get connected() { return links.size },
    get greeted() { return greetedPeers(state) },
    get compared() { return compared.size },
    peersHave: (id) => peersHave(state, id),
    get missing() { return framesMissing(state) },
    ownLogsBehind: () => [
      // Of a log that is sealed where ours ends nothing is in dispute: the peer may have moved aside what it named, and never send it.
      ...ownLogsBehind(state), ...[...disputes.values()].map((dispute) => dispute.log).filter((id) => id.hub === options.hub && (state.known.get(logName(id)) ?? 0) < limitOf(id)),
    ].filter((id) => !state.forked.has(logName(id))),
  }
}

/** The number of a stored frame; 0 where it cannot be read, which whoever takes it says better. */
function numberOf(bytes: Uint8Array): number {
  try {
    return decodeFrame(bytes).header.no
  } catch {
    return 0
  }
}

function checked(bytes: Uint8Array, tail: LogTail, context: FrameContext): FrameCheck | undefined {
  try {
    return checkFrame(decodeFrame(bytes), tail, context)
  } catch {
    return undefined
  }
}

function isSyncMessage(message: LedgerMessage): message is SyncMessage {
  return message.t === 'hello' || message.t === 'frames' || message.t === 'want' || message.t === 'ack'
}
