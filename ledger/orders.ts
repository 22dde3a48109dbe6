/**
 * Orders of callers that become entries: who there is, money that comes in, rules that change. What may be logged at any
 * hub is logged here; mints and tiers go to the hub that clears for the account, whichever hub was asked.
 */
import { toHex } from '../protocol/bytes.ts'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import type { HubAnswer, HubRequest } from '../protocol/messages/ledger-rights.ts'
import type { Conditions } from './conditions.ts'
import type { Forwarding } from './forwarding.ts'
import { clearingLogOf } from './fold/views.ts'
import { decideAddKey, decideOpenAccount, decideRevokeKey, decideSetTier } from './hub/decide/accounts.ts'
import { decideChargeback, decideGrant, decidePurchase } from './hub/decide/money.ts'
import type { Intent } from './hub/events.ts'
import { logOfName, type HubState } from './hub/hub-state.ts'
import type { AppendResult, LedgerOrders } from './interface.ts'
import type { SubmitOptions, Submitted } from './log-writer.ts'
import { isPlanted } from './planted-bugs.ts'

export interface OrdersComponents {
  readonly hub: HubState
  /** Throws LEDGER_READ_ONLY where this hub may not write. */
  readonly submit: (intent: Intent, options?: SubmitOptions) => Promise<Submitted>
  readonly forwarding: () => Pick<Forwarding, 'ask'>
  readonly conditions: Conditions
}

/** An account that another hub has just opened may be on its way here. */
const ACCOUNT_MS_MAX = 1_000
/** The entry is logged at another hub; its copy takes a moment. */
const COPY_MS_MAX = 1_000

/** What does not fit its entry is ENTRY_INVALID. */
export function intentFrom(make: () => Intent): Intent {
  try {
    return make()
  } catch (cause) {
    const error = toTriforceError(cause)
    if (error.code !== 'FRAME_MALFORMED') throw error
    throw new TriforceError('ENTRY_INVALID', error.context, { cause })
  }
}

export interface Orders extends LedgerOrders {
  /** For another hub: logs what this one clears for. Throws NOT_HOME where it does not. */
  serve(request: HubRequest): Promise<HubAnswer>
}

export function createOrders({ hub, submit, forwarding, conditions }: OrdersComponents): Orders {
  function intentOfRequest(request: HubRequest): Intent {
    switch (request.do) {
      case 'grant': {
        const { account, amount, source, approved } = request
        return decideGrant(hub, { account, amountMicroCredits: amount, source, ...(approved === undefined ? {} : { approved }) })
      }
      case 'purchase':
        return decidePurchase(hub, { account: request.account, amountMicroCredits: request.amount, payment: request.payment, product: request.product })
      case 'chargeback':
        return decideChargeback(hub, { account: request.account, amountMicroCredits: request.amount, payment: request.payment })
      case 'setTier':
        return decideSetTier(hub, request)
    }
  }

  const logHere = async (request: HubRequest): Promise<Submitted> => await submit(intentFrom(() => intentOfRequest(request)), { replicated: true })

  async function logThere(clearing: number, request: HubRequest): Promise<AppendResult> {
    const { hub: author, epoch, frame, seq, known } = await forwarding().ask(clearing, request)
    await conditions.until(() => (hub.state.logs.get(`${author}/${epoch}`)?.frame ?? 0) >= frame, COPY_MS_MAX)
    return { hub: author, epoch, seq, known, durability: 'replicated' }
  }

  async function order(request: HubRequest): Promise<AppendResult> {
    // A body that does not fit is refused here, wherever it would be logged.
    intentFrom(() => intentOfRequest(request))
    const clearing = clearingLogOf(hub.state, toHex(request.account))
    if (clearing !== undefined && logOfName(clearing).hub !== hub.me && !isPlanted('mint-anywhere')) return await logThere(logOfName(clearing).hub, request)
    try {
      return publicResult(await logHere(request))
    } catch (error) {
      // The clearing moved on while the order waited.
      const { code, context } = toTriforceError(error)
      if (code !== 'NOT_HOME' || typeof context['hub'] !== 'number' || context['hub'] === hub.me) throw error
      return await logThere(context['hub'], request)
    }
  }

  return {
    openAccount: async (account) => publicResult(await submit(intentFrom(() => decideOpenAccount(hub, account)))),
    addKey: async (key) => publicResult(await submit(intentFrom(() => decideAddKey(hub, key)))),
    revokeKey: async (key) => publicResult(await submit(intentFrom(() => decideRevokeKey(hub, key)))),
    grant: async ({ account, amountMicroCredits, source, approved }) => {
      return await order({ do: 'grant', account, amount: amountMicroCredits, source, ...(approved === undefined ? {} : { approved }) })
    },
    purchase: async ({ account, amountMicroCredits, payment, product }) => await order({ do: 'purchase', account, amount: amountMicroCredits, payment, product }),
    chargeback: async ({ account, amountMicroCredits, payment }) => await order({ do: 'chargeback', account, amount: amountMicroCredits, payment }),
    setTier: async ({ account, tier }) => await order({ do: 'setTier', account, tier }),
    serve: async (request) => {
      const id = toHex(request.account)
      await conditions.until(() => hub.state.accounts.get(id)?.opened !== undefined, ACCOUNT_MS_MAX)
      return await logHere(request)
    },
  }
}

/** Without what only the ledger needs. */
export function publicResult({ hub, epoch, seq, durability, known }: Submitted): AppendResult {
  return { hub, epoch, seq, durability, known }
}
