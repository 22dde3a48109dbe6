/** Who holds the admin token of this node: whoever can read its state folder. */
import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { TriforceError } from '../../protocol/errors.ts'
import { bearerOf } from './auth.ts'
import type { OnRequestHook } from './key-hook.ts'

/** Hashes have one length and are compared in constant time, so a wrong token tells nothing about the right one. */
export function createTokenCheck(token: string): (request: FastifyRequest) => boolean {
  const expected = digest(token)
  return (request) => {
    const given = bearerOf(request.headers)
    return given !== undefined && timingSafeEqual(digest(given), expected)
  }
}

export function createTokenHook(token: string): OnRequestHook {
  const isToken = createTokenCheck(token)
  return async (request) => {
    if (!isToken(request)) throw new TriforceError('INVALID_API_KEY', {}, { detail: 'the admin token is missing or wrong' })
  }
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
