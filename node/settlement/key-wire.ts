/** Keys and use as the control protocol carries them: amounts are decimal text. */
import type { z } from 'zod'
import { USAGE_ROWS_MAX, type accountActions } from '../../protocol/messages/control.ts'
import type { OwnKey, Usage } from './key-desk.ts'

type KeyWire = z.output<typeof accountActions.keys.tell>['keys'][number]
type UsageWire = z.output<typeof accountActions.usage.tell>

export function keyToWire({ publicKey, name, createdAt, terms, use }: OwnKey): KeyWire {
  return {
    publicKey, name, createdAt, ...(terms === undefined ? {} : { terms }),
    ...(use === undefined ? {} : { today: use.today.toString(), total: use.total.toString() }),
  }
}

export function keyFromWire(account: Uint8Array, { publicKey, name, createdAt, terms, today, total }: KeyWire): OwnKey {
  return {
    publicKey, account, name, createdAt, ...(terms === undefined ? {} : { terms }),
    ...(today === undefined || total === undefined ? {} : { use: { today: BigInt(today), total: BigInt(total) } }),
  }
}

export function usageToWire({ rows, complete }: Usage): UsageWire {
  return {
    rows: rows.slice(0, USAGE_ROWS_MAX).map(({ costMicroCredits, ...row }) => ({ ...row, cost: costMicroCredits.toString() })),
    complete: complete && rows.length <= USAGE_ROWS_MAX,
  }
}

export function usageFromWire({ rows, complete }: UsageWire): Usage {
  return { rows: rows.map(({ cost, ...row }) => ({ ...row, costMicroCredits: BigInt(cost) })), complete }
}
