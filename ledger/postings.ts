/**
 * Postings: what an entry moves, as amounts that sum to zero. A balance is nothing but the sum of its postings.
 * System accounts are named; accounts of people are the hexadecimal form of their id, so the two cannot meet.
 */
import { toHex } from '../protocol/bytes.ts'
import type { Entry } from './entries/entry.ts'

/** Given away by the federation: its balance is the negative of all grants. */
export const PROMO = 'system:PROMO'

export interface Posting {
  readonly account: string
  /** µcr; negative where the account gives. */
  readonly amount: bigint
}

export function postingsOf(entry: Entry): readonly Posting[] {
  return entry.k === 'Grant' ? grantPostings(toHex(entry.account), entry.amount) : []
}

export function grantPostings(account: string, amount: bigint): readonly Posting[] {
  return [{ account: PROMO, amount: -amount }, { account, amount }]
}
