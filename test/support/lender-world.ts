/** The controls of a machine with a clock that is moved by hand, settings in memory, and no bounds to hold. */
import { createDayHours } from '../../node/lending/day-hours.ts'
import { createLender, type LenderView } from '../../node/lending/lender.ts'
import { createLendingGate } from '../../node/lending/lending-gate.ts'
import { scheduleOf } from '../../node/lending/schedule.ts'
import { changed, type LendingSettings, type LendingStore } from '../../node/lending/settings.ts'
import type { Principal } from '../../node/gateway.ts'
import { fakeClock } from './fake-clock.ts'

export function memorySettings(): LendingStore {
  let settings: LendingSettings = { availability: {}, models: [], controls: {} }
  const listeners: (() => void)[] = []
  return {
    get settings() { return settings },
    problem: undefined,
    // eslint-disable-next-line @typescript-eslint/require-await -- throws become rejections, as with the file
    async change(change) {
      const next = changed(settings, change)
      scheduleOf(next.availability)
      settings = next
      for (const listener of listeners) listener()
    },
    onChange(listener) { listeners.push(listener) },
  }
}

export function lenderWorld(options: { readonly startMs?: number; readonly account?: Uint8Array; readonly checkOwner?: (principal: Principal) => void; readonly running?: () => number } = {}) {
  const clock = fakeClock(options.startMs)
  const store = memorySettings()
  const hours = createDayHours({ clock, known: undefined })
  const gate = createLendingGate({ clock, store, hours, inUseBy: () => undefined })
  const lender = createLender({
    clock, store, gate, lentTodayMs: () => hours.lent.ms, bounds: () => [], account: () => options.account, checkOwner: options.checkOwner ?? (() => {}),
    jobs: () => ({ running: options.running?.() ?? 0, queued: 0 }),
  })
  gate.start()
  return { clock, store, gate, lender }
}

/** Of a machine that lends. */
export const lendingView: LenderView = {
  settings: { availability: {}, models: [], controls: {} }, state: { reasons: [], changesMs: undefined }, lentTodayMs: 0, running: 0, waiting: 0, bounds: [],
}
