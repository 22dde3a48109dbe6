/** A tool call's arguments as an object, for dialects that have no place for broken JSON. A client that ran half a call would do harm. */
import type { ToolCall } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'

/** Throws ENGINE_FAILED for what is no JSON object; a call without arguments has an empty one. */
export function toolInputOf(call: Pick<ToolCall, 'arguments'>): object {
  try {
    const input: unknown = JSON.parse(call.arguments === '' ? '{}' : call.arguments)
    if (typeof input === 'object' && input !== null && !Array.isArray(input)) return input
  } catch {
    // Told below, like a value that is no object.
  }
  throw new TriforceError('ENGINE_FAILED', {}, { detail: 'the model wrote a tool call whose arguments are no JSON object' })
}
