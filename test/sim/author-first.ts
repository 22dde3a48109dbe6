/**
 * "The order is: own disk, then peers" (docs/ledger.md#acknowledgement), looked at where a hub starts on a disk that has lost nothing:
 * whatever other disks have of its logs, its own has too. Had it been sent before, a crash could leave it elsewhere only.
 */
import { framePositionOf, frameRange, orphanRange } from '../../ledger/store/buckets.ts'
import { keyBytes, keyText, placeOf, type DiskImage } from './sim-disk.ts'
import type { HubSlot } from './sim-world.ts'

/** Problems of this hub, which is about to start. */
export function sentTooEarly(slots: readonly HubSlot[], { index, disk }: HubSlot): string[] {
  const own = lastFrames(disk.image, index)
  return slots.filter((other) => other.index !== index).flatMap((other) => [...lastFrames(other.disk.image, index)]
    .filter(([epoch, no]) => no > (own.get(epoch) ?? 0))
    .map(([epoch, no]) => `hub${other.index + 1} has frame ${no} of log ${index}/${epoch}, and its author's disk has ${own.get(epoch) ?? 0} frames of it`))
}

/** The last frame of each log of a hub, by epoch, also where it was moved aside since: it was written all the same. */
function lastFrames({ keys }: DiskImage, hub: number): Map<number, number> {
  const found = new Map<number, number>()
  for (const range of [frameRange, orphanRange]) {
    for (let place = placeOf(keys, keyText(range.gte)); place < keys.length && keys[place]! < keyText(range.lt); place += 1) {
      const { log, no } = framePositionOf(keyBytes(keys[place]!))
      if (log.hub === hub) found.set(log.epoch, Math.max(found.get(log.epoch) ?? 0, no))
    }
  }
  return found
}
