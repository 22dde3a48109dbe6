/** Tiers of the plan, and a place for every request. */
import { plan } from '../../ledger/tables/plan.ts'
import type { TierLimits } from '../../node/settlement/tier-limits.ts'
import { createTiers } from '../../node/settlement/tiers.ts'

export const planTiers = createTiers({ ledger: { table: (table) => ({ table, rev: 0, content: plan.tiers }) } })
export const noLimits: TierLimits = { enter: () => () => undefined }
