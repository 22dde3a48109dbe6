/** What the core wants written beside the frames, and read: rows, larger values, stored frames. It hears of it when it is done. */
import { toTriforceError } from '../protocol/errors.ts'
import { LOG_MESSAGE_BYTES_MAX, LOG_MESSAGE_FRAMES_MAX } from '../protocol/messages/ledger-fields.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import type { Log } from '../protocol/ports.ts'
import type { CatchUp } from './catch-up.ts'
import type { CommitLane, Kept } from './commit-lane.ts'
import type { CheckedFrame } from './frame.ts'
import type { HubEvent } from './hub/events.ts'
import type { OwnEnds } from './own-ends.ts'
import { createPromiseRows } from './promise-rows.ts'
import type { RecentFrames } from './recent-frames.ts'
import { logName, type LogStore } from './store/log-store.ts'

export interface CoreDiskComponents {
  readonly log: Log
  readonly store: Pick<LogStore, 'frameBytes' | 'orphans' | 'putBlob'>
  readonly recent: RecentFrames
  readonly lane: Pick<CommitLane, 'keep' | 'between'>
  readonly ends: OwnEnds
  readonly catchUp: CatchUp
  readonly run: (event: HubEvent) => void
}

export interface CoreDisk {
  /** Rows that the core keeps beside the logs are missing, or older than what it had written. */
  readonly lost: boolean
  keep(key: string, value: Uint8Array): void
  /** These rows are on the disk. Resolves when the core has heard of all of them. */
  kept(rows: readonly Kept[]): Promise<void>
  /** Apart from the batches of frames, and never beside one. */
  putBlob(key: string, value: Uint8Array | undefined): void
  /** Then runs `loaded`; without frames where there is none or it has to wait, and the core asks again with a later tick. */
  load(id: LogId, from: number, to: number, bytesMax: number): Promise<void>
  loadOrphans(id: LogId, from: number): void
}

/** `rows`: what was found on the disk. */
export function createCoreDisk({ log, store, recent, lane, ends, catchUp, run }: CoreDiskComponents, rows: ReadonlyMap<string, Uint8Array>): CoreDisk {
  const promises = createPromiseRows(rows, Math.max(ends.anchor?.promises ?? 0, ends.marker?.promises ?? 0))

  function persisted(kept: readonly Kept[]): void {
    for (const { key } of kept) run({ type: 'persisted', key })
  }

  return {
    lost: promises.lost,
    keep: (key, value) => {
      for (const kept of promises.with({ key, value })) lane.keep(kept)
    },
    kept: async (written) => {
      persisted(written.filter(({ key }) => !promises.has(key)))
      const count = promises.countIn(written)
      if (count === undefined) return
      // A promise is sent only when it is known outside of the database as well.
      await ends.promised(count)
      persisted(written.filter(({ key }) => promises.has(key)))
    },
    putBlob: (key, value) => {
      lane.between(async () => {
        await store.putBlob(key, value)
        run({ type: 'persisted', key })
      })
    },
    load: async (id, from, to, bytesMax) => {
      if (catchUp.goesFirst()) {
        run({ type: 'loaded', log: id, from, frames: [] })
        return
      }
      let frames: readonly (Uint8Array | CheckedFrame)[] = recent.range(id, from, to, bytesMax)
      try {
        if (frames.length === 0) frames = await store.frameBytes(id, from, { bytesMax, framesMax: Math.min(LOG_MESSAGE_FRAMES_MAX, to - from + 1) })
      } catch (error) {
        log.error('frames cannot be read for a checkpoint', { log: logName(id), from, problem: toTriforceError(error).message })
      }
      run({ type: 'loaded', log: id, from, frames })
    },
    loadOrphans: (id, from) => {
      lane.between(async () => {
        const { frames, last, broken } = await store.orphans(id, from, { bytesMax: LOG_MESSAGE_BYTES_MAX, framesMax: LOG_MESSAGE_FRAMES_MAX })
        if (broken !== undefined) log.warn('a frame of a sealed log that no other hub has is broken on this disk: what it held, and what stands behind it, is lost', { log: logName(id), frame: broken })
        run({ type: 'orphans', log: id, from, frames, last })
      })
    },
  }
}
