/**
 * A disk that can fail: the ledger's database and small files in memory, with slow writes, failed writes, batches lost or
 * kept by a crash, bits that flip, images that are put back. Nothing here knows what the bytes mean.
 */
import type { LedgerDisk, StoreChange, StoreDatabase, StoreIterator, StoreRange } from '../../ledger/store/database.ts'
import type { HubFiles } from '../../ledger/store/hub-files.ts'
import type { Random } from '../../protocol/ports.ts'
import type { Life } from './sim-life.ts'
import type { Scheduler } from './sim-scheduler.ts'

/** Values of rows in which a bit was flipped: what stands there was never said by anybody. */
export const spoiltValues = new WeakSet<Uint8Array>()

export interface DiskImage {
  /** Keys as Latin-1, ascending: their order is that of the bytes. */
  keys: string[]
  rows: Map<string, Uint8Array>
  files: Map<string, unknown>
}

export interface DiskOptions {
  /** Share of the reads that take time. */
  readonly slowReads: number
  readonly writeMs: readonly [min: number, max: number]
}

export interface SimDisk {
  /** What would be found after a power loss that keeps everything written. */
  image: DiskImage
  /** Writes take this many times as long. */
  slowness: number
  /** What lives as long as the machine runs: gone with the power, and not part of the image. */
  readonly runtime: Map<string, unknown>
  /** The next batch fails, and after it all others of that process. */
  failNextWrite: boolean
  open(life: Life): LedgerDisk
  /** The process ended. A batch in flight is kept or lost as a whole; with the power, so is what was not synced. */
  crashed(power: boolean): void
  /** Takes back the last batches, as a database does that found the end of its journal broken. Gives how many there were. */
  loseTail(batchesMax: number): number
  readonly writes: number
}

const BATCHES_KEPT = 8

/** A batch that was written and not synced, and how to undo it. */
type Undo = readonly (readonly [key: string, before: Uint8Array | undefined])[]

export function emptyImage(): DiskImage {
  return { keys: [], rows: new Map(), files: new Map() }
}

export function copyImage({ keys, rows, files }: DiskImage): DiskImage {
  return { keys: [...keys], rows: new Map(rows), files: new Map(files) }
}

export const keyText = (key: Uint8Array) => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
export const keyBytes = (key: string) => Uint8Array.from(Buffer.from(key, 'latin1'))

/** First place whose key is not before `key`. */
export function placeOf(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (keys[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}

export function putRow(image: DiskImage, key: string, value: Uint8Array | undefined): void {
  const place = placeOf(image.keys, key)
  const isThere = image.keys[place] === key
  if (value === undefined) {
    if (isThere) image.keys.splice(place, 1)
    image.rows.delete(key)
    return
  }
  if (!isThere) image.keys.splice(place, 0, key)
  image.rows.set(key, value)
}

export function createSimDisk(
  { scheduler, random }: { readonly scheduler: Scheduler; readonly random: Random }, { slowReads, writeMs }: DiskOptions,
): SimDisk {
  /** Writes that have begun and not ended: what each would change. */
  let inFlight: (() => void)[] = []
  let unsynced: Undo[] = []
  let last: Undo[] = []
  let writes = 0

  const writeTimeMs = () => (writeMs[0] + random.unit() * (writeMs[1] - writeMs[0])) * disk.slowness

  function apply(changes: readonly StoreChange[], sync: boolean): void {
    const undo: [string, Uint8Array | undefined][] = []
    for (const change of changes) {
      const key = keyText(change.key)
      undo.push([key, disk.image.rows.get(key)])
      putRow(disk.image, key, change.type === 'put' ? change.value : undefined)
    }
    if (sync) unsynced = []
    else unsynced.push(undo)
    last = [...last.slice(1 - BATCHES_KEPT), undo]
  }

  function takeBack(batches: readonly Undo[]): void {
    for (const undo of batches.toReversed()) for (const [key, before] of undo.toReversed()) putRow(disk.image, key, before)
  }

  /** Changes the disk after a while, unless the process ends before; then perhaps. */
  function write(life: Life, change: () => void): Promise<void> {
    const image = disk.image
    inFlight.push(change)
    return new Promise((resolve, reject) => {
      scheduler.after(writeTimeMs(), () => {
        life.run(() => {
          if (!inFlight.includes(change) || disk.image !== image) return
          inFlight = inFlight.filter((other) => other !== change)
          writes += 1
          if (life.diskFailed) {
            reject(new Error('IO error: the disk of the simulator failed'))
            return
          }
          if (disk.failNextWrite) {
            disk.failNextWrite = false
            life.diskFailed = true
            if (random.unit() < 0.5) change()
            reject(new Error('IO error: fdatasync: the disk of the simulator failed'))
            return
          }
          change()
          resolve()
        })
      })
    })
  }

  function read<Value>(life: Life, value: Value): Promise<Value> {
    if (random.unit() >= slowReads) return Promise.resolve(value)
    return new Promise((resolve) => {
      scheduler.after(random.unit() * 3 * disk.slowness, () => { life.run(() => { resolve(value) }) })
    })
  }

  function rangeOf({ gt, gte, lt, lte, reverse = false, limit = Number.POSITIVE_INFINITY }: StoreRange): string[] {
    const { keys } = disk.image
    const from = gte !== undefined ? placeOf(keys, keyText(gte)) : gt !== undefined ? placeOf(keys, `${keyText(gt)}\0`) : 0
    const to = lt !== undefined ? placeOf(keys, keyText(lt)) : lte !== undefined ? placeOf(keys, `${keyText(lte)}\0`) : keys.length
    const found = keys.slice(from, Math.max(from, to))
    if (reverse) found.reverse()
    return found.length > limit ? found.slice(0, limit) : found
  }

  function iterate<Row>(life: Life, range: StoreRange, rowOf: (key: string, value: Uint8Array) => Row): StoreIterator<Row> {
    const rows = rangeOf(range).map((key) => rowOf(key, disk.image.rows.get(key)!))
    let next = 0
    const nextv = (size: number) => {
      const some = rows.slice(next, next + size)
      next += some.length
      return read(life, some)
    }
    return {
      nextv,
      close: () => Promise.resolve(),
      async* [Symbol.asyncIterator]() {
        for (;;) {
          const [row] = await nextv(1)
          if (row === undefined) return
          yield row
        }
      },
    }
  }

  function databaseOf(life: Life): StoreDatabase {
    return {
      get: (key) => read(life, disk.image.rows.get(keyText(key))),
      getMany: (keys) => read(life, keys.map((key) => disk.image.rows.get(keyText(key)))),
      batch: (changes, { sync }) => write(life, () => { apply(changes, sync) }),
      iterator: (range) => iterate(life, range, (key, value): [Uint8Array, Uint8Array] => [keyBytes(key), value]),
      keys: (range) => iterate(life, range, keyBytes),
      values: (range) => iterate(life, range, (_key, value) => value),
      close: () => Promise.resolve(),
    }
  }

  function filesOf(life: Life): HubFiles {
    const get = (name: string) => read(life, disk.image.files.get(name) as never)
    const set = (name: string, value: unknown) => write(life, () => { disk.image.files.set(name, value) })
    return {
      readAnchor: () => get('anchor'),
      writeAnchor: (anchor) => set('anchor', anchor),
      readEpochKey: () => get('epochKey'),
      writeEpochKey: (file) => set('epochKey', file),
      readMarker: () => read(life, disk.runtime.get('marker') as never),
      writeMarker: (end) => {
        disk.runtime.set('marker', { ...end, boot: 'run' })
        return Promise.resolve()
      },
      close: () => {},
    }
  }

  const disk: SimDisk = {
    image: emptyImage(),
    slowness: 1,
    runtime: new Map(),
    failNextWrite: false,
    open: (life) => ({
      openDatabase: () => read(life, databaseOf(life)),
      openHubFiles: () => read(life, filesOf(life)),
    }),
    crashed(power) {
      // One batch after the other reaches the disk, so only the first ones can have been kept.
      for (const change of inFlight) {
        if (random.unit() < 0.5) break
        change()
      }
      inFlight = []
      if (power && unsynced.length > 0) {
        const kept = Math.floor(random.unit() * (unsynced.length + 1))
        takeBack(unsynced.slice(kept))
      }
      unsynced = []
      if (power) disk.runtime.clear()
      disk.failNextWrite = false
    },
    loseTail(batchesMax) {
      const lost = batchesMax === 0 ? [] : last.slice(-batchesMax)
      takeBack(lost)
      last = []
      return lost.length
    },
    get writes() { return writes },
  }
  return disk
}
