/**
 * Every error of the HTTP server as one of the table: what Fastify, Node's parser and the routes throw goes in, an answer
 * in the form of the request's dialect goes out. Texts of libraries never reach a client or the log; they may repeat what was sent.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import type { Log } from '../../protocol/ports.ts'
import { dialectOf, errorBodies, requestIdHeaders } from './dialect-of.ts'
import { retryHeaders } from './openai-errors.ts'

/** Fastify's error handler: gives any thrown value an answer of our form. */
export function createErrorHandler(log: Log) {
  return (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const error = fromThrown(thrown)
    logFailure(log, error, request.id)
    // Fastify closes after a body that is too large, and the client, still sending, would see a reset in place of the
    // answer. Node reads the rest and throws it away; `requestMsMax` bounds that.
    if (error.code === 'BODY_TOO_LARGE') reply.removeHeader('connection')
    sendError(reply, error)
  }
}

export function sendError(reply: FastifyReply, error: TriforceError): void {
  const { request } = reply
  reply.code(error.spec.http).headers(retryHeaders(error))
    .header('content-type', 'application/json; charset=utf-8')
    .send(errorBodies[dialectOf(request.url, request.headers)](error, request.id))
}

/** One line for each failure, and what is our own fault at a level that is seen. */
export function logFailure(log: Log, error: TriforceError, requestId: string): void {
  const context = { requestId, code: error.code, ...error.context }
  if (error.code === 'INTERNAL') log.error('request failed', { ...context, at: originOf(error.cause ?? error) })
  else if (error.spec.blame === 'client') log.debug('request refused', context)
  else log.warn('request failed', context)
}

/** What Node's parser knows of the bytes that it refused. */
export interface ClientError extends NodeJS.ErrnoException {
  /** A Buffer, whatever its type says. */
  readonly rawPacket?: unknown
}

/** What Node's HTTP parser refused. There is no response yet, so the answer is written by hand. `url` is that of the connection's last request. */
export function answerClientError(error: ClientError, socket: Socket, requestId: string, url: string | undefined): void {
  if (socket.destroyed || !socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, detail] = clientErrors[error.code ?? ''] ?? [400, 'the request is not valid HTTP']
  const dialect = dialectOf(urlOf(error.rawPacket) ?? url ?? '')
  const body = errorBodies[dialect](new TriforceError('BAD_REQUEST', {}, { detail }), requestId)
  const named = Object.entries(requestIdHeaders(requestId, dialect)).map(([name, id]) => `${name}: ${id}\r\n`).join('')
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\n`
    + `content-length: ${Buffer.byteLength(body)}\r\n${named}x-should-retry: false\r\n\r\n${body}`)
  // A peer that does not read would keep the socket in this state.
  socket.setTimeout(CLIENT_ERROR_MS_MAX, () => socket.destroy())
}

const CLIENT_ERROR_MS_MAX = 5_000

// A request line of ours is shorter; the rest is not looked at.
const REQUEST_LINE_BYTES_MAX = 4_096

function urlOf(packet: unknown): string | undefined {
  return Buffer.isBuffer(packet) ? /^[A-Z]+ (\S+)/.exec(packet.toString('latin1', 0, REQUEST_LINE_BYTES_MAX))?.[1] : undefined
}

const clientErrors: Readonly<Record<string, readonly [status: number, detail: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'the headers are larger than the limit'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'the body is larger than the limit'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request took too long to arrive'],
}

function fromThrown(thrown: unknown): TriforceError {
  const statusCode = (thrown as { readonly statusCode?: unknown } | null | undefined)?.statusCode
  switch (statusCode) {
    case 413:
      return new TriforceError('BODY_TOO_LARGE')
    case 415:
      return new TriforceError('UNSUPPORTED_MEDIA_TYPE')
    default:
      // Other errors of Fastify that name a 4xx: a wrong length, a body that broke off, a path that cannot be decoded.
      if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) return new TriforceError('BAD_REQUEST')
      return toTriforceError(thrown)
  }
}

/** The name of an error and where it was made, without its message. */
function originOf(cause: unknown): string {
  if (!(cause instanceof Error)) return typeof cause
  const line = cause.stack?.split('\n').find((text) => text.startsWith('    at '))
  return `${cause.name}${line === undefined ? '' : ` ${line.trim()}`}`
}
