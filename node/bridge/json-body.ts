/** The one parser of request bodies. */
import type { FastifyRequest } from 'fastify'
import { TriforceError } from '../../protocol/errors.ts'

export function parseJsonBody(request: FastifyRequest, text: string | Buffer, done: (error: Error | null, body?: unknown) => void): void {
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    done(new TriforceError('UNSUPPORTED_MEDIA_TYPE', {}, { detail: 'the body must not be compressed' }))
    return
  }
  try {
    done(null, JSON.parse(text as string))
  } catch {
    done(new TriforceError('BODY_NOT_JSON'))
  }
}
