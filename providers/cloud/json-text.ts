/** JSON that came as text inside a request. */
import { TriforceError } from '../../protocol/errors.ts'

/** Parses text that must be a JSON object. Throws BAD_REQUEST. */
export function objectOf(text: string, param: string, what: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Told below, like a value that is no object.
  }
  throw new TriforceError('BAD_REQUEST', { param }, { detail: `${what} cannot be used: it is not a JSON object` })
}
