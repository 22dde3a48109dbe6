/**
 * Notices that this machine slept, was frozen, or changed its addresses. Its connections may then be dead without a
 * word ever coming; they are probed at once, instead of being found out by the heartbeat half a minute later.
 * A clock that was only set forward looks the same; then the probe finds everything alive and nothing is lost.
 */
import type { Clock, Log } from '../../protocol/ports.ts'
import type { Host } from './host.ts'

export interface WakeComponents {
  readonly host: Pick<Host, 'probe'>
  readonly clock: Clock
  readonly log: Log
  /** IP addresses of this machine now. */
  readonly addresses: () => readonly string[]
}

export interface WakeOptions {
  /** Called after the probe: what is not connected is dialled now. */
  readonly onAwake: () => void
}

export const wakeDefaults = Object.freeze({
  /** One look costs some 50 µs, for the list of addresses. */
  lookMs: 2_000,
  /** So much later than planned is no busy event loop any more. */
  jumpMs: 8_000,
  probeMsMax: 3_000,
})

export function startWake(components: WakeComponents, { onAwake }: WakeOptions): { stop(): void } {
  const { host, clock, addresses } = components
  const log = components.log.child('wake')
  const { lookMs, jumpMs, probeMsMax } = wakeDefaults
  let seen = key()
  let at = { wallMs: clock.now(), monotonicMs: clock.monotonicMs() }
  let cancel = clock.after(lookMs, look)
  let probing: Promise<void> | undefined

  function key(): string {
    return addresses().toSorted().join(' ')
  }

  function look(): void {
    const now = { wallMs: clock.now(), monotonicMs: clock.monotonicMs() }
    // The monotonic clock stands still in a sleep on some systems and runs on in others; a frozen process shows on both.
    const sleptMs = Math.max(now.wallMs - at.wallMs, now.monotonicMs - at.monotonicMs) - lookMs
    const found = key()
    const why = sleptMs > jumpMs ? 'this machine was asleep' : found === seen ? undefined : 'the addresses of this machine have changed'
    at = now
    seen = found
    if (why !== undefined) check(why, sleptMs)
    cancel = clock.after(lookMs, look)
  }

  function check(why: string, sleptMs: number): void {
    if (probing !== undefined) return
    log.info(`${why}, connections are checked`, { seconds: Math.round(Math.max(sleptMs, 0) / 1_000) })
    probing = host.probe({ waitMsMax: probeMsMax }).finally(() => {
      probing = undefined
      onAwake()
    })
  }

  return { stop: () => cancel() }
}
