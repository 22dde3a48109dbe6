/**
 * Checks what an account asks of this hub: the signature, who the key belongs to, that it is meant for this hub and
 * this body, that it is recent, and that it was not asked before.
 */
import type { Account, ApiKeyRecord, HubLedger } from '../../ledger/interface.ts'
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { CLOCK_SKEW_MS_MAX } from '../../protocol/limits.ts'
import { accountRequestSchema, type AccountRequest } from '../../protocol/messages/job.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { KeyScope } from '../../protocol/key-terms.ts'
import { openDocument, type Signed } from '../../protocol/signed.ts'
import { checkExpiry, checkScope } from './key-rights.ts'

export interface AccountGateOptions {
  readonly network: string
  /** The node key of this hub. */
  readonly hub: Uint8Array
  /** Nonces remembered until they are too old to be used; at the limit requests are refused. Default 200,000. */
  readonly noncesMax?: number
  /** True for the key of a machine that is lent: whoever takes it from that machine must not spend the account's credits. */
  readonly isNodeKey?: (publicKey: Uint8Array) => boolean
}

export interface AccountGate {
  /** Throws SIGNATURE_INVALID, INVALID_API_KEY, KEY_EXPIRED, FORBIDDEN (also where the key lacks the action's scope) or RATE_LIMITED. */
  admit(authorization: Signed, body: Uint8Array): { readonly action: AccountRequest['action']; readonly account: Account; readonly key: ApiKeyRecord }
}

export function createAccountGate(
  components: { readonly ledger: Pick<HubLedger, 'apiKey' | 'account'>; readonly clock: Clock }, options: AccountGateOptions,
): AccountGate {
  const { ledger, clock } = components
  const { network, hub, noncesMax = 200_000, isNodeKey = () => false } = options
  // In order of arrival, which is the order of expiry.
  const nonces = new Map<string, number>()

  function isNew(nonce: string): boolean {
    const now = clock.monotonicMs()
    for (const [old, expiresMs] of nonces) {
      if (expiresMs >= now) break
      nonces.delete(old)
    }
    if (nonces.has(nonce)) return false
    if (nonces.size >= noncesMax) throw new TriforceError('RATE_LIMITED', {}, { retryAfterMs: 1_000 })
    nonces.set(nonce, now + 2 * CLOCK_SKEW_MS_MAX)
    return true
  }

  return {
    admit(authorization, body) {
      const request = openDocument('accountRequest', accountRequestSchema, authorization)
      const key = ledger.apiKey(authorization.key)
      const account = key === undefined ? undefined : ledger.account(key.account)
      if (key === undefined || account === undefined || isNodeKey(authorization.key)) throw new TriforceError('INVALID_API_KEY')
      const isMeant = request.network === network && bytesEqual(request.hub, hub) && bytesEqual(request.bodyHash, sha256(body))
      if (!isMeant) throw new TriforceError('FORBIDDEN', {}, { detail: 'the request is signed for another hub or another body' })
      if (Math.abs(clock.now() - request.sentAt) > CLOCK_SKEW_MS_MAX) {
        throw new TriforceError('FORBIDDEN', {}, { detail: 'the clocks of this machine and of the hub differ by over a minute; set the clock' })
      }
      if (!isNew(toHex(request.nonce))) throw new TriforceError('FORBIDDEN', {}, { detail: 'the request was sent before' })
      checkExpiry(key.terms, clock.now())
      const scope = scopeOf[request.action]
      if (scope !== undefined) checkScope(key.terms, scope)
      return { action: request.action, account, key }
    },
  }
}

/** What a key must be allowed to for each action; who it is and which models there are any key may know. */
const scopeOf: Partial<Readonly<Record<AccountRequest['action'], KeyScope>>> = {
  relay: 'inference', ticket: 'inference', settle: 'inference',
  receipts: 'account', receipt: 'account', credits: 'account', statement: 'account', statementFile: 'account', usage: 'account',
  keys: 'keys', addKey: 'keys', revokeKey: 'keys',
}
