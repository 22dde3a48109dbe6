/** Who there is: opening accounts, adding and revoking keys, changing tiers. */
import { isDeepStrictEqual } from 'node:util'
import { accountIdOf } from '../../../protocol/api-key.ts'
import { toHex } from '../../../protocol/bytes.ts'
import type { KeyTerms } from '../../../protocol/key-terms.ts'
import { encodeEntry } from '../../entries/entry.ts'
import { newestRev, tierRow } from '../../tables/lookup.ts'
import type { Intent } from '../events.ts'
import type { HubState } from '../hub-state.ts'
import { accountStateOf, log, notHome, nothing, refuse, sameBytes, unknownAccount } from './common.ts'

function unknownTier(tier: string) {
  return refuse('ENTRY_INVALID', { problem: 'unknown tier', tier }, `no tier is called "${tier}": see docs/economy.md for the list`)
}

/** Throws FRAME_MALFORMED where a field does not fit. */
export function decideOpenAccount(hub: HubState, { publicKey, name, tier }: { publicKey: Uint8Array; name: string; tier: string }): Intent {
  const encoded = encodeEntry({ k: 'AccountOpen', account: accountIdOf(publicKey), publicKey, name, tier })
  const account = toHex(accountIdOf(publicKey))
  return {
    eid: encoded.entry.eid,
    same: sameBytes(encoded),
    decide: () => {
      const known = hub.state.accounts.get(account)?.opened
      if (known !== undefined) {
        return known.name === name && known.tier === tier ? nothing : refuse('ENTRY_CONFLICT', { kind: 'AccountOpen', account })
      }
      return tierRow(hub.state, newestRev(hub.state, 'tiers'), tier) === undefined ? unknownTier(tier) : log(encoded)
    },
  }
}

export function decideAddKey(
  hub: HubState, { publicKey, account, name, terms }: { publicKey: Uint8Array; account: Uint8Array; name: string; terms?: KeyTerms },
): Intent {
  const encoded = encodeEntry({ k: 'KeyAdd', publicKey, account, name, ...(terms === undefined ? {} : { terms }) })
  const key = toHex(publicKey)
  const owner = toHex(account)
  return {
    eid: encoded.entry.eid,
    same: sameBytes(encoded),
    decide: () => {
      const known = hub.state.keys.get(key)
      if (known !== undefined) return known.account === owner && known.name === name && isDeepStrictEqual(known.terms, terms) ? nothing : refuse('ENTRY_CONFLICT', { kind: 'KeyAdd', key })
      if (hub.state.revokedKeys.has(key)) return refuse('ENTRY_INVALID', { problem: 'revoked key', key }, 'this key was revoked and never comes back: make a new one')
      return accountStateOf(hub, owner) === undefined ? unknownAccount(owner) : log(encoded)
    },
  }
}

/** A key that this hub does not know may be revoked too: its KeyAdd may be on its way, and must not win. */
export function decideRevokeKey(hub: HubState, { publicKey }: { publicKey: Uint8Array }): Intent {
  const encoded = encodeEntry({ k: 'KeyRevoke', publicKey })
  return {
    eid: encoded.entry.eid,
    same: sameBytes(encoded),
    decide: () => hub.state.revokedKeys.has(toHex(publicKey)) ? nothing : log(encoded),
  }
}

/** `rev` is the next one of the account when the intent is made; where another change comes first, this one is a conflict. */
export function decideSetTier(hub: HubState, { account, tier }: { account: Uint8Array; tier: string }): Intent {
  const id = toHex(account)
  const newest = () => hub.state.accounts.get(id)?.tiers.at(-1)
  const rev = (newest()?.rev ?? 0) + 1
  const encoded = encodeEntry({ k: 'TierSet', account, rev, tier })
  return {
    eid: encoded.entry.eid,
    same: sameBytes(encoded),
    decide: (moment) => {
      const state = accountStateOf(hub, id)
      if (state === undefined) return unknownAccount(id)
      const elsewhere = notHome(hub, id, moment)
      if (elsewhere !== undefined) return elsewhere
      const last = newest()
      if ((last?.tier ?? state.opened!.tier) === tier) return nothing
      if ((last?.rev ?? 0) + 1 !== rev) return refuse('ENTRY_CONFLICT', { kind: 'TierSet', account: id, rev })
      return tierRow(hub.state, newestRev(hub.state, 'tiers'), tier) === undefined ? unknownTier(tier) : log(encoded)
    },
  }
}
