/** What happened in a run, read from its logs and from its end: a thousand runs in which one of these never happens test less than they seem to. */
import { peekEntry } from '../../ledger/entries/entry.ts'
import type { LedgerState } from '../../ledger/fold/state.ts'
import { decodeFrame } from '../../ledger/frame.ts'
import { toHex } from '../../protocol/bytes.ts'
import { placeOf, type DiskImage } from './sim-disk.ts'
import type { LoggedEntry, NaiveLedger } from './naive-ledger.ts'
import { count } from './sim-report.ts'

const KINDS: Readonly<Record<string, string>> = {
  Seal: 'log sealed', Handback: 'hub came back after a seal', IslandSettle: 'island spend settled', IslandRelease: 'frozen rights released', GiveReturn: 'give returned',
  Give: 'rights given', Accept: 'rights moved', Expire: 'hold expired', EquivProof: 'equivocation caught', Vest: 'vest paid', BackRelease: 'held-back pay released', TierSet: 'tier changed',
  Chargeback: 'charged back',
}

export function countSometimes(
  sometimes: Map<string, number>, entries: readonly LoggedEntry[], naive: NaiveLedger, state: LedgerState, images: readonly DiskImage[],
): void {
  for (const [kind, times] of naive.kinds) if (KINDS[kind] !== undefined) count(sometimes, KINDS[kind], times)
  for (const { entry, log } of entries) {
    if (entry.k === 'Refund' && entry.reason === 'superseded') count(sometimes, 'duplicate refunded')
    if (entry.k === 'Accept' && entry.unit !== 0) count(sometimes, 'quota moved')
    if (entry.k === 'Approval' && (state.changes.get(Buffer.from(entry.change).toString('hex'))?.hubs.size ?? 0) >= 2) count(sometimes, 'change approved')
    if (entry.k === 'Settle' && naive.holds.get(Buffer.from(entry.hold).toString('hex'))?.every((hold) => hold.log !== log) === true) count(sometimes, 'settled by the successor')
  }
  const logged = new Set(entries.filter(({ entry }) => entry.k === 'JobReceipt').map(({ entry }) => toHex(entry.eid)))
  for (const receipt of images.flatMap(orphanReceipts)) if (logged.has(receipt)) count(sometimes, 'orphan receipt logged again')
  for (const hub of [0, 1, 2]) count(sometimes, 'new epoch opened', [...state.logs.values()].filter(({ log }) => log.hub === hub).length - 1)
  if ([...state.accounts.values()].some(({ debt }) => debt > 0n)) count(sometimes, 'chargeback made debt')
}

/** Ids of receipts in frames that were moved aside. */
function orphanReceipts(image: DiskImage): string[] {
  const keys = image.keys.slice(placeOf(image.keys, '\u0007'), placeOf(image.keys, '\u0008'))
  return keys.flatMap((key) => {
    try {
      return decodeFrame(image.rows.get(key)!).entryBytes.flatMap((bytes) => {
        const known = peekEntry(bytes)
        return known?.kind === 'JobReceipt' ? [toHex(known.eid)] : []
      })
    } catch {
      return []
    }
  })
}
