/**
 * A state as chunks of bytes and back. Equal states give equal chunks, whatever order they came to be in; the chunks are
 * DAG-CBOR, one field of the state each, with rows in order of their keys.
 *
 * Values that CBOR does not know are arrays with a letter first: `b` bigint as decimal text, `u` undefined, `a` array,
 * `m` map, `s` set.
 */
import { z } from 'zod'
import { decode, encode } from '../../protocol/codec.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { bytesField } from '../../protocol/fields.ts'
import { createState, type LedgerState } from '../fold/state.ts'

/** Number of the form of a dumped state. To be raised when a field of the state gets another meaning or form. */
export const STATE_DUMP_FORMAT = 3

/** A chunk ends with the row that takes it beyond this. */
const CHUNK_BYTES = 256 * 1024

type Key = string | number | bigint

const chunkSchema = z.strictObject({ field: z.string(), rows: z.array(bytesField) })

/** Fields of a state that are dumped, in order. */
export const dumpedFields: readonly string[] = Object.keys(createState('', [])).filter((field) => field !== 'touched').sort()

/** Lazy: the state must not change until the last chunk was taken. */
export function* dumpChunks(state: LedgerState): Generator<Uint8Array> {
  const fields = new Map<string, unknown>(Object.entries(state))
  for (const field of dumpedFields) {
    let rows: Uint8Array[] = []
    let bytes = 0
    for (const row of rowsOf(fields.get(field))) {
      const encoded = encode(row)
      rows.push(encoded)
      bytes += encoded.byteLength
      if (bytes < CHUNK_BYTES) continue
      yield encode({ field, rows })
      rows = []
      bytes = 0
    }
    if (rows.length > 0) yield encode({ field, rows })
  }
}

function* rowsOf(value: unknown): Generator {
  if (value instanceof Map) for (const [key, item] of sortedEntries(value as Map<Key, unknown>)) yield [tagged(key), tagged(item)]
  else if (value instanceof Set) for (const key of sortedKeys(value as Set<Key>)) yield [tagged(key)]
  else yield tagged(value)
}

/** Collects chunks in any order; `state` gives what they make, or throws FRAME_MALFORMED where a field is missing. */
export function createStateReader(): { add(chunk: Uint8Array): void; state(): LedgerState } {
  const state: Record<string, unknown> = { ...createState('', []) }
  const found = new Set<string>()
  return {
    add(chunk) {
      const { field, rows } = decode(chunkSchema, chunk)
      const target = state[field]
      if (!dumpedFields.includes(field)) throw malformed(field)
      found.add(field)
      for (const row of rows) {
        const value = decode(z.unknown(), row)
        if (target instanceof Map) {
          if (!Array.isArray(value) || value.length !== 2) throw malformed(field)
          target.set(untagged(value[0]), untagged(value[1]))
        } else if (target instanceof Set) {
          if (!Array.isArray(value) || value.length !== 1) throw malformed(field)
          target.add(untagged(value[0]))
        } else {
          state[field] = untagged(value)
        }
      }
    },
    state() {
      const missing = ['network', 'hubKeys', 'clearing'].find((field) => !found.has(field))
      if (missing !== undefined) throw malformed(missing)
      // What was dumped from this very type; snapshots are taken only with their hashes and after their root was computed anew.
      return state as unknown as LedgerState
    },
  }
}

function malformed(field: string): TriforceError {
  return new TriforceError('FRAME_MALFORMED', { field })
}

function tagged(value: unknown): unknown {
  if (value === undefined) return ['u']
  if (typeof value === 'bigint') return ['b', String(value)]
  if (value instanceof Uint8Array) return value.constructor === Uint8Array ? value : Uint8Array.from(value)
  if (value instanceof Map) return ['m', ...sortedEntries(value as Map<Key, unknown>).map(([key, item]) => [tagged(key), tagged(item)])]
  if (value instanceof Set) return ['s', ...sortedKeys(value as Set<Key>).map(tagged)]
  if (Array.isArray(value)) return ['a', ...value.map(tagged)]
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, tagged(item)]))
  return value
}

function untagged(value: unknown): unknown {
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return value
  if (!Array.isArray(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, untagged(item)]))
  const [tag, ...items] = value as [unknown, ...unknown[]]
  switch (tag) {
    case 'u':
      return undefined
    case 'b':
      return BigInt(String(items[0]))
    case 'a':
      return items.map(untagged)
    case 'm':
      return new Map(items.map((item) => {
        const [key, of] = item as [unknown, unknown]
        return [untagged(key), untagged(of)]
      }))
    case 's':
      return new Set(items.map(untagged))
    default:
      throw malformed(`tag ${String(tag)}`)
  }
}

const compareKeys = (a: Key, b: Key) => (a < b ? -1 : a > b ? 1 : 0)

function sortedKeys(set: ReadonlySet<Key>): Key[] {
  return [...set].sort(compareKeys)
}

function sortedEntries(map: ReadonlyMap<Key, unknown>): [Key, unknown][] {
  return [...map].sort(([a], [b]) => compareKeys(a, b))
}
