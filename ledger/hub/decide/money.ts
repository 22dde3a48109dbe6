/** Money that comes in or is taken back: grants, purchases, chargebacks. Only the log that clears for the account logs them. */
import { bytesEqual, toHex } from '../../../protocol/bytes.ts'
import { encodeEntry } from '../../entries/entry.ts'
import { readAdminChange } from '../../admin-change.ts'
import { approvalsNeeded, purchaseOf } from '../../fold/apply-money.ts'
import { dayOf, GRANTS_PER_DAY_MICRO_CREDITS, PURCHASES_PER_DAY_MICRO_CREDITS } from '../../rules.ts'
import type { Decision, Intent, Moment } from '../events.ts'
import type { HubState } from '../hub-state.ts'
import { accountStateOf, log, minted, notHome, nothing, refuse, sameBytes, unknownAccount } from './common.ts'

export interface GrantAsk {
  readonly account: Uint8Array
  readonly amountMicroCredits: bigint
  /** Names why, and makes a repeated grant the same grant. */
  readonly source: string
  /** First 16 bytes of the hash of a change that two hubs approved. */
  readonly approved?: Uint8Array
}

/** Throws FRAME_MALFORMED where a field does not fit. */
export function decideGrant(hub: HubState, { account, amountMicroCredits: amount, source, approved }: GrantAsk): Intent {
  const encoded = encodeEntry({ k: 'Grant', account, amount, source, ...(approved === undefined ? {} : { approved }) })
  const { eid } = encoded.entry
  const id = toHex(account)
  return {
    eid,
    // With or without an approval it is the same grant.
    same: ({ entry }) => entry.k === 'Grant' && entry.amount === amount && bytesEqual(entry.account, account) && entry.source === source,
    decide: (moment) => mint(hub, id, eid, moment) ?? grantBudget(hub, { account: id, amount, source, approved }, moment) ?? log(encoded),
  }
}

export function decidePurchase(
  hub: HubState, { account, amountMicroCredits, payment, product }: { account: Uint8Array; amountMicroCredits: bigint; payment: string; product: string },
): Intent {
  const encoded = encodeEntry({ k: 'Purchase', account, amount: amountMicroCredits, payment, product })
  const { eid } = encoded.entry
  return { eid, same: sameBytes(encoded), decide: (moment) => mint(hub, toHex(account), eid, moment, true) ?? purchaseBudget(hub, amountMicroCredits, moment) ?? log(encoded) }
}

export function decideChargeback(
  hub: HubState, { account, amountMicroCredits, payment }: { account: Uint8Array; amountMicroCredits: bigint; payment: string },
): Intent {
  const encoded = encodeEntry({ k: 'Chargeback', account, amount: amountMicroCredits, payment })
  const { eid } = encoded.entry
  return {
    eid,
    same: sameBytes(encoded),
    decide: (moment) => {
      const early = mint(hub, toHex(account), eid, moment, true)
      if (early !== undefined) return early
      const paid = purchaseOf(hub.state, toHex(account), { account, payment })
      if (paid === undefined) return refuse('ENTRY_INVALID', { problem: 'unknown payment', payment }, `no purchase of this account with the payment id "${payment}" is in the ledger`)
      if (amountMicroCredits > paid) {
        return refuse('ENTRY_INVALID', { problem: 'more than was paid', payment, paidMicroCredits: String(paid) }, `the purchase with the payment id "${payment}" was of ${paid} µcr: no more can be charged back`)
      }
      return log(encoded)
    },
  }
}

/** What holds for every mint; undefined where it may be logged. */
function mint(hub: HubState, account: string, eid: Uint8Array, moment: Moment, ofPayment = false): Decision | undefined {
  if (minted(hub, eid, ofPayment ? account : undefined)) return nothing
  if (accountStateOf(hub, account) === undefined) return unknownAccount(account)
  return notHome(hub, account, moment)
}

function purchaseBudget(hub: HubState, amount: bigint, moment: Moment): Decision | undefined {
  const purchased = hub.state.purchased.get(`${moment.log.hub}/${dayOf(moment.tsMs)}`) ?? 0n
  if (purchased + amount <= PURCHASES_PER_DAY_MICRO_CREDITS) return undefined
  return refuse('BUDGET_EXCEEDED', { leftMicroCredits: String(PURCHASES_PER_DAY_MICRO_CREDITS - purchased) })
}

function grantBudget(
  hub: HubState, { account, amount, source, approved }: { account: string; amount: bigint; source: string; approved: Uint8Array | undefined }, moment: Moment,
): Decision | undefined {
  if (approved === undefined) {
    const granted = hub.state.granted.get(`${moment.log.hub}/${dayOf(moment.tsMs)}`) ?? 0n
    if (granted + amount <= GRANTS_PER_DAY_MICRO_CREDITS) return undefined
    const left = GRANTS_PER_DAY_MICRO_CREDITS - granted
    return refuse('BUDGET_EXCEEDED', { leftMicroCredits: String(left < 0n ? 0n : left) })
  }
  const change = hub.state.changes.get(toHex(approved))
  if (change === undefined || change.hubs.size < approvalsNeeded()) return refuse('NEEDS_SECOND_HUB', { change: toHex(approved), approvals: change?.hubs.size ?? 0 })
  const { change: what } = readAdminChange(change.body)
  const fits = what.type === 'grant' && toHex(what.account) === account && what.amount === amount && what.source === source
  return fits ? undefined : refuse('ENTRY_INVALID', { problem: 'another grant was approved', change: toHex(approved) }, 'the two hubs approved another account, amount or source: repeat those exactly')
}
