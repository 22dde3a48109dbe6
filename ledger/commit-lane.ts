/**
 * The one lane by which frames reach the disk: copies of other hubs' frames and the own log's next frame go together
 * into one synced batch, then the next batch takes everything that came meanwhile.
 *
 * A failed write ends the lane for good: after a failed sync nobody knows what is on the disk (research: LevelDB itself
 * then refuses all writes), so the process has to start again and verify.
 */
import { TriforceError } from '../protocol/errors.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import { emptyTail, type CheckedFrame, type LogTail } from './frame.ts'
import { logName, type LogStore } from './store/log-store.ts'

export interface CommitLaneComponents {
  readonly store: Pick<LogStore, 'tails' | 'commit' | 'frame'>
  /** The own log's next frame; undefined where nothing waits. */
  readonly takeOwn: () => Promise<CheckedFrame | undefined>
  readonly onDurable: (frames: readonly CheckedFrame[]) => void
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
  /** Something may be there to write. */
  kick(): void
  /** Resolves when there is room for more copies. Throws LOG_DAMAGED after a failed write. */
  room(): Promise<void>
  /** Resolves when nothing waits and nothing is being written. */
  idle(): Promise<void>
}

export function createCommitLane({ store, takeOwn, onDurable, onFailed }: CommitLaneComponents, options: CommitLaneOptions = {}): CommitLane {
  const { waitingBytesMax } = { ...commitLaneDefaults, ...options }
  /** Checked copies in the order they came, the ones being written first. */
  let waiting: CheckedFrame[] = []
  let waitingBytes = 0
  const tails = new Map<string, LogTail>()
  let running: Promise<void> | undefined
  let failure: TriforceError | undefined
  let roomWaiters: (() => void)[] = []

  async function writeAll(): Promise<void> {
    for (;;) {
      const copies = [...waiting]
      const own = await takeOwn()
      const frames = own === undefined ? copies : [...copies, own]
      if (frames.length === 0) return
      await store.commit(frames)
      waiting = waiting.slice(copies.length)
      waitingBytes -= copies.reduce((sum, frame) => sum + frame.bytes.byteLength, 0)
      onDurable(frames)
      wakeRoom()
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
      await writeAll()
    } catch (cause) {
      failure = new TriforceError('LOG_DAMAGED', {}, {
        detail: `the ledger could not be written: ${cause instanceof Error ? cause.message : String(cause)}. Check the disk (is it full?), then start the hub again; it will verify its log`, cause,
      })
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
    kick: () => {
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
