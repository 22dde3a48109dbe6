/** Where things wait for a limited time, in the order in which they came: intents that are short of rights. */
import { TriforceError } from '../protocol/errors.ts'
import type { Clock } from '../protocol/ports.ts'

export interface ParkingOptions {
  readonly parkedMax: number
  /** From the first time on that it is parked. */
  readonly parkedMsMax: number
}

/** Times that one item is parked; in the longest wait there is no room for so many frames, so more can only be a circle. */
export const PARKED_TIMES_MAX = 100_000

export interface Parking<Item> {
  /** `over`: it has waited long enough. `full`: there is no room. In both cases it is not parked. Throws INTERNAL for what comes again and again without end. */
  park(item: Item): 'parked' | 'over' | 'full'
  /** Everything, in order; nothing is parked then. */
  empty(): readonly Item[]
  readonly size: number
}

/** `onDue` gets what has waited long enough; it is not parked any more then. */
export function createParking<Item extends object>(clock: Clock, { parkedMax, parkedMsMax }: ParkingOptions, onDue: (item: Item) => void): Parking<Item> {
  const parked = new Map<Item, () => void>()
  const waits = new WeakMap<Item, { readonly untilMs: number; times: number }>()

  return {
    get size() { return parked.size },
    park: (item) => {
      const nowMs = clock.monotonicMs()
      const wait = waits.get(item) ?? { untilMs: nowMs + parkedMsMax, times: 0 }
      waits.set(item, wait)
      wait.times += 1
      if (wait.times > PARKED_TIMES_MAX) throw new TriforceError('INTERNAL', {}, { detail: 'a wait for rights goes round in a circle' })
      // Timers know no shorter time: what is left of a fraction would be waited for again and again.
      if (wait.untilMs - nowMs < 1) return 'over'
      if (parked.size >= parkedMax) return 'full'
      parked.set(item, clock.after(wait.untilMs - nowMs, () => {
        parked.delete(item)
        onDue(item)
      }))
      return 'parked'
    },
    empty: () => {
      const items = [...parked.keys()]
      for (const cancel of parked.values()) cancel()
      parked.clear()
      return items
    },
  }
}
