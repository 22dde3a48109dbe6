/** Tells an address that exists, asked with the wrong method, from one that does not exist. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { TriforceError } from '../../protocol/errors.ts'

/** Must be installed before the routes are. Gives the error for a request that no route takes. */
export function watchRoutes(app: FastifyInstance): (request: FastifyRequest) => TriforceError {
  const patterns = new Map<string, RegExp>()
  app.addHook('onRoute', ({ url }) => {
    if (!patterns.has(url)) patterns.set(url, patternOf(url))
  })
  return (request) => {
    const path = request.url.split('?', 1)[0]!
    const known = [...patterns.values()].some((pattern) => pattern.test(path))
    return new TriforceError(known ? 'METHOD_NOT_ALLOWED' : 'NOT_FOUND', {}, {
      detail: known
        ? `this address does not take ${request.method}`
        : 'there is nothing at this address; GET / tells what is',
    })
  }
}

/** `/v1/receipts/:id` → one segment for `:id`, anything for `*`. */
function patternOf(url: string): RegExp {
  const source = url.split('/').map((segment) => {
    if (segment.startsWith(':')) return '[^/]+'
    return segment === '*' ? '.+' : segment.replace(/[^\w-]/g, '\\$&')
  }).join('/')
  return new RegExp(`^${source}/?$`)
}
