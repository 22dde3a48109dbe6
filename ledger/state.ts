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
import { toHex } from '../protocol/bytes.ts'
import type { Entry } from './entries.ts'
import type { Account, ApiKeyRecord } from './interface.ts'
import { postingsOf } from './postings.ts'

/** Where an entry stands. Positions are totally ordered: by frame time, then hub, epoch and number. */
export interface Position {
  readonly tsMs: number
  readonly hub: number
  readonly epoch: number
  readonly seq: number
}

interface Placed<T> {
  readonly entry: T
  readonly at: Position
}

type EntryOf<Kind extends Entry['k']> = Extract<Entry, { k: Kind }>

/** Made by `createState`, changed by `applyEntry` only. Maps are keyed by hexadecimal ids. */
export interface LedgerState {
  readonly accounts: Map<string, Placed<EntryOf<'AccountOpen'>>>
  readonly keys: Map<string, Placed<EntryOf<'KeyAdd'>>>
  readonly keysOfAccount: Map<string, Set<string>>
  readonly revokedKeys: Set<string>
  readonly grants: Map<string, Placed<EntryOf<'Grant'>>>
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
    case 'AccountOpen':
      if (wins(state.accounts.get(toHex(entry.account)), at)) state.accounts.set(toHex(entry.account), { entry, at })
      return
    case 'KeyAdd':
      applyKeyAdd(state, entry, at)
      return
    case 'KeyRevoke':
      state.revokedKeys.add(toHex(entry.publicKey))
      return
    case 'Grant': {
      const known = state.grants.get(toHex(entry.eid))
      if (!wins(known, at)) return
      if (known !== undefined) post(state, known.entry, -1n)
      post(state, entry, 1n)
      state.grants.set(toHex(entry.eid), { entry, at })
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
  const { account, publicKey, name, tier } = placed.entry
  return { id: account, publicKey, name, tier, balanceMicroCredits: state.balances.get(id) ?? 0n }
}

export function accountsOf(state: LedgerState): readonly Account[] {
  return [...state.accounts.keys()].sort().map((id) => accountOf(state, id)!)
}

/** Gives undefined where the key is unknown or revoked; a revoked key never comes back. */
export function apiKeyOf(state: LedgerState, publicKey: string): ApiKeyRecord | undefined {
  const placed = state.keys.get(publicKey)
  if (placed === undefined || state.revokedKeys.has(publicKey)) return undefined
  return { publicKey: placed.entry.publicKey, account: placed.entry.account, name: placed.entry.name, createdAt: placed.at.tsMs }
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

function wins(known: Placed<unknown> | undefined, at: Position): boolean {
  if (known === undefined) return true
  return (at.tsMs - known.at.tsMs || at.hub - known.at.hub || at.epoch - known.at.epoch || at.seq - known.at.seq) < 0
}

function applyKeyAdd(state: LedgerState, entry: EntryOf<'KeyAdd'>, at: Position): void {
  const key = toHex(entry.publicKey)
  const known = state.keys.get(key)
  if (!wins(known, at)) return
  if (known !== undefined) state.keysOfAccount.get(toHex(known.entry.account))?.delete(key)
  state.keys.set(key, { entry, at })
  const account = toHex(entry.account)
  const keys = state.keysOfAccount.get(account)
  if (keys === undefined) state.keysOfAccount.set(account, new Set([key]))
  else keys.add(key)
}

function post(state: LedgerState, entry: Entry, sign: 1n | -1n): void {
  let sum = 0n
  for (const { account, amount } of postingsOf(entry)) {
    sum += amount
    state.balances.set(account, (state.balances.get(account) ?? 0n) + sign * amount)
  }
  if (sum !== 0n) throw new Error(`postings of a ${entry.k} sum to ${sum}`)
}
