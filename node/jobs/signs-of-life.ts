/** What a host says of a running job beside its answer: what it is doing, and signed notes of how far it is. */
import { JOB_BEAT_MS, PROGRESS_MS, PROGRESS_MS_MIN, PROGRESS_TOKENS } from '../../protocol/limits.ts'
import type { JobTell, ProgressNote } from '../../protocol/messages/job.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { Channel } from '../net/channel.ts'
import { sendTell } from './frames.ts'

type Beat = Omit<Extract<JobTell, { t: 'beat' }>, 't'>

export function beatOf(state: { state: 'queued'; position: number } | { state: 'loading'; part?: number } | { state: 'running' }): Beat {
  switch (state.state) {
    case 'queued': return { state: 'queued', at: state.position }
    case 'loading': return { state: 'loading', ...(state.part === undefined ? {} : { at: Math.round(state.part * 1_000) }) }
    case 'running': return { state: 'running' }
  }
}

/** Says what is going on at once when it changes, and every JOB_BEAT_MS while nothing else is sent. */
export function startBeats(channel: Channel, clock: Clock) {
  let now: Beat = { state: 'running' }
  let isQuiet = true
  let cancel = clock.after(JOB_BEAT_MS, tick)

  function tick(): void {
    if (isQuiet) sendTell(channel, { t: 'beat', ...now })
    isQuiet = true
    cancel = clock.after(JOB_BEAT_MS, tick)
  }

  return {
    say(beat: Beat): void {
      const isNews = beat.state !== now.state || beat.at !== now.at
      now = beat
      if (isNews) sendTell(channel, { t: 'beat', ...beat })
    },
    sent(): void {
      isQuiet = false
    },
    stop: () => cancel(),
  }
}

/** A signed progress note is due every PROGRESS_TOKENS or PROGRESS_MS, whichever comes first, and never sooner than after PROGRESS_MS_MIN. */
export function createProgress(jobId: Uint8Array, clock: Clock) {
  let n = 0
  let tokensAtLast = 0
  let lastMs = clock.monotonicMs()
  return {
    due(tokens: number): ProgressNote | undefined {
      const nowMs = clock.monotonicMs()
      const sinceMs = nowMs - lastMs
      if (sinceMs < PROGRESS_MS_MIN || (tokens - tokensAtLast < PROGRESS_TOKENS && sinceMs < PROGRESS_MS)) return undefined
      n += 1
      tokensAtLast = tokens
      lastMs = nowMs
      return { v: 1, jobId, n, completionTokens: tokens, atMs: Math.floor(nowMs) }
    },
  }
}
