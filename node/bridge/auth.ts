/**
 * Who asks. Takes the headers of a request and asks the gateway once for a key; for a short time after that the answer
 * comes from memory. Keys are remembered by their SHA-256 only, and never written anywhere.
 */
import { hash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { Gateway, Principal } from '../gateway.ts'

export interface AuthenticatorComponents {
  readonly gateway: Pick<Gateway, 'authenticate'>
  readonly clock: Clock
}

export interface AuthenticatorOptions {
  /** Keys that are remembered as known, and as many again as unknown. */
  readonly keysMax?: number
  /** A revoked key works this much longer at most. */
  readonly knownMs?: number
  /** A new key may be refused this much longer at most; spares the hubs a client that keeps asking. */
  readonly unknownMs?: number
  /** Questions to the gateway that run at once; each is one key. */
  readonly checksMax?: number
}

export const authenticatorDefaults = Object.freeze({
  keysMax: 4_096, // about 1 KiB each with the principal
  knownMs: 10_000,
  unknownMs: 1_000,
  checksMax: 256,
}) satisfies Required<AuthenticatorOptions>

export interface Authenticator {
  /** Rejects with INVALID_API_KEY, NO_HUB or RATE_LIMITED. */
  authenticate(headers: IncomingHttpHeaders): Promise<Principal>
}

/** Our keys have less than 50 characters; anything much longer is not worth a hash. */
const KEY_CHARS_MAX = 256

export function createAuthenticator(components: AuthenticatorComponents, options: AuthenticatorOptions = {}): Authenticator {
  const { gateway, clock } = components
  const { keysMax, knownMs, unknownMs, checksMax } = { ...authenticatorDefaults, ...options }
  // Two maps, so that a flood of made-up keys cannot push out the good ones.
  const known = new Map<string, { readonly principal: Principal; readonly untilMs: number }>()
  const unknown = new Map<string, number>()
  const checks = new Map<string, Promise<Principal>>()

  async function check(apiKey: string, name: string): Promise<Principal> {
    try {
      const principal = await gateway.authenticate(apiKey)
      remember(known, name, { principal, untilMs: clock.monotonicMs() + knownMs }, keysMax)
      return principal
    } catch (error) {
      if (toTriforceError(error).code === 'INVALID_API_KEY') remember(unknown, name, clock.monotonicMs() + unknownMs, keysMax)
      throw error
    } finally {
      checks.delete(name)
    }
  }

  return {
    async authenticate(headers) {
      const apiKey = apiKeyOf(headers)
      if (apiKey === undefined) {
        throw new TriforceError('INVALID_API_KEY', {}, {
          detail: 'no API key was sent; send it as `Authorization: Bearer YOUR_KEY` or as `x-api-key`',
        })
      }
      if (apiKey.length > KEY_CHARS_MAX) throw new TriforceError('INVALID_API_KEY')

      const name = hash('sha256', apiKey, 'base64')
      const nowMs = clock.monotonicMs()
      const remembered = known.get(name)
      if (remembered !== undefined && remembered.untilMs > nowMs) return remembered.principal
      if ((unknown.get(name) ?? 0) > nowMs) throw new TriforceError('INVALID_API_KEY')

      const running = checks.get(name)
      if (running !== undefined) return running
      if (checks.size >= checksMax) throw new TriforceError('RATE_LIMITED')
      const started = check(apiKey, name)
      checks.set(name, started)
      return started
    },
  }
}

/** `Authorization: Bearer` wins over `x-api-key`. Gives undefined where neither is there. */
export function apiKeyOf(headers: IncomingHttpHeaders): string | undefined {
  const bearer = bearerOf(headers)
  if (bearer !== undefined) return bearer
  const header = headers['x-api-key']
  return typeof header === 'string' && header !== '' ? header : undefined
}

export function bearerOf(headers: IncomingHttpHeaders): string | undefined {
  const header = headers.authorization
  // The scheme is not case-sensitive (RFC 9110, 11.1).
  if (header === undefined || header.slice(0, 7).toLowerCase() !== 'bearer ') return undefined
  const token = header.slice(7).trim()
  return token === '' ? undefined : token
}

/** Sets and keeps the map bounded; a Map gives its oldest key first. */
function remember<Value>(map: Map<string, Value>, name: string, value: Value, sizeMax: number): void {
  map.delete(name)
  if (map.size >= sizeMax) map.delete(map.keys().next().value!)
  map.set(name, value)
}
