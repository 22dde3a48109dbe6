/** The hook of every route that needs an API key; runs before the body is read. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { TriforceError } from '../../protocol/errors.ts'
import type { Principal } from '../gateway.ts'
import type { Authenticator } from './auth.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the key hook. */
    principal: Principal | null
  }
}

export type OnRequestHook = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

export function createKeyHook(authenticator: Authenticator): OnRequestHook {
  return async (request) => {
    request.principal = await authenticator.authenticate(request.headers)
  }
}

export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new TriforceError('INTERNAL', { problem: 'a route without its key hook' })
  return request.principal
}
