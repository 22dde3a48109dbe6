/**
 * The logs on a hub's disk as plain facts: read by nothing but LevelDB and DAG-CBOR, so that the judge shares no code with
 * the ledger that it judges. The hub must be closed.
 */
import { decode } from '@ipld/dag-cbor'
import { join } from 'node:path'
import { openDatabase } from '../../ledger/store/open.ts'
import { toHex } from '../../protocol/bytes.ts'

/** What became of a hold, by its id in hexadecimal. */
export interface LoggedHold {
  readonly account: string
  readonly credits: bigint
  /** Every settlement, expiry and refund in the order in which its log has them. */
  readonly settles: { readonly charge: bigint; readonly quotaTokens: number }[]
  expired: number
  refunded: bigint
}

export interface LoggedFacts {
  readonly entries: number
  readonly eids: ReadonlySet<string>
  readonly holds: ReadonlyMap<string, LoggedHold>
  /** Settlements of holds that are in no log. */
  readonly orphans: readonly string[]
  readonly minted: bigint
  readonly kinds: ReadonlyMap<string, number>
}

/** Key space of stored frames, see docs/ledger.md#store. */
const FRAMES = 2

interface PlainEntry {
  readonly k: string
  readonly eid: Uint8Array
  readonly hold?: Uint8Array
  readonly account?: Uint8Array
  readonly amount?: number | bigint
  readonly credits?: number | bigint
  readonly charge?: number | bigint
  readonly quotaTokens?: number
}

export async function readLogs(dir: string): Promise<LoggedFacts> {
  const db = await openDatabase(join(dir, 'db'))
  const entries: PlainEntry[] = []
  try {
    const iterator = db.iterator({ gte: Uint8Array.of(FRAMES), lt: Uint8Array.of(FRAMES + 1) })
    for (let rows = await iterator.nextv(256); rows.length > 0; rows = await iterator.nextv(256)) {
      for (const [, frame] of rows) for (const bytes of decode<{ readonly entries: readonly Uint8Array[] }>(frame).entries) entries.push(decode(bytes))
    }
    await iterator.close()
  } finally {
    await db.close()
  }
  const eids = new Set<string>()
  const kinds = new Map<string, number>()
  const holds = new Map<string, LoggedHold>()
  let minted = 0n
  for (const entry of entries) {
    const eid = toHex(entry.eid)
    // A fact that two hubs logged, each before it knew of the other, is one fact.
    const again = eids.has(eid)
    eids.add(eid)
    kinds.set(entry.k, (kinds.get(entry.k) ?? 0) + 1)
    if (entry.k === 'Grant' && !again) minted += BigInt(entry.amount!)
    if (entry.k === 'Hold') holds.set(eid, { account: toHex(entry.account!), credits: BigInt(entry.credits!), settles: [], expired: 0, refunded: 0n })
  }
  const orphans: string[] = []
  for (const entry of entries) {
    if (entry.k !== 'Settle' && entry.k !== 'Expire' && entry.k !== 'Refund') continue
    const hold = holds.get(toHex(entry.hold!))
    if (hold === undefined) orphans.push(toHex(entry.hold!))
    else if (entry.k === 'Settle') hold.settles.push({ charge: BigInt(entry.charge!), quotaTokens: entry.quotaTokens! })
    else if (entry.k === 'Expire') hold.expired += 1
    else hold.refunded += BigInt(entry.amount!)
  }
  return { entries: entries.length, eids, holds, orphans, minted, kinds }
}
