/**
 * DAG-CBOR, the one codec of wire, receipts and store: equal values give equal bytes.
 * What was signed is kept and passed on as the bytes that came; it is never encoded again.
 *
 * Our own reader and writer know the plain values of which nearly everything is made. At whatever they do not know they
 * give up, and @ipld/dag-cbor decides: so what is allowed, and what it means, is what that says (decision 0016).
 */
import * as dagCbor from '@ipld/dag-cbor'
import type { z } from 'zod'
import { readCbor } from './cbor-reader.ts'
import { writeCbor } from './cbor-writer.ts'
import { TriforceError } from './errors.ts'
import type { Look } from './shape.ts'

/** Gives bytes of their own: the encoder's may be a Buffer inside a shared pool, of which `slice` makes no copy and which they would keep alive. */
export function encode(value: unknown): Uint8Array {
  const written = writeCbor(value)
  if (written !== undefined) return written
  const bytes = dagCbor.encode(value)
  return bytes.byteLength === bytes.buffer.byteLength && bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes)
}

/**
 * Reads a value and checks it once, at the edge.
 * Throws FRAME_MALFORMED where the bytes are no DAG-CBOR or do not fit the schema; the message names the field.
 * `fits`: a quick look that spares the schema its work (shape.ts). `views`: byte strings of the value are parts of `bytes`, no copies.
 */
export function decode<Schema extends z.ZodType>(schema: Schema, bytes: Uint8Array, fits?: Look, { views = false } = {}): z.output<Schema> {
  let value: unknown
  try {
    value = readCbor(bytes, views) ?? dagCbor.decode(bytes)
  } catch (cause) {
    throw new TriforceError('FRAME_MALFORMED', {}, { cause })
  }
  if (fits?.(value) === true) return value as z.output<Schema>
  const result = schema.safeParse(value)
  if (!result.success) {
    const issue = result.error.issues[0]
    throw new TriforceError('FRAME_MALFORMED', { field: issue?.path.map(String).join('.') ?? '', problem: issue?.message ?? '' })
  }
  return result.data
}

/** Reads a value that was checked before, or of which the caller checks what it uses. Throws where the bytes are no DAG-CBOR. */
export function decodeUnchecked(bytes: Uint8Array): unknown {
  return readCbor(bytes) ?? dagCbor.decode(bytes)
}
