/**
 * Stands in for protocol/codec.ts in the simulator's own processes (remember.ts): reading is a pure function of schema and
 * bytes, and three hubs read the same bytes many times over. What was read is shared, so nothing may change it; a run has the
 * same fingerprint with and without it. Byte strings are always copies here: what is remembered outlives the bytes that it was read from.
 */
import { hash } from 'node:crypto'
import type { z } from 'zod'
import type * as Codec from '../../protocol/codec.ts'
import type { Look } from '../../protocol/shape.ts'

const real = await import(new URL('../../protocol/codec.ts?real', import.meta.url).href) as typeof Codec

/** Values kept of each schema; then it begins anew. */
const KEPT_MAX = 20_000
const known = new WeakMap<z.ZodType, Map<string, unknown>>()

export const { encode, decodeUnchecked } = real

export function decode<Schema extends z.ZodType>(schema: Schema, bytes: Uint8Array, fits?: Look): z.output<Schema> {
  let values = known.get(schema)
  if (values === undefined || values.size > KEPT_MAX) known.set(schema, values = new Map())
  const name = hash('sha256', bytes, 'latin1' as 'hex')
  const before = values.get(name)
  if (before !== undefined) return before as z.output<Schema>
  const value = real.decode(schema, bytes, fits)
  values.set(name, value)
  return value
}
