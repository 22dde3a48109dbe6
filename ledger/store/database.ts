/**
 * What the store needs of a disk: an ordered map of bytes whose batches are atomic and, with `sync`, on the disk when
 * they resolve; and the hub's small files. `level` is the real one (open.ts); the simulator has one that can fail.
 */
import type { HubFiles } from './hub-files.ts'

/** Bounds as bytes, compared as unsigned bytes. */
export interface StoreRange {
  readonly gt?: Uint8Array
  readonly gte?: Uint8Array
  readonly lt?: Uint8Array
  readonly lte?: Uint8Array
  readonly reverse?: boolean
  readonly limit?: number
  /** Bytes to read ahead; a hint. */
  readonly highWaterMarkBytes?: number
}

export type StoreChange =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }

export interface StoreIterator<Row> extends AsyncIterable<Row> {
  /** At most `size` rows; none at the end. */
  nextv(size: number): Promise<Row[]>
  close(): Promise<void>
}

/** Iterators see the database as it was when they were made. */
export interface StoreDatabase {
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]>
  batch(changes: StoreChange[], options: { readonly sync: boolean }): Promise<void>
  iterator(range: StoreRange): StoreIterator<[Uint8Array, Uint8Array]>
  keys(range: StoreRange): StoreIterator<Uint8Array>
  values(range: StoreRange): StoreIterator<Uint8Array>
  close(): Promise<void>
}

/** Where a ledger keeps its things. */
export interface LedgerDisk {
  /** What is broken is moved aside, and `warn` told. Throws CONFIG_INVALID (in use, or of a newer program) and LOG_DAMAGED. */
  openDatabase(dir: string, warn: (text: string) => void): Promise<StoreDatabase>
  /** Throws CONFIG_INVALID where the folder is that of another hub or network. */
  openHubFiles(dir: string, owner: { readonly network: string; readonly hub: number }): Promise<HubFiles>
}
