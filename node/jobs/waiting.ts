/**
 * What is told while a job has no text: between the frames of a host and the events of a gateway, and as a pulse, since
 * whoever follows a job gives it up after JOB_SILENCE_MS_MAX without a word.
 */
import { JOB_BEAT_MS } from '../../protocol/limits.ts'
import type { JobTell } from '../../protocol/messages/job.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { CompletionEvent } from '../gateway.ts'
import type { Handoff } from './handoff.ts'

export type WaitingEvent = Extract<CompletionEvent, { type: 'waiting' }>
type Beat = Extract<JobTell, { t: 'beat' }>

/** The loaded part is thousandths on the wire and 0 to 1 in an event. */
export function waitingOf({ state, at }: Beat): WaitingEvent {
  if (at === undefined) return { type: 'waiting', state }
  return { type: 'waiting', state, at: state === 'loading' ? at / 1_000 : at }
}

/** The wire has no word for placing: for the asking side the job waits in a queue. */
export function beatOf({ state, at }: WaitingEvent): Beat {
  if (state === 'placing') return { t: 'beat', state: 'queued' }
  if (at === undefined) return { t: 'beat', state }
  return { t: 'beat', state, at: state === 'loading' ? Math.round(at * 1_000) : at }
}

export interface Pulse {
  /** Told now where somebody listens, and repeated until something else is said. */
  say(event: WaitingEvent): void
  stop(): void
}

/** Every JOB_BEAT_MS, where the consumer waits for the next event, it is told that the job lives: placing and settling take time too. */
export function startPulse(clock: Clock, handoff: Pick<Handoff<WaitingEvent>, 'offerIfIdle'>): Pulse {
  let now: WaitingEvent = { type: 'waiting', state: 'placing' }
  let cancel = clock.after(JOB_BEAT_MS, tick)

  function tick(): void {
    handoff.offerIfIdle(now)
    cancel = clock.after(JOB_BEAT_MS, tick)
  }

  return {
    say(event) {
      now = event
      cancel()
      tick()
    },
    stop: () => cancel(),
  }
}
