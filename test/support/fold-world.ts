/**
 * Three honest hubs as far as the fold knows them: each has its own log, its own state, and copies of what it was sent.
 * What a hub logs is what its own state takes; frames travel in any order and as late as the test likes. No signatures,
 * no disks, no clock: entries, positions and what was seen.
 */
import { encodeEntry, encodeReceipt, type EncodedEntry, type Entry, type ReceiptRate, type Unnamed } from '../../ledger/entries/entry.ts'
import { applyEntry } from '../../ledger/fold/apply.ts'
import { dependenciesMet } from '../../ledger/fold/causal.ts'
import { closeFrame, foldFrame } from '../../ledger/fold/frame-fold.ts'
import { EntryRefused } from '../../ledger/fold/refused.ts'
import { createState, nameOf, type LedgerState, type LogName } from '../../ledger/fold/state.ts'
import type { FoldableFrame, Seen } from '../../ledger/frame.ts'
import { encode } from '../../protocol/codec.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { Signed } from '../../protocol/signed.ts'

export const foldNetwork = 'fold-test'
export const foldHubKeys = [11, 22, 33].map((byte) => new Uint8Array(32).fill(byte))

/** A document whose signature nobody in the fold looks at. */
export function unsigned(value: unknown, key: Uint8Array = foldHubKeys[0]!): Signed {
  return { body: encode(value), key, signature: new Uint8Array(64) }
}

/** A receipt as far as the fold reads it: its ticket is empty. */
export function foldReceipt(
  jobId: Uint8Array, { half, observedMs, endedAt, contributor = new Uint8Array(32) }: {
    readonly half?: unknown; readonly observedMs: number; readonly endedAt: number; readonly contributor?: Uint8Array
  }, rate?: ReceiptRate,
): EncodedEntry {
  return encodeReceipt({ jobId, account: new Uint8Array(16), contributor }, {
    ticket: new Uint8Array(), ...(half === undefined ? {} : { half: unsigned(half) }),
    observation: { observedMs, endedAt, path: 'hub', finish: 'stop', outputHash: new Uint8Array(32), usage: { promptTokens: 1, completionTokens: 2 } },
  }, rate)
}

export interface FoldHub {
  readonly hub: number
  state: LedgerState
  log: LogId
  /** Applied to the state and not in a frame yet. */
  readonly pending: EncodedEntry[]
  /** Own frames of the log. */
  frames: number
  entries: number
  tsMs: number
  /** Time of the frame that is being built. */
  pendingMs: number
  /** Its log is sealed and it has no other yet. */
  gone: boolean
}

export interface FoldWorld {
  nowMs: number
  readonly hubs: readonly FoldHub[]
  /** Frames by log, those that count. */
  readonly logs: Map<LogName, FoldableFrame[]>
  /** Applies the entry to its author's state; gives the problem where that refuses it. */
  say(hub: number, fields: Unnamed<Entry> | EncodedEntry): string | undefined
  /** Puts what a hub has said into a frame. */
  commit(hub: number): void
  /** Folds at hub `to` what of a log it does not have, up to `framesMax` frames; what rests on frames that it lacks waits. */
  send(log: LogName, to: number, framesMax?: number): void
  /** Everything to everybody, until nothing moves. */
  settleDown(): void
  /** A new log for a hub, after `previous`. Its state stays as it is. */
  open(hub: number, previous?: { readonly epoch: number; readonly no: number }): void
}

export function fieldsOf(encoded: Unnamed<Entry> | EncodedEntry): EncodedEntry {
  return 'bytes' in encoded ? encoded : encodeEntry(encoded)
}

/** Frames that this state can take next, of all logs; in the order of the logs. */
export function foldable(state: LedgerState, logs: ReadonlyMap<LogName, readonly FoldableFrame[]>): readonly FoldableFrame[] {
  return [...logs].flatMap(([name, frames]) => {
    const log = state.logs.get(name)
    const next = frames[log?.frame ?? 0]
    return next !== undefined && (log === undefined || log.status.is === 'live') && dependenciesMet(state, next) ? [next] : []
  })
}

/** Folds all logs, one frame after the other as `choose` picks among those that can be next. `onFrame` sees the state after each. */
export function foldInOrder(
  logs: ReadonlyMap<LogName, readonly FoldableFrame[]>, choose: (count: number) => number, onFrame: (state: LedgerState, frame: FoldableFrame) => void = () => {},
): LedgerState {
  const state = createState(foldNetwork, foldHubKeys)
  for (let next = foldable(state, logs); next.length > 0; next = foldable(state, logs)) {
    const frame = next[choose(next.length) % next.length]!
    foldFrame(state, frame)
    onFrame(state, frame)
  }
  return state
}

export function createFoldWorld({ startMs = Date.UTC(2026, 0, 1, 12) } = {}): FoldWorld {
  const hubs = foldHubKeys.map((_, hub): FoldHub => ({
    hub, state: createState(foldNetwork, foldHubKeys), log: { hub, epoch: 1 }, pending: [], frames: 0, entries: 0, tsMs: 0, pendingMs: 0, gone: false,
  }))
  const logs = new Map<LogName, FoldableFrame[]>()

  const world: FoldWorld = {
    nowMs: startMs, hubs, logs,

    say(hub, fields) {
      const author = hubs[hub]!
      const encoded = fieldsOf(fields)
      // All entries of a frame have its time, so the first one sets it.
      if (author.pending.length === 0) author.pendingMs = Math.max(author.tsMs + 1, world.nowMs)
      const tsMs = author.pendingMs
      try {
        applyEntry(author.state, encoded, { tsMs, ...author.log, frame: author.frames + 1, seq: author.entries + author.pending.length })
      } catch (error) {
        if (error instanceof EntryRefused) return error.problem
        throw error
      }
      author.pending.push(encoded)
      return undefined
    },

    commit(hub) {
      const author = hubs[hub]!
      if (author.pending.length === 0 || author.gone) return
      const entries = author.pending.splice(0)
      author.tsMs = author.pendingMs
      author.frames += 1
      const frame = frameOf(author, entries, seenBy(author.state, author))
      author.entries += entries.length
      const name = nameOf(author.log)
      logs.set(name, [...logs.get(name) ?? [], frame])
      closeFrame(author.state, frame.header)
    },

    send(log, to, framesMax = Number.MAX_SAFE_INTEGER) {
      const { state } = hubs[to]!
      for (let count = 0; count < framesMax; count += 1) {
        const next = (logs.get(log) ?? [])[state.logs.get(log)?.frame ?? 0]
        if (next === undefined || (state.logs.get(log)?.status.is ?? 'live') !== 'live' || !dependenciesMet(state, next)) return
        foldFrame(state, next)
      }
    },

    settleDown() {
      for (let moved = true; moved;) {
        moved = false
        for (const { hub, state } of hubs.filter(({ gone }) => !gone)) {
          for (const log of logs.keys()) {
            if (log === nameOf(hubs[hub]!.log)) continue
            const before = state.logs.get(log)?.frame ?? 0
            world.send(log, hub)
            moved ||= (state.logs.get(log)?.frame ?? 0) > before
          }
        }
      }
    },

    open(hub, previous) {
      const author = hubs[hub]!
      const epoch = author.log.epoch + (previous === undefined ? 0 : 1)
      Object.assign(author, { log: { hub, epoch }, frames: 0, entries: 0, gone: false })
      author.pending.length = 0
      world.say(hub, { k: 'EpochOpen', hub, epoch, key: unsigned({ hub, epoch, ...(previous === undefined ? {} : { previous }) }, foldHubKeys[hub]) })
      world.commit(hub)
    },
  }

  for (const { hub } of hubs) world.open(hub)
  return world
}

function frameOf(author: FoldHub, entries: readonly EncodedEntry[], seen: Seen): FoldableFrame {
  const { log, frames, tsMs } = author
  const zeros = new Uint8Array(32)
  const header: FoldableFrame['header'] = {
    v: 1, network: foldNetwork, ...log, no: frames, firstSeq: author.entries, n: entries.length, prevHash: zeros, entriesRoot: zeros,
    treeSize: author.entries + entries.length, treeRoot: zeros, tsMs, seen, rules: 1,
  }
  return {
    log, header, bytes: zeros, headerBytes: zeros, signature: zeros, hash: zeros,
    entries: entries.map(({ entry }) => entry), entryBytes: entries.map(({ bytes }) => bytes),
  }
}

/** What of each hub's newest log is in the state. */
function seenBy(state: LedgerState, author: FoldHub): Seen {
  return foldHubKeys.map((_, hub) => {
    let newest = { epoch: 0, no: 0 }
    for (const { log, frame } of state.logs.values()) if (log.hub === hub && frame > 0 && log.epoch >= newest.epoch) newest = { epoch: log.epoch, no: frame }
    return hub === author.log.hub && newest.epoch < author.log.epoch ? { epoch: author.log.epoch, no: 0 } : newest
  })
}
