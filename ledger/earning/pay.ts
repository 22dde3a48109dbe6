/**
 * Pay of a device: at each moment it earns the highest rate that a fact proves. A function of the set of facts alone, and
 * it only grows (docs/decisions/0010).
 */
import type { DeviceState, RateLevel } from '../fold/state.ts'
import { isPlanted } from '../planted-bugs.ts'
import { MS_PER_HOUR } from '../rules.ts'
import { insert } from './intervals.ts'

/** Something that a hub saw a device do. */
export interface Fact {
  /** µcr an hour, more than 0. */
  readonly rate: bigint
  /** Hexadecimal id of a start of the contributor, and [from, to) in ms of that boot. */
  readonly boot: string
  readonly deviceFromMs: number
  readonly deviceToMs: number
  /** [from, to) in Unix ms of the hub. */
  readonly wallFromMs: number
  readonly wallToMs: number
}

export function createDevice(contributor: string, device: string): DeviceState {
  return { contributor, device, levels: new Map(), vested: 0n, vestedBy: new Map(), receipts: 0, receiptIds: new Set(), firstAt: Number.MAX_SAFE_INTEGER }
}

export function addFact(device: DeviceState, fact: Fact): void {
  if (!device.levels.has(fact.rate)) device.levels.set(fact.rate, levelBelow(device, fact.rate))
  for (const [rate, level] of device.levels) {
    if (rate > fact.rate) continue
    let boot = level.boots.get(fact.boot)
    if (boot === undefined) {
      boot = []
      level.boots.set(fact.boot, boot)
    }
    const bootMs = insert(boot, fact.deviceFromMs, fact.deviceToMs)
    const wallMs = insert(level.wall, fact.wallFromMs, fact.wallToMs)
    const overlapPaid = isPlanted('overlap-paid-twice')
    level.bootMs += overlapPaid ? fact.deviceToMs - fact.deviceFromMs : bootMs
    level.wallMs += overlapPaid ? fact.wallToMs - fact.wallFromMs : wallMs
  }
  device.firstAt = Math.min(device.firstAt, fact.wallFromMs)
}

/** µcr for all facts: ⌊Σ (l_k − l_(k−1)) · M(l_k) / 3,600,000⌋ over the rates in ascending order. */
export function payOf(device: DeviceState): bigint {
  let sum = 0n
  let below = 0n
  for (const rate of [...device.levels.keys()].sort((a, b) => a < b ? -1 : 1)) {
    sum += (rate - below) * BigInt(coveredMs(device.levels.get(rate)!))
    below = rate
  }
  return sum / BigInt(MS_PER_HOUR)
}

/** The smaller of the two clocks counts: a hub's clock cannot lengthen a device's time, and two boots at once are one. */
export function coveredMs({ bootMs, wallMs }: RateLevel): number {
  return Math.min(bootMs, wallMs)
}

/** What a level at this new rate begins with: everything that is proven at a higher one. */
function levelBelow(device: DeviceState, rate: bigint): RateLevel {
  let next: bigint | undefined
  for (const known of device.levels.keys()) if (known > rate && (next === undefined || known < next)) next = known
  if (next === undefined) return { boots: new Map(), wall: [], bootMs: 0, wallMs: 0 }
  const { boots, wall, bootMs, wallMs } = device.levels.get(next)!
  return { boots: new Map([...boots].map(([boot, list]) => [boot, [...list]])), wall: [...wall], bootMs, wallMs }
}
