/**
 * What callers were told, and what must therefore hold: a ledger of one node in plain code. It knows nothing of logs, hubs
 * or frames, and shares no code with the ledger that it judges.
 */
import type { Durability, HubLedger } from '../../ledger/interface.ts'
import { toHex } from '../../protocol/bytes.ts'

/** The best that a caller was told of a thing. `asked`: nothing yet, so it may have happened or not. */
export type Standing = 'asked' | 'local' | 'replicated'

const rank: Record<Standing, number> = { asked: 0, local: 1, replicated: 2 }

export interface Told {
  standing: Standing
  /** Hubs that called it local. */
  readonly localAt: Set<number>
}

export interface Oracle {
  readonly accounts: Map<string, Told & { readonly publicKey: Uint8Array; readonly id: Uint8Array; readonly name: string; readonly tier: string }>
  readonly keys: Map<string, Told & { readonly account: string; readonly publicKey: Uint8Array; readonly revoked: Told; mayBeRevoked: boolean }>
  /** By account and source: the amounts that were asked for under it. */
  readonly grants: Map<string, { readonly account: string; readonly amounts: Map<bigint, Told> }>
  readonly receipts: Map<string, Told & { readonly id: Uint8Array; readonly account: string }>
}

export const untold = (): Told => ({ standing: 'asked', localAt: new Set() })

export function createOracle(): Oracle {
  return { accounts: new Map(), keys: new Map(), grants: new Map(), receipts: new Map() }
}

export function told(thing: Told, hub: number, durability: Durability): void {
  if (rank[durability] > rank[thing.standing]) thing.standing = durability
  if (durability === 'local') thing.localAt.add(hub)
}

/** Must it be there? What one hub alone had acknowledged may be lost with that hub's disk. */
function mustStand(thing: Told, damaged: ReadonlySet<number>): boolean {
  return thing.standing === 'replicated' || thing.standing === 'local' && [...thing.localAt].some((hub) => !damaged.has(hub))
}

/** Problems of one hub, once everything is mended and all hubs have the same logs. */
export async function judge(oracle: Oracle, ledger: HubLedger, damaged: ReadonlySet<number>): Promise<string[]> {
  const problems: string[] = []
  for (const [name, account] of oracle.accounts) {
    const found = ledger.account(account.id)
    if (found === undefined) {
      if (mustStand(account, damaged)) problems.push(`account ${name.slice(0, 8)} (${account.standing}) is gone`)
      continue
    }
    if (found.name !== account.name || toHex(found.publicKey) !== toHex(account.publicKey)) problems.push(`account ${name.slice(0, 8)} has other content`)
    const { least, most } = grantedTo(oracle, name, damaged)
    const balance = found.balanceMicroCredits
    if (balance < least || balance > most) problems.push(`account ${name.slice(0, 8)} has ${balance}, not ${least} to ${most}`)
  }
  for (const [name, key] of oracle.keys) {
    const found = ledger.apiKey(key.publicKey)
    if (mustStand(key.revoked, damaged) && found !== undefined) problems.push(`revoked key ${name.slice(0, 8)} is good: ${JSON.stringify({ ...key.revoked, localAt: [...key.revoked.localAt] })}`)
    if (mustStand(key, damaged) && !key.mayBeRevoked && found === undefined) {
      problems.push(`key ${name.slice(0, 8)} (${key.standing}) is gone`)
    }
    if (found !== undefined && toHex(found.account) !== key.account) problems.push(`key ${name.slice(0, 8)} belongs to another account`)
  }
  for (const [name, receipt] of oracle.receipts) {
    if (mustStand(receipt, damaged) && await ledger.receipt(receipt.id) === undefined) problems.push(`receipt ${name.slice(0, 8)} (${receipt.standing}) is gone`)
  }
  return problems
}

function grantedTo(oracle: Oracle, account: string, damaged: ReadonlySet<number>): { readonly least: bigint; readonly most: bigint } {
  let least = 0n
  let most = 0n
  for (const grant of oracle.grants.values()) {
    if (grant.account !== account) continue
    const amounts = [...grant.amounts]
    const sure = amounts.filter(([, thing]) => mustStand(thing, damaged)).map(([amount]) => amount)
    const all = amounts.map(([amount]) => amount)
    // One source counts once, whatever was asked for under it.
    if (sure.length > 0) least += all.reduce((a, b) => a < b ? a : b)
    most += all.reduce((a, b) => a > b ? a : b)
  }
  return { least, most }
}
