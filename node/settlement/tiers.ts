/** Priorities of the tier table that holds now. Takes the hub's ledger; gives each tier's number: a lower one is served first. */
import { z } from 'zod'
import type { HubLedger } from '../../ledger/interface.ts'

/** Of a tier that the table does not have: with those that wait longest. */
const UNKNOWN_TIER = 100

const tableSchema = z.object({ rows: z.array(z.object({ tier: z.string(), priority: z.number() })) })

interface ReadTable {
  readonly content: unknown
  readonly priorities: ReadonlyMap<string, number>
}

export type PriorityOf = (tier: string) => number

export function createPriorities({ ledger }: { readonly ledger: Pick<HubLedger, 'table'> }): PriorityOf {
  let read: ReadTable | undefined

  function readTable(content: unknown): ReadTable {
    const table = { content, priorities: new Map(tableSchema.parse(content).rows.map((row) => [row.tier, row.priority])) }
    read = table
    return table
  }

  return (tier) => {
    const { content } = ledger.table('tiers')
    const { priorities } = read !== undefined && read.content === content ? read : readTable(content)
    return priorities.get(tier) ?? UNKNOWN_TIER
  }
}
