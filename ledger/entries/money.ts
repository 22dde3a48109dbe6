/**
 * Entries by which money comes into being or is taken back from outside. Each is logged by the clearing hub of its
 * account and by no other, so that nothing can be minted twice (docs/ledger.md#clearing).
 */
import { z } from 'zod'
import { idField, shortText } from '../../protocol/fields.ts'
import { microCreditsField } from './fields.ts'

/** `system:PROMO` → account. Natural key: account and source. `approved` names the approved change that allows more than the hub's budget. */
export const grantSchema = z.strictObject({
  k: z.literal('Grant'), eid: idField, account: idField, amount: microCreditsField, source: shortText, approved: idField.optional(),
})

/** `system:FIAT_IN` → account. Natural key: the payment's id at the payment service. */
export const purchaseSchema = z.strictObject({
  k: z.literal('Purchase'), eid: idField, account: idField, amount: microCreditsField, payment: shortText, product: shortText,
})

/**
 * A payment was reversed: account → `system:FIAT_IN`. What the clearing log's rights cover is taken at once, the rest
 * becomes debt, which later mints repay first. Natural key: the payment's id.
 */
export const chargebackSchema = z.strictObject({
  k: z.literal('Chargeback'), eid: idField, account: idField, amount: microCreditsField, payment: shortText,
})
