/** Errors as Anthropic's clients expect them, in a body and in the middle of a stream. */
import type { TriforceError } from '../../../protocol/errors.ts'
import { publicText } from '../openai-errors.ts'

/** By our type; OpenRouter's table of the same, but for what its types do not tell apart. */
const types: Readonly<Record<string, string>> = {
  invalid_request_error: 'invalid_request_error',
  authentication_error: 'authentication_error',
  permission_error: 'permission_error',
  rate_limit_error: 'rate_limit_error',
  insufficient_quota: 'rate_limit_error',
  insufficient_credits: 'billing_error',
  overloaded_error: 'overloaded_error',
  timeout_error: 'timeout_error',
}

/** Statuses that Anthropic words more exactly. */
const typesOfStatus: Readonly<Record<number, string>> = { 404: 'not_found_error', 413: 'request_too_large' }

export function anthropicErrorType(error: TriforceError): string {
  return typesOfStatus[error.spec.http] ?? types[error.spec.type] ?? 'api_error'
}

/** `code` and `param` are ours: clients that do not know them pass them over. */
export function anthropicErrorBody(error: TriforceError, requestId: string): string {
  const { param } = error.context
  return JSON.stringify({
    type: 'error',
    error: {
      type: anthropicErrorType(error), message: publicText(error), code: error.code.toLowerCase(),
      ...(typeof param === 'string' ? { param } : {}),
    },
    request_id: `req_${requestId}`,
  })
}
