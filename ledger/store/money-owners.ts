/**
 * Whose money an entry moves. Most entries name the account; what happens to a hold or a give names that one, which is
 * nearly always among the last that went by, else it is read from the store.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { Entry, EntryKind } from '../entries/entry.ts'

/** Entries that move money or quota of one account. A Seal moves everybody's, and stands in nobody's list. */
export const moneyKinds: ReadonlySet<EntryKind> = new Set<EntryKind>([
  'Grant', 'Purchase', 'Chargeback', 'Hold', 'Extend', 'Settle', 'Expire', 'Refund', 'Give', 'Accept', 'GiveReturn', 'Vest', 'BackRelease', 'IslandSettle',
])

/** Holds and gives whose account is remembered, at about 200 bytes each: more than a hub has open at once. */
const REMEMBERED_MAX = 16_384

export interface MoneyOwnersComponents {
  /** An entry by id, from the store. */
  readonly readEntry: (eid: Uint8Array) => Promise<Entry | undefined>
}

export function createMoneyOwners({ readEntry }: MoneyOwnersComponents) {
  const remembered = new Map<string, Uint8Array>()

  function remember(eid: Uint8Array, account: Uint8Array): Uint8Array {
    if (remembered.size >= REMEMBERED_MAX) remembered.delete(remembered.keys().next().value!)
    remembered.set(toHex(eid), account)
    return account
  }

  async function accountOf(eid: Uint8Array): Promise<Uint8Array | undefined> {
    const known = remembered.get(toHex(eid))
    if (known !== undefined) return known
    const entry = await readEntry(eid)
    return entry?.k === 'Hold' || entry?.k === 'Give' ? remember(eid, entry.account) : undefined
  }

  return {
    /** Undefined where `ownerOf` has to be asked: without a pause, for nearly all. */
    knownOwnerOf(entry: Entry): Uint8Array | undefined {
      if (entry.k === 'Hold') return remember(entry.eid, entry.account)
      if (entry.k === 'Settle' || entry.k === 'Expire' || entry.k === 'Extend') return remembered.get(toHex(entry.hold))
      return undefined
    },

    /** Undefined where the entry moves no account's money, or rests on one that is not here yet. */
    async ownerOf(entry: Entry): Promise<Uint8Array | undefined> {
      switch (entry.k) {
        case 'Hold':
        case 'Give':
          return remember(entry.eid, entry.account)
        case 'Grant':
        case 'Purchase':
        case 'Chargeback':
        case 'Refund':
        case 'Accept':
        case 'Vest':
        case 'BackRelease':
        case 'IslandSettle':
          return entry.account
        case 'Extend':
        case 'Settle':
        case 'Expire':
          return await accountOf(entry.hold)
        case 'GiveReturn':
          return await accountOf(entry.give)
        case 'AccountOpen':
        case 'KeyAdd':
        case 'KeyRevoke':
        case 'TierSet':
        case 'Progress':
        case 'JobReceipt':
        case 'Presence':
        case 'EpochOpen':
        case 'Seal':
        case 'IslandRelease':
        case 'Handback':
        case 'EquivProof':
        case 'Approval':
          return undefined
      }
    },
  }
}
