/**
 * Carries out what hub-sync.ts decides: sends and reads, checks and stores, and keeps a slow stream from being sent
 * more than it takes. The only part of the exchange that waits for anything.
 */
import { bytesEqual } from '../../protocol/bytes.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { decodeLedgerMessage, encodeLedgerMessage, LEDGER_MESSAGE_BYTES_MAX, type Head, type LogId } from '../../protocol/messages/ledger.ts'
import type { Log } from '../../protocol/ports.ts'
import type { CommitLane } from '../commit-lane.ts'
import type { CheckedFrame } from '../frame.ts'
import type { HubSync } from '../interface.ts'
import { logName, type LogStore } from '../store/log-store.ts'
import { createSyncState, greetedPeers, ownLogsBehind, peersHave, step, type SyncEffect, type SyncEvent } from './hub-sync.ts'
import { takeFrames, type ReplicaComponents } from './replica.ts'

export interface ExchangeComponents extends ReplicaComponents {
  readonly store: Pick<LogStore, 'tails' | 'frameBytes'>
  readonly lane: Pick<CommitLane, 'tailOf' | 'hashOf' | 'offer' | 'room'>
  readonly log: Log
  /** A peer came, left, said where it stands, or sent something: what is known of the own log may have changed. */
  readonly onChange: () => void
  readonly onAcked: (log: LogId, no: number) => void
  readonly onForked: (log: LogId, no: number) => void
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
  /** Peers with a stream. */
  readonly connected: number
  /** Peers that have said where they stand, so that they can acknowledge. */
  readonly greeted: number
  /** Peers whose heads were also compared with ours. */
  readonly compared: number
  peersHave(log: LogId): number
  /** Own logs of which a peer has more than we, or says to have another version. */
  ownLogsBehind(): readonly LogId[]
}

interface Link {
  readonly send: (message: Uint8Array) => boolean
  blocked: boolean
  /** What was decided before the stream said that it is full; at most the messages of one step. */
  outbox: Uint8Array[]
}

export function createExchange(components: ExchangeComponents, options: ExchangeOptions): Exchange {
  const { store, lane, log, onChange, onAcked, onForked } = components
  const heads = [...store.tails.values()].map((tail): Head => ({ log: tail.log, no: tail.no, hash: tail.hash }))
  const state = createSyncState({ me: options.hub, heads, ...options })
  const links = new Map<number, Link>()
  const compared = new Set<number>()
  /** Logs of which a peer named another hash and has not yet sent the frame that would prove it. */
  const disputes = new Map<string, { readonly log: LogId; readonly hub: number }>()

  function run(event: SyncEvent): void {
    for (const effect of step(state, event)) perform(effect)
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

  async function load({ hub, log: id, from, bytesMax, framesMax }: Extract<SyncEffect, { type: 'load' }>): Promise<void> {
    const link = links.get(hub)
    let frames: readonly Uint8Array[] = []
    try {
      frames = await store.frameBytes(id, from, { bytesMax, framesMax })
    } catch (error) {
      log.error('frames cannot be read for a peer', { log: logName(id), from, problem: toTriforceError(error).message })
    }
    // The stream for which they were read may be gone, and another one there.
    if (links.get(hub) === link) run({ type: 'loaded', hub, log: id, from, frames })
  }

  async function accept({ hub, log: id, frames }: Extract<SyncEffect, { type: 'accept' }>, link: Link): Promise<void> {
    const taken = state.forked.has(logName(id)) ? { type: 'taken' as const, no: lane.tailOf(id).no, gap: false } : await takeFrames(components, id, frames)
    if (disputes.get(logName(id))?.hub === hub) disputes.delete(logName(id))
    if (taken.type === 'forked') {
      run({ type: 'forked', log: id })
      onForked(id, taken.no)
    } else if (links.get(hub) === link) {
      run({ type: 'accepted', hub, log: id, no: taken.no, gap: taken.gap })
    }
    onChange()
    await lane.room()
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
      onChange()
    },
    receive: async (hub, message) => {
      if (message.byteLength > LEDGER_MESSAGE_BYTES_MAX) throw new TriforceError('FRAME_TOO_LARGE', { bytes: message.byteLength })
      const link = links.get(hub)
      if (link === undefined) return
      const effects = step(state, { type: 'message', hub, message: decodeLedgerMessage(message) })
      // What is sent goes out first: after a wait, later frames could overtake it.
      for (const effect of effects) if (effect.type !== 'accept' && effect.type !== 'greeted') perform(effect)
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
    get connected() { return links.size },
    get greeted() { return greetedPeers(state) },
    get compared() { return compared.size },
    peersHave: (id) => peersHave(state, id),
    ownLogsBehind: () => [
      ...ownLogsBehind(state), ...[...disputes.values()].map((dispute) => dispute.log).filter((id) => id.hub === options.hub),
    ].filter((id) => !state.forked.has(logName(id))),
  }
}
