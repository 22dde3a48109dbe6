/**
 * The own log's writer: collects entries, makes each commit's frame of them, and tells every caller when its entry is
 * acknowledged.
 *
 * Entries that come while a commit is on its way wait for the next one. An entry is acknowledged as `replicated` when it
 * is on this disk and on a peer's, or as `local` when no peer answered within `peerWaitMs`. A frame is sent to peers only
 * when it is on this disk: a peer that knew it first could hold it against a hub that forgot it in a crash.
 * An id that was logged before adds nothing: the same bytes resolve as `known`, others fail with ENTRY_CONFLICT.
 * Spec: docs/ledger.md#acknowledgement
 */
import { bytesEqual, toHex } from '../protocol/bytes.ts'
import { TriforceError } from '../protocol/errors.ts'
import { LOG_FRAME_BYTES_MAX, LOG_FRAME_ENTRIES_MAX } from '../protocol/limits.ts'
import { LOG_ENTRY_BYTES_MAX, type LogId } from '../protocol/messages/ledger.ts'
import type { Clock, Signer } from '../protocol/ports.ts'
import type { EncodedEntry } from './entries/entry.ts'
import { buildFrame, type CheckedFrame, type LogTail, type Seen } from './frame.ts'
import type { AppendResult, Durability } from './interface.ts'
import { logName, type LogStore } from './store/log-store.ts'
import type { StoredPosition } from './store/buckets.ts'

export interface LogWriterComponents {
  readonly clock: Clock
  readonly store: Pick<LogStore, 'locate' | 'entryAt'>
  /** Starts a commit, if none is on its way. */
  readonly kick: () => void
  /** Peers that could acknowledge now. */
  readonly peers: () => number
  /** The furthest frame of a log that a peer has acknowledged. */
  readonly peersHave: (log: LogId) => number
  /** What of each hub's newest log is on this disk. */
  readonly seen: () => Seen
}

export interface LogWriterOptions {
  readonly network: string
  readonly hub: number
  /** How long an idle writer waits for company before it commits. Default 1 ms. */
  readonly lingerMs?: number
  /** How long an entry that nobody waits for may wait for company. Default 200 ms: the receipts of most short jobs come within it. */
  readonly lazyMs?: number
  /** How long a peer may take to acknowledge. Default 150 ms, several times a round trip around the world's slower half. */
  readonly peerWaitMs?: number
  /** Entries that may wait; the next one is refused with QUEUE_FULL. Default 16,384: some seconds of work. */
  readonly queueMax?: number
}

export const logWriterDefaults = Object.freeze({ lingerMs: 1, lazyMs: 200, peerWaitMs: 150, queueMax: 16_384 })

/** Logged tickets whose bytes are remembered, so that their receipts need no look into the store. */
const TICKETS_REMEMBERED_MAX = 8_192

export interface LogWriter {
  /** Goes on with this log; entries are taken from now on. `first` stands at the head of the queue. */
  open(tail: LogTail, signer: Signer, first?: EncodedEntry): void
  /** Entries wait until the log is opened again. */
  pause(): void
  /** `before` is logged in front of the entry, unless it stands in this log already. */
  append(entry: EncodedEntry, before?: EncodedEntry): Promise<AppendResult>
  /** Logs the entry with the next one that somebody waits for, or alone after `lazyMs`. */
  appendLazily(entry: EncodedEntry): Promise<AppendResult>
  /** The end of the log that was opened last, with the frame that is being written. */
  readonly tail: LogTail | undefined
  take(): Promise<CheckedFrame | undefined>
  /** The frame is on the disk. */
  durable(frame: CheckedFrame): void
  acked(log: LogId, no: number): void
  /** Fails everything that waits. */
  fail(error: TriforceError): void
  readonly waiting: number
}

interface Queued {
  readonly encoded: EncodedEntry
  readonly before: EncodedEntry | undefined
  readonly resolve: (result: AppendResult) => void
  readonly reject: (error: unknown) => void
}

type Located = Omit<AppendResult, 'durability' | 'known'>

interface AckWaiter {
  readonly no: number
  readonly settle: (durability: Durability) => void
}

export function createLogWriter(components: LogWriterComponents, options: LogWriterOptions): LogWriter {
  const { clock, store, kick, peers, peersHave, seen } = components
  const { network, hub, lingerMs, lazyMs, peerWaitMs, queueMax } = { ...logWriterDefaults, ...options }
  let lastTail: LogTail | undefined
  let own: { tail: LogTail; readonly signer: Signer } | undefined
  let queue: Queued[] = []
  /** When the next commit is due, on the monotonic clock. */
  let dueMs: number | undefined
  let cancelDue = () => {}
  /** Entries from their append until their acknowledgement, by id. */
  const pending = new Map<string, { readonly bytes: Uint8Array; readonly result: Promise<AppendResult> }>()
  const tickets = new Map<string, Uint8Array>()
  let ackWaiters: AckWaiter[] = []
  /** The frame that is being written, and whose entries it holds. */
  let building: { readonly frame: CheckedFrame; readonly items: readonly { readonly item: Queued; readonly seq: number }[] } | undefined

  function startWithin(waitMs: number): void {
    if (own === undefined || queue.length === 0) return
    const atMs = clock.monotonicMs() + waitMs
    if (dueMs !== undefined && dueMs <= atMs) return
    cancelDue()
    dueMs = atMs
    cancelDue = clock.after(waitMs, () => {
      dueMs = undefined
      kick()
    })
  }

  function acknowledged(log: LogId, no: number): Promise<Durability> {
    // An entry of another hub's log is on that hub's disk and on ours.
    if (log.hub !== hub || peersHave(log) >= no) return Promise.resolve('replicated')
    if (peers() === 0 || own === undefined || logName(own.tail.log) !== logName(log)) return Promise.resolve('local')
    return new Promise((resolve) => {
      const waiter: AckWaiter = { no, settle: (durability) => { cancel(); resolve(durability) } }
      const cancel = clock.after(peerWaitMs, () => {
        ackWaiters = ackWaiters.filter((other) => other !== waiter)
        resolve('local')
      })
      ackWaiters.push(waiter)
    })
  }

  /** A logged entry with this id: resolves the caller as known, or fails it. */
  async function settleKnown(item: Queued, position: StoredPosition): Promise<void> {
    const { bytes, frame, index } = await store.entryAt(position)
    if (!bytesEqual(bytes, item.encoded.bytes)) {
      item.reject(conflict(item.encoded))
      return
    }
    const { log, header } = frame
    void acknowledged(log, header.no).then((durability) => {
      item.resolve({ hub: log.hub, epoch: log.epoch, seq: header.firstSeq + index, durability, known: true })
    })
  }

  /** Is the entry in the own log already? Throws ENTRY_CONFLICT where another one with its id is. */
  async function standsInOwnLog(before: EncodedEntry, position: StoredPosition | undefined, log: LogId): Promise<boolean> {
    const remembered = tickets.get(toHex(before.entry.eid))
    const logged = remembered ?? (position !== undefined && logName(position.log) === logName(log) ? (await store.entryAt(position)).bytes : undefined)
    if (logged === undefined) return false
    if (!bytesEqual(logged, before.bytes)) throw conflict(before)
    return true
  }

  function remember({ entry, bytes }: EncodedEntry): void {
    if (entry.k !== 'JobTicket') return
    if (tickets.size >= TICKETS_REMEMBERED_MAX) tickets.delete(tickets.keys().next().value!)
    tickets.set(toHex(entry.eid), bytes)
  }

  /** As many from the queue's head as fit one frame, with what must stand before them. */
  function nextBatch(): Queued[] {
    let entries = 0
    let bytes = 0
    let count = 0
    for (const { encoded, before } of queue) {
      entries += before === undefined ? 1 : 2
      bytes += encoded.bytes.byteLength + (before?.bytes.byteLength ?? 0)
      if (count > 0 && (entries > LOG_FRAME_ENTRIES_MAX || bytes > LOG_FRAME_BYTES_MAX)) break
      count += 1
    }
    const batch = queue.slice(0, count)
    queue = queue.slice(count)
    return batch
  }

  /** The entries of a batch that are not logged yet, in order; callers of the others are served. */
  async function freshEntries(batch: readonly Queued[], log: LogId): Promise<{ entries: EncodedEntry[]; items: { item: Queued; place: number }[] }> {
    const positions = await store.locate(batch.map(({ encoded }) => encoded.entry.eid))
    const unknown = batch.filter(({ before }) => before !== undefined && !tickets.has(toHex(before.entry.eid)))
    const beforePositions = unknown.length === 0 ? [] : await store.locate(unknown.map(({ before }) => before!.entry.eid))
    const positionBefore = new Map(unknown.map((item, place) => [item, beforePositions[place]]))

    const entries: EncodedEntry[] = []
    const items: { item: Queued; place: number }[] = []
    for (const [place, item] of batch.entries()) {
      try {
        const position = positions[place]
        if (position !== undefined) {
          await settleKnown(item, position)
          continue
        }
        if (item.before !== undefined && !await standsInOwnLog(item.before, positionBefore.get(item), log)) {
          entries.push(item.before)
          remember(item.before)
        }
        items.push({ item, place: entries.length })
        entries.push(item.encoded)
        remember(item.encoded)
      } catch (error) {
        item.reject(error)
      }
    }
    return { entries, items }
  }

  function enqueue(encoded: EncodedEntry, before: EncodedEntry | undefined, waitMs: number): Promise<AppendResult> {
    if (encoded.bytes.byteLength > LOG_ENTRY_BYTES_MAX || (before?.bytes.byteLength ?? 0) > LOG_ENTRY_BYTES_MAX) {
      return Promise.reject(new TriforceError('ENTRY_INVALID', { problem: 'too large', kind: encoded.entry.k }))
    }
    const name = toHex(encoded.entry.eid)
    const same = pending.get(name)
    if (same !== undefined) {
      return bytesEqual(same.bytes, encoded.bytes) ? same.result.then((result) => ({ ...result, known: true })) : Promise.reject(conflict(encoded))
    }
    if (queue.length >= queueMax) return Promise.reject(new TriforceError('QUEUE_FULL', { queue: 'ledger' }))
    const result = new Promise<AppendResult>((resolve, reject) => { queue.push({ encoded, before, resolve, reject }) })
      .finally(() => { pending.delete(name) })
    pending.set(name, { bytes: encoded.bytes, result })
    startWithin(waitMs)
    return result
  }

  return {
    get tail() { return lastTail },
    get waiting() { return queue.length },

    open: (tail, signer, first) => {
      own = { tail, signer }
      lastTail = tail
      tickets.clear()
      if (first !== undefined) queue.unshift({ encoded: first, before: undefined, resolve: () => {}, reject: () => {} })
      kick()
    },
    pause: () => {
      own = undefined
      tickets.clear()
    },

    append: (encoded, before) => enqueue(encoded, before, lingerMs),
    appendLazily: (encoded) => enqueue(encoded, undefined, lazyMs),

    async take() {
      for (;;) {
        if (own === undefined || queue.length === 0) return undefined
        const { tail, signer } = own
        const batch = nextBatch()
        const { entries, items } = await freshEntries(batch, tail.log).catch((error: unknown) => {
          for (const { reject } of batch) reject(error)
          throw error
        })
        // The log was paused meanwhile: nothing was written, so all of it waits for the next opening.
        if (own?.tail !== tail) {
          queue = [...batch, ...queue]
          continue
        }
        if (entries.length === 0) continue
        const frame = buildFrame(tail, entries, { network, signer, nowMs: clock.now(), seen: seen() })
        building = { frame, items: items.map(({ item, place }) => ({ item, seq: frame.header.firstSeq + place })) }
        own.tail = frame.tail
        lastTail = frame.tail
        return frame
      }
    },

    durable: (frame) => {
      // Frames of the own log that came back from a peer belong to no caller.
      if (building?.frame !== frame) return
      const { items } = building
      building = undefined
      const position = (seq: number): Located => ({ hub: frame.log.hub, epoch: frame.log.epoch, seq })
      void acknowledged(frame.log, frame.header.no).then((durability) => {
        for (const { item, seq } of items) item.resolve({ ...position(seq), durability, known: false })
      })
    },

    acked: (log, no) => {
      if (own === undefined || logName(own.tail.log) !== logName(log) || ackWaiters.length === 0) return
      const done = ackWaiters.filter((waiter) => waiter.no <= no)
      ackWaiters = ackWaiters.filter((waiter) => waiter.no > no)
      for (const { settle } of done) settle('replicated')
    },

    fail: (error) => {
      const failed = [...building?.items.map(({ item }) => item) ?? [], ...queue]
      building = undefined
      queue = []
      own = undefined
      for (const { reject } of failed) reject(error)
    },
  }
}

function conflict({ entry }: EncodedEntry): TriforceError {
  return new TriforceError('ENTRY_CONFLICT', { kind: entry.k, eid: toHex(entry.eid) })
}
