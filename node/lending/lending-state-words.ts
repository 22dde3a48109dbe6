/** Why a machine does not lend now, and when it will again, in sentences. Pure. */
import { civilTimeOf, ownTimeZone } from './civil-time.ts'
import { weekdays } from './schedule.ts'
import type { LenderView } from './lender.ts'
import type { NotLendingReason } from './lending-gate.ts'

export function lendingStateWords({ settings, state, running, bounds }: LenderView, nowMs: number): readonly string[] {
  const zone = settings.availability.timeZone ?? ownTimeZone()
  const when = (ms: number) => timeText(ms, nowMs, zone)
  const { reasons, changesMs } = state
  const broken = bounds.filter(({ held }) => !held).map(({ text }) => text)
  if (reasons.length === 0) return [`It lends now${changesMs === undefined ? '' : `, until ${when(changesMs)}`}.`, ...broken]
  const rest = running === 0 ? '' : ` ${running} ${running === 1 ? 'answer is' : 'answers are'} still being finished.`
  const again = changesMs === undefined ? wayOut(reasons) : `It lends again at ${when(changesMs)} by itself.`
  return [`It does not lend now: ${reasons.map((reason) => reasonText(reason, settings, when)).join('; ')}.${rest} ${again}`, ...broken]
}

function reasonText({ why, untilMs, detail }: NotLendingReason, { availability }: LenderView['settings'], when: (ms: number) => string): string {
  switch (why) {
    case 'paused': return untilMs === undefined ? 'it is paused' : `it is paused until ${when(untilMs)}`
    case 'draining': return 'it is drained, and takes nothing new until it is resumed or started again'
    case 'schedule': return `its hours are ${availability.schedule ?? '00:00-24:00'}${availability.days === undefined ? '' : ` on ${availability.days.join(', ')}`}`
    case 'hours': return `it has been lent for its ${availability.hoursPerDay ?? 0} ${availability.hoursPerDay === 1 ? 'hour' : 'hours'} of today`
    case 'in_use': return `another program uses the machine (${detail ?? 'unknown'})`
    case 'settings': return `its settings do not read: ${detail ?? ''}`
  }
}

function wayOut(reasons: readonly NotLendingReason[]): string {
  const whys = new Set(reasons.filter(({ untilMs }) => untilMs === undefined).map(({ why }) => why))
  if (whys.has('settings')) return 'Correct the file; it is read again within two seconds.'
  if (whys.has('paused') || whys.has('draining')) return 'To lend it again: triforce resume.'
  if (whys.has('in_use')) return 'It lends again a minute after that program has ended.'
  return 'It never will with these settings: change them with "triforce contributor set".'
}

/** `18:00`, or with the day where that is not today. */
export function timeText(ms: number, nowMs: number, zone: string): string {
  const [then, now] = [civilTimeOf(ms, zone), civilTimeOf(nowMs, zone)]
  const clock = `${two(Math.floor(then.minute / 60))}:${two(then.minute % 60)}`
  if (then.day === now.day) return clock
  if (then.day === now.day + 1) return `${clock} tomorrow`
  return then.day - now.day < 7 ? `${clock} on ${weekdays[then.weekday]!}` : `${clock} on ${new Date(then.day * 86_400_000).toISOString().slice(0, 10)}`
}

const two = (value: number) => String(value).padStart(2, '0')
