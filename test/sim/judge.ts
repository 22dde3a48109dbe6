/** Once everything is mended and all hubs have the same logs: is what stands what callers were told? */
import { checkState } from '../../ledger/fold/invariants.ts'
import type { LedgerState } from '../../ledger/fold/state.ts'
import type { HubLedger } from '../../ledger/interface.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { NaiveLedger } from './naive-ledger.ts'
import { mustStand, type Losses, type Oracle } from './oracle.ts'
import type { SimProcess } from './sim-hub.ts'

/** µcr of one account that an isolated hub may give out, written down once more. */
const ISLAND_CAP_MICRO_CREDITS = 200_000_000n

export interface Circumstances extends Losses {
  /** How often each hub's disk lost something. */
  readonly damages: readonly number[]
  /** Clocks went so far ahead that what was kept for a sealed hub may have been released. */
  readonly released: boolean
}

/** Problems of one hub. */
export function judge(oracle: Oracle, process: SimProcess, naive: NaiveLedger, circumstances: Circumstances): string[] {
  const ledger = process.ledger!
  return [
    ...checkState(process.live!()),
    ...judgePeople(oracle, ledger, circumstances),
    ...judgeMoney(oracle, ledger, naive, circumstances),
    ...judgeQuotas(process.live!(), naive),
  ]
}

/** Tokens that the state counts as used of each day are those that holds took. */
function judgeQuotas({ accounts }: LedgerState, { taken }: NaiveLedger): string[] {
  return [...accounts].flatMap(([id, { quota }]) => [...quota].flatMap(([day, { logs }]) => {
    const used = [...logs.values()].reduce((sum, of) => sum + of.used, 0)
    const right = taken.get(`${id} ${day}`) ?? 0
    return used === right ? [] : [`account ${id.slice(0, 8)} has used ${used} tokens of day ${day} and should have ${right}`]
  }))
}

function judgePeople(oracle: Oracle, ledger: HubLedger, losses: Circumstances): string[] {
  const problems: string[] = []
  for (const [name, account] of oracle.accounts) {
    const found = ledger.account(account.id)
    if (found === undefined && mustStand(account, losses)) problems.push(`account ${name.slice(0, 8)} (${account.standing}) is gone`)
    if (found === undefined) continue
    if (found.name !== account.name || toHex(found.publicKey) !== toHex(account.publicKey)) problems.push(`account ${name.slice(0, 8)} has other content`)
  }
  for (const [name, key] of oracle.keys) {
    const found = ledger.apiKey(key.publicKey)
    if (mustStand(key.revoked, losses) && found !== undefined) problems.push(`revoked key ${name.slice(0, 8)} is good`)
    if (mustStand(key, losses) && !key.mayBeRevoked && found === undefined) problems.push(`key ${name.slice(0, 8)} (${key.standing}) is gone`)
    if (found !== undefined && toHex(found.account) !== key.account) problems.push(`key ${name.slice(0, 8)} belongs to another account`)
  }
  return problems
}

function judgeMoney(oracle: Oracle, ledger: HubLedger, naive: NaiveLedger, circumstances: Circumstances): string[] {
  const { damages, forked, released } = circumstances
  const problems: string[] = [...naive.problems, ...judgeRefunds(oracle, naive, circumstances)]
  for (const [name, account] of oracle.accounts) {
    const money = ledger.money(account.id)
    if (money === undefined) continue
    const { available, held, inflight, frozen, back, debt } = money.balance
    const total = available + held + inflight + frozen + back - debt
    if (total !== (naive.totals.get(name) ?? 0n)) problems.push(`account ${name.slice(0, 8)} has ${total} and should have ${naive.totals.get(name) ?? 0n}`)
    if ([available, held, inflight, frozen, back, debt].some((part) => part < 0n)) problems.push(`account ${name.slice(0, 8)} has a negative part`)
  }
  for (const [id, holds] of naive.holds) {
    for (const hold of holds) {
      const known = oracle.holds.get(id)
      if (known === undefined) problems.push(`hold ${id.slice(0, 8)} was never asked for`)
      else if (hold.charge > 0n && known.refused) problems.push(`hold ${id.slice(0, 8)} was refused, and is charged ${hold.charge}`)
      else if (hold.charge > 0n && known.uses.length === 0) problems.push(`hold ${id.slice(0, 8)} is charged ${hold.charge} and nobody said what for`)
    }
  }
  const lost = new Map<string, bigint>()
  for (const { id, hub, account, charged, refunds, acknowledged } of oracle.holds.values()) {
    if (charged === undefined) continue
    if (!acknowledged) problems.push(`hold ${id.slice(0, 8)} was charged and never given out`)
    // Of a hold that was extended by one hub alone, the end of its log may be lost: then the rest of it is settled as an island's spend.
    const known = naive.holds.get(id)
    const standing = known?.reduce((most, { charge }) => charge > most ? charge : most, 0n) ?? 0n
    if (standing > charged) problems.push(`hold ${id.slice(0, 8)} is charged ${standing}, and its caller was told ${charged}`)
    // The hold was on two disks and its end on one that was lost: the hub bears the cost.
    if (known !== undefined && damages[hub]! > 0) continue
    // What was given back in the lost end as well was nobody's spend.
    const due = charged > refunds ? charged - refunds : 0n
    if (standing < due) lost.set(`${hub} ${account}`, (lost.get(`${hub} ${account}`) ?? 0n) + due - standing)
  }
  for (const [name, amount] of lost) {
    const hub = Number(name.split(' ')[0])
    const missing = amount - (naive.islands.get(name) ?? 0n)
    // What was spent in a sealed log's lost end is settled when its hub is back, unless that took more than a day.
    const mayMiss = forked.has(hub) || released ? undefined : ISLAND_CAP_MICRO_CREDITS * BigInt(damages[hub]!)
    if (mayMiss !== undefined && missing > mayMiss) problems.push(`of hub ${hub}, account ${name.slice(2, 10)}, ${missing} was charged to callers and is not in the ledger, of at most ${mayMiss}`)
  }
  for (const [name, { amounts }] of oracle.mints) {
    for (const [amount, thing] of amounts) {
      const found = naive.named.get(name)
      if ([...thing.replicatedAt].some((hub) => !forked.has(hub)) && found !== amount) problems.push(`${name} of ${amount} was promised, and is ${found}`)
    }
    const found = naive.named.get(name)
    if (found !== undefined && !amounts.has(found)) problems.push(`${name} of ${found} was never asked for`)
  }
  for (const name of naive.named.keys()) if (!oracle.mints.has(name)) problems.push(`${name} was never asked for`)
  return problems
}

/** What was paid back stays so. */
function judgeRefunds(oracle: Oracle, naive: NaiveLedger, circumstances: Circumstances): string[] {
  // What was kept for a sealed hub may have been released meanwhile, and then nothing of its lost end counts any more.
  if (circumstances.released) return []
  return [...oracle.holds.values()].flatMap(({ id, charged, paidBack }) => {
    const back = paidBack.filter((paid) => mustStand(paid, circumstances)).map(({ amount }) => amount)
    if (charged === undefined || back.length === 0) return []
    const left = back.includes('all') ? 0n : back.reduce((sum: bigint, amount) => sum - (amount as bigint), charged)
    const net = (naive.holds.get(id) ?? []).reduce((most, { charge, refunded }) => charge - refunded > most ? charge - refunded : most, 0n)
    return net > left ? [`hold ${id.slice(0, 8)} costs ${net}, and its caller was told ${charged}, and that all but ${left} was paid back`] : []
  })
}

/** Receipts are read from the disk. */
export async function judgeReceipts(oracle: Oracle, ledger: HubLedger, losses: Losses): Promise<string[]> {
  const problems: string[] = []
  for (const [name, receipt] of oracle.receipts) {
    if (mustStand(receipt, losses) && await ledger.receipt(receipt.id) === undefined) problems.push(`receipt ${name.slice(0, 8)} (${receipt.standing}) is gone`)
  }
  return problems
}
