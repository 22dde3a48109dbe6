/** What an API key may do. Terms are logged with the key and never change: other terms are another key. */
import { z } from 'zod'
import { idField, timeField } from './fields.ts'
import { privacyClassSchema } from './routing.ts'

/** `inference`: use models. `account`: read credits, receipts and use. `keys`: make and revoke keys of the account. */
export const keyScopeSchema = z.enum(['inference', 'account', 'keys'])
export type KeyScope = z.output<typeof keyScopeSchema>

/** Accounts that one key calls friends. */
export const FRIENDS_MAX = 32

/** µcr. 0 lets the key use free models and the day's quota only. */
const budgetField = z.bigint().or(z.number().int()).transform(BigInt).pipe(z.bigint().min(0n).max(2n ** 63n - 1n))

/** A model id in which `*` stands for any characters. */
const modelPatternField = z.string().regex(/^[!-~]+$/, 'must be printable ASCII without spaces').max(128)

export const keyTermsSchema = z.strictObject({
  /** Absent: all. */
  scopes: z.array(keyScopeSchema).min(1).max(3).optional(),
  /** Unix ms; from then on the key is refused. */
  expiresAt: timeField.optional(),
  /** The only models that it may ask for. */
  models: z.array(modelPatternField).min(1).max(32).optional(),
  /** Credits (µcr) that holds of this key may take on a UTC day, and in all. */
  dayBudget: budgetField.optional(),
  totalBudget: budgetField.optional(),
  /** Who may see what is sent with it. */
  privacy: privacyClassSchema.optional(),
  /** Accounts whose nodes are friends' for what is sent with it; absent: nobody's are. */
  friends: z.array(idField).min(1).max(FRIENDS_MAX).optional(),
})
export type KeyTerms = z.output<typeof keyTermsSchema>

export function hasBudget({ dayBudget, totalBudget }: KeyTerms): boolean {
  return dayBudget !== undefined || totalBudget !== undefined
}

export function mayUseModel({ models }: KeyTerms, model: string): boolean {
  return models === undefined || models.some((pattern) => fits(pattern, model))
}

/** In one pass from left to right: the patterns are the account's own, and still must not make a hub work long. */
function fits(pattern: string, model: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  if (!model.startsWith(first)) return false
  if (rest.length === 0) return model.length === first.length
  const last = rest.pop()!
  let at = first.length
  for (const part of rest) {
    const found = model.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return model.length - last.length >= at && model.endsWith(last)
}
