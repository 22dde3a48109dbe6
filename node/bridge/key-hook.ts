/** The hook of every route that needs an API key; runs before the body is read. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { TriforceError } from '../../protocol/errors.ts'
import type { KeyScope } from '../../protocol/key-terms.ts'
import type { Principal } from '../gateway.ts'
import { checkScope } from '../settlement/key-rights.ts'
import type { Authenticator } from './auth.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the key hook. */
    principal: Principal | null
  }
}

export type OnRequestHook = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

/** Hooks by what the key must be allowed to; none: any key will do. */
export function createKeyHooks(authenticator: Authenticator): (scope?: KeyScope) => OnRequestHook {
  return (scope) => async (request) => {
    const principal = await authenticator.authenticate(request.headers)
    if (scope !== undefined) checkScope(principal.terms, scope)
    request.principal = principal
  }
}

export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new TriforceError('INTERNAL', { problem: 'a route without its key hook' })
  return request.principal
}
