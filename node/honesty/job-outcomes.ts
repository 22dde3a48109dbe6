/** What one job shows by itself, without asking anybody else. Pure. */
import type { OfferedModel } from '../../protocol/messages/capacity.ts'
import type { Outcome } from './evidence.ts'
import type { EndedJob, WatchedHost } from './job-watch.ts'
import { ceilingOf, floorOf, type PacedHost } from './pace.ts'
import { TIMED_STREAMS_MAX } from './quiet-turns.ts'
import { recount } from './recount.ts'
import type { Timing } from './timings.ts'

/** Below this a time is mostly the way there and back. */
const PACE_TOKENS_MIN = 64
const SPEED_TOKENS_MIN = 32

export interface JobSight {
  /** Of the machine's devices. */
  readonly classes: readonly string[]
  /** How many ran there at once, this one included; undefined where its reader may have been slow. */
  readonly streams: number | undefined
}

export function outcomesOf(job: EndedJob, { classes, streams }: JobSight): Outcome[] {
  const { model, tokens, wholeMs } = job
  const outcomes: Outcome[] = []
  const counted = recount(job)
  if (counted !== 'unknown') outcomes.push({ kind: 'excess', bad: counted !== 'plausible' })
  const perSecond = tokens * 1_000 / wholeMs
  const paced = pacedBy(job.host, classes)
  if (tokens >= PACE_TOKENS_MIN) {
    const ceiling = ceilingOf(model, paced)
    if (ceiling < Infinity) outcomes.push({ kind: 'pace', bad: perSecond > ceiling })
  }
  // Streams that run together share the machine, at worst evenly.
  if (streams !== undefined && timingOf(job, { classes, streams }) === 'told') outcomes.push({ kind: 'speed', bad: perSecond * streams < floorOf(model, paced) })
  return outcomes
}

/** Whether its speed can be told; undefined where nothing is asked of it, or where it is too short. */
export function timingOf({ model, host, tokens, waited }: EndedJob, { classes, streams }: JobSight): Timing | undefined {
  if (streams === undefined || tokens < SPEED_TOKENS_MIN || floorOf(model, pacedBy(host, classes)) === 0) return undefined
  return waited || streams > TIMED_STREAMS_MAX ? 'busy' : 'told'
}

/** It has a model of which some speed is asked. */
export function hasSpeedToShow(host: Pick<WatchedHost, 'capacity'>, models: readonly OfferedModel[], classes: readonly string[]): boolean {
  return models.some((model) => floorOf(model, pacedBy(host, classes)) > 0)
}

function pacedBy({ capacity }: Pick<WatchedHost, 'capacity'>, classes: readonly string[]): PacedHost {
  return { classes, vramBytes: capacity.gpus.reduce((sum, { vramBytes }) => sum + vramBytes, 0) }
}
