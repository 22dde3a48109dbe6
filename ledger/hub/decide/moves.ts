/** Rights on their way from log to log: given, accepted, taken back, released after a seal. */
import { toHex } from '../../../protocol/bytes.ts'
import type { LogId } from '../../../protocol/messages/ledger.ts'
import { encodeEntry, eidOfOnce, giveEidOf } from '../../entries/entry.ts'
import { hasFrozen } from '../../fold/apply-seals.ts'
import { keyIn } from '../../fold/slots.ts'
import type { AccountId, GiveState, LogName, Unit } from '../../fold/state.ts'
import { rightsOf, tierOn } from '../../fold/views.ts'
import { dayOf } from '../../rules.ts'
import { newestRev, tierRow } from '../../tables/lookup.ts'
import type { Intent } from '../events.ts'
import { logOfName, nameOfLog, type HubState } from '../hub-state.ts'
import { backedRights } from '../island.ts'
import { acceptOf } from '../short.ts'
import { actsFor, idBytes, log, nothing } from './common.ts'

/** A donor keeps a tenth for its own next request, where the asker does not need it. */
const DONOR_FLOOR_DIVISOR = 10n

/**
 * How much goes to who needs `min` and would like `want`, out of `have`. The floor of the donor stands back behind the
 * need: else nobody could spend the last tenth at another hub. Undefined: less than `min` is there.
 */
export function generosity({ have, min, want }: { readonly have: bigint; readonly min: bigint; readonly want: bigint }): bigint | undefined {
  if (have <= 0n || min > have) return undefined
  const spare = have - have / DONOR_FLOOR_DIVISOR
  const most = want < spare ? want : spare
  const given = most < min ? min : most
  return given > 0n ? given : undefined
}

/** What this log can give of an account: µcr that another hub has on its disk too, or tokens of a day. */
export function giveable(hub: HubState, log: LogName, account: AccountId, unit: Unit, nowMs: number): bigint {
  if (unit === 0) {
    const rights = hub.state.accounts.get(account)?.rights.get(log) ?? 0n
    const backed = hub.island.log === log ? backedRights(hub.island, hub.state, account) : 0n
    return backed < rights ? backed : rights
  }
  // The day of the asker's next frame; its clock may be behind midnight still. A day that has not begun here is not given:
  // it may begin after a seal, and then it is the successor's.
  if (unit > dayOf(nowMs) || unit < dayOf(nowMs) - 1) return 0n
  const perDay = tierRow(hub.state, newestRev(hub.state, 'tiers'), tierOn(hub.state, account, unit))?.tokensPerDay
  if (perDay === null || perDay === undefined) return 0n
  const left = rightsOf(hub.state, account, log, unit, perDay)
  return left > 0n ? left : 0n
}

export interface GiveAsk {
  readonly request: Uint8Array
  readonly account: Uint8Array
  readonly unit: Unit
  readonly target: LogId
  readonly min: bigint
  readonly want: bigint
}

/** Where the rights are gone when its turn comes, nothing is logged and the asker is told with the next step. */
export function decideGive(hub: HubState, { request, account, unit, target, min, want }: GiveAsk): Intent {
  return {
    eid: giveEidOf(request),
    decide: (moment) => {
      const have = giveable(hub, nameOfLog(moment.log), toHex(account), unit, moment.tsMs)
      const amount = hub.state.logs.get(nameOfLog(target))?.status.is === 'live' ? generosity({ have, min, want }) : undefined
      if (amount !== undefined) {
        const tier = tierOn(hub.state, toHex(account), unit === 0 ? dayOf(moment.tsMs) : unit)
        const quota = unit === 0 ? {} : { quota: { tier, tierRev: newestRev(hub.state, 'tiers') } }
        return log(encodeEntry({ k: 'Give', request, account, unit, target, amount, ...quota }))
      }
      hub.rights.noneDue.push({ hub: target.hub, request, have })
      return nothing
    },
  }
}

function pendingGive(hub: HubState, { eid, from }: GiveState): GiveState | undefined {
  const key = keyIn(eid, from, (key) => hub.state.gives.get(key)?.from)
  return key === undefined ? undefined : hub.state.gives.get(key)
}

/** For a give that arrived and that no hold has taken along. */
export function decideAccept(hub: HubState, give: GiveState): Intent {
  return {
    eid: eidOfOnce('Accept', idBytes(give.eid)),
    decide: (moment) => {
      const known = pendingGive(hub, give)
      return known === undefined || known.to !== nameOfLog(moment.log) ? nothing : log(acceptOf(known))
    },
  }
}

/** For a give whose target was sealed without having accepted it. */
export function decideGiveReturn(hub: HubState, give: GiveState): Intent {
  return {
    eid: eidOfOnce('GiveReturn', idBytes(give.eid)),
    decide: (moment) => {
      const known = pendingGive(hub, give)
      const lost = known !== undefined && hub.state.logs.get(known.to)?.status.is === 'sealed' && actsFor(hub, known.from) === nameOfLog(moment.log)
      return lost ? log(encodeEntry({ k: 'GiveReturn', give: idBytes(give.eid) })) : nothing
    },
  }
}

/** What is still frozen of a sealed log becomes the successor's, some time after the seal. */
export function decideIslandRelease(hub: HubState, sealed: LogName): Intent {
  const encoded = encodeEntry({ k: 'IslandRelease', log: logOfName(sealed) })
  return {
    eid: encoded.entry.eid,
    decide: (moment) => {
      const status = hub.state.logs.get(sealed)?.status
      if (status?.is !== 'sealed' || status.successor !== nameOfLog(moment.log)) return nothing
      if (hasFrozen(hub.state, sealed)) return log(encoded)
      hub.duties.released.add(sealed)
      return nothing
    },
  }
}
