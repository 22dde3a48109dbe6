/**
 * What an admin asks of the ledger of this hub: to check it, to retire the log of a hub that is gone, and to change the
 * rules, which takes the signatures of two hubs.
 */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { AuditReport, PendingChange, RuleChange } from '../../ledger/interface.ts'
import { toHex } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { formatCredits } from '../../protocol/units.ts'
import type { AdminGateway } from '../gateway.ts'
import { accountField, changeIdField, changeIdText, microCreditsField, sourceField } from './admin-fields.ts'
import type { OnRequestHook } from './key-hook.ts'
import { checkBody, invalid } from './request-check.ts'
import { tableFromJson, tableToJson } from './table-json.ts'

export interface LedgerAdminComponents {
  readonly gateway: AdminGateway
  /** With the hook that checks the admin token. */
  readonly route: { readonly onRequest: OnRequestHook }
}

const HUBS = 3
/** Three hubs, each with a new epoch for every time that it lost its log. */
const HEADS_MAX = 192
/** A seal waits for another hub's signature. */
const SEAL_MS_MAX = 15_000

const countField = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
export const auditBody = z.object({
  heads: z.array(z.object({ hub: countField.max(HUBS - 1), epoch: countField, frames: countField })).max(HEADS_MAX).optional(),
})
export const sealBody = z.object({ hub: z.string().min(1).max(64), forced: z.boolean().default(false) })
const tableField = z.enum(['prices', 'tiers', 'hardware'])
export const changeBody = z.discriminatedUnion('type', [
  z.object({ type: z.literal('table'), table: tableField, rev: countField.min(1), content: z.record(z.string(), z.unknown()) }),
  z.object({ type: z.literal('grant'), account: accountField, amount_micro_credits: microCreditsField, source: sourceField }),
])
const changeParams = z.object({ id: changeIdField })
const tableParams = z.object({ table: tableField })

export function routeLedgerAdmin(app: FastifyInstance, { gateway, route }: LedgerAdminComponents): void {
  app.post('/v1/admin/audit', route, async (request) => {
    const { heads } = checkBody(auditBody, request.body)
    return auditBodyOf(await gateway.audit(heads === undefined ? {} : { heads }), gateway)
  })

  app.post('/v1/admin/seals', route, async (request) => {
    const { hub: name, forced } = checkBody(sealBody, request.body)
    const hub = gateway.hubNames.indexOf(name)
    if (hub === -1) throw invalid('hub', `must be one of ${gateway.hubNames.join(', ')}`)
    if (hub === gateway.hubIndex) throw invalid('hub', 'is this hub itself; ask one of the two others')
    const signal = AbortSignal.timeout(SEAL_MS_MAX)
    try {
      await gateway.seal(hub, { forced, signal })
    } catch (reason) {
      if (!signal.aborted) throw reason
      throw new TriforceError('HUB_ISOLATED', { hub: name }, {
        cause: reason, detail: `the log of ${name} is not sealed: the third hub has not signed within ${SEAL_MS_MAX / 1_000} s; it must run, must not see ${name}, and its admin may have to ask for it too`,
      })
    }
    return { ok: true, hub: name }
  })

  app.get('/v1/admin/changes', route, () => Promise.resolve({ object: 'list', data: gateway.changes().map((change) => changeBodyOf(change, gateway)) }))

  app.post('/v1/admin/changes', route, async (request) => {
    const body = checkBody(changeBody, request.body)
    const change: RuleChange = body.type === 'table'
      ? { type: 'table', table: body.table, rev: body.rev, content: tableFromJson(body.content) }
      : { type: 'grant', account: body.account, amountMicroCredits: body.amount_micro_credits, source: body.source }
    return changeBodyOf(await gateway.propose(change), gateway)
  })

  app.post('/v1/admin/changes/:id/approve', route, async (request) => {
    return changeBodyOf(await gateway.approve(checkBody(changeParams, request.params).id), gateway)
  })

  app.get('/v1/admin/tables/:table', route, (request) => {
    const { table, rev, content } = gateway.table(checkBody(tableParams, request.params).table)
    return Promise.resolve({ object: 'table', table, rev, content: tableToJson(content) })
  })
}

function auditBodyOf(report: AuditReport, { hubNames, hubIndex }: AdminGateway) {
  const { totals } = report
  const amounts = { minted: totals.minted, spent: totals.spent, available: totals.available, held: totals.held, on_its_way: totals.inflight, frozen: totals.frozen, held_back: totals.back, debt: totals.debt }
  return {
    object: 'audit',
    hub: hubNames[hubIndex] ?? String(hubIndex),
    root: toHex(report.root),
    heads: report.heads.map(({ hub, epoch, frames }) => ({ hub, name: hubNames[hub] ?? String(hub), epoch, frames })),
    accounts: report.accounts,
    entries: report.entries,
    totals_micro_credits: Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, amount.toString()])),
    problems: report.problems,
  }
}

function changeBodyOf({ id, change, createdAt, hubs }: PendingChange, { hubNames }: AdminGateway) {
  return {
    id: changeIdText(id),
    object: 'change',
    created_at: createdAt,
    signed_by: hubs.map((hub) => hubNames[hub] ?? String(hub)),
    /** Two hubs have signed it. */
    holds: hubs.length >= 2,
    ...(change.type === 'table'
      ? { type: change.type, table: change.table, rev: change.rev, content: tableToJson(change.content) }
      : {
          type: change.type, account: toHex(change.account), amount_micro_credits: change.amountMicroCredits.toString(),
          amount_credits: formatCredits(change.amountMicroCredits), source: change.source,
        }),
  }
}
