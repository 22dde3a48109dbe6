/** Earning: what a device's time is worth when it is logged, pay at a final checkpoint, the held-back part of it. */
import { toHex } from '../../../protocol/bytes.ts'
import type { Hardware } from '../../earning/classes.ts'
import type { ReceiptHalf } from '../../../protocol/messages/receipt.ts'
import { encodeEntry, expectedEid, type ReceiptRate } from '../../entries/entry.ts'
import { deviceKeyOf, type AccountId } from '../../fold/state.ts'
import { tierOn } from '../../fold/views.ts'
import { isPlanted } from '../../planted-bugs.ts'
import { dayOf } from '../../rules.ts'
import { hardwareRate, newestRev, type HardwareRate } from '../../tables/lookup.ts'
import type { Intent } from '../events.ts'
import type { HubState } from '../hub-state.ts'
import { idBytes, log, minted, notHome, nothing } from './common.ts'

/** What a device of this contributor earns now; undefined where its key belongs to no account, or is revoked. */
export function earningRate(hub: HubState, contributor: string, hardware: Hardware | undefined, nowMs: number): HardwareRate | undefined {
  const account = earningAccount(hub, contributor)
  if (account === undefined) return undefined
  return hardwareRate(hub.state, newestRev(hub.state, 'hardware'), hardware, tierOn(hub.state, account, dayOf(nowMs)))
}

/** The account that a contributor's work is paid to. */
export function earningAccount(hub: HubState, contributor: string): AccountId | undefined {
  return hub.state.revokedKeys.has(contributor) ? undefined : hub.state.keys.get(contributor)?.account
}

export interface ReceiptFacts {
  /** Key of the contributor, and account that pays for the job. */
  readonly contributor: Uint8Array
  readonly payer: Uint8Array
  /** Signed by the contributor; undefined: it was gone before. */
  readonly half: Pick<ReceiptHalf, 'device' | 'devices'> | undefined
  /** The contributor's devices as it announced them; without hardware: a machine that has no graphics processor. */
  readonly announced: readonly AnnouncedDevice[]
}

/**
 * `rate` of a JobReceipt (µcr an hour), or its `rates` where the half names several devices. 0n or none: no half, no
 * account, or the contributor's own job. A device that was not announced earns nothing: else one machine could name a
 * new one in each half.
 */
export function receiptRate(hub: HubState, { contributor, payer, half, announced }: ReceiptFacts, nowMs: number): ReceiptRate {
  const key = toHex(contributor)
  if (half === undefined || earningAccount(hub, key) === toHex(payer)) return 0n
  const rateOf = (name: string) => {
    const known = announced.find(({ device }) => device === name)
    return known === undefined ? 0n : earningRate(hub, key, known.hardware, nowMs)?.busyMicroCreditsPerHour ?? 0n
  }
  if (half.devices === undefined) return rateOf(half.device)
  return [...new Set(half.devices)].map((device) => ({ device, rate: rateOf(device) })).filter(({ rate }) => rate > 0n)
}

export interface AnnouncedDevice {
  readonly device: string
  readonly hardware: Hardware | undefined
}

export interface PresenceAsk {
  readonly contributor: Uint8Array
  readonly boot: Uint8Array
  readonly deviceFromMs: number
  readonly deviceToMs: number
  readonly wallFromMs: number
  readonly wallToMs: number
  readonly devices: readonly AnnouncedDevice[]
}

/** Nothing is logged where none of the devices earns. Throws FRAME_MALFORMED where a field does not fit. */
export function decidePresence(hub: HubState, { contributor, boot, devices, ...times }: PresenceAsk): Intent {
  const eid = expectedEid({ k: 'Presence', hub: hub.me, contributor, boot, ...times, devices: [] })
  return {
    eid,
    decide: (moment) => {
      const earning = devices.flatMap(({ device, hardware }) => {
        const rate = earningRate(hub, toHex(contributor), hardware, moment.tsMs)?.standbyMicroCreditsPerHour ?? 0n
        return rate > 0n ? [{ device, rate }] : []
      })
      return earning.length === 0 ? nothing : log(encodeEntry({ k: 'Presence', hub: hub.me, contributor, boot, ...times, devices: earning }))
    },
  }
}

export interface VestAsk {
  /** Hexadecimal key of the contributor. */
  readonly contributor: string
  readonly device: string
  /** Pay of all facts at the final checkpoint `round` (µcr). */
  readonly total: bigint
  readonly round: number
  /** Half of it is held back. */
  readonly newcomer: boolean
}

/** Pays what is due beyond what was paid. Nothing where another vest, or another hub, came first. */
export function decideVest(hub: HubState, { contributor, device, total, round, newcomer }: VestAsk): Intent {
  const key = idBytes(contributor)
  const totalOfAccount = () => total - paidToOthers(hub, contributor, device)
  const named = totalOfAccount()
  return {
    eid: expectedEid({ k: 'Vest', contributor: key, device, account: key.subarray(0, 16), round, total: named, delta: named, back: 0n }),
    decide: (moment) => {
      const account = earningAccount(hub, contributor)
      if (account === undefined || !hub.mayPay(contributor) || notHome(hub, account, moment) !== undefined || totalOfAccount() !== named) return nothing
      const delta = named - (isPlanted('vest-pays-again') ? 0n : hub.state.devices.get(deviceKeyOf(contributor, device))?.vestedBy.get(account) ?? 0n)
      if (delta <= 0n) return nothing
      const back = newcomer ? delta / 2n : 0n
      return log(encodeEntry({ k: 'Vest', contributor: key, device, account: idBytes(account), round, total: named, delta, back }))
    },
  }
}

/** What the device's time brought to accounts that its key belonged to before: a fact is paid once, to whomever. */
function paidToOthers(hub: HubState, contributor: string, device: string): bigint {
  const known = hub.state.devices.get(deviceKeyOf(contributor, device))
  return known === undefined ? 0n : known.vested - (known.vestedBy.get(earningAccount(hub, contributor) ?? '') ?? 0n)
}

/** All that is held back of an account's pay becomes spendable. */
export function decideBackRelease(hub: HubState, account: AccountId): Intent {
  const bytes = idBytes(account)
  const eidOf = (step: number) => expectedEid({ k: 'BackRelease', account: bytes, step, amount: 1n })
  let step = 1
  while (minted(hub, eidOf(step))) step += 1
  return {
    eid: eidOf(step),
    decide: (moment) => {
      const amount = hub.state.accounts.get(account)?.back ?? 0n
      if (amount <= 0n || notHome(hub, account, moment) !== undefined || minted(hub, eidOf(step))) return nothing
      return log(encodeEntry({ k: 'BackRelease', account: bytes, step, amount }))
    },
  }
}
