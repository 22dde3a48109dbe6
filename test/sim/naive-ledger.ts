/**
 * The ledger of one node in plain code: reads all entries of all logs and adds up what each account must have. Nothing of
 * ledger/fold is used; rights, islands and shares do not exist here, only what came in and what went out.
 */
import { readAdminChange } from '../../ledger/admin-change.ts'
import { decodeEntry, type Entry } from '../../ledger/entries/entry.ts'
import { decodeFrame, type Frame } from '../../ledger/frame.ts'
import { leafHash, rootOfLeaves } from '../../protocol/merkle.ts'
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { keyBytes, placeOf, type DiskImage } from './sim-disk.ts'
import { payOfAll } from './naive-pay.ts'
import { costOf, type Oracle, type OracleHold, type Price } from './oracle.ts'

export interface LoggedEntry {
  readonly entry: Entry
  /** `<hub>/<epoch>`. */
  readonly log: string
  readonly hub: number
  readonly tsMs: number
}

export interface NaiveHold {
  readonly account: string
  readonly log: string
  readonly day: number | undefined
  readonly row: string
  readonly rev: number
  credits: bigint
  quotaTokens: number
  charge: bigint
  /** Tokens of the day's quota that it takes now. */
  takes: number
  over: 'no' | 'settled' | 'expired'
  refunded: bigint
  readonly reasons: Set<string>
}

export interface NaiveLedger {
  /** µcr by account: available, held, under way, frozen and held back, less debt. */
  readonly totals: Map<string, bigint>
  readonly holds: Map<string, NaiveHold[]>
  /** Amounts of what is named from outside and counts once: `grant <account> <source>`, `purchase <payment>`. */
  readonly named: Map<string, bigint>
  /** What was settled for the lost ends of a hub's logs, by hub and account: `0 <account>`. */
  readonly islands: Map<string, bigint>
  /** Entries by kind. */
  readonly kinds: Map<string, number>
  /** Tokens that holds take of a day's quota: `<account> <day>`. */
  readonly taken: Map<string, number>
  readonly problems: string[]
}

interface Rules {
  /** By revision, then row. */
  readonly prices: Map<number, Map<string, Price>>
  /** Most tokens a day that any revision gives a tier; null: no bound. */
  readonly tierTokens: Map<string, number | null>
  /** Grants that two hubs have signed: account, amount and source. */
  readonly grants: Set<string>
}

/** What two hubs have signed, and the plan. */
function approvedRules(entries: readonly LoggedEntry[], { prices, tierTokens }: Oracle): Rules {
  const rules: Rules = { prices: new Map(prices), tierTokens: new Map(tierTokens), grants: new Set() }
  const hubs = new Map<string, Set<number>>()
  for (const { entry } of entries) {
    if (entry.k !== 'Approval') continue
    const change = toHex(entry.document.body)
    const signed = hubs.get(change) ?? new Set<number>()
    hubs.set(change, signed.add(entry.hub))
    if (signed.size < 2) continue
    const { change: what } = readAdminChange(entry.document.body)
    if (what.type === 'grant') rules.grants.add(`${toHex(what.account)} ${what.amount} ${what.source}`)
    else if (what.table === 'prices') rules.prices.set(what.rev, new Map(what.content.rows.map((row) => [row.row, row])))
    else if (what.table === 'tiers') {
      for (const { tier, tokensPerDay } of what.content.rows) {
        const before = rules.tierTokens.get(tier)
        rules.tierTokens.set(tier, before === null || tokensPerDay === null ? null : Math.max(before ?? 0, tokensPerDay))
      }
    }
  }
  return rules
}

const BUDGET_MICRO_CREDITS = 1_000_000_000_000n

function grantProblems(entries: readonly LoggedEntry[], rules: Rules): string[] {
  const problems: string[] = []
  const granted = new Map<string, bigint>()
  for (const { entry, hub, tsMs } of entries) {
    if (entry.k !== 'Grant') continue
    const name = `${hub} ${Math.floor(tsMs / 86_400_000)}`
    if (entry.approved === undefined) granted.set(name, (granted.get(name) ?? 0n) + entry.amount)
    else if (!rules.grants.has(`${toHex(entry.account)} ${entry.amount} ${entry.source}`)) problems.push(`the grant "${entry.source}" was not signed by two hubs`)
  }
  for (const [name, amount] of granted) if (amount > BUDGET_MICRO_CREDITS) problems.push(`hub and day ${name}: ${amount} granted by one hub`)
  return problems
}

/** All frames on a disk of logs up to these ends, in the order of their logs; undefined where one of them is broken. */
export function entriesOf(image: DiskImage, ends: ReadonlyMap<string, number>): LoggedEntry[] | undefined {
  const found: LoggedEntry[] = []
  for (let place = placeOf(image.keys, '\u0002'); place < image.keys.length && image.keys[place]!.startsWith('\u0002'); place += 1) {
    const view = Buffer.from(keyBytes(image.keys[place]!))
    const log = `${view[1]!}/${view.readUInt32BE(2)}`
    if (view.readUIntBE(6, 6) > (ends.get(log) ?? 0)) continue
    const frame = wholeFrame(image.rows.get(image.keys[place]!)!)
    if (frame === undefined) return undefined
    for (const bytes of frame.entryBytes) found.push({ entry: decodeEntry(bytes), log, hub: frame.header.hub, tsMs: frame.header.tsMs })
  }
  return found
}

function wholeFrame(bytes: Uint8Array): Frame | undefined {
  try {
    const frame = decodeFrame(bytes)
    return bytesEqual(rootOfLeaves(frame.entryBytes.map(leafHash)), frame.header.entriesRoot) ? frame : undefined
  } catch {
    return undefined
  }
}

export function addUp(entries: readonly LoggedEntry[], oracle: Oracle): NaiveLedger {
  const totals = new Map<string, bigint>()
  const holds = new Map<string, NaiveHold[]>()
  const kinds = new Map<string, number>()
  const problems: string[] = []
  const once = new Set<string>()
  const gives = new Set<string>()
  const named = new Map<string, bigint>()
  /** Pay by `<contributor> <device>`. */
  const paid = new Map<string, bigint>()
  const islands = new Map<string, bigint>()
  /** Tokens of a day's quota whose give is gone with an end of its log: `<account> <day>`. */
  const lostTokens = new Map<string, number>()
  /** Chargebacks by the purchase that they are of. */
  const charged = new Map<string, bigint>()
  const rules = approvedRules(entries, oracle)
  const add = (account: Uint8Array | string, amount: bigint) => {
    const id = typeof account === 'string' ? account : toHex(account)
    totals.set(id, (totals.get(id) ?? 0n) + amount)
  }
  /** The first with this name counts. */
  const isFirst = (name: string) => !once.has(name) && once.add(name) !== undefined

  for (const { entry, log } of entries) {
    kinds.set(entry.k, (kinds.get(entry.k) ?? 0) + 1)
    if (entry.k === 'Give') gives.add(`${toHex(entry.eid)} ${log}`)
    if (entry.k !== 'Hold') continue
    const id = toHex(entry.eid)
    const hold: NaiveHold = {
      account: toHex(entry.account), log, day: entry.quota?.day, row: entry.priceRow, rev: entry.priceRev, credits: entry.credits,
      quotaTokens: entry.quota?.tokens ?? 0, charge: 0n, takes: entry.quota?.tokens ?? 0, over: 'no', refunded: 0n, reasons: new Set(),
    }
    const known = holds.get(id) ?? []
    if (known.some((other) => other.log === log)) problems.push(`hold ${id.slice(0, 8)} stands twice in log ${log}`)
    else holds.set(id, [...known, hold])
  }

  /** What a log says of a hold is of the hold in the same log, else of the only other one. */
  const holdOf = (id: Uint8Array, log: string) => {
    const all = holds.get(toHex(id)) ?? []
    return all.find((hold) => hold.log === log) ?? all[0]
  }
  // What a hold's own log says of it comes before what the log says that took that one over.
  const isLater = ({ entry, log }: LoggedEntry) => 'hold' in entry && holdOf(entry.hold, log)?.log !== log
  for (const { entry, log } of [...entries.filter((each) => !isLater(each)), ...entries.filter(isLater)]) {
    switch (entry.k) {
      case 'Grant':
        if (!isFirst(`grant ${toHex(entry.account)} ${entry.source}`)) break
        named.set(`grant ${toHex(entry.account)} ${entry.source}`, entry.amount)
        add(entry.account, entry.amount)
        break
      case 'Purchase':
        if (!isFirst(`purchase ${toHex(entry.account)} ${entry.payment}`)) break
        named.set(`purchase ${toHex(entry.account)} ${entry.payment}`, entry.amount)
        add(entry.account, entry.amount)
        break
      case 'Chargeback':
        if (!isFirst(`chargeback ${toHex(entry.account)} ${entry.payment}`)) break
        charged.set(`purchase ${toHex(entry.account)} ${entry.payment}`, entry.amount)
        add(entry.account, -entry.amount)
        break
      case 'Vest':
        if (!isFirst(`vest ${toHex(entry.eid)}`)) break
        paid.set(`${toHex(entry.contributor)} ${entry.device}`, (paid.get(`${toHex(entry.contributor)} ${entry.device}`) ?? 0n) + entry.delta)
        add(entry.account, entry.delta)
        break
      case 'IslandSettle':
        if (!isFirst(`island ${toHex(entry.eid)}`)) break
        islands.set(`${entry.log.hub} ${toHex(entry.account)}`, (islands.get(`${entry.log.hub} ${toHex(entry.account)}`) ?? 0n) + entry.amount)
        add(entry.account, -entry.amount)
        break
      case 'Accept':
        if (!isFirst(`accept ${toHex(entry.give)} ${log}`)) problems.push(`give ${toHex(entry.give).slice(0, 8)} is accepted twice in log ${log}`)
        // What it was given for is gone with the end of the giver's log: its hub bears it.
        else if (!gives.has(`${toHex(entry.give)} ${entry.from.hub}/${entry.from.epoch}`)) {
          if (entry.unit === 0) add(entry.account, entry.amount)
          else lostTokens.set(`${toHex(entry.account)} ${entry.unit}`, (lostTokens.get(`${toHex(entry.account)} ${entry.unit}`) ?? 0) + Number(entry.amount))
        }
        break
      case 'Extend': {
        const hold = holdOf(entry.hold, log)
        if (hold === undefined || !isFirst(`extend ${toHex(entry.eid)} ${log}`)) break
        hold.credits += entry.credits
        hold.quotaTokens += entry.quotaTokens
        hold.takes += entry.quotaTokens
        break
      }
      case 'Settle': {
        const hold = holdOf(entry.hold, log)
        if (hold === undefined || hold.over !== 'no') break
        hold.over = 'settled'
        hold.charge = entry.charge
        hold.takes = entry.quotaTokens
        add(hold.account, -entry.charge)
        problems.push(...settleProblems(hold, entry, rules, log === hold.log ? undefined : oracle.holds.get(toHex(entry.hold))))
        break
      }
      case 'Expire': {
        const hold = holdOf(entry.hold, log)
        if (hold === undefined || hold.over !== 'no') break
        hold.over = 'expired'
        hold.takes = 0
        break
      }
      case 'Refund': {
        const hold = holdOf(entry.hold, log)
        if (hold === undefined || hold.reasons.has(entry.reason)) break
        hold.reasons.add(entry.reason)
        hold.refunded += entry.amount
        hold.takes -= entry.quotaTokens
        add(hold.account, entry.amount)
        if (hold.refunded > hold.charge) problems.push(`hold ${toHex(entry.hold).slice(0, 8)} of ${hold.charge} is paid back ${hold.refunded}`)
        break
      }
      // These move nothing in or out, or were looked at before.
      case 'AccountOpen': case 'KeyAdd': case 'KeyRevoke': case 'TierSet': case 'Hold': case 'Progress': case 'Give': case 'GiveReturn':
      case 'JobReceipt': case 'Presence': case 'BackRelease': case 'EpochOpen': case 'Seal': case 'IslandRelease': case 'Handback': case 'EquivProof': case 'Approval':
    }
  }
  for (const [name, amount] of charged) if (amount > (named.get(name) ?? 0n)) problems.push(`of ${name}, ${amount} is charged back`)
  if (paid.size > 0) {
    const worth = payOfAll(entries)
    for (const [name, amount] of paid) if (amount > (worth.get(name) ?? 0n)) problems.push(`${name.slice(0, 8)} was paid ${amount} for work worth ${worth.get(name) ?? 0n}`)
  }
  const taken = takenOf(holds)
  return {
    totals, holds, named, islands, kinds, taken,
    problems: [...problems, ...servedTwice(holds, oracle), ...quotaProblems(taken, lostTokens, oracle, rules), ...grantProblems(entries, rules)],
  }
}

/** `asked`: where the successor of the hold's log settled it, what callers know of the hold. */
function settleProblems(
  hold: NaiveHold, use: { readonly charge: bigint; readonly promptTokens: number; readonly completionTokens: number; readonly hold: Uint8Array }, rules: Rules, asked: OracleHold | undefined,
): string[] {
  const price = rules.prices.get(hold.rev)?.get(hold.row)
  const name = toHex(use.hold).slice(0, 8)
  if (price === undefined) return [`hold ${name} has price ${hold.row} of revision ${hold.rev}, which two hubs have not signed`]
  const cost = costOf(use, hold.quotaTokens, price)
  const right = cost < hold.credits ? cost : hold.credits
  // An extension that stood in the lost end of the log may have covered more of it by the day's quota: then what its own hub had charged counts,
  // which is what the caller was told, if it was told at all.
  if (asked?.extended === true && use.charge < right && (asked.charged ?? use.charge) === use.charge) return []
  return use.charge === right ? [] : [`hold ${name} was charged ${use.charge} for ${use.promptTokens} + ${use.completionTokens} tokens, not ${right}`]
}

/** However many hubs served a request, it is paid once. */
function servedTwice(holds: ReadonlyMap<string, readonly NaiveHold[]>, oracle: Oracle): string[] {
  const paid = [...holds].flatMap(([id, of]) => of.some(({ over, charge, refunded, takes }) => over === 'settled' && (charge > refunded || takes > 0)) ? [id] : [])
  const byRequest = Map.groupBy(paid, (id) => oracle.holds.get(id)?.first ?? id)
  return [...byRequest].filter(([, ids]) => ids.length > 1).map(([first, ids]) => `the request of hold ${first.slice(0, 8)} is paid ${ids.length} times: ${ids.map((id) => id.slice(0, 8)).join(', ')}`)
}

/** All that is taken from a day's quota, by all hubs together. */
function takenOf(holds: ReadonlyMap<string, readonly NaiveHold[]>): Map<string, number> {
  const taken = new Map<string, number>()
  for (const hold of [...holds.values()].flat()) {
    if (hold.day !== undefined) taken.set(`${hold.account} ${hold.day}`, (taken.get(`${hold.account} ${hold.day}`) ?? 0) + hold.takes)
  }
  return taken
}

/** What a hub accepted in good faith from a history of a log that does not count, it gives out beside what the other history gives out. */
function quotaProblems(taken: ReadonlyMap<string, number>, lost: ReadonlyMap<string, number>, oracle: Oracle, rules: Rules): string[] {
  return [...taken].flatMap(([name, tokens]) => {
    const [account = '', day] = name.split(' ')
    const tiers = [...oracle.accounts.get(account)?.tiers ?? []].map((tier) => rules.tierTokens.get(tier))
    if (tiers.includes(null)) return []
    const most = Math.max(0, ...tiers.map((perDay) => perDay ?? 0)) + (lost.get(name) ?? 0)
    return tokens > most ? [`account ${account.slice(0, 8)} used ${tokens} tokens of day ${day}, of ${most}`] : []
  })
}
