/** Questions about accounts, keys, money and logs, answered from the live state. */
import { fromHex, toHex } from '../protocol/bytes.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { Clock } from '../protocol/ports.ts'
import { coveredMs, payOf } from './earning/pay.ts'
import { UNLIMITED_TOKENS, type AccountId, type DeviceState, type LedgerState } from './fold/state.ts'
import { accountOf, accountsOf, apiKeyOf, apiKeysOf, balanceOf, clearingLogOf, tierOn } from './fold/views.ts'
import { logOfName, type HubState } from './hub/hub-state.ts'
import { isNewcomer } from './hub/pay-duty.ts'
import type { AccountMoney, DeviceRecord, HubLedger, LendingRecord, LogHead } from './interface.ts'
import { dayOf, NEWCOMER_MS, NEWCOMER_RECEIPTS } from './rules.ts'
import type { LogStore } from './store/log-store.ts'
import { hardwareRate, newestRev, priceOf, priceRowOf, tierRow } from './tables/lookup.ts'

export interface QuestionsComponents {
  readonly clock: Clock
  readonly hub: HubState
  readonly store: Pick<LogStore, 'tails'>
}

export type Questions = Pick<HubLedger, 'account' | 'accounts' | 'apiKey' | 'apiKeys' | 'ownedBy' | 'keyUse' | 'clearingHub' | 'money' | 'price' | 'earningRate' | 'lending' | 'heads'>

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

  function lendingOf(account: AccountId): LendingRecord {
    const { state } = hub
    const keys = [...state.keysOfAccount.get(account) ?? []].filter((key) => !state.revokedKeys.has(key))
    const devices = keys.flatMap((key) => devicesOf(key)).filter((device) => device.levels.size > 0)
    const receipts = devices.reduce((sum, device) => sum + device.receipts, 0)
    const firstAt = devices.length === 0 ? undefined : Math.min(...devices.map((device) => device.firstAt))
    const record = firstAt === undefined ? undefined : { receipts, firstAt, nowMs: clock.now() }
    return {
      devices: devices.map((device) => recordOf(device, account)),
      probation: { active: isNewcomer(hub, record), receipts, receiptsMin: NEWCOMER_RECEIPTS, firstAt, ageMsMin: NEWCOMER_MS },
    }
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
    ownedBy: (account) => {
      const { keysOfAccount, revokedKeys } = hub.state
      const keys = keysOfAccount.get(toHex(account))
      return (publicKey) => keys?.has(publicKey) === true && !revokedKeys.has(publicKey)
    },
    keyUse: (publicKey) => {
      const use = hub.state.keyUse.get(toHex(publicKey))
      return { today: use?.days.get(dayOf(clock.now())) ?? 0n, total: use?.total ?? 0n }
    },
    clearingHub: (account) => {
      const clearing = clearingLogOf(hub.state, toHex(account))
      return clearing === undefined ? undefined : logOfName(clearing).hub
    },
    money: (account) => {
      const id = toHex(account)
      if (hub.state.accounts.get(id)?.opened === undefined) return undefined
      const { paid, unpaid } = earned(id)
      return { balance: balanceOf(hub.state, id), quota: quotaOf(id), earnedPaid: paid, earnedUnpaid: unpaid }
    },
    earningRate: (hardware, tier) => hardwareRate(hub.state, newestRev(hub.state, 'hardware'), hardware, tier),
    lending: (account) => {
      const id = toHex(account)
      return hub.state.accounts.get(id)?.opened === undefined ? undefined : lendingOf(id)
    },
    price: (provider, model) => {
      const rev = newestRev(hub.state, 'prices')
      const row = priceRowOf(hub.state, rev, provider, model)
      // The row for unlisted models need not be in the table; then nothing can be held for it either.
      const price = priceOf(hub.state, rev, row)
      if (price === undefined) throw new TriforceError('ENTRY_INVALID', { problem: 'unknown price', row })
      return { row, rev, promptMicroCredits: price.promptMicroCredits, completionMicroCredits: price.completionMicroCredits }
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

function recordOf(device: DeviceState, account: AccountId): DeviceRecord {
  const rates = [...device.levels.keys()].sort((a, b) => a > b ? -1 : 1)
  let above = 0
  const time = rates.map((rate) => {
    const covered = coveredMs(device.levels.get(rate)!)
    // At a rate is what is covered at it or above, without what is above.
    const ms = Math.max(0, covered - above)
    above = Math.max(above, covered)
    return { microCreditsPerHour: rate, ms }
  })
  return {
    contributor: fromHex(device.contributor)!, device: device.device, receipts: device.receipts, firstAt: device.firstAt,
    earned: payOf(device), paid: device.vestedBy.get(account) ?? 0n, time,
  }
}
