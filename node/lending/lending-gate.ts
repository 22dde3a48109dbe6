/**
 * Whether this machine lends now, and if not, why and until when: its operator's pause, its schedule, its hours of the day,
 * another program that needs the GPU. Takes settings and a clock; tells who listens as soon as it changes.
 */
import { TriforceError } from '../../protocol/errors.ts'
import type { NotLendingWhy } from '../../protocol/messages/capacity.ts'
import type { Clock } from '../../protocol/ports.ts'
import { ownTimeZone } from './civil-time.ts'
import type { DayHours } from './day-hours.ts'
import { scheduleOf, stateAt, type Schedule, type ScheduleState } from './schedule.ts'
import type { LendingSettings, LendingStore } from './settings.ts'

export interface NotLendingReason {
  readonly why: NotLendingWhy
  /** Until when this keeps it; undefined: until somebody or something changes it. */
  readonly untilMs: number | undefined
  /** Such as the name of the program. */
  readonly detail?: string
}

export interface LendingState {
  /** Empty: it lends. */
  readonly reasons: readonly NotLendingReason[]
  /** When that changes by itself: it lends again, or lends no more. Undefined: it does not. */
  readonly changesMs: number | undefined
}

export interface LendingGateComponents {
  readonly clock: Clock
  readonly store: Pick<LendingStore, 'settings' | 'problem' | 'onChange'>
  readonly hours: DayHours
  /** Another program that needs the machine, in words. */
  readonly inUseBy: () => string | undefined
}

export interface LendingGate {
  readonly state: LendingState
  /** What a job is refused with; undefined: it may come. */
  refusal(): TriforceError | undefined
  /** Until the node starts again, or `false`. */
  drain(draining: boolean): void
  /** Something that is asked has changed. */
  look(): void
  onChange(listener: () => void): void
  start(): void
  stop(): void
}

type ClockState = ScheduleState & { readonly schedule: Schedule | undefined }

const HOUR_MS = 3_600_000
/** What is asked is looked at this often at least: hours are counted, and a clock may be set. */
const LOOK_MS_MAX = 30_000
const LOOK_MS_MIN = 20

export function createLendingGate({ clock, store, hours, inUseBy }: LendingGateComponents): LendingGate {
  const listeners = new Set<() => void>()
  let draining = false
  let running = false
  let cancel = (): void => {}
  let known: ClockState & { readonly of: unknown; readonly fromMs: number } = { of: undefined, fromMs: 0, schedule: undefined, open: true, untilMs: undefined }
  let state = stateNow()

  function stateNow(): LendingState {
    const { settings, problem } = store
    const zone = settings.availability.timeZone ?? ownTimeZone()
    const nowMs = clock.now()
    const { schedule, ...clockState } = clockStateAt(settings, nowMs)
    const leftMs = hoursLeftMs(settings)
    const inUse = inUseBy()
    const { pause } = settings.controls
    const reasons: NotLendingReason[] = [
      ...(problem === undefined ? [] : [{ why: 'settings' as const, untilMs: undefined, detail: problem }]),
      ...(draining ? [{ why: 'draining' as const, untilMs: undefined }] : []),
      ...(pause === undefined || (pause.untilMs ?? Infinity) <= nowMs ? [] : [{ why: 'paused' as const, untilMs: pause.untilMs }]),
      ...(clockState.open ? [] : [{ why: 'schedule' as const, untilMs: clockState.untilMs }]),
      ...(leftMs > 0 ? [] : [{ why: 'hours' as const, untilMs: settings.availability.hoursPerDay === 0 ? undefined : hours.nextDayMs(zone) }]),
      ...(inUse === undefined ? [] : [{ why: 'in_use' as const, untilMs: undefined, detail: inUse }]),
    ]
    if (reasons.length > 0) return { reasons, changesMs: lendsAgainMs(reasons, schedule) }
    const ends = [clockState.untilMs, Number.isFinite(leftMs) && leftMs < 24 * HOUR_MS ? nowMs + leftMs : undefined].filter((ms) => ms !== undefined)
    return { reasons, changesMs: ends.length === 0 ? undefined : Math.min(...ends) }
  }

  /** Holds until its end, so time zones are looked up only then. */
  function clockStateAt(settings: LendingSettings, nowMs: number): ClockState {
    if (settings.availability !== known.of || nowMs < known.fromMs || nowMs >= (known.untilMs ?? known.fromMs + 24 * HOUR_MS)) {
      const schedule = scheduleFor(settings)
      known = { of: settings.availability, fromMs: nowMs, schedule, ...schedule === undefined ? { open: true, untilMs: undefined } : stateAt(schedule, nowMs) }
    }
    return known
  }

  function hoursLeftMs({ availability: { hoursPerDay } }: LendingSettings): number {
    return hoursPerDay === undefined || hoursPerDay >= 24 ? Infinity : hoursPerDay * HOUR_MS - hours.lent.ms
  }

  function look(): void {
    hours.count(running && state.reasons.length === 0, store.settings.availability.timeZone ?? ownTimeZone())
    const before = state
    state = stateNow()
    if (!isSame(before, state)) for (const listener of listeners) listener()
    cancel()
    if (!running) return
    const dueMs = (state.changesMs ?? Infinity) - clock.now()
    cancel = clock.after(Math.min(Math.max(dueMs, LOOK_MS_MIN), LOOK_MS_MAX), look)
  }

  store.onChange(look)

  return {
    get state() { return state },
    refusal() {
      const [reason] = state.reasons
      if (reason === undefined) return undefined
      const { changesMs } = state
      return new TriforceError('LENDING_PAUSED', { why: reason.why }, changesMs === undefined ? {} : { retryAfterMs: Math.max(1_000, changesMs - clock.now()) })
    },
    drain(wanted) {
      draining = wanted
      look()
    },
    look,
    onChange(listener) { listeners.add(listener) },
    start() {
      running = true
      hours.count(false, store.settings.availability.timeZone ?? ownTimeZone())
      look()
    },
    stop() {
      look()
      running = false
      cancel()
    },
  }
}

function scheduleFor({ availability }: LendingSettings): Schedule | undefined {
  try {
    return scheduleOf(availability)
  } catch {
    // The store checks what it takes; a zone that this runtime no longer knows must not stop the node.
    return { zone: 'UTC', fromMinute: 0, toMinute: 0, days: new Set() }
  }
}

/** The first moment at which none of the reasons holds any more; undefined where one of them holds until it is changed. */
function lendsAgainMs(reasons: readonly NotLendingReason[], schedule: Schedule | undefined): number | undefined {
  const untils = reasons.map(({ untilMs }) => untilMs)
  if (untils.includes(undefined)) return undefined
  const untilMs = Math.max(...untils.map((ms) => ms!))
  const isTheSchedules = reasons.some((reason) => reason.why === 'schedule' && reason.untilMs === untilMs)
  const then = schedule === undefined || isTheSchedules ? undefined : stateAt(schedule, untilMs)
  return then === undefined || then.open ? untilMs : then.untilMs
}

function isSame(a: LendingState, b: LendingState): boolean {
  return a.reasons.length === b.reasons.length && a.reasons.every(({ why, untilMs, detail }, index) => {
    const other = b.reasons[index]!
    return why === other.why && untilMs === other.untilMs && detail === other.detail
  })
}
