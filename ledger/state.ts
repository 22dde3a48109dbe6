/**
 * The fold: accounts, keys and balances as a plain function of the entries of all logs.
 *
 * Takes:     entries with their position, each position once, in any order that keeps each log's own order.
 * Gives:     the same state for every such order, so hubs that hold the same logs agree.
 * Not here:  signatures (admission.ts), storage (store/), receipts (facts that stay on disk).
 * Invariant: all balances together, system accounts included, are 0n after every entry.
 *
 * Where two hubs logged different entries of one id before they heard of each other, the earlier position counts.
 */
import { fromHex, toHex } from '../protocol/bytes.ts'
import type { Entry } from './entries/entry.ts'
import type { Account, ApiKeyRecord } from './interface.ts'
import { grantPostings, postingsOf, type Posting } from './postings.ts'

/** Where an entry stands. Positions are totally ordered: by frame time, then hub, epoch and number. */
export interface Position {
  readonly tsMs: number
  readonly hub: number
  readonly epoch: number
  readonly seq: number
}

interface Placed { readonly at: Position }

/**
 * Made by `createState`, changed by `applyEntry` only. Maps are keyed by hexadecimal ids, and ids inside are hexadecimal
 * too: a small byte array costs three times as much memory, which counts with 100,000 accounts.
 */
export interface LedgerState {
  readonly accounts: Map<string, Placed & { readonly publicKey: string; readonly name: string; readonly tier: string }>
  readonly keys: Map<string, Placed & { readonly account: string; readonly name: string }>
  readonly keysOfAccount: Map<string, Set<string>>
  readonly revokedKeys: Set<string>
  readonly grants: Map<string, Placed & { readonly account: string; readonly amount: bigint }>
  /** By account id or system account name, µcr. */
  readonly balances: Map<string, bigint>
}

export function createState(): LedgerState {
  return {
    accounts: new Map(), keys: new Map(), keysOfAccount: new Map(), revokedKeys: new Set(), grants: new Map(), balances: new Map(),
  }
}

export function applyEntry(state: LedgerState, entry: Entry, at: Position): void {
  switch (entry.k) {
    case 'AccountOpen': {
      const { publicKey, name, tier } = entry
      const id = toHex(entry.account)
      if (wins(state.accounts.get(id), at)) state.accounts.set(id, { publicKey: toHex(publicKey), name, tier, at })
      return
    }
    case 'KeyAdd':
      addKey(state, toHex(entry.publicKey), { account: toHex(entry.account), name: entry.name, at })
      return
    case 'KeyRevoke':
      state.revokedKeys.add(toHex(entry.publicKey))
      return
    case 'Grant': {
      const eid = toHex(entry.eid)
      const known = state.grants.get(eid)
      if (!wins(known, at)) return
      if (known !== undefined) post(state, grantPostings(known.account, -known.amount))
      post(state, postingsOf(entry))
      state.grants.set(eid, { account: toHex(entry.account), amount: entry.amount, at })
      return
    }
    // Facts about jobs and about logs: kept in the store, without effect on accounts.
    case 'JobTicket':
    case 'JobReceipt':
    case 'EpochOpen':
  }
}

export function accountOf(state: LedgerState, id: string): Account | undefined {
  const placed = state.accounts.get(id)
  if (placed === undefined) return undefined
  const { publicKey, name, tier } = placed
  return { id: fromHex(id)!, publicKey: fromHex(publicKey)!, name, tier, balanceMicroCredits: state.balances.get(id) ?? 0n }
}

export function accountsOf(state: LedgerState): readonly Account[] {
  return [...state.accounts.keys()].sort().map((id) => accountOf(state, id)!)
}

/** Gives undefined where the key is unknown or revoked; a revoked key never comes back. */
export function apiKeyOf(state: LedgerState, publicKey: string): ApiKeyRecord | undefined {
  const placed = state.keys.get(publicKey)
  if (placed === undefined || state.revokedKeys.has(publicKey)) return undefined
  return { publicKey: fromHex(publicKey)!, account: fromHex(placed.account)!, name: placed.name, createdAt: placed.at.tsMs }
}

export function apiKeysOf(state: LedgerState, account: string): readonly ApiKeyRecord[] {
  return [...state.keysOfAccount.get(account) ?? []].sort().flatMap((key) => apiKeyOf(state, key) ?? [])
}

/** 0n, or the ledger has created or destroyed money. */
export function totalOf(state: LedgerState): bigint {
  let total = 0n
  for (const balance of state.balances.values()) total += balance
  return total
}

function wins(known: Placed | undefined, at: Position): boolean {
  if (known === undefined) return true
  return (at.tsMs - known.at.tsMs || at.hub - known.at.hub || at.epoch - known.at.epoch || at.seq - known.at.seq) < 0
}

function addKey(state: LedgerState, key: string, record: Placed & { readonly account: string; readonly name: string }): void {
  const known = state.keys.get(key)
  if (!wins(known, record.at)) return
  if (known !== undefined) state.keysOfAccount.get(known.account)?.delete(key)
  state.keys.set(key, record)
  const keys = state.keysOfAccount.get(record.account)
  if (keys === undefined) state.keysOfAccount.set(record.account, new Set([key]))
  else keys.add(key)
}

function post(state: LedgerState, postings: readonly Posting[]): void {
  let sum = 0n
  for (const { account, amount } of postings) {
    sum += amount
    state.balances.set(account, (state.balances.get(account) ?? 0n) + amount)
  }
  if (sum !== 0n) throw new Error(`postings sum to ${sum}`)
}
