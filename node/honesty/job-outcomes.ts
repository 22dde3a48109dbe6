/** What one job shows by itself, without asking anybody else. Pure. */
import type { Outcome } from './evidence.ts'
import type { EndedJob } from './job-watch.ts'
import { ceilingOf, floorOf } from './pace.ts'
import { recount } from './recount.ts'

/** Below this a time is mostly the way there and back. */
const PACE_TOKENS_MIN = 64
const SPEED_TOKENS_MIN = 32
/** With more at once it cannot be told what one would reach. */
const STREAMS_MAX = 4

/** `streams`: how many ran there at once, this one included; undefined where its reader may have been slow. */
export function outcomesOf(job: EndedJob, { classes, streams }: { readonly classes: readonly string[]; readonly streams: number | undefined }): Outcome[] {
  const { model, host, tokens, wholeMs, waited } = job
  const outcomes: Outcome[] = []
  const counted = recount(job)
  if (counted !== 'unknown') outcomes.push({ kind: 'excess', bad: counted !== 'plausible' })
  const perSecond = tokens * 1_000 / wholeMs
  const paced = { classes, vramBytes: host.capacity.gpus.reduce((sum, { vramBytes }) => sum + vramBytes, 0) }
  if (tokens >= PACE_TOKENS_MIN) {
    const ceiling = ceilingOf(model, paced)
    if (ceiling < Infinity) outcomes.push({ kind: 'pace', bad: perSecond > ceiling })
  }
  const floor = floorOf(model, paced)
  // Streams that run together share the machine, at worst evenly.
  if (streams !== undefined && streams <= STREAMS_MAX && !waited && tokens >= SPEED_TOKENS_MIN && floor > 0) outcomes.push({ kind: 'speed', bad: perSecond * streams < floor })
  return outcomes
}
