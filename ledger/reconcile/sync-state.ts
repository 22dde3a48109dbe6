/**
 * What the exchange of logs (hub-sync.ts) remembers: what is here, and for each connected peer what it has, what it was
 * sent and what it asked for.
 */
import { LOG_IN_FLIGHT_BYTES_MAX } from '../../protocol/limits.ts'
import type { Head, LedgerMessage, LogId } from '../../protocol/messages/ledger.ts'

/** Where a peer stands in one log. */
export interface Cursor {
  readonly log: LogId
  /** Next frame to send. */
  next: number
  /** Bytes that may still be sent; without a bound for logs of our own. */
  budget: number
  /** The end of the log when nothing was found to read: not read again before it moves. */
  dryAt?: number
}

export interface Peer {
  greeted: boolean
  blocked: boolean
  loading: boolean
  /** What is on the peer's disk, as it said. */
  readonly heads: Map<string, { readonly log: LogId; readonly no: number }>
  readonly cursors: Map<string, Cursor>
  /** Sent and not acknowledged, by log. */
  readonly inFlight: Map<string, { readonly no: number; readonly bytes: number }[]>
  inFlightBytes: number
  readonly acksDue: Map<string, { readonly log: LogId; readonly no: number }>
  /** Of logs that their author pushes to it: nobody waits for these. */
  readonly acksLater: Map<string, { readonly log: LogId; readonly no: number }>
  readonly wantsDue: Map<string, { readonly log: LogId; readonly from: number; readonly bytesMax: number }>
  /** Loads of frames that it had already, under way. */
  again: number
  /** What it asked for again beyond that, the newest for each log. */
  readonly againDue: Map<string, Extract<LedgerMessage, { t: 'want' }>>
}

export interface SyncState {
  readonly network: string
  /** This hub. */
  readonly me: number
  readonly inFlightBytesMax: number
  /** What is on our disk. */
  readonly heads: Map<string, Head>
  /** What we have checked, on disk or on its way there. */
  readonly known: Map<string, number>
  readonly peers: Map<number, Peer>
  /** Logs that a peer was asked for and has not sent yet. */
  readonly asked: Map<string, number>
  readonly forked: Set<string>
  /** Logs of which their author sent frames that were dropped at a limit: it is asked for them when the limit is gone, for it says nowhere how far it is. */
  readonly dropped: Set<string>
  /** Number of the last frame of a log that may be accepted; a promise or a seal stands behind it. */
  readonly limitOf: (log: LogId) => number
  /** May frames of this author be acknowledged to it? */
  readonly mayAck: (author: number) => boolean
}

export const nameOf = (log: LogId) => `${log.hub}/${log.epoch}`

export function createSyncState(
  { network, me, heads, inFlightBytesMax = LOG_IN_FLIGHT_BYTES_MAX, limitOf = () => Number.POSITIVE_INFINITY, mayAck = () => true }:
  { readonly network: string; readonly me: number; readonly heads: readonly Head[]; readonly inFlightBytesMax?: number; readonly limitOf?: SyncState['limitOf']; readonly mayAck?: SyncState['mayAck'] },
): SyncState {
  return {
    network, me, inFlightBytesMax, peers: new Map(), asked: new Map(), forked: new Set(), dropped: new Set(), limitOf, mayAck,
    heads: new Map(heads.map((head) => [nameOf(head.log), head])),
    known: new Map(heads.map((head) => [nameOf(head.log), head.no])),
  }
}

/** The furthest frame of a log that a connected peer has on its disk. */
export function peersHave(state: SyncState, log: LogId): number {
  let furthest = 0
  for (const peer of state.peers.values()) furthest = Math.max(furthest, peer.heads.get(nameOf(log))?.no ?? 0)
  return furthest
}

/** Frames that connected peers have and this disk has not, without those that may not be accepted. */
export function framesMissing(state: SyncState): number {
  const logs = new Map([...state.peers.values()].flatMap((peer) => [...peer.heads].map(([name, { log }]) => [name, log])))
  return [...logs].reduce((sum, [name, log]) => sum + Math.max(0, Math.min(peersHave(state, log), state.limitOf(log)) - (state.heads.get(name)?.no ?? 0)), 0)
}

/** Logs of this hub of which a connected peer has more that counts than we have checked: behind the end of a sealed one nothing does. */
export function ownLogsBehind(state: SyncState): readonly LogId[] {
  return [...state.peers.values()].flatMap((peer) => [...peer.heads.values()])
    .filter(({ log, no }) => log.hub === state.me && Math.min(no, state.limitOf(log)) > (state.known.get(nameOf(log)) ?? 0)).map(({ log }) => log)
}

/** Connected peers that have said that this frame is on their disk; the author first, who surely has it. */
export function peersWith(state: SyncState, log: LogId, no: number): readonly number[] {
  return [...state.peers].filter(([hub, { greeted, heads }]) => greeted && (hub === log.hub || (heads.get(nameOf(log))?.no ?? 0) >= no)).map(([hub]) => hub)
    .toSorted((one, other) => Number(other === log.hub) - Number(one === log.hub))
}

/** The peer has said hello. */
export function isGreeted(state: SyncState, hub: number): boolean {
  return state.peers.get(hub)?.greeted === true
}

export function greetedPeers(state: SyncState): number {
  return [...state.peers.values()].filter((peer) => peer.greeted).length
}

export function newPeer(): Peer {
  return {
    greeted: false, blocked: false, loading: false, heads: new Map(), cursors: new Map(), inFlight: new Map(), inFlightBytes: 0,
    acksDue: new Map(), acksLater: new Map(), wantsDue: new Map(), again: 0, againDue: new Map(),
  }
}
