/**
 * The leaf of an account in the state tree: its money, and the heads of the hash chains over its entries, in fixed bytes.
 * Equal states give equal bytes, in whatever order the logs arrived.
 *
 * All integers are big-endian; an amount has 16 bytes; a log is its hub (1) and epoch (4). Lists ascend by day, hub, epoch.
 *
 *     account 16 | minted 16 | spent 16 | held 16 | inflight 16 | back 16 | debt 16
 *     n 2, n × (log 5, rights 16)                            rights of 0 are left out
 *     n 2, n × (log 5, frozen 16)                            frozen of 0 is left out
 *     n 2, n × (day 4, log 5, used 8, given 8, accepted 8)   the two newest days with any; rows of zeros are left out
 *     n 2, n × (log 5, entries 8, head 32)
 *
 * Spec: docs/ledger.md#checkpoints
 */
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { AccountId, AccountState, LogName } from '../fold/state.ts'
import { logOfName, nameOfLog } from '../hub/hub-state.ts'
import { AMOUNT_BYTES, readAmount, viewOf, writeAmount } from './amounts.ts'

/** Sums of µcr. Of one account, or of many. */
export interface StateTotals {
  /** What all logs together may spend. */
  readonly available: bigint
  readonly held: bigint
  readonly inflight: bigint
  readonly frozen: bigint
  readonly back: bigint
  readonly debt: bigint
  readonly minted: bigint
  readonly spent: bigint
}

export const totalNames = ['available', 'held', 'inflight', 'frozen', 'back', 'debt', 'minted', 'spent'] as const satisfies readonly (keyof StateTotals)[]

export const noTotals: StateTotals = Object.freeze({ available: 0n, held: 0n, inflight: 0n, frozen: 0n, back: 0n, debt: 0n, minted: 0n, spent: 0n })

export interface LeafQuota { readonly day: number; readonly log: LogName; readonly used: number; readonly given: number; readonly accepted: number }
export interface LeafChain { readonly log: LogName; readonly entries: number; readonly head: Uint8Array }

/** What a leaf says. */
export interface StateLeaf {
  readonly account: AccountId
  readonly totals: StateTotals
  readonly rights: readonly { readonly log: LogName; readonly amount: bigint }[]
  readonly frozen: readonly { readonly log: LogName; readonly amount: bigint }[]
  readonly quota: readonly LeafQuota[]
  readonly chains: readonly LeafChain[]
}

const ACCOUNT_BYTES = 16
const HEAD_BYTES = ACCOUNT_BYTES + 6 * AMOUNT_BYTES
const LOG_BYTES = 5
const COUNT_BYTES = 2
const RIGHT_BYTES = LOG_BYTES + AMOUNT_BYTES
const QUOTA_BYTES = 4 + LOG_BYTES + 3 * 8
const CHAIN_BYTES = LOG_BYTES + 8 + 32
/** Older days stand in the entries; a leaf must not grow with every day. */
const QUOTA_DAYS = 2

/** What an account owns: everything that is its own, spendable or not. Debt is not subtracted. */
export function moneyOf({ available, held, inflight, frozen, back }: StateTotals): bigint {
  return available + held + inflight + frozen + back
}

// Logs are few and named again and again: parsing and comparing names would cost more than the hash.
const logs = new Map<LogName, LogId>()

function logOf(name: LogName): LogId {
  let log = logs.get(name)
  if (log === undefined) {
    log = logOfName(name)
    if (logs.size < 4_096) logs.set(name, log)
  }
  return log
}

export function compareLogNames(a: LogName, b: LogName): number {
  const [left, right] = [logOf(a), logOf(b)]
  return left.hub - right.hub || left.epoch - right.epoch
}

/** The map's keys in order of logs; the map's own where they stand in order already, which is nearly always so. */
function sortedLogs(map: ReadonlyMap<LogName, unknown>): Iterable<LogName> {
  let before: LogName | undefined
  for (const log of map.keys()) {
    if (before !== undefined && compareLogNames(before, log) > 0) return [...map.keys()].sort(compareLogNames)
    before = log
  }
  return map.keys()
}

function quotaRows(account: AccountState): LeafQuota[] {
  const rows: LeafQuota[] = []
  const days = [...account.quota.keys()].sort((a, b) => b - a)
  let found = 0
  for (const day of days) {
    const { logs: of } = account.quota.get(day)!
    const used: LeafQuota[] = []
    for (const log of sortedLogs(of)) {
      const row = of.get(log)!
      if (row.used !== 0 || row.given !== 0 || row.accepted !== 0) used.push({ day, log, used: row.used, given: row.given, accepted: row.accepted })
    }
    if (used.length === 0) continue
    rows.unshift(...used)
    found += 1
    if (found === QUOTA_DAYS) break
  }
  return rows
}

let scratch = Buffer.alloc(4_096)
let view = viewOf(scratch)

/** The leaf's bytes, in a buffer that the next call uses again, and the sums that it adds to its parents. */
export function writeLeaf(id: AccountId, account: AccountState): { readonly bytes: Buffer; readonly totals: StateTotals } {
  const { rights, frozen, chains, minted, spent, held, inflight, back, debt } = account
  const quota = account.quota.size === 0 ? [] : quotaRows(account)
  const sizeMax = HEAD_BYTES + 4 * COUNT_BYTES + (rights.size + frozen.size) * RIGHT_BYTES + quota.length * QUOTA_BYTES + chains.size * CHAIN_BYTES
  if (sizeMax > scratch.byteLength) {
    scratch = Buffer.alloc(2 * sizeMax)
    view = viewOf(scratch)
  }
  if (scratch.write(id, 0, ACCOUNT_BYTES, 'hex') !== ACCOUNT_BYTES) throw new RangeError(`"${id}" is no account id`)
  let at = writeAmount(view, ACCOUNT_BYTES, minted)
  at = writeAmount(view, at, spent)
  at = writeAmount(view, at, held)
  at = writeAmount(view, at, inflight)
  at = writeAmount(view, at, back)
  at = writeAmount(view, at, debt)
  at = writeAmounts(at, rights)
  const available = written
  at = writeAmounts(at, frozen)
  const frozenSum = written

  at = writeShort(at, quota.length)
  for (const { day, log, used, given, accepted } of quota) {
    view.setUint32(at, day)
    at = writeLog(at + 4, log)
    at = writeCount(writeCount(writeCount(at, used), given), accepted)
  }
  at = writeShort(at, chains.size)
  for (const log of sortedLogs(chains)) {
    const { entries, head } = chains.get(log)!
    at = writeCount(writeLog(at, log), entries)
    scratch.set(head, at)
    at += head.byteLength
  }
  return { bytes: scratch.subarray(0, at), totals: { available, held, inflight, frozen: frozenSum, back, debt, minted, spent } }
}

/** Sum of what `writeAmounts` wrote last. */
let written = 0n

/** Amounts by log; those of 0 are left out. */
function writeAmounts(start: number, amounts: ReadonlyMap<LogName, bigint>): number {
  let at = start + COUNT_BYTES
  let rows = 0
  written = 0n
  if (amounts.size > 0) {
    for (const log of sortedLogs(amounts)) {
      const amount = amounts.get(log)!
      if (amount === 0n) continue
      at = writeAmount(view, writeLog(at, log), amount)
      written += amount
      rows += 1
    }
  }
  writeShort(start, rows)
  return at
}

function writeShort(at: number, value: number): number {
  view.setUint16(at, value)
  return at + COUNT_BYTES
}

function writeLog(at: number, name: LogName): number {
  const { hub, epoch } = logOf(name)
  view.setUint8(at, hub)
  view.setUint32(at + 1, epoch)
  return at + LOG_BYTES
}

function writeCount(at: number, count: number): number {
  view.setUint32(at, Math.floor(count / 2 ** 32))
  view.setUint32(at + 4, count % 2 ** 32)
  return at + 8
}

/** Reads a leaf's bytes; undefined where they do not have its form. */
export function readLeaf(bytes: Uint8Array): StateLeaf | undefined {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const said = viewOf(bytes)
  let at = 0
  const amount = () => {
    at += AMOUNT_BYTES
    return readAmount(said, at - AMOUNT_BYTES)
  }
  const count = () => {
    at += 8
    const value = Number(source.readBigUInt64BE(at - 8))
    if (!Number.isSafeInteger(value)) throw new RangeError('a count is too large')
    return value
  }
  const log = (): LogName => {
    at += LOG_BYTES
    return nameOfLog({ hub: source.readUInt8(at - LOG_BYTES), epoch: source.readUInt32BE(at - 4) })
  }
  const list = <Row>(read: () => Row): Row[] => {
    at += COUNT_BYTES
    return Array.from({ length: source.readUInt16BE(at - COUNT_BYTES) }, read)
  }
  const day = () => {
    at += 4
    return source.readUInt32BE(at - 4)
  }
  try {
    at = ACCOUNT_BYTES
    const account = source.toString('hex', 0, ACCOUNT_BYTES)
    const [minted, spent, held, inflight, back, debt] = [amount(), amount(), amount(), amount(), amount(), amount()]
    const rights = list(() => ({ log: log(), amount: amount() }))
    const frozen = list(() => ({ log: log(), amount: amount() }))
    const quota = list(() => ({ day: day(), log: log(), used: count(), given: count(), accepted: count() }))
    const chains = list(() => {
      const chain = { log: log(), entries: count(), head: Uint8Array.from(source.subarray(at, at + 32)) }
      at += 32
      return chain
    })
    if (at !== source.byteLength) return undefined
    const sum = (rows: readonly { readonly amount: bigint }[]) => rows.reduce((total, row) => total + row.amount, 0n)
    const totals = { available: sum(rights), held, inflight, frozen: sum(frozen), back, debt, minted, spent }
    return { account, totals, rights, frozen, quota, chains }
  } catch {
    return undefined
  }
}
