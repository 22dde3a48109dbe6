/** Questions about accounts, keys, money and logs, answered from the live state. */
import { toHex } from '../protocol/bytes.ts'
import type { Clock } from '../protocol/ports.ts'
import { payOf } from './earning/pay.ts'
import { UNLIMITED_TOKENS, type AccountId, type DeviceState, type LedgerState } from './fold/state.ts'
import { accountOf, accountsOf, apiKeyOf, apiKeysOf, balanceOf, tierOn } from './fold/views.ts'
import type { HubState } from './hub/hub-state.ts'
import type { AccountMoney, HubLedger, LogHead } from './interface.ts'
import { dayOf } from './rules.ts'
import type { LogStore } from './store/log-store.ts'
import { newestRev, tierRow } from './tables/lookup.ts'

export interface QuestionsComponents {
  readonly clock: Clock
  readonly hub: HubState
  readonly store: Pick<LogStore, 'tails'>
}

export type Questions = Pick<HubLedger, 'account' | 'accounts' | 'apiKey' | 'apiKeys' | 'money' | 'heads'>

export function createQuestions({ clock, hub, store }: QuestionsComponents): Questions {
  /** Devices by contributor; no device ever goes, so their number tells whether it is complete. */
  let devices: { readonly state: LedgerState; readonly size: number; readonly of: Map<string, DeviceState[]> } | undefined

  function devicesOf(contributor: string): readonly DeviceState[] {
    const { state } = hub
    if (devices?.state !== state || devices.size !== state.devices.size) {
      devices = { state, size: state.devices.size, of: Map.groupBy(state.devices.values(), (device) => device.contributor) }
    }
    return devices.of.get(contributor) ?? []
  }

  function earned(account: AccountId): { readonly paid: bigint; readonly unpaid: bigint } {
    let paid = 0n
    let unpaid = 0n
    for (const key of hub.state.keysOfAccount.get(account) ?? []) {
      for (const device of devicesOf(key)) {
        paid += device.vestedBy.get(account) ?? 0n
        const due = payOf(device) - device.vested
        if (due > 0n) unpaid += due
      }
    }
    return { paid, unpaid }
  }

  function quotaOf(account: AccountId): AccountMoney['quota'] {
    const { state } = hub
    const day = dayOf(clock.now())
    const tokensPerDay = tierRow(state, newestRev(state, 'tiers'), tierOn(state, account, day))?.tokensPerDay ?? null
    let usedTokens = 0
    for (const { used } of state.accounts.get(account)?.quota.get(day)?.logs.values() ?? []) usedTokens += used
    return { day, tokensPerDay: tokensPerDay === UNLIMITED_TOKENS ? null : tokensPerDay, usedTokens }
  }

  return {
    account: (id) => accountOf(hub.state, toHex(id)),
    accounts: () => accountsOf(hub.state),
    apiKey: (publicKey) => apiKeyOf(hub.state, toHex(publicKey)),
    apiKeys: (account) => apiKeysOf(hub.state, toHex(account)),
    money: (account) => {
      const id = toHex(account)
      if (hub.state.accounts.get(id)?.opened === undefined) return undefined
      const { paid, unpaid } = earned(id)
      return { balance: balanceOf(hub.state, id), quota: quotaOf(id), earnedPaid: paid, earnedUnpaid: unpaid }
    },
    heads: () => {
      const heads = [...store.tails.values()].map(({ log, no, tree, hash }): LogHead => ({ ...log, frames: no, entries: tree.size, hash }))
      for (const index of hub.state.hubKeys.keys()) {
        if (!heads.some((head) => head.hub === index)) heads.push({ hub: index, epoch: 0, frames: 0, entries: 0, hash: new Uint8Array(32) })
      }
      return heads.sort((a, b) => a.hub - b.hub || a.epoch - b.epoch)
    },
  }
}
