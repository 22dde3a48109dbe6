/** The tier table that holds now, as the node needs it. Takes the hub's ledger; gives each tier's priority and limits. */
import { z } from 'zod'
import type { HubLedger } from '../../ledger/interface.ts'

export interface TierTerms {
  /** A lower one is served first, see jobs/fair-order.ts. */
  readonly priority: number
  /** Null: no bound. */
  readonly requestsPerMinute: number | null
  readonly concurrentMax: number
}

/** Of a tier that the table does not have: with those that wait longest, as free accounts. */
const UNKNOWN_TIER: TierTerms = Object.freeze({ priority: 100, requestsPerMinute: 20, concurrentMax: 4 })

const tableSchema = z.object({
  rows: z.array(z.object({ tier: z.string(), priority: z.number(), requestsPerMinute: z.number().nullable(), concurrentMax: z.number() })),
})

interface ReadTable {
  readonly content: unknown
  readonly tiers: ReadonlyMap<string, TierTerms>
}

export type TierOf = (tier: string) => TierTerms
export type PriorityOf = (tier: string) => number

export function createTiers({ ledger }: { readonly ledger: Pick<HubLedger, 'table'> }): TierOf {
  let read: ReadTable | undefined

  function readTable(content: unknown): ReadTable {
    const table = { content, tiers: new Map(tableSchema.parse(content).rows.map(({ tier, ...terms }) => [tier, terms])) }
    read = table
    return table
  }

  return (tier) => {
    const { content } = ledger.table('tiers')
    const { tiers } = read !== undefined && read.content === content ? read : readTable(content)
    return tiers.get(tier) ?? UNKNOWN_TIER
  }
}
