/** Field kinds that several messages share. */
import { z } from 'zod'
import { MODEL_ID_CHARS_MAX } from './limits.ts'

/** Any byte string. `z.instanceof` would narrow the type to one kind of buffer. */
export const bytesField = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes')

export function bytesOf(length: number) {
  return bytesField.refine((bytes) => bytes.byteLength === length, `must have ${length} bytes`)
}

/** An integer from 0 that a double holds exactly. */
export const countField = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)

/** Unix milliseconds. */
export const timeField = countField

/** Microcredits on the wire: decimal text, since a double cannot hold every amount. */
export const microCreditsField = z.string().regex(/^-?\d{1,20}$/)

export const hashField = bytesOf(32)
export const publicKeyField = bytesOf(32)

/** Job, account and entry ids. */
export const idField = bytesOf(16)

// Printable ASCII without spaces covers the ids of Ollama, Hugging Face and every cloud.
export const modelIdField = z.string().regex(/^[!-~]+$/, 'must be printable ASCII without spaces').max(MODEL_ID_CHARS_MAX)
export const shortText = z.string().max(256)
