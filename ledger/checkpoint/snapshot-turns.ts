/** When a snapshot is due, in which of the two places, and its rows one after the other: each is on the disk before the next is made. */
import type { HubEffect } from '../hub/events.ts'
import type { FinalCheckpoint, Frontiers } from './checkpoint.ts'
import type { FinalFold, FoldStart } from './final-fold.ts'
import { SNAPSHOT_SLOTS, snapshotRows } from './snapshot.ts'

export interface SnapshotTurn {
  /** The row that is being kept. */
  readonly key: string | undefined
  /** The next row to keep; nothing after the last. */
  next(): HubEffect[]
}

export interface SnapshotTurns {
  /** Rows to keep where a snapshot is due now, at this final checkpoint; the fold must stay as it is until they are kept. */
  turn(final: FinalCheckpoint, fold: FinalFold): SnapshotTurn | undefined
}

export interface SnapshotTurnsOptions {
  /** Frames that come between two snapshots, at least. */
  readonly framesBetween: number
  /** The snapshot that was restored. */
  readonly last?: (FoldStart & { readonly slot: number }) | undefined
}

const sumOf = (frames: Frontiers) => [...frames.values()].reduce((sum, no) => sum + no, 0)

export function createSnapshotTurns({ framesBetween, last }: SnapshotTurnsOptions): SnapshotTurns {
  let written = last === undefined ? 0 : [...last.tails.values()].reduce((sum, { no }) => sum + no, 0)
  let slot = last === undefined ? 0 : (last.slot + 1) % SNAPSHOT_SLOTS
  return {
    turn(final, fold) {
      const frames = sumOf(fold.frames)
      if (frames - written < framesBetween) return undefined
      const rows = snapshotRows(slot, final, fold)
      let key: string | undefined
      return {
        get key() { return key },
        next() {
          const row = rows.next()
          if (row.done !== true) {
            key = row.value.key
            return [{ type: 'blob', ...row.value }]
          }
          key = undefined
          written = frames
          slot = (slot + 1) % SNAPSHOT_SLOTS
          return []
        },
      }
    },
  }
}
