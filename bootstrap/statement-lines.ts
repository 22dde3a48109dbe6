/** Lines of an account statement in words and as CSV. What a line means comes from the kind of its ledger entry. */
import { formatCredits } from '../protocol/units.ts'
import { csvLine } from './csv.ts'
import type { StatementLineView } from './money-schemas.ts'

/** `why` is what the entry itself says: a source, a product, a price row, a device. */
const words: Readonly<Record<string, (why: string) => string>> = {
  Grant: (why) => `given: ${why}`,
  Purchase: (why) => `bought: ${why}`,
  Chargeback: (why) => `payment taken back: ${why}`,
  Hold: (why) => `reserved for ${why}`,
  Extend: () => 'reserved more',
  Progress: () => 'used so far',
  Settle: (why) => `paid for ${why}`,
  Expire: () => 'reservation given back',
  Refund: (why) => `refunded: ${why}`,
  Vest: (why) => `earned with ${why}`,
  BackRelease: () => 'held-back pay released',
  Give: () => 'sent to another hub',
  Accept: () => 'arrived at another hub',
  GiveReturn: () => 'came back from another hub',
  IslandSettle: () => 'spent at a hub that was cut off',
}

export function whyText({ kind, why }: StatementLineView): string {
  const known = Object.hasOwn(words, kind) ? words[kind] : undefined
  return known?.(why) ?? (why === '' ? kind : `${kind}: ${why}`)
}

/** Reservations are no use yet: what they cost stands in the line that settles them. */
const RESERVATIONS: ReadonlySet<string> = new Set(['Hold', 'Extend'])

/** What came into the account or went out of it, quota included; the rest only moved within it. */
export function isMovement(line: StatementLineView): boolean {
  return line.amount_micro_credits !== 0n || (line.quota_tokens !== 0 && !RESERVATIONS.has(line.kind))
}

export function signedCredits(microCredits: bigint): string {
  return microCredits > 0n ? `+${formatCredits(microCredits)}` : formatCredits(microCredits)
}

export const csvHeader = csvLine([
  'time_utc', 'kind', 'why', 'amount_credits', 'amount_micro_credits', 'held_micro_credits', 'quota_tokens', 'receipt', 'hold', 'entry', 'log_hub', 'log_epoch', 'log_entry',
])

export function csvOf(line: StatementLineView): string {
  return csvLine([
    new Date(line.at).toISOString(), line.kind, line.why, formatCredits(line.amount_micro_credits), line.amount_micro_credits.toString(),
    line.held_micro_credits.toString(), String(line.quota_tokens), line.receipt ?? '', line.hold ?? '', line.id,
    String(line.log.hub), String(line.log.epoch), String(line.log.entry),
  ])
}
