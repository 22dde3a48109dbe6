/**
 * Which privacy class a host falls into for an account: its own nodes, those of friends, those that are verified, any.
 * A node belongs to the account whose key it has; friends are the accounts that the asking API key names. Hubs are verified: the federation file names them.
 */
import type { HubLedger } from '../../ledger/interface.ts'
import type { PrivacyClass } from '../../protocol/routing.ts'
import type { CapacityRow } from '../capacity/table.ts'
import type { Asker } from '../jobs/candidates.ts'

export interface HostPrivacyComponents {
  readonly ledger: Pick<HubLedger, 'apiKey' | 'ownedBy'>
  /** True for a node that passed the checks of newcomers; asked with the account that owns it. */
  readonly isProven: (account: Uint8Array) => boolean
}

/**
 * The class of hosts for who asks. Without `needsProof` a stranger's machine is `any`, verified or not: that takes its account's whole record
 * to tell, and most prompts may be seen by anybody.
 */
export type HostPrivacy = (asker: Asker, options: { readonly needsProof: boolean }) => (row: Pick<CapacityRow, 'contributor' | 'capacity'>) => PrivacyClass

export function createHostPrivacy({ ledger, isProven }: HostPrivacyComponents): HostPrivacy {
  return ({ account, friends = [] }, { needsProof }) => {
    const isOwn = ledger.ownedBy(account)
    const areFriends = friends.map((friend) => ledger.ownedBy(friend))
    return ({ contributor, capacity }) => {
      if (isOwn(contributor)) return 'own'
      if (areFriends.some((isFriends) => isFriends(contributor))) return 'friends'
      if (capacity.mode === 'hub') return 'verified'
      const owner = needsProof ? ledger.apiKey(capacity.peer)?.account : undefined
      return owner !== undefined && isProven(owner) ? 'verified' : 'any'
    }
  }
}
