/**
 * How values of DAG-CBOR are written in the JSON of test vectors: bytes as `{"bytes": hex}`, integers that a double does
 * not hold exactly as `{"int": decimal}`, everything else as itself. See docs/vectors/README.md.
 */
import { toHex } from '../../protocol/bytes.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** Throws a TypeError for what DAG-CBOR does not have. */
export function toJson(value: unknown): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : { int: String(value) }
  if (value instanceof Uint8Array) return { bytes: toHex(value) }
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined).sort(([a], [b]) => a < b ? -1 : 1).map(([key, item]) => [key, toJson(item)]))
  }
  throw new TypeError(`no value of DAG-CBOR: ${typeof value}`)
}

/** The text of a file of vectors. */
export function vectorText(about: string, content: { readonly [key: string]: Json }): string {
  return `${JSON.stringify({ format: 'triforce-vectors/1', about, ...content }, null, 2)}\n`
}
