/** Fields of what admins send, and hexadecimal forms of what they get. */
import { z } from 'zod'
import { fromHex, toHex } from '../../protocol/bytes.ts'

const PUBLIC_KEY_BYTES = 32
const ID_BYTES = 16
const CHANGE_PREFIX = 'chg_'

export function hexField(bytes: number) {
  return z.string().length(bytes * 2, `must be ${bytes * 2} lower-case hexadecimal digits`).transform((text, context) => {
    const value = fromHex(text)
    if (value !== undefined) return value
    context.addIssue(`must be ${bytes * 2} lower-case hexadecimal digits`)
    return z.NEVER
  })
}

export const publicKeyField = hexField(PUBLIC_KEY_BYTES)
export const accountField = hexField(ID_BYTES)

export const nameField = z.string().min(1).max(64)
export const sourceField = z.string().min(1).max(128)

/** A string, since a double cannot hold every amount; 18 digits stay below 2^63. */
export const microCreditsField = z.string().regex(/^[1-9]\d{0,17}$/, 'must be a positive whole number as a string').transform(BigInt)

export const microCreditsOrZeroField = z.string().regex(/^(0|[1-9]\d{0,17})$/, 'must be a whole number as a string').transform(BigInt)

/** `chg_` and 32 hexadecimal digits → 16 bytes. */
export const changeIdField = z.string().transform((text, context) => {
  const id = text.startsWith(CHANGE_PREFIX) && text.length === CHANGE_PREFIX.length + ID_BYTES * 2 ? fromHex(text.slice(CHANGE_PREFIX.length)) : undefined
  if (id !== undefined) return id
  context.addIssue('must be chg_ and 32 lower-case hexadecimal digits')
  return z.NEVER
})

export function changeIdText(id: Uint8Array): string {
  return `${CHANGE_PREFIX}${toHex(id)}`
}
