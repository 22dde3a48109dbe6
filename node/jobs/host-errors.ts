/**
 * What a host's error means to the asking side. A host may speak of its own trouble and of the request; it may not tell a
 * client that its key is wrong or its credits are gone, and its inner failures are not this node's.
 */
import { TriforceError, type ErrorCode } from '../../protocol/errors.ts'
import type { Ending } from './host-record.ts'

/** About the request itself: another host would say the same, and the host is not to blame. */
export const REQUEST_CODES: ReadonlySet<ErrorCode> = new Set(['BAD_REQUEST', 'CONTEXT_LENGTH_EXCEEDED', 'CAPABILITY_MISSING'])

export function fromHost(error: TriforceError): TriforceError {
  if (error.context['remote'] !== true || REQUEST_CODES.has(error.code)) return error
  const isNotItsToSay = error.spec.blame === 'client' || error.code === 'INTERNAL'
  return isNotItsToSay ? new TriforceError('ENGINE_FAILED', { said: error.code }, { cause: error }) : error
}

const BUSY_CODES: ReadonlySet<ErrorCode> = new Set(['QUEUE_FULL', 'QUEUE_TIMEOUT', 'STOPPING'])

/** What the end of a job says of its host. `left`: we cancelled it. */
export function endingOf(error: TriforceError | undefined, left: boolean): Ending {
  if (error === undefined || REQUEST_CODES.has(error.code)) return 'good'
  if (error.code === 'MODEL_LOADING' || error.code === 'LENDING_PAUSED' || (error.code === 'CANCELLED' && left)) return 'none'
  if (BUSY_CODES.has(error.code)) return 'busy'
  if (error.context['remote'] === true) return 'failed'
  if (error.code === 'HOST_LOST' || error.code === 'NO_HOST') return 'lost'
  // A host that beats, and whose engine gives nothing, is not silent.
  return error.code === 'HOST_SILENT' && error.context['waitMs'] !== undefined ? 'silent' : 'failed'
}
