/**
 * Which privacy class a host falls into for an account: its own nodes, those of friends, those that are verified, any.
 * A node belongs to the account whose key it has; friends are the accounts that the asking API key names. Hubs are verified: the federation file names them.
 */
import type { HubLedger } from '../../ledger/interface.ts'
import { bytesEqual } from '../../protocol/bytes.ts'
import type { PrivacyClass } from '../../protocol/routing.ts'
import type { CapacityRow } from '../capacity/table.ts'
import type { Asker } from '../jobs/candidates.ts'

export interface HostPrivacyComponents {
  readonly ledger: Pick<HubLedger, 'apiKey'>
  /** True for a node that passed the checks of newcomers; asked with the account that owns it. */
  readonly isProven: (account: Uint8Array) => boolean
}

export function createHostPrivacy({ ledger, isProven }: HostPrivacyComponents): (asker: Asker, row: CapacityRow) => PrivacyClass {
  return ({ account, friends = [] }, { capacity }) => {
    const owner = ledger.apiKey(capacity.peer)?.account
    if (owner !== undefined && bytesEqual(owner, account)) return 'own'
    if (owner !== undefined && friends.some((friend) => bytesEqual(friend, owner))) return 'friends'
    if (capacity.mode === 'hub') return 'verified'
    return owner !== undefined && isProven(owner) ? 'verified' : 'any'
  }
}
