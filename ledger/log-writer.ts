/**
 * The own log's writer: collects intents, decides them when a frame is built, and tells every caller when its entry is
 * acknowledged.
 *
 * A frame is built in two parts. First the ids of what waits are looked up in the store. Then, without any pause, each
 * intent is decided against the live state and its entries are applied to it at their final position, so that nothing
 * comes between a decision and its entry. What is refused is told at once; what is short of rights is parked and decided
 * again on `retry`.
 * An entry is acknowledged as `replicated` when it is on this disk and on a peer's, or as `local` when no peer answered
 * within `peerWaitMs`. A caller that needs `replicated` waits longer and then fails with HUB_ISOLATED. A frame is sent to
 * peers only when it is on this disk: a peer that knew it first could hold it against a hub that forgot it in a crash.
 * An id that was logged before adds nothing: the same content resolves as `known`, other fails with ENTRY_CONFLICT.
 * Spec: docs/ledger.md#acknowledgement
 */
import { bytesEqual, toHex } from '../protocol/bytes.ts'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import { LOG_FRAME_BYTES_MAX, LOG_FRAME_ENTRIES_MAX } from '../protocol/limits.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import { LOG_ENTRY_BYTES_MAX } from '../protocol/messages/ledger-fields.ts'
import type { Clock, Signer } from '../protocol/ports.ts'
import { createAckWaiters } from './ack-waiters.ts'
import type { EncodedEntry } from './entries/entry.ts'
import { EntryRefused } from './fold/refused.ts'
import type { Position } from './fold/state.ts'
import { buildFrame, type CheckedFrame, type LogTail, type Seen } from './frame.ts'
import type { Decision, Intent, Moment } from './hub/events.ts'
import type { AppendResult } from './interface.ts'
import { conflict, lookUp, type Found } from './known-entries.ts'
import { createParking } from './parking.ts'
import { isPlanted } from './planted-bugs.ts'
import { logName, type LogStore } from './store/log-store.ts'

export type Short = Extract<Decision, { type: 'short' }>

export interface LogWriterComponents {
  readonly clock: Clock
  readonly store: Pick<LogStore, 'locate' | 'entryAt'>
  /** Starts a commit, if none is on its way. */
  readonly kick: () => void
  /** Peers that could acknowledge now. */
  readonly peers: () => number
  /** The furthest frame of a log that a peer has acknowledged. */
  readonly peersHave: (log: LogId) => number
  /** What of each hub's newest log is in the live state. */
  readonly seen: () => Seen
  /** Applies an entry to the live state. Throws EntryRefused and has then changed nothing. */
  readonly apply: (encoded: EncodedEntry, at: Position) => void
  /** All entries of this frame are in the live state. Called before anything else is decided. */
  readonly onBuilt: (frame: CheckedFrame) => void
  /** An intent is parked, for want of rights. */
  readonly onShort: (short: Short) => void
}

export interface LogWriterOptions {
  readonly network: string
  readonly hub: number
  /** How long an idle writer waits for company before it commits. Default 0: what comes while it writes is company enough for the next frame. */
  readonly lingerMs?: number
  /** How long an entry that nobody waits for may wait for company. Default 200 ms. */
  readonly lazyMs?: number
  /** How long a peer may take to acknowledge. Default 150 ms, several times a round trip around the world's slower half. */
  readonly peerWaitMs?: number
  /** How long a caller that needs a peer's acknowledgement waits for it. Default 2,000 ms. */
  readonly replicatedWaitMs?: number
  /** Intents that may wait; the next one is refused with QUEUE_FULL. Default 16,384: some seconds of work. */
  readonly queueMax?: number
  /** Intents that may wait for rights. Default 4,096. */
  readonly parkedMax?: number
  /** Longest wait for rights; the core gives up before. Default 5,000 ms. */
  readonly parkedMsMax?: number
}

export const logWriterDefaults = Object.freeze({
  lingerMs: 0, lazyMs: 200, peerWaitMs: 150, replicatedWaitMs: 2_000, queueMax: 16_384, parkedMax: 4_096, parkedMsMax: 5_000,
})

export interface SubmitOptions {
  /** Nobody waits: goes with the next frame that somebody waits for, or alone after `lazyMs`. */
  readonly lazy?: boolean
  /** Resolves only when a peer has it too. */
  readonly replicated?: boolean
}

/** `frame`: number of the frame in which it stands. */
export interface Submitted extends AppendResult { readonly frame: number }

export interface LogWriter {
  /** Goes on with this log; entries are taken from now on. `first` stands at the head of the queue. */
  open(tail: LogTail, signer: Signer, first?: EncodedEntry): void
  /** Intents wait until the log is opened again. */
  pause(): void
  /** The log was cut on the disk; it is not written any more. */
  cut(log: LogId): void
  submit(intent: Intent, options?: SubmitOptions): Promise<Submitted>
  /** Waits for a peer to have this frame; throws HUB_ISOLATED where none has it in time. */
  whenReplicated(log: LogId, frame: number): Promise<void>
  /** What was short of rights is decided again. */
  retry(): void
  /** The end of the log that was opened last, with the frame that is being written. */
  readonly tail: LogTail | undefined
  take(): Promise<CheckedFrame | undefined>
  /** The frame is on the disk. */
  durable(frame: CheckedFrame): void
  acked(log: LogId, no: number): void
  /** Fails everything that waits. */
  fail(error: TriforceError): void
  readonly waiting: number
  readonly parked: number
}

/** An intent that logs exactly this. */
export function intentOf(encoded: EncodedEntry): Intent {
  return {
    eid: encoded.entry.eid,
    same: (logged) => bytesEqual(logged.bytes, encoded.bytes),
    decide: () => ({ type: 'entries', entries: [encoded] }),
  }
}

interface Queued {
  readonly intent: Intent
  readonly eid: string
  readonly replicated: boolean
  readonly resolve: (result: Submitted) => void
  readonly reject: (error: unknown) => void
}

interface Built { readonly item: Queued; readonly seq: number; readonly known: boolean }

export function createLogWriter(components: LogWriterComponents, options: LogWriterOptions): LogWriter {
  const { clock, store, kick, seen, apply, onBuilt, onShort } = components
  const { network, lingerMs, lazyMs, queueMax } = { ...logWriterDefaults, ...options }
  const waiters = createAckWaiters(components, { ...logWriterDefaults, ...options })
  let lastTail: LogTail | undefined
  let own: { tail: LogTail; readonly signer: Signer } | undefined
  let queue: Queued[] = []
  const parking = createParking<Queued>(clock, { ...logWriterDefaults, ...options }, (item) => { requeue([item]) })
  /** When the next commit is due, on the monotonic clock. */
  let dueMs: number | undefined
  let cancelDue = () => {}
  /** Where intents are looked up and decided. */
  let taking: readonly Queued[] = []
  /** The frame that is being written, and whose entries it holds. */
  let building: { readonly frame: CheckedFrame; readonly items: readonly Built[] } | undefined

  function startWithin(waitMs: number): void {
    if (own === undefined || queue.length === 0) return
    const atMs = clock.monotonicMs() + waitMs
    if (dueMs !== undefined && dueMs <= atMs) return
    cancelDue()
    if (waitMs === 0) {
      dueMs = undefined
      kick()
      return
    }
    dueMs = atMs
    cancelDue = clock.after(waitMs, () => {
      dueMs = undefined
      kick()
    })
  }

  /** All that stand in one frame wait as one. */
  function answer(built: readonly Built[], log: LogId, no: number): void {
    const writing = own !== undefined && logName(own.tail.log) === logName(log)
    for (const [replicated, group] of Map.groupBy(built, ({ item }) => item.replicated)) {
      waiters.acknowledged(log, no, replicated, writing).then((durability) => {
        for (const { item, seq, known } of group) item.resolve({ hub: log.hub, epoch: log.epoch, frame: no, seq, durability, known })
      }, (error: unknown) => {
        for (const { item } of group) item.reject(error)
      })
    }
  }

  function isSame(item: Queued, logged: EncodedEntry): boolean {
    return isPlanted('conflict-called-known') || (item.intent.same?.(logged) ?? true)
  }

  /** Before everything that came later. */
  function requeue(items: readonly Queued[]): void {
    if (items.length === 0) return
    queue = [...items, ...queue]
    kick()
  }

  /**
   * Decides the batch and builds its frame, in one go. What does not fit any more goes back to the queue. Gives undefined
   * where nothing is to be logged.
   */
  function build(batch: readonly Queued[], found: Found<Queued>, { tail, signer }: { readonly tail: LogTail; readonly signer: Signer }): CheckedFrame | undefined {
    const nowMs = clock.now()
    const moment: Moment = { nowMs, tsMs: Math.max(tail.tsMs + 1, nowMs), log: tail.log }
    const seenBefore = seen().map((now, index) => later(now, tail.seen[index]!))
    const entries: EncodedEntry[] = []
    let bytes = 0
    const items: Built[] = []
    const decided = new Map<string, { readonly encoded: EncodedEntry; readonly seq: number }>()
    const shorts: Short[] = []

    const log = (encoded: EncodedEntry): void => {
      const seq = tail.tree.size + entries.length
      apply(encoded, { tsMs: moment.tsMs, hub: tail.log.hub, epoch: tail.log.epoch, frame: tail.no + 1, seq })
      entries.push(encoded)
      bytes += encoded.bytes.byteLength
      decided.set(toHex(encoded.entry.eid), { encoded, seq })
    }

    /** Gives false where the frame is full. */
    const take = (item: Queued): boolean => {
      const twin = decided.get(item.eid)
      if (twin !== undefined) {
        if (isSame(item, twin.encoded)) items.push({ item, seq: twin.seq, known: true })
        else item.reject(conflict(item.intent.eid))
        return true
      }
      const decision = decisionOf(item.intent, moment)
      if (decision.type === 'refuse') item.reject(decision.error)
      if (decision.type === 'short') {
        const parked = parking.park(item)
        if (parked === 'parked') shorts.push(decision)
        else item.reject(parked === 'full' ? new TriforceError('QUEUE_FULL', { queue: 'rights' }) : new TriforceError('RIGHTS_UNREACHABLE', { account: decision.account }))
      }
      if (decision.type !== 'entries') return true
      const wanted = decision.entries
      const wantedBytes = wanted.reduce((sum, encoded) => sum + encoded.bytes.byteLength, 0)
      if (wanted.some((encoded) => encoded.bytes.byteLength > LOG_ENTRY_BYTES_MAX) || wanted.length > LOG_FRAME_ENTRIES_MAX || wantedBytes > LOG_FRAME_BYTES_MAX) {
        throw new TriforceError('ENTRY_INVALID', { problem: 'too large', kind: wanted.at(-1)!.entry.k })
      }
      if (entries.length + wanted.length > LOG_FRAME_ENTRIES_MAX || bytes + wantedBytes > LOG_FRAME_BYTES_MAX) return false
      for (const encoded of wanted) log(encoded)
      // Where nothing was to be done, the end of the log says as of when.
      items.push({ item, seq: Math.max(0, tail.tree.size + entries.length - 1), known: decision.entries.length === 0 })
      return true
    }

    let full: number | undefined
    for (const [place, item] of batch.entries()) {
      const logged = found.logged.get(item)
      if (found.unreadable.has(item)) {
        item.reject(found.unreadable.get(item))
        continue
      }
      if (logged !== undefined) {
        if (isSame(item, logged)) answer([{ item, seq: logged.frame.header.firstSeq + logged.index, known: true }], logged.frame.log, logged.frame.header.no)
        else item.reject(conflict(item.intent.eid))
        continue
      }
      try {
        if (take(item)) continue
      } catch (error) {
        item.reject(refusalOf(error))
        continue
      }
      full = place
      break
    }
    if (full !== undefined) queue = [...batch.slice(full), ...queue]

    let frame: CheckedFrame | undefined
    if (entries.length > 0) {
      if (tail.no === 0 && entries[0]!.entry.k !== 'EpochOpen') throw new Error('a log must begin with its EpochOpen')
      frame = buildFrame(tail, entries, { network, signer, nowMs, seen: seenBefore })
      building = { frame, items }
      own!.tail = frame.tail
      lastTail = frame.tail
      onBuilt(frame)
    } else {
      answer(items, tail.log, tail.no)
    }
    for (const short of shorts) onShort(short)
    return frame
  }

  return {
    get tail() { return lastTail },
    get waiting() { return queue.length },
    get parked() { return parking.size },

    open: (tail, signer, first) => {
      own = { tail, signer }
      lastTail = tail
      if (first !== undefined) {
        const intent = intentOf(first)
        queue.unshift({
          intent, eid: toHex(intent.eid), replicated: false, resolve: () => {}, reject: () => {},
        })
      }
      kick()
    },
    pause: () => {
      own = undefined
    },

    cut: (log) => {
      if (lastTail !== undefined && logName(lastTail.log) === logName(log)) lastTail = undefined
    },

    submit: (intent, { lazy = false, replicated = false } = {}) => {
      if (queue.length + taking.length >= queueMax) return Promise.reject(new TriforceError('QUEUE_FULL', { queue: 'ledger' }))
      return new Promise<Submitted>((resolve, reject) => {
        queue.push({ intent, eid: toHex(intent.eid), replicated, resolve, reject })
        startWithin(lazy ? lazyMs : lingerMs)
      })
    },

    whenReplicated: async (log, frame) => { await waiters.acknowledged(log, frame, true, true) },

    retry: () => { requeue(parking.empty()) },

    async take() {
      for (;;) {
        if (own === undefined || queue.length === 0) return undefined
        const current = own
        taking = queue.slice(0, LOG_FRAME_ENTRIES_MAX)
        queue = queue.slice(LOG_FRAME_ENTRIES_MAX)
        const found = await lookUp(store, taking).catch((error: unknown) => {
          for (const { reject } of taking) reject(error)
          taking = []
          throw error
        })
        const batch = taking
        taking = []
        // The log was paused meanwhile: nothing was decided, so all of it waits for the next opening.
        if (own !== current) {
          queue = [...batch, ...queue]
          continue
        }
        const frame = build(batch, found, current)
        if (frame !== undefined) return frame
      }
    },

    durable: (frame) => {
      // Frames of the own log that came back from a peer belong to no caller.
      if (building?.frame !== frame) return
      const { items } = building
      building = undefined
      answer(items, frame.log, frame.header.no)
    },

    acked: (log, no) => { waiters.acked(log, no) },

    fail: (error) => {
      const failed = [...building?.items.map(({ item }) => item) ?? [], ...taking, ...parking.empty(), ...queue]
      building = undefined
      taking = []
      queue = []
      own = undefined
      cancelDue()
      waiters.fail(error)
      for (const { reject } of failed) reject(error)
    },
  }
}

/** Newer epoch, then higher number. */
function later(a: Seen[number], b: Seen[number]): Seen[number] {
  return a.epoch - b.epoch > 0 || a.epoch === b.epoch && a.no > b.no ? a : b
}

/** A decision changes nothing, so one that cannot be made costs only its caller. */
function decisionOf(intent: Intent, moment: Moment): Decision {
  try {
    return intent.decide(moment)
  } catch (error) {
    return { type: 'refuse', error: toTriforceError(error) }
  }
}

/** What an intent may end with. Everything else means that the state can no longer be relied on. */
function refusalOf(error: unknown): TriforceError {
  if (error instanceof EntryRefused) return new TriforceError('ENTRY_INVALID', { problem: error.problem }, { detail: `the ledger refuses this entry: ${error.problem}`, cause: error })
  if (error instanceof TriforceError) return error
  throw error
}
