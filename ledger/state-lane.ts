/**
 * Folds the frames of all logs into the live state, each only after everything that it rests on: the order in which
 * logs arrive does not matter.
 *
 * A frame that must wait stays in memory, a bounded number of them; beyond it frames are read again from the store when
 * their turn comes. The same code folds everything from the store when the ledger opens, and anew after a log was cut.
 * A log that is sealed or refused is folded up to where it counts, and no further.
 */
import type { LogId } from '../protocol/messages/ledger.ts'
import { decodeEntry } from './entries/entry.ts'
import { dependenciesMet } from './fold/causal.ts'
import { foldFrame } from './fold/frame-fold.ts'
import type { LedgerState } from './fold/state.ts'
import { decodeFrame, type FoldableFrame, type Seen } from './frame.ts'
import { logName, type LogStore } from './store/log-store.ts'

/** Frames in memory that wait for others. */
const WAITING_FRAMES_MAX = 1_024
/** Read at once from the store: four of the largest frames, or many small ones. */
const CHUNK = { bytesMax: 1024 * 1024, framesMax: 64, forFold: true }

export interface StateLaneComponents {
  readonly store: Pick<LogStore, 'tails' | 'frameBytes'>
  /** The state that is served; replaced as a whole by `refold`. */
  readonly state: () => LedgerState
  /** This frame is in the state now, and none after it. */
  readonly onFolded: (frame: FoldableFrame) => void
  /** This hub. */
  readonly me: number
}

export interface StateLane {
  /** These frames continue their logs; folds all that can be. Gives true where more can be once they are in the store. */
  take(frames: readonly FoldableFrame[]): Promise<boolean>
  /** Folds all stored logs into an empty state. */
  foldStored(into: LedgerState): Promise<void>
  /** What waited in memory is forgotten: the state is another one. */
  reset(): void
  /** How much of each hub's newest log is in the state. */
  seen(): Seen
}

/** Frames of one log that follow what is folded, without a gap. */
type Waiting = Map<string, FoldableFrame[]>

export function createStateLane({ store, state, onFolded, me }: StateLaneComponents): StateLane {
  const waiting: Waiting = new Map()
  let count = 0

  function stored(): readonly LogId[] {
    return [...store.tails.values()].map(({ log }) => log).sort((a, b) => a.hub - b.hub || a.epoch - b.epoch)
  }

  /** The next frame of a log, where it counts and is at hand. */
  async function nextOf(target: LedgerState, waits: Waiting, log: LogId): Promise<FoldableFrame | undefined> {
    const name = logName(log)
    const known = target.logs.get(name)
    const next = (known?.frame ?? 0) + 1
    const queue = waits.get(name) ?? []
    while (queue.length > 0 && queue[0]!.header.no < next) {
      queue.shift()
      if (waits === waiting) count -= 1
    }
    if (known?.status.is === 'refused' || known?.status.is === 'sealed' && next > known.status.frame) return undefined
    if (queue.length > 0) return queue[0]
    if ((store.tails.get(name)?.no ?? 0) < next) return undefined
    const read = (await store.frameBytes(log, next, CHUNK)).map(readFrame)
    waits.set(name, read)
    if (waits === waiting) count += read.length
    return read[0]
  }

  async function advance(target: LedgerState, waits: Waiting, logs: readonly LogId[], done: (frame: FoldableFrame) => void): Promise<void> {
    for (let progress = true; progress;) {
      progress = false
      for (const log of logs) {
        for (;;) {
          const frame = await nextOf(target, waits, log)
          if (frame === undefined || !dependenciesMet(target, frame)) break
          foldFrame(target, frame, { me })
          target.touched = new Set()
          done(frame)
          progress = true
          // It was refused, or no longer counts.
          if ((target.logs.get(logName(log))?.frame ?? 0) < frame.header.no) break
        }
      }
    }
  }

  return {
    async take(frames) {
      let dropped = false
      for (const frame of frames) {
        const name = logName(frame.log)
        const queue = waiting.get(name) ?? []
        const next = (queue.at(-1)?.header.no ?? state().logs.get(name)?.frame ?? 0) + 1
        // The first of a log always has a place, or logs that wait for one another would keep each other out.
        if (frame.header.no === next && (count < WAITING_FRAMES_MAX || queue.length === 0)) {
          queue.push(frame)
          waiting.set(name, queue)
          count += 1
        } else if (frame.header.no >= next) {
          dropped = true
        }
      }
      const logs = new Map(stored().map((log) => [logName(log), log]))
      for (const [name, [first]] of waiting) if (first !== undefined) logs.set(name, first.log)
      await advance(state(), waiting, [...logs.values()], onFolded)
      return dropped
    },

    foldStored: async (into) => { await advance(into, new Map(), stored(), () => {}) },

    reset: () => {
      waiting.clear()
      count = 0
    },

    seen: () => {
      const live = state()
      return live.hubKeys.map((_, hub) => {
        let newest = { epoch: 0, no: 0 }
        for (const { log, frame } of live.logs.values()) if (log.hub === hub && frame > 0 && log.epoch >= newest.epoch) newest = { epoch: log.epoch, no: frame }
        return newest
      })
    },
  }
}

function readFrame(bytes: Uint8Array): FoldableFrame {
  const frame = decodeFrame(bytes)
  return { ...frame, entries: frame.entryBytes.map(decodeEntry) }
}
