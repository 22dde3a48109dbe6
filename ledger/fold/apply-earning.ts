/** Folds earning: facts are added to their device, and pay follows from the facts alone. */
import { toHex } from '../../protocol/bytes.ts'
import { addFact, createDevice, payOf } from '../earning/pay.ts'
import type { EntryOf } from '../entries/entry.ts'
import { isPlanted } from '../planted-bugs.ts'
import { CONTRIBUTOR_EXPENSE, NEWCOMER_RECEIPTS } from '../rules.ts'
import { isIn, mintPostings, refuseUnlessClearing } from './apply-money.ts'
import { readHalf } from './documents.ts'
import { NO_EFFECT, type Effect, type Scene } from './effect.ts'
import { credit, system } from './postings.ts'
import { refuse } from './refused.ts'
import { deviceKeyOf, type DeviceState, type LedgerState } from './state.ts'

/** A receipt earns where the hub found a rate and the contributor has signed: the same time on each device that has a rate. */
export function jobReceipt({ state, at }: Scene, entry: EntryOf<'JobReceipt'>): Effect {
  const { rate, rates, half } = entry
  if (rate === undefined && rates === undefined || half === undefined) return NO_EFFECT
  const work = readHalf(half.body)
  const { observedMs, endedAt } = entry.observation
  if (work === undefined || work.endMs < work.startMs) refuse("the contributor's half cannot be read")
  const earning = rates ?? [{ device: work.devices[0]!, rate: rate! }]
  const names = new Set(earning.map(({ device }) => device))
  if (names.size < earning.length) refuse('it has two rates for one device')
  for (const device of names) if (!work.devices.includes(device)) refuse('it has a rate for a device that its half does not name')
  return {
    postings: [],
    after: () => {
      const contributor = toHex(entry.contributor)
      for (const one of earning) {
        addFact(deviceFor(state, contributor, one.device), {
          rate: one.rate, boot: work.boot, deviceFromMs: work.startMs, deviceToMs: work.endMs, ...past(Math.max(0, endedAt - observedMs), endedAt, at.tsMs),
        })
      }
      // One job is one receipt, however many devices it ran on: a newcomer's receipts are the sum over its devices.
      const device = deviceFor(state, contributor, earning[0]!.device)
      if (device.receipts >= NEWCOMER_RECEIPTS) return
      device.receiptIds.add(toHex(entry.eid))
      device.receipts = device.receiptIds.size
      // Which ones they were is of no use any more, and differs with the order in which they came.
      if (device.receipts >= NEWCOMER_RECEIPTS) device.receiptIds.clear()
    },
  }
}

export function presence({ state, at }: Scene, entry: EntryOf<'Presence'>): Effect {
  if (entry.hub !== at.hub) refuse('another hub saw it')
  if (entry.deviceToMs < entry.deviceFromMs || entry.wallToMs < entry.wallFromMs) refuse('it ends before it begins')
  return {
    postings: [],
    after: () => {
      const contributor = toHex(entry.contributor)
      const boot = toHex(entry.boot)
      for (const { device, rate } of entry.devices) {
        addFact(deviceFor(state, contributor, device), {
          rate, boot, deviceFromMs: entry.deviceFromMs, deviceToMs: entry.deviceToMs, ...past(entry.wallFromMs, entry.wallToMs, at.tsMs),
        })
      }
    },
  }
}

/** Nothing is paid for time after the entry was logged. */
function past(fromMs: number, toMs: number, tsMs: number): { readonly wallFromMs: number; readonly wallToMs: number } {
  return { wallFromMs: Math.min(fromMs, tsMs), wallToMs: Math.min(toMs, tsMs) }
}

function deviceFor(state: LedgerState, contributor: string, device: string): DeviceState {
  const key = deviceKeyOf(contributor, device)
  const known = state.devices.get(key)
  if (known !== undefined) return known
  const fresh = createDevice(contributor, device)
  state.devices.set(key, fresh)
  return fresh
}

/**
 * Pays an account for a device, up to a total. What was paid to other accounts for the same device is not known to this
 * log in time, so `delta` is exact against what this account got.
 */
export function vest(scene: Scene, entry: EntryOf<'Vest'>): Effect {
  const { state } = scene
  const id = toHex(entry.account)
  const { total, delta, back } = entry
  refuseUnlessClearing(scene, id)
  const device = state.devices.get(deviceKeyOf(toHex(entry.contributor), entry.device)) ?? refuse('its device has done nothing')
  const before = device.vestedBy.get(id) ?? 0n
  if (total <= before) return NO_EFFECT
  if (back > delta) refuse('it holds back more than it pays')
  if (!isPlanted('vest-pays-again')) {
    if (delta !== total - before) refuse('it pays what was paid already')
    if (total > payOf(device)) refuse('it pays more than the facts earn')
  }
  return {
    postings: [...mintPostings(scene, id, delta - back), credit(id, 'back', back), system(CONTRIBUTOR_EXPENSE, -delta)],
    after: () => {
      device.vestedBy.set(id, total)
      device.vested += total - before
    },
  }
}

export function backRelease(scene: Scene, entry: EntryOf<'BackRelease'>): Effect {
  const { state } = scene
  const id = toHex(entry.account)
  const eid = toHex(entry.eid)
  refuseUnlessClearing(scene, id)
  if (isIn(scene, eid)) return NO_EFFECT
  if ((state.accounts.get(id)?.back ?? 0n) < entry.amount) refuse('it releases more than is held back')
  return {
    postings: [credit(id, 'back', -entry.amount), ...mintPostings(scene, id, entry.amount)],
    after: () => { state.mints.add(eid) },
  }
}
