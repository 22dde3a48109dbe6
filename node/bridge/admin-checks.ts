/** The checks of machines over HTTP, for who administers the hub: how each stands and why, and having one checked again. */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { TriforceError } from '../../protocol/errors.ts'
import { publicKeyOf } from '../../protocol/peer-key.ts'
import type { ChecksAdmin } from '../honesty/honesty.ts'
import type { OnRequestHook } from './key-hook.ts'
import { checkBody } from './request-check.ts'

export interface ChecksAdminComponents {
  readonly checks: ChecksAdmin
  /** With the hook that checks the admin token. */
  readonly route: { readonly onRequest: OnRequestHook }
}

const paramsSchema = z.object({ peer: z.string().max(128) })

export function routeChecksAdmin(app: FastifyInstance, { checks, route }: ChecksAdminComponents): void {
  app.get('/v1/admin/checks', route, () => {
    const { ends, incidents } = checks.totals()
    return Promise.resolve({
      object: 'list', checks: ends, incidents,
      data: checks.machines().map(({ peer, standing, elsewhere, text }) => ({
        object: 'triforce.check', node: peer, state: standing.state, text, failed_by: standing.failedBy ?? null, failures: standing.failures, checks_in_state: standing.checks,
        last_at: standing.lastAt ?? null, since: standing.since ?? null, other_hubs_say: elsewhere ?? null, scores: standing.scores, tallies: standing.tallies,
      })),
    })
  })

  app.post('/v1/admin/checks/:peer/recheck', route, (request) => {
    const node = publicKeyOf(checkBody(paramsSchema, request.params).peer)
    if (node === undefined) throw new TriforceError('NOT_FOUND', {}, { detail: 'this is no peer id; "triforce admin checks" shows those of the machines' })
    checks.again(node, { force: true })
    return Promise.resolve({ ok: true })
  })
}
