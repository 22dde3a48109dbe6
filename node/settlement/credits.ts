/**
 * What an account has and what happened to it, read from the ledger of a hub, and the same as it travels to a node that
 * asks a hub. Amounts are µcr.
 */
import type { Account, HubLedger, ListCursor, StatementLine } from '../../ledger/interface.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { accountActions, StatementLineWire } from '../../protocol/messages/control.ts'
import type { z } from 'zod'
import type { CreditsInfo } from '../gateway.ts'

type CreditsWire = z.output<typeof accountActions.credits.tell>

const MS_PER_DAY = 86_400_000

/** Pay of a day is at most one entry for each device each few minutes; beyond this many entries the sum is of the newest. */
const EARNED_LINES_MAX = 2_000
const PAGE = 100

/** Throws INVALID_API_KEY where the ledger knows no such account. */
export async function readCredits(ledger: Pick<HubLedger, 'money' | 'statement'>, account: Account, nowMs: number): Promise<CreditsInfo> {
  const money = ledger.money(account.id)
  if (money === undefined) throw new TriforceError('INVALID_API_KEY')
  const earnedToday = money.earnedPaid === 0n ? 0n : await earnedSince(ledger, account.id, Math.floor(nowMs / MS_PER_DAY) * MS_PER_DAY)
  return {
    account: account.id, name: account.name, tier: account.tier, balance: money.balance, quota: money.quota,
    earnedToday, earnedUnpaid: money.earnedUnpaid, earnedPaid: money.earnedPaid,
  }
}

async function earnedSince(ledger: Pick<HubLedger, 'statement'>, account: Uint8Array, from: number): Promise<bigint> {
  let sum = 0n
  let after: ListCursor | undefined
  for (let read = 0; read < EARNED_LINES_MAX; read += PAGE) {
    const lines = await ledger.statement({ account, from, limit: PAGE, ...(after === undefined ? {} : { after }) })
    for (const line of lines) if (line.kind === 'Vest') sum += line.amount
    const last = lines.at(-1)
    if (last === undefined || lines.length < PAGE) break
    after = { at: last.at, id: last.id }
  }
  return sum
}

export function creditsToWire(credits: CreditsInfo): CreditsWire {
  const { balance, quota } = credits
  return {
    account: credits.account, name: credits.name, tier: credits.tier,
    available: balance.available.toString(), held: balance.held.toString(), inflight: balance.inflight.toString(),
    frozen: balance.frozen.toString(), back: balance.back.toString(), debt: balance.debt.toString(),
    day: quota.day, usedTokens: quota.usedTokens, ...(quota.tokensPerDay === null ? {} : { tokensPerDay: quota.tokensPerDay }),
    earnedToday: credits.earnedToday.toString(), earnedUnpaid: credits.earnedUnpaid.toString(), earnedPaid: credits.earnedPaid.toString(),
  }
}

export function creditsFromWire(wire: CreditsWire): CreditsInfo {
  return {
    account: wire.account, name: wire.name, tier: wire.tier,
    balance: {
      available: BigInt(wire.available), held: BigInt(wire.held), inflight: BigInt(wire.inflight), frozen: BigInt(wire.frozen),
      back: BigInt(wire.back), debt: BigInt(wire.debt),
    },
    quota: { day: wire.day, usedTokens: wire.usedTokens, tokensPerDay: wire.tokensPerDay ?? null },
    earnedToday: BigInt(wire.earnedToday), earnedUnpaid: BigInt(wire.earnedUnpaid), earnedPaid: BigInt(wire.earnedPaid),
  }
}

export function lineToWire({ hold, receipt, amount, held, ...line }: StatementLine): StatementLineWire {
  return {
    ...line, amount: amount.toString(), held: held.toString(),
    ...(hold === undefined ? {} : { hold }), ...(receipt === undefined ? {} : { receipt }),
  }
}

export function lineFromWire({ hold, receipt, amount, held, ...line }: StatementLineWire): StatementLine {
  return { ...line, amount: BigInt(amount), held: BigInt(held), hold, receipt }
}

/** Checkpoints take some seconds to become final, and longer where two hubs do not see each other. */
export function noStatementYet(): TriforceError {
  return new TriforceError('NOT_FOUND', {}, {
    detail: 'no checkpoint signed by two hubs has this account yet; try again in a few seconds, and see "triforce status" where it stays so',
  })
}
