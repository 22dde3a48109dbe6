/** What one job shows by itself, without asking anybody else. Pure. */
import type { Outcome } from './evidence.ts'
import type { EndedJob } from './job-watch.ts'
import { ceilingOf, floorOf } from './pace.ts'
import { recount } from './recount.ts'

/** Below this a time is mostly the way there and back. */
const PACE_TOKENS_MIN = 64
const SPEED_TOKENS_MIN = 32

/** `isAlone`: nothing else ran there, and its reader was quick. */
export function outcomesOf(job: EndedJob, { classes, isAlone }: { readonly classes: readonly string[]; readonly isAlone: boolean }): Outcome[] {
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
  if (isAlone && !waited && tokens >= SPEED_TOKENS_MIN && floor > 0) outcomes.push({ kind: 'speed', bad: perSecond < floor })
  return outcomes
}
