/**
 * Quick looks at the entries that come by the thousand. Each takes exactly what its schema takes, and amounts become
 * bigints as there; at a no the schema decides. test/unit/ledger/entries-quick.test.ts holds the two against each other.
 */
import { BATCH_DOCUMENTS_MAX, BATCH_PATH_MAX } from '../../protocol/signed.ts'
import { HUBS_PER_FEDERATION } from '../../protocol/federation.ts'
import { looksLikeObservation } from '../../protocol/messages/receipt.ts'
import { bytesFrom, countFrom, isBytes, isCount, isHash, isId, isShortText, listOf, oneOf, shapeOf, type Look } from '../../protocol/shape.ts'
import type { Entry, EntryKind } from './entry.ts'
import { MICRO_CREDITS_MAX } from './fields.ts'

function amountFrom(min: bigint): Look {
  return (value) => typeof value === 'number' ? Number.isSafeInteger(value) && value >= Number(min) : typeof value === 'bigint' && value >= min && value <= MICRO_CREDITS_MAX
}

const isAmount = amountFrom(1n)
const isAmountOrZero = amountFrom(0n)
const isHub = countFrom(0, HUBS_PER_FEDERATION - 1)
const isLog = shapeOf({ hub: isHub, epoch: countFrom(0, 0xffff_ffff) })
const isDay = countFrom(1, 100_000)
const isUnit = countFrom(0, 100_000)
const isStep = countFrom(1)
const isHalf = shapeOf({ body: isBytes, signature: bytesFrom(64) }, {
  batch: shapeOf({ index: isCount, size: countFrom(2, BATCH_DOCUMENTS_MAX), path: listOf(isHash, 1, BATCH_PATH_MAX) }),
})
const isSupersedes = shapeOf({ hub: isHub, hold: isId })
const isQuota = shapeOf({ day: isDay, tokens: countFrom(1), tier: isShortText, tierRev: isCount })

interface Quick {
  readonly fits: Look
  /** Fields that hold amounts. */
  readonly amounts: readonly string[]
}

function quick(kind: EntryKind, fields: Readonly<Record<string, Look>>, optional: Readonly<Record<string, Look>> = {}, amounts: readonly string[] = []): [string, Quick] {
  return [kind, { fits: shapeOf({ k: oneOf(kind), eid: isId, ...fields }, optional), amounts }]
}

const looks: ReadonlyMap<unknown, Quick> = new Map([
  quick('AccountOpen', { account: isId, publicKey: isHash, name: isShortText, tier: isShortText }),
  quick('Purchase', { account: isId, amount: isAmount, payment: isShortText, product: isShortText }, {}, ['amount']),
  quick('Hold', {
    hub: isHub, request: isId, requestHash: isHash, account: isId, priceRow: isShortText, priceRev: isCount, credits: isAmountOrZero, expiresAt: isCount,
  }, { quota: isQuota, supersedes: isSupersedes, key: isHash }, ['credits']),
  quick('Extend', { hold: isId, step: isStep, credits: isAmountOrZero, quotaTokens: isCount, expiresAt: isCount }, {}, ['credits']),
  quick('Progress', { hold: isId, step: isStep, promptTokens: isCount, completionTokens: isCount }),
  quick('Settle', { hold: isId, promptTokens: isCount, completionTokens: isCount, charge: isAmountOrZero, quotaTokens: isCount }, { receipt: isId }, ['charge']),
  quick('Accept', { give: isId, from: isLog, account: isId, unit: isUnit, amount: isAmount }, {}, ['amount']),
  quick('JobReceipt', { jobId: isId, account: isId, contributor: isHash, ticket: isBytes, observation: looksLikeObservation }, { half: isHalf, rate: isAmount }, ['rate']),
])

/** True where the value is an entry of one of these kinds; its amounts are bigints then. */
export function looksLikeEntry(value: unknown): value is Entry {
  if (typeof value !== 'object' || value === null) return false
  const fields = value as Record<string, unknown>
  const look = looks.get(fields['k'])
  if (look?.fits(value) !== true) return false
  for (const field of look.amounts) {
    const amount = fields[field]
    if (typeof amount === 'number') fields[field] = BigInt(amount)
  }
  return true
}
