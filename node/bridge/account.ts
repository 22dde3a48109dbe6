/** What an account may see of itself and of the node: credits, receipts, status. */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { ReceiptSummary } from '../../protocol/messages/control.ts'
import { formatCredits } from '../../protocol/units.ts'
import type { AccountInfo, Gateway, NodeStatus } from '../gateway.ts'
import { principalOf, type OnRequestHook } from './key-hook.ts'
import { checkBody } from './request-check.ts'

export interface AccountComponents {
  readonly gateway: Pick<Gateway, 'account' | 'receipts' | 'receiptFile' | 'status'>
  readonly requireKey: OnRequestHook
  /** Where the status is not for everybody who can reach the server. */
  readonly statusKey: OnRequestHook | undefined
}

const RECEIPTS_DEFAULT = 20
/** As many as one answer of a hub carries, see protocol/messages/control.ts. */
const RECEIPTS_MAX = 100

const receiptsQuery = z.object({
  limit: z.coerce.number().int().min(1).max(RECEIPTS_MAX).default(RECEIPTS_DEFAULT),
  before: z.coerce.number().int().min(0).optional(),
})

export function routeAccount(app: FastifyInstance, components: AccountComponents): void {
  const { gateway, requireKey, statusKey } = components

  app.get('/v1/credits', { onRequest: requireKey }, async (request) => {
    return { object: 'credits', ...accountBody(await gateway.account(principalOf(request))) }
  })

  app.get('/v1/receipts', { onRequest: requireKey }, async (request) => {
    const { limit, before } = checkBody(receiptsQuery, request.query)
    const receipts = await gateway.receipts(principalOf(request), { limit, ...(before === undefined ? {} : { before }) })
    return {
      object: 'list',
      data: receipts.map(receiptBody),
      // To be given as `before` for the next page.
      next_before: receipts.length < limit ? null : receipts.at(-1)?.loggedAt ?? null,
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
    ...(status.logs === undefined ? {} : { logs: status.logs }),
  }
}
