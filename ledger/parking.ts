/** Where things wait for a limited time, in the order in which they came: intents that are short of rights. */
import type { Clock } from '../protocol/ports.ts'

export interface ParkingOptions {
  readonly parkedMax: number
  /** From the first time on that it is parked. */
  readonly parkedMsMax: number
}

export interface Parking<Item> {
  /** `over`: it has waited long enough. `full`: there is no room. In both cases it is not parked. */
  park(item: Item): 'parked' | 'over' | 'full'
  /** Everything, in order; nothing is parked then. */
  empty(): readonly Item[]
  readonly size: number
}

/** `onDue` gets what has waited long enough; it is not parked any more then. */
export function createParking<Item extends object>(clock: Clock, { parkedMax, parkedMsMax }: ParkingOptions, onDue: (item: Item) => void): Parking<Item> {
  const parked = new Map<Item, () => void>()
  const untilMs = new WeakMap<Item, number>()

  return {
    get size() { return parked.size },
    park: (item) => {
      const nowMs = clock.monotonicMs()
      const until = untilMs.get(item) ?? nowMs + parkedMsMax
      untilMs.set(item, until)
      // Timers know no shorter time: what is left of a fraction would be waited for again and again.
      if (until - nowMs < 1) return 'over'
      if (parked.size >= parkedMax) return 'full'
      parked.set(item, clock.after(until - nowMs, () => {
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
