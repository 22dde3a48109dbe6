/** Errors that crossed a stream: a code, a sentence and perhaps a time; unknown codes of newer peers become INTERNAL. */
import { isErrorCode, TriforceError } from './errors.ts'

export interface WireError {
  readonly code: string
  readonly detail: string
  readonly retryAfterMs?: number | undefined
}

export function fromWireError(error: WireError): TriforceError {
  const code = isErrorCode(error.code) ? error.code : 'INTERNAL'
  return new TriforceError(code, { remote: true }, {
    ...(error.detail === '' ? {} : { detail: error.detail }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  })
}
