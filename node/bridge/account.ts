/** What an account may see of itself and of the node: who it is, credits, statement, receipts, status. */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { StatementLine } from '../../ledger/interface.ts'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { ReceiptSummary } from '../../protocol/messages/control.ts'
import { formatCredits } from '../../protocol/units.ts'
import type { AccountInfo, CreditsInfo, Gateway, NodeStatus } from '../gateway.ts'
import { cursorField, cursorText } from './cursor.ts'
import { principalOf, type OnRequestHook } from './key-hook.ts'
import { checkBody } from './request-check.ts'

export interface AccountComponents {
  readonly gateway: Pick<Gateway, 'account' | 'credits' | 'statement' | 'statementFile' | 'receipts' | 'receiptFile' | 'status'>
  readonly requireKey: OnRequestHook
  /** Where the status is not for everybody who can reach the server. */
  readonly statusKey: OnRequestHook | undefined
}

const MS_PER_DAY = 86_400_000

const RECEIPTS_DEFAULT = 20
/** As many as one answer of a hub carries, see protocol/messages/control.ts. */
const RECEIPTS_MAX = 100

const limitField = z.coerce.number().int().min(1).max(RECEIPTS_MAX).default(RECEIPTS_DEFAULT)
const timeField = z.coerce.number().int().min(0).optional()

export const receiptsQuery = z.object({ limit: limitField, before: timeField, cursor: cursorField.optional() })
export const statementQuery = z.object({ limit: limitField, from: timeField, to: timeField, cursor: cursorField.optional() })

export function routeAccount(app: FastifyInstance, components: AccountComponents): void {
  const { gateway, requireKey, statusKey } = components

  app.get('/v1/account', { onRequest: requireKey }, async (request) => {
    return { object: 'account', ...accountBody(await gateway.account(principalOf(request))) }
  })

  app.get('/v1/credits', { onRequest: requireKey }, async (request) => creditsBody(await gateway.credits(principalOf(request))))

  app.get('/v1/statement', { onRequest: requireKey }, async (request) => {
    const { limit, from, to, cursor } = checkBody(statementQuery, request.query)
    const lines = await gateway.statement(principalOf(request), {
      limit, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }), ...(cursor === undefined ? {} : { after: cursor }),
    })
    const last = lines.at(-1)
    return { object: 'list', data: lines.map(lineBody), next_cursor: last === undefined || lines.length < limit ? null : cursorText(last.at, last.id) }
  })

  app.get('/v1/statement/file', { onRequest: requireKey }, async (request, reply) => {
    const file = await gateway.statementFile(principalOf(request))
    // The text is passed on as it is: what was signed is never encoded again.
    return reply.header('content-type', 'application/json; charset=utf-8').send(file)
  })

  app.get('/v1/receipts', { onRequest: requireKey }, async (request) => {
    const { limit, before, cursor } = checkBody(receiptsQuery, request.query)
    const receipts = await gateway.receipts(principalOf(request), {
      limit, ...(before === undefined ? {} : { before }), ...(cursor === undefined ? {} : { after: cursor }),
    })
    const last = receipts.length < limit ? undefined : receipts.at(-1)
    return {
      object: 'list',
      data: receipts.map(receiptBody),
      // To be given as `cursor` or as `before` for the next page; only the cursor goes on within one millisecond.
      next_cursor: last === undefined ? null : cursorText(last.loggedAt, fromHex(last.id.slice('rcpt_'.length))!),
      next_before: last?.loggedAt ?? null,
    }
  })

  app.get<{ Params: { id: string } }>('/v1/receipts/:id', { onRequest: requireKey }, async (request, reply) => {
    const id = receiptIdFrom(request.params.id)
    if (id === undefined) throw new TriforceError('RECEIPT_NOT_FOUND')
    const file = await gateway.receiptFile(principalOf(request), id)
    // The text is passed on as it is: what was signed is never encoded again.
    return reply.header('content-type', 'application/json; charset=utf-8').send(file)
  })

  app.get('/v1/status', statusKey === undefined ? {} : { onRequest: statusKey }, () => Promise.resolve(statusBody(gateway.status())))
}

export function accountBody(account: AccountInfo) {
  return {
    account: toHex(account.account),
    name: account.name,
    tier: account.tier,
    // Strings, since a double cannot hold every amount.
    balance_micro_credits: account.balanceMicroCredits.toString(),
    balance_credits: formatCredits(account.balanceMicroCredits),
  }
}

function creditsBody(credits: CreditsInfo) {
  const { balance, quota } = credits
  const { tokensPerDay, usedTokens } = quota
  return {
    object: 'credits',
    account: toHex(credits.account),
    name: credits.name,
    tier: credits.tier,
    // What can be spent, with what is on its way between two hubs. Each amount comes exact in microcredits and for people in credits.
    ...moneyFields('balance', balance.available + balance.inflight),
    ...moneyFields('held', balance.held),
    ...moneyFields('on_its_way', balance.inflight),
    ...moneyFields('frozen', balance.frozen),
    ...moneyFields('held_back', balance.back),
    ...moneyFields('debt', balance.debt),
    ...moneyFields('earned_today', credits.earnedToday),
    ...moneyFields('earned_unpaid', credits.earnedUnpaid),
    ...moneyFields('earned_paid', credits.earnedPaid),
    quota: {
      day: new Date(quota.day * MS_PER_DAY).toISOString().slice(0, 10),
      tokens_per_day: tokensPerDay,
      used_tokens: usedTokens,
      left_tokens: tokensPerDay === null ? null : Math.max(0, tokensPerDay - usedTokens),
    },
  }
}

/** `name_micro_credits` as a string, since a double cannot hold every amount, and `name_credits`. */
function moneyFields(name: string, microCredits: bigint): Record<string, string> {
  return { [`${name}_micro_credits`]: microCredits.toString(), [`${name}_credits`]: formatCredits(microCredits) }
}

function lineBody(line: StatementLine) {
  return {
    id: toHex(line.id),
    object: 'statement.line',
    kind: line.kind,
    at: line.at,
    log: { hub: line.hub, epoch: line.epoch, entry: line.seq },
    ...moneyFields('amount', line.amount),
    ...moneyFields('held', line.held),
    quota_tokens: line.quotaTokens,
    why: line.why,
    hold: line.hold === undefined ? null : toHex(line.hold),
    receipt: line.receipt === undefined ? null : `rcpt_${toHex(line.receipt)}`,
  }
}

/** `rcpt_` and 32 hexadecimal digits → 16 bytes. */
function receiptIdFrom(text: string): Uint8Array | undefined {
  return /^rcpt_[0-9a-f]{32}$/.test(text) ? fromHex(text.slice('rcpt_'.length)) : undefined
}

function receiptBody(receipt: ReceiptSummary) {
  return {
    id: receipt.id,
    object: 'receipt',
    job_id: receipt.jobId,
    model: receipt.model,
    contributor: receipt.contributor,
    hub: receipt.hub,
    account: receipt.account,
    prompt_tokens: receipt.promptTokens,
    completion_tokens: receipt.completionTokens,
    finish: receipt.finish,
    observed_ms: receipt.observedMs,
    signed_by: receipt.signedBy,
    logged_at: receipt.loggedAt,
  }
}

function statusBody(status: NodeStatus) {
  return {
    object: 'status',
    name: status.name,
    mode: status.mode,
    peer_id: status.peerId,
    network: status.network,
    version: status.version,
    uptime_ms: status.uptimeMs,
    ready: status.ready,
    waiting_for: status.waitingFor,
    hubs: status.hubs.map((hub) => ({ name: hub.name, peer_id: hub.peerId, connected: hub.connected })),
    connections: status.connections,
    models: status.models,
    jobs: status.jobs,
    traffic: status.traffic,
    reachable_through: status.reachableThrough,
    ...(status.relay === undefined ? {} : { relay: status.relay }),
    ...(status.logs === undefined ? {} : { logs: status.logs }),
  }
}
