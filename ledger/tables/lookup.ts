/** Reads the tables: which revision is newest, what a model costs, what a tier has, what a device earns. */
import { decode } from '../../protocol/codec.ts'
import type { TokenPrice } from '../fold/charge.ts'
import { classify, type Hardware } from '../earning/classes.ts'
import { matches } from './pattern.ts'
import { plan } from './plan.ts'
import { tableSchemas, type Pack, type PriceRow, type TableKind, type Tables, type TierRow } from './tables.ts'

/** The part of the ledger's state that holds approved tables. */
export interface HasTables {
  readonly tables: ReadonlyMap<string, Uint8Array>
}

export const tableKeyOf = (kind: TableKind, rev: number) => `${kind}/${rev}`

/** Tables by their bytes: each is read once. */
const read = new WeakMap<Uint8Array, Tables[TableKind]>()

/** The highest revision up to which none is missing. */
export function newestRev(state: HasTables, kind: TableKind): number {
  let rev = 0
  while (state.tables.has(tableKeyOf(kind, rev + 1))) rev += 1
  return rev
}

/** Gives undefined for a revision that is not approved. */
export function tableOf<Kind extends TableKind>(state: HasTables, kind: Kind, rev: number): Tables[Kind] | undefined {
  if (rev === 0) return plan[kind]
  const bytes = state.tables.get(tableKeyOf(kind, rev))
  if (bytes === undefined) return undefined
  const known = read.get(bytes)
  if (known !== undefined) return known as Tables[Kind]
  const table = decode(tableSchemas[kind], bytes) as Tables[Kind]
  read.set(bytes, table)
  return table
}

/** Gives undefined where the revision is not approved or has no such row. */
export function priceOf(state: HasTables, rev: number, row: string): TokenPrice | undefined {
  return tableOf(state, 'prices', rev)?.rows.find((known) => known.row === row)
}

/**
 * The name of the row by which a model is charged. `provider`: `local` for any engine of a node or hub. An unlisted cloud
 * model is never free: it takes the dearest row of its provider, and without one the row for unlisted models.
 * `rev` must be approved: a RangeError otherwise.
 */
export function priceRowOf(state: HasTables, rev: number, provider: string, model: string): string {
  const table = tableOf(state, 'prices', rev)
  if (table === undefined) throw new RangeError(`no price table of revision ${rev} is approved`)
  const ofProvider = table.rows.filter(({ providers }) => providers.includes(provider.toLowerCase()))
  const listed = ofProvider.find(({ models }) => models.some((pattern) => matches(pattern, model)))
  if (listed !== undefined) return listed.row
  return ofProvider.reduce<PriceRow | undefined>((dearest, row) => dearest === undefined || costOf(row) > costOf(dearest) ? row : dearest, undefined)?.row ?? table.unlisted
}

const costOf = ({ promptMicroCredits, completionMicroCredits }: TokenPrice) => promptMicroCredits + completionMicroCredits

/** Gives undefined where the revision is not approved or has no such tier. */
export function tierRow(state: HasTables, rev: number, tier: string): TierRow | undefined {
  return tableOf(state, 'tiers', rev)?.rows.find((row) => row.tier === tier)
}

/** Gives undefined where the newest price table has no such product. */
export function packOf(state: HasTables, product: string): Pack | undefined {
  return tableOf(state, 'prices', newestRev(state, 'prices'))?.packs.find((pack) => pack.product === product)
}

export interface HardwareRate {
  /** Class by which the device is paid; `cpu` for none. */
  readonly class: string
  /** µcr for an hour of work, and for an hour of standing by. */
  readonly busyMicroCreditsPerHour: bigint
  readonly standbyMicroCreditsPerHour: bigint
}

/**
 * What one device earns for an account of this tier, by hardware table `rev` and the newest tier table. `hardware`:
 * undefined for a machine without a graphics processor. Gives undefined where the revision is not approved or the tier is unknown.
 */
export function hardwareRate(state: HasTables, rev: number, hardware: Hardware | undefined, tier: string): HardwareRate | undefined {
  const table = tableOf(state, 'hardware', rev)
  const factor = tierRow(state, newestRev(state, 'tiers'), tier)?.earnFactor
  if (table === undefined || factor === undefined) return undefined
  const row = hardware === undefined ? undefined : classify(table, hardware)
  const busy = (row?.microCreditsPerHour ?? table.cpuMicroCreditsPerHour) * BigInt(factor)
  return { class: row?.class ?? 'cpu', busyMicroCreditsPerHour: busy, standbyMicroCreditsPerHour: busy * BigInt(table.standbyPercent) / 100n }
}
