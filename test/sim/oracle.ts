/**
 * What callers asked and what they were told: plain records, from which naive-ledger.ts and judge.ts say what must hold.
 * It knows nothing of logs, hubs or frames, and shares no code with the ledger that it judges.
 */
import type { Durability } from '../../ledger/interface.ts'

/** The best that a caller was told of a thing. `asked`: nothing yet, so it may have happened or not. */
export type Standing = 'asked' | 'local' | 'replicated'

const rank: Record<Standing, number> = { asked: 0, local: 1, replicated: 2 }

export interface Told {
  standing: Standing
  /** Hubs that called it local, and hubs in whose logs it was called replicated. */
  readonly localAt: Set<number>
  readonly replicatedAt: Set<number>
}

export interface OracleAccount extends Told {
  readonly publicKey: Uint8Array
  readonly id: Uint8Array
  readonly name: string
  readonly tier: string
  /** All tiers that were asked for, its first one too. */
  readonly tiers: Set<string>
}

export interface OracleHold {
  readonly id: string
  /** The hold that was asked for first of all for the same request. */
  readonly first: string
  readonly account: string
  readonly hub: number
  /** Refused for good: it must never be charged. */
  refused: boolean
  /** Somebody was told that it holds. */
  acknowledged: boolean
  /** Uses for which it may have been charged: asked settlements and noted progress. */
  readonly uses: { readonly promptTokens: number; readonly completionTokens: number }[]
  /** What a caller was told that it was charged. */
  charged: bigint | undefined
  /** Somebody asked for more to be reserved. */
  extended: boolean
  /** At most so much of it was asked back. */
  refunds: bigint
  /** What callers were told that is paid back. */
  readonly paidBack: (Told & { readonly amount: bigint | 'all' })[]
}

export interface Price {
  readonly promptMicroCredits: bigint
  readonly completionMicroCredits: bigint
}

export interface Oracle {
  readonly accounts: Map<string, OracleAccount>
  readonly keys: Map<string, Told & { readonly account: string; readonly publicKey: Uint8Array; readonly revoked: Told; mayBeRevoked: boolean }>
  /** Grants and purchases by what names them: the amounts that were asked for under it. */
  readonly mints: Map<string, { readonly account: string; readonly amounts: Map<bigint, Told> }>
  readonly receipts: Map<string, Told & { readonly id: Uint8Array; readonly account: string }>
  readonly holds: Map<string, OracleHold>
  /** By revision, then row. */
  readonly prices: Map<number, Map<string, Price>>
  /** Tokens a day by tier; null: no bound. The largest that any revision of the table has. */
  readonly tierTokens: Map<string, number | null>
  /** Chargebacks that were asked for. */
  chargebacks: number
}

export const untold = (): Told => ({ standing: 'asked', localAt: new Set(), replicatedAt: new Set() })

export function createOracle(): Oracle {
  return { accounts: new Map(), keys: new Map(), mints: new Map(), receipts: new Map(), holds: new Map(), prices: new Map(), tierTokens: new Map(), chargebacks: 0 }
}

export function told(thing: Told, hub: number, durability: Durability): void {
  if (rank[durability] > rank[thing.standing]) thing.standing = durability
  if (durability === 'local') thing.localAt.add(hub)
  else thing.replicatedAt.add(hub)
}

/** What hubs have lost in this run: their disks, or the truth, where two processes wrote one log. */
export interface Losses {
  readonly damaged: ReadonlySet<number>
  readonly forked: ReadonlySet<number>
}


/**
 * Must it be there? What one hub alone had acknowledged may be lost with that hub's disk. Of a log that was written twice
 * only one history counts, and each may have been acknowledged by another hub.
 */
export function mustStand(thing: Told, { damaged, forked }: Losses): boolean {
  return [...thing.replicatedAt].some((hub) => !forked.has(hub)) || [...thing.localAt].some((hub) => !damaged.has(hub) && !forked.has(hub))
}

/** What a use costs, in one line of plain arithmetic: quota covers the first tokens, the question's before the answer's. */
export function costOf(use: { readonly promptTokens: number; readonly completionTokens: number }, quotaTokens: number, price: Price): bigint {
  const freePrompt = Math.min(use.promptTokens, quotaTokens)
  const freeCompletion = Math.min(use.completionTokens, quotaTokens - freePrompt)
  const thousandths = BigInt(use.promptTokens - freePrompt) * price.promptMicroCredits + BigInt(use.completionTokens - freeCompletion) * price.completionMicroCredits
  return (thousandths + 999n) / 1_000n
}
