/**
 * Errors as OpenAI's clients expect them. Takes a TriforceError; gives status, headers and body of an HTTP answer, or
 * the error object alone for a stream that has begun. Status and headers hold for every dialect, only the body is
 * OpenAI's.
 */
import type { ErrorCode, TriforceError } from '../../protocol/errors.ts'

export interface OpenAIError {
  readonly message: string
  readonly type: string
  /** The field of the request that is at fault, such as `messages[0].content`. */
  readonly param: string | null
  readonly code: string
  /** Of a model that is being loaded: the part that is there, 0 to 1. */
  readonly progress?: number
}

/** Codes for which OpenAI has a word of its own; every other code is written in lower case. */
const openaiCodes: Partial<Record<ErrorCode, string>> = {
  RATE_LIMITED: 'rate_limit_exceeded',
}

/** Longer details are cut: an error is a sentence. */
const MESSAGE_CHARS_MAX = 1_000

/** Where the error does not say when to come back. Clients of OpenAI ignore more than 60 s. */
const RETRY_AFTER_SECONDS = 2
const RETRY_AFTER_SECONDS_MAX = 60

export function openaiError(error: TriforceError): OpenAIError {
  const { param, unsupported, progress } = error.context
  return {
    message: publicText(error),
    type: error.spec.type,
    param: typeof param === 'string' ? param : null,
    code: unsupported === true ? 'unsupported_parameter' : openaiCodes[error.code] ?? error.code.toLowerCase(),
    ...(typeof progress === 'number' ? { progress } : {}),
  }
}

export function openaiErrorBody(error: TriforceError): string {
  return JSON.stringify({ error: openaiError(error) })
}

/**
 * What is wrong with this node itself is told to the log, not to the client: errors of status 500 show the table's text,
 * all others the sentence that was written for people.
 */
export function publicText(error: TriforceError): string {
  if (error.spec.http === 500) return error.spec.text
  return error.message.length > MESSAGE_CHARS_MAX ? `${error.message.slice(0, MESSAGE_CHARS_MAX)}…` : error.message
}

/**
 * `x-should-retry` is obeyed by OpenAI's clients, which else repeat every 409, 429 and 5xx twice;
 * `retry-after` is for all others too.
 */
export function retryHeaders(error: TriforceError): Record<string, string> {
  const { http, retry } = error.spec
  const headers: Record<string, string> = { 'x-should-retry': retry ? 'true' : 'false' }
  if (error.retryAfterMs !== undefined || (retry && (http === 429 || http === 503))) {
    const seconds = error.retryAfterMs === undefined ? RETRY_AFTER_SECONDS : Math.ceil(error.retryAfterMs / 1_000)
    headers['retry-after'] = String(Math.min(Math.max(seconds, 1), RETRY_AFTER_SECONDS_MAX))
  }
  return headers
}
