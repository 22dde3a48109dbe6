/**
 * What the operator of a machine that lends can do while it runs, and what they see: settings, pause, resume, drain.
 * Everything is done here in one place for the command line, the settings file and HTTP alike.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import type { Capacity } from '../../protocol/messages/capacity.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { Principal } from '../gateway.ts'
import type { LendingGate, LendingState } from './lending-gate.ts'
import type { LendingSettings, LendingStore, SettingsChange } from './settings.ts'

/** A bound that the system or the driver must hold: whether it does, in a sentence. */
export interface AppliedBound {
  readonly what: 'vram' | 'power'
  readonly held: boolean
  readonly text: string
}

export interface LenderView {
  readonly settings: LendingSettings
  readonly state: LendingState
  readonly lentTodayMs: number
  readonly running: number
  readonly waiting: number
  readonly bounds: readonly AppliedBound[]
}

export interface LenderComponents {
  readonly clock: Clock
  readonly store: LendingStore
  readonly gate: LendingGate
  readonly lentTodayMs: () => number
  readonly jobs: () => { readonly running: number; readonly queued: number }
  readonly bounds: () => readonly AppliedBound[]
  /** Resolves when the bounds of the last change are held, or are known not to be. */
  readonly settled?: () => Promise<void>
  /** The account that the machine earns for, as far as it is known. */
  readonly account: () => Uint8Array | undefined
  /** Throws FORBIDDEN where the machine is not the account's. */
  readonly checkOwner: (principal: Principal) => void
}

export interface Lender {
  view(): LenderView
  /** Throws BAD_REQUEST, and CONFIG_INVALID where the settings on the disk do not read. */
  change(change: SettingsChange): Promise<void>
  /** Nothing new from now on; what runs ends in peace. Outlasts a restart. */
  pause(options: { readonly untilMs: number | undefined }): Promise<void>
  /** The same until the node starts again. */
  drain(): void
  /** Takes back a pause and a drain; a schedule stays. */
  resume(): Promise<void>
  checkOwner(principal: Principal): void
  /** For the executor. */
  refusal(): TriforceError | undefined
  rankOf(account: Uint8Array): number
  /** For announcements. */
  pauseNow(): Capacity['pause']
}

/** In the order in which their jobs are served. */
const RANK = Object.freeze({ own: 0, friend: 1, other: 2 })

export function createLender(components: LenderComponents): Lender {
  const { clock, store, gate, lentTodayMs, jobs, bounds, account } = components
  return {
    view() {
      const { running, queued } = jobs()
      return { settings: store.settings, state: gate.state, lentTodayMs: lentTodayMs(), running, waiting: queued, bounds: bounds() }
    },
    async change(change) {
      await store.change(change)
      await components.settled?.()
    },
    pause: ({ untilMs }) => store.change({ controls: { pause: { sinceMs: clock.now(), ...(untilMs === undefined ? {} : { untilMs }) } } }),
    drain: () => gate.drain(true),
    async resume() {
      if (store.settings.controls.pause !== undefined) await store.change({ controls: { pause: null } })
      gate.drain(false)
    },
    checkOwner: components.checkOwner,
    refusal: () => gate.refusal(),
    rankOf(asking) {
      const own = account()
      const id = toHex(asking)
      if (own !== undefined && toHex(own) === id) return RANK.own
      return store.settings.controls.friends?.includes(id) === true ? RANK.friend : RANK.other
    },
    pauseNow() {
      const { reasons: [reason], changesMs } = gate.state
      return reason === undefined ? undefined : { why: reason.why, ...(changesMs === undefined ? {} : { until: Math.floor(changesMs) }) }
    },
  }
}
