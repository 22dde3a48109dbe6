/**
 * The rows that are derived from a frame: where each entry is found by id, and which receipts of it belong to which
 * account and contributor. The same frames give the same rows on every hub.
 *
 * A receipt does not repeat its ticket, so whose it is comes from the ticket in front of it in the same log: nearly
 * always one of the last that went by, else it is read from the store.
 */
import { toHex } from '../../protocol/bytes.ts'
import { decodeEntry, peekEntry, ticketOf, type Entry } from '../entries/entry.ts'
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
  /** The logged ticket of a job, from the store. */
  readonly readTicket: (jobId: Uint8Array) => Promise<Extract<Entry, { k: 'JobTicket' }> | undefined>
  /** An entry by id, from the store. */
  readonly readEntry: (eid: Uint8Array) => Promise<Entry | undefined>
}

/** Tickets whose owner is remembered: more than a hub has jobs at once, at about 200 bytes each. */
const TICKETS_MAX = 16_384

interface Owner {
  readonly account: Uint8Array
  readonly contributor: Uint8Array
}

export function createIndexRows({ readTicket, readEntry }: IndexRowsComponents) {
  const money = createMoneyOwners({ readEntry })
  const owners = new Map<string, Owner>()

  function remember(entry: Extract<Entry, { k: 'JobTicket' }>): Owner {
    const { account, contributor } = ticketOf(entry.ticket)
    if (owners.size >= TICKETS_MAX) owners.delete(owners.keys().next().value!)
    owners.set(toHex(entry.jobId), { account, contributor })
    return { account, contributor }
  }

  async function ownerOf(jobId: Uint8Array): Promise<Owner | undefined> {
    const known = owners.get(toHex(jobId))
    if (known !== undefined) return known
    const entry = await readTicket(jobId)
    return entry === undefined ? undefined : remember(entry)
  }

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
        const peeked = peekEntry(bytes)
        if (peeked === undefined) continue
        eids.push({ key: eidKey(peeked.eid), value: positionValue({ log, no: header.no, index }) })
        const movesMoney = moneyKinds.has(peeked.kind)
        if (peeked.kind !== 'JobTicket' && peeked.kind !== 'JobReceipt' && !movesMoney) continue
        const entry = entries?.[index] ?? decodeEntry(bytes)
        const account = movesMoney ? await money.ownerOf(entry) : undefined
        if (account !== undefined) list({ money: account }, `m${toHex(account)}`, index)
        if (entry.k === 'JobTicket') remember(entry)
        if (entry.k !== 'JobReceipt') continue
        const owner = await ownerOf(entry.jobId)
        // A log without the ticket breaks the rule of its author; such a receipt is found by its id only.
        if (owner === undefined) continue
        list({ account: owner.account }, `a${toHex(owner.account)}`, index)
        list({ contributor: owner.contributor }, `c${toHex(owner.contributor)}`, index)
      }
      const listings = [...lists.values()].map(({ owner, indexes }) => ({
        key: listingKey(owner, header.tsMs, log, header.no), value: listingValue(indexes),
      }))
      return { eids, listings }
    },
  }
}
