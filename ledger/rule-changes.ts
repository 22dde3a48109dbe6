/** Changes of the rules that two hubs must sign: proposing, approving, listing them, and the tables that hold. */
import { toHex } from '../protocol/bytes.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { Clock, Signer } from '../protocol/ports.ts'
import { signedBytes, type Signed } from '../protocol/signed.ts'
import { adminChangeSchema, changeIdOf, encodeAdminChange, readAdminChange, type AdminChange } from './admin-change.ts'
import type { ChangeState } from './fold/state.ts'
import { decideApproval } from './hub/decide/changes.ts'
import type { Intent } from './hub/events.ts'
import type { HubState } from './hub/hub-state.ts'
import type { LedgerMoney, PendingChange, RuleChange } from './interface.ts'
import type { SubmitOptions, Submitted } from './log-writer.ts'
import { intentFrom } from './orders.ts'
import { newestRev, tableOf } from './tables/lookup.ts'

export interface RuleChangesComponents {
  readonly clock: Clock
  readonly hub: HubState
  readonly submit: (intent: Intent, options?: SubmitOptions) => Promise<Submitted>
  /** The hub's node key. */
  readonly signer: Signer
}

export type RuleChanges = Pick<LedgerMoney, 'proposeChange' | 'approveChange' | 'changes' | 'table'>

const LISTED_MAX = 100

export function createRuleChanges({ clock, hub, submit, signer }: RuleChangesComponents): RuleChanges {
  /** Signs exactly these bytes and logs that. */
  async function approve(body: Uint8Array): Promise<PendingChange> {
    const document: Signed = { body, key: signer.publicKey, signature: signer.sign(signedBytes('adminChange', body)) }
    await submit(intentFrom(() => decideApproval(hub, document)), { replicated: true })
    const known = hub.state.changes.get(toHex(changeIdOf(body)))
    return pendingOf(body, known === undefined ? [hub.me] : hubsOf(known))
  }

  return {
    proposeChange: async (change) => {
      const wanted = adminChangeSchema.safeParse({ v: 1, network: hub.network, change: changeOf(change), createdAt: clock.now() })
      if (!wanted.success) {
        const issue = wanted.error.issues[0]
        throw new TriforceError('ENTRY_INVALID', { field: issue?.path.map(String).join('.') ?? '', problem: issue?.message ?? '' })
      }
      return await approve(encodeAdminChange(wanted.data))
    },
    approveChange: async (id) => {
      const known = hub.state.changes.get(toHex(id))
      if (known === undefined) throw new TriforceError('NOT_FOUND', {}, { detail: 'no hub has signed a change with this id, or its signature is not here yet' })
      return await approve(known.body)
    },
    changes: () => [...hub.state.changes.values()].map((known) => pendingOf(known.body, hubsOf(known)))
      .sort((a, b) => b.createdAt - a.createdAt || Buffer.compare(a.id, b.id)).slice(0, LISTED_MAX),
    table: (table) => {
      const rev = newestRev(hub.state, table)
      return { table, rev, content: tableOf(hub.state, table, rev) }
    },
  }
}

function hubsOf({ hubs }: ChangeState): readonly number[] {
  return [...hubs.keys()].sort((a, b) => a - b)
}

function changeOf(change: RuleChange): unknown {
  if (change.type === 'table') return change
  const { account, amountMicroCredits, source } = change
  return { type: 'grant', account, amount: amountMicroCredits, source }
}

function pendingOf(body: Uint8Array, hubs: readonly number[]): PendingChange {
  const { change, createdAt } = readAdminChange(body)
  return { id: changeIdOf(body), change: ruleChangeOf(change), createdAt, hubs }
}

function ruleChangeOf(change: AdminChange['change']): RuleChange {
  if (change.type === 'table') return change
  return { type: 'grant', account: change.account, amountMicroCredits: change.amount, source: change.source }
}
