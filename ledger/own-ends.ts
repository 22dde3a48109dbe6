/**
 * What the anchor and the marker say: how far this hub had come. They stand beside the database, so that a database that
 * lost something is found out. The anchor follows the own log at a distance, for it is synced; the marker follows at once.
 * How many promises were written (promise-rows.ts) both know before anybody else hears of the last one.
 */
import type { Clock, Log } from '../protocol/ports.ts'
import type { Anchor, HubFiles, LogEnd, Marker } from './store/hub-files.ts'

export interface OwnEndsComponents {
  readonly clock: Clock
  readonly log: Log
  readonly files: Pick<HubFiles, 'readAnchor' | 'writeAnchor' | 'readMarker' | 'writeMarker'>
}

export interface OwnEndsOptions {
  /** The anchor follows the log at most this much behind. Default 200 ms: a file sync each, beside the log's own. */
  readonly anchorEveryMs?: number
}

export const ownEndsDefaults = Object.freeze({ anchorEveryMs: 200 }) satisfies Required<OwnEndsOptions>

export interface OwnEnds {
  /** As they were found at the start. */
  readonly anchor: Anchor | undefined
  readonly marker: Marker | undefined
  /** A new log is about to begin. Throws what the disk says where the anchor cannot be written. */
  opened(end: LogEnd): Promise<void>
  /** The own log reaches further on the disk. */
  advanced(end: LogEnd): void
  /** So many promises are on the disk. Resolves when anchor and marker know, or cannot be written. */
  promised(promises: number): Promise<void>
  /** Writes the anchor a last time. */
  close(): Promise<void>
}

export async function createOwnEnds({ clock, log, files }: OwnEndsComponents, options: OwnEndsOptions = {}): Promise<OwnEnds> {
  const { anchorEveryMs } = { ...ownEndsDefaults, ...options }
  const anchor = await files.readAnchor()
  const marker = await files.readMarker()
  let promises = Math.max(anchor?.promises ?? 0, marker?.promises ?? 0)
  /** What each is to say of the log; undefined while it says nothing, and then it is not written for a promise alone. */
  let anchorEnd: LogEnd | undefined = anchor
  let markerEnd: LogEnd | undefined = marker
  let anchorDue = false
  let anchorTimer: (() => void) | undefined
  let anchorWrite: Promise<void> = Promise.resolve()
  let markerDue: LogEnd | undefined
  let markerWrite: Promise<void> | undefined

  function writeAnchor(): Promise<void> {
    anchorTimer?.()
    anchorTimer = undefined
    anchorDue = false
    const end = anchorEnd
    if (end === undefined) return Promise.resolve()
    anchorWrite = anchorWrite.then(() => files.writeAnchor({ ...end, promises })).catch((error: unknown) => {
      log.warn('the anchor of the own log cannot be written', { problem: String(error) })
    })
    return anchorWrite
  }

  /** One write at a time, always of the newest end. */
  async function writeMarkers(): Promise<void> {
    for (let due = markerDue; due !== undefined; due = markerDue) {
      markerDue = undefined
      try {
        await files.writeMarker({ ...due, promises })
      } catch (error) {
        log.debug('the marker of the own log cannot be written; after a restart this hub asks another one', { problem: String(error) })
      }
    }
    markerWrite = undefined
  }

  function writeMarker(): Promise<void> {
    if (markerEnd === undefined) return Promise.resolve()
    markerDue = markerEnd
    markerWrite ??= writeMarkers()
    return markerWrite
  }

  return {
    anchor, marker,
    opened: async (end) => {
      anchorEnd = end
      markerEnd = end
      anchorTimer?.()
      anchorTimer = undefined
      anchorDue = false
      // One at a time, as all others: a promise may come meanwhile.
      const written = anchorWrite.then(() => files.writeAnchor({ ...end, promises }))
      anchorWrite = written.catch(() => {})
      await written
      // An older marker that stays says nothing of a newer log.
      await writeMarker()
    },
    advanced: (end) => {
      anchorEnd = end
      markerEnd = end
      anchorDue = true
      anchorTimer ??= clock.after(anchorEveryMs, () => { void writeAnchor() })
      void writeMarker()
    },
    promised: async (count) => {
      promises = Math.max(promises, count)
      await Promise.all([writeAnchor(), writeMarker()])
    },
    close: async () => {
      if (anchorDue) await writeAnchor()
      anchorTimer?.()
      await anchorWrite
      await markerWrite
    },
  }
}
