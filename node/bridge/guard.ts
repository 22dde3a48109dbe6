/**
 * What every request passes before its route: a name, a Host that is ours, an origin that is allowed, an address of
 * sensible length. Also counts what is open, so that a stop can wait for it.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { TriforceError } from '../../protocol/errors.ts'
import { answerHeaderNames } from './answer-headers.ts'
import { dialectOf, requestIdHeaders } from './dialect-of.ts'
import type { BridgeMetrics } from './metrics.ts'

export interface GuardComponents {
  readonly metrics: BridgeMetrics
}

export interface GuardOptions {
  /** Names that a Host header may carry, without port; undefined: any. */
  readonly hostNames: readonly string[] | undefined
  /** Origins of web pages that may read answers, such as `https://chat.example`. */
  readonly corsOrigins: readonly string[]
  readonly urlCharsMax: number
}

export interface Guard {
  /** Refuses everything new with STOPPING. */
  close(): void
  /** Resolves when no request is open. */
  idle(): Promise<void>
}

/** Helmet builds its policy anew for each request, so answers for programs get these two by hand. */
const fixedHeaders = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
}

const CORS_METHODS = 'GET, POST, PATCH, DELETE, OPTIONS'
const CORS_EXPOSED = ['x-request-id', 'request-id', 'retry-after', 'x-should-retry', ...answerHeaderNames].join(', ')
const CORS_MAX_AGE_SECONDS = 600

export function installGuard(app: FastifyInstance, components: GuardComponents, options: GuardOptions): Guard {
  const { metrics } = components
  const hostNames = options.hostNames === undefined ? undefined : new Set(options.hostNames.map((name) => name.toLowerCase()))
  const origins = new Set(options.corsOrigins)
  const waiters: (() => void)[] = []
  let open = 0
  let closed = false

  function track(request: FastifyRequest, reply: FastifyReply): void {
    open += 1
    // The response to a pipelined request does not hear of the socket's end.
    const { socket } = request.raw
    const pipelined = reply.raw.socket === null
    let ended = false
    const end = (): void => {
      if (ended) return
      ended = true
      if (pipelined) socket.off('close', end)
      open -= 1
      metrics.request(request.routeOptions.url ?? 'none', reply.raw.writableFinished ? reply.raw.statusCode : 499)
      if (open === 0) for (const wake of waiters.splice(0)) wake()
    }
    reply.raw.once('close', end)
    if (pipelined) socket.once('close', end)
  }

  function check(request: FastifyRequest): void {
    if (closed) throw new TriforceError('STOPPING')
    if (hostNames !== undefined && !hostNames.has(hostNameOf(request.headers.host))) {
      throw new TriforceError('FORBIDDEN', {}, { detail: 'the Host header does not name this server' })
    }
    if ((request.raw.url?.length ?? 0) > options.urlCharsMax) {
      throw new TriforceError('BAD_REQUEST', {}, { detail: `an address may have ${options.urlCharsMax} characters` })
    }
  }

  function allowOrigin(request: FastifyRequest, reply: FastifyReply): boolean {
    const { origin } = request.headers
    if (origin === undefined || !origins.has(origin)) return false
    reply.headers({ 'access-control-allow-origin': origin, 'access-control-expose-headers': CORS_EXPOSED, vary: 'origin' })
    return true
  }

  app.addHook('onRequest', (request, reply, done) => {
    track(request, reply)
    reply.headers(requestIdHeaders(request.id, dialectOf(request.url, request.headers)))
    reply.headers(fixedHeaders)
    try {
      check(request)
    } catch (error) {
      done(error as TriforceError)
      return
    }
    const allowed = allowOrigin(request, reply)
    if (allowed && request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined) {
      reply.code(204).headers({
        'access-control-allow-methods': CORS_METHODS,
        // A page may only send what it names; which names clients have is not ours to know.
        'access-control-allow-headers': request.headers['access-control-request-headers'] ?? '',
        'access-control-max-age': CORS_MAX_AGE_SECONDS,
      }).send()
      return
    }
    done()
  })

  return {
    close() {
      closed = true
    },
    idle() {
      return open === 0 ? Promise.resolve() : new Promise((resolve) => waiters.push(resolve))
    },
  }
}

/** Lower-case name of a Host header without its port: `[::1]:8330` → `[::1]`. */
function hostNameOf(host: string | undefined): string {
  return (host ?? '').toLowerCase().replace(/:\d{1,5}$/, '')
}
