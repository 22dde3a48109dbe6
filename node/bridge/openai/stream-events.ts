/** How OpenAI's endpoints write events, and how a stream ends that broke. */
import type { TriforceError } from '../../../protocol/errors.ts'
import { openaiError } from '../openai-errors.ts'

export const EVENT_STREAM = 'text/event-stream; charset=utf-8'

/** What ends every good stream but that of `/v1/responses`. */
export const DONE = 'data: [DONE]\n\n'

/** A sign of life that every client skips. */
export function eventComment(text: string): string {
  return `: ${text}\n\n`
}

/** OpenRouter's form. A stream that merely stops, or `[DONE]` after an error, is read as a whole answer. */
export function brokenStreamError(error: TriforceError) {
  return { ...openaiError(error), metadata: { error_type: error.spec.type, status: error.spec.http } }
}
