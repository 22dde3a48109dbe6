/**
 * The one lane by which anything reaches the disk: copies of other hubs' frames, the own log's next frame and what the
 * core wants to be kept go together into one synced batch, then the next batch takes everything that came meanwhile.
 *
 * When copies are taken for a batch they are folded, before the own frame is built: so the own frame can rest on them,
 * and stands in the same batch or a later one.
 * A failed write ends the lane for good: after a failed sync nobody knows what is on the disk (research: LevelDB itself
 * then refuses all writes), so the process has to start again and verify.
 */
import { TriforceError } from '../protocol/errors.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import { emptyTail, type CheckedFrame, type LogTail } from './frame.ts'
import { isPlanted } from './planted-bugs.ts'
import { logName, type LogStore } from './store/log-store.ts'

/** A value under a name, beside the logs. */
export interface Kept {
  readonly key: string
  readonly value: Uint8Array
}

export interface CommitLaneComponents {
  readonly store: Pick<LogStore, 'tails' | 'commit' | 'frame'>
  /** These copies are taken for the next batch: what can be folded is. Gives true where frames on the disk are to be folded after it. */
  readonly fold: (copies: readonly CheckedFrame[]) => Promise<boolean>
  /** The own log's next frame; undefined where nothing waits. */
  readonly takeOwn: () => Promise<CheckedFrame | undefined>
  readonly onDurable: (frames: readonly CheckedFrame[], kept: readonly Kept[]) => void
  readonly onFailed: (error: TriforceError) => void
}

export interface CommitLaneOptions {
  /** Copies that wait for the disk; beyond it `room` waits. Default 4 MiB: 16 of the largest frames. */
  readonly waitingBytesMax?: number
}

export const commitLaneDefaults = Object.freeze({ waitingBytesMax: 4 * 1024 * 1024 }) satisfies Required<CommitLaneOptions>

export interface CommitLane {
  /** The end of a log with all frames that wait to be written. */
  tailOf(log: LogId): LogTail
  /** Hash of a frame up to that end; undefined where it cannot be read. */
  hashOf(log: LogId, no: number): Promise<Uint8Array | undefined>
  /** A checked copy of another hub's frame; it must continue `tailOf(its log)`. */
  offer(frame: CheckedFrame): void
  /** Written in one batch with all frames that were offered before, or in a later one, in this order. */
  keep(kept: Kept): void
  /** Runs between two batches, after everything that was offered before is on the disk. A failure ends the lane. */
  between(job: () => Promise<void>): void
  /** Something may be there to write. */
  kick(): void
  /** Resolves when there is room for more copies. Throws LOG_DAMAGED after a failed write. */
  room(): Promise<void>
  /** Resolves when nothing waits and nothing is being written. */
  idle(): Promise<void>
}

export function createCommitLane({ store, fold, takeOwn, onDurable, onFailed }: CommitLaneComponents, options: CommitLaneOptions = {}): CommitLane {
  const { waitingBytesMax } = { ...commitLaneDefaults, ...options }
  /** Checked copies in the order they came, the ones being written first. */
  let waiting: CheckedFrame[] = []
  let waitingBytes = 0
  let keeping: Kept[] = []
  let jobs: (() => Promise<void>)[] = []
  const tails = new Map<string, LogTail>()
  let running: Promise<void> | undefined
  /** Something came while the lane ran, perhaps too late for it to see. */
  let again = false
  let failure: TriforceError | undefined
  let roomWaiters: (() => void)[] = []

  async function writeAll(): Promise<void> {
    for (;;) {
      const due = [...jobs]
      const copies = [...waiting]
      const more = await fold(copies)
      const own = await takeOwn()
      // Taken last: what was wanted while frames were folded and decided rests on them.
      const kept = keeping
      keeping = []
      const frames = own === undefined ? copies : [...copies, own]
      if (frames.length > 0 || kept.length > 0) {
        if (isPlanted('ack-before-sync')) onDurable(frames, kept)
        await store.commit(frames, kept)
        waiting = waiting.slice(copies.length)
        waitingBytes -= copies.reduce((sum, frame) => sum + frame.bytes.byteLength, 0)
        if (!isPlanted('ack-before-sync')) onDurable(frames, kept)
        wakeRoom()
      }
      jobs = jobs.slice(due.length)
      for (const job of due) {
        await job()
        // A job may have cut a log: its end is what the store says.
        tails.clear()
        for (const frame of waiting) tails.set(logName(frame.log), frame.tail)
      }
      if (frames.length === 0 && kept.length === 0 && due.length === 0 && !more) return
    }
  }

  function wakeRoom(): void {
    if (waitingBytes >= waitingBytesMax && failure === undefined) return
    const waiters = roomWaiters
    roomWaiters = []
    for (const wake of waiters) wake()
  }

  async function run(): Promise<void> {
    try {
      do {
        again = false
        await writeAll()
      } while (again)
    } catch (cause) {
      failure = failureOf(cause)
      onFailed(failure)
      wakeRoom()
    } finally {
      running = undefined
    }
  }

  const lane: CommitLane = {
    tailOf: (log) => {
      const stored = store.tails.get(logName(log))
      const queued = tails.get(logName(log))
      return queued !== undefined && queued.no > (stored?.no ?? 0) ? queued : stored ?? emptyTail(log)
    },
    hashOf: async (log, no) => {
      const queued = waiting.find((frame) => frame.header.no === no && logName(frame.log) === logName(log))
      return (queued ?? await store.frame(log, no).catch(() => undefined))?.hash
    },
    offer: (frame) => {
      waiting.push(frame)
      waitingBytes += frame.bytes.byteLength
      tails.set(logName(frame.log), frame.tail)
      lane.kick()
    },
    keep: (kept) => {
      keeping.push(kept)
      lane.kick()
    },
    between: (job) => {
      jobs.push(job)
      lane.kick()
    },
    kick: () => {
      again = true
      if (failure === undefined) running ??= run()
    },
    room: async () => {
      if (waitingBytes >= waitingBytesMax && failure === undefined) await new Promise<void>((resolve) => { roomWaiters.push(resolve) })
      if (failure !== undefined) throw failure
    },
    idle: async () => {
      const current = running
      if (current === undefined) return
      await current
      await lane.idle()
    },
  }
  return lane
}

function failureOf(cause: unknown): TriforceError {
  if (cause instanceof TriforceError) return cause
  const problem = cause instanceof Error ? cause.message : String(cause)
  return new TriforceError('LOG_DAMAGED', {}, {
    detail: `the ledger could not be written: ${problem}. Check the disk (is it full?), then start the hub again; it will verify its log`, cause,
  })
}
