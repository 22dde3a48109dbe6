/**
 * The rows that are derived from a frame: where each entry is found by id, and which receipts of it belong to which
 * account and contributor. The same frames give the same rows on every hub.
 */
import { toHex } from '../../protocol/bytes.ts'
import { decodeEntry, peekEntry, type Entry } from '../entries/entry.ts'
import type { Frame } from '../frame.ts'
import { eidKey, listingKey, listingValue, positionValue, type ListingOwner } from './buckets.ts'
import { createMoneyOwners, moneyKinds } from './money-owners.ts'

export interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface FrameRows {
  /** One for each entry, in their order. */
  readonly eids: readonly Row[]
  readonly listings: readonly Row[]
}

export interface IndexRowsComponents {
  /** An entry by id, from the store. */
  readonly readEntry: (eid: Uint8Array) => Promise<Entry | undefined>
}

export function createIndexRows({ readEntry }: IndexRowsComponents) {
  const money = createMoneyOwners({ readEntry })

  return {
    /** `entries`: the frame's entries where they are decoded already; else those that matter are decoded here. */
    async rowsOf({ log, header, entryBytes, entries }: Frame & { readonly entries?: readonly Entry[] }): Promise<FrameRows> {
      const eids: Row[] = []
      const lists = new Map<string, { readonly owner: ListingOwner; readonly indexes: number[] }>()
      const list = (owner: ListingOwner, name: string, index: number) => {
        const known = lists.get(name)
        if (known === undefined) lists.set(name, { owner, indexes: [index] })
        else known.indexes.push(index)
      }

      for (const [index, bytes] of entryBytes.entries()) {
        const known = entries?.[index]
        const peeked = known === undefined ? peekEntry(bytes) : { kind: known.k, eid: known.eid }
        if (peeked === undefined) continue
        eids.push({ key: eidKey(peeked.eid), value: positionValue({ log, no: header.no, index }) })
        const movesMoney = moneyKinds.has(peeked.kind)
        if (peeked.kind !== 'JobReceipt' && !movesMoney) continue
        const entry = known ?? decodeEntry(bytes)
        const account = movesMoney ? money.knownOwnerOf(entry) ?? await money.ownerOf(entry) : undefined
        if (account !== undefined) list({ money: account }, `m${toHex(account)}`, index)
        if (entry.k !== 'JobReceipt') continue
        list({ account: entry.account }, `a${toHex(entry.account)}`, index)
        list({ contributor: entry.contributor }, `c${toHex(entry.contributor)}`, index)
      }
      const listings = [...lists.values()].map(({ owner, indexes }) => ({
        key: listingKey(owner, header.tsMs, log, header.no), value: listingValue(indexes),
      }))
      return { eids, listings }
    },
  }
}
