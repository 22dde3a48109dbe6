/** What the terms of an API key allow, checked where a request comes in: at the bridge of any node, and again at the hub. */
import type { ApiKeyRecord } from '../../ledger/interface.ts'
import { keyIdOf } from '../../protocol/api-key.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { hasBudget, mayUseModel, type KeyScope, type KeyTerms } from '../../protocol/key-terms.ts'
import type { JobOrder } from '../jobs/job-order.ts'

type Terms = KeyTerms | undefined

/** Throws KEY_EXPIRED. */
export function checkExpiry(terms: Terms, nowMs: number): void {
  if (terms?.expiresAt !== undefined && nowMs >= terms.expiresAt) throw new TriforceError('KEY_EXPIRED')
}

/** Throws FORBIDDEN. */
export function checkScope(terms: Terms, scope: KeyScope): void {
  if (terms?.scopes === undefined || terms.scopes.includes(scope)) return
  throw new TriforceError('FORBIDDEN', { scope }, { detail: `this API key may not do that: it lacks the scope "${scope}"` })
}

/** Throws FORBIDDEN. */
export function checkModel(terms: Terms, model: string): void {
  if (terms === undefined || mayUseModel(terms, model)) return
  throw new TriforceError('FORBIDDEN', { param: 'model' }, { detail: `this API key may not use the model "${model}"; GET /v1/key lists what it may use` })
}

/** What goes with a job of this key: the key itself only where a budget counts its holds. */
export function jobTermsOf({ publicKey, terms }: Pick<ApiKeyRecord, 'publicKey' | 'terms'>): Pick<JobOrder, 'apiKey' | 'key' | 'privacy' | 'friends'> {
  return {
    apiKey: keyIdOf(publicKey),
    ...(terms !== undefined && hasBudget(terms) ? { key: publicKey } : {}),
    ...(terms?.privacy === undefined ? {} : { privacy: terms.privacy }),
    ...(terms?.friends === undefined ? {} : { friends: terms.friends }),
  }
}
