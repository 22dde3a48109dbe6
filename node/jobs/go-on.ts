/**
 * A hub's way on for an answer whose host broke off: another host that can go on from what the client has, those with the
 * same weights first; where there is none at the moment, the same look again for some seconds, in which a host that only
 * lost its line may be back. The client sees nothing of it but a pause.
 */
import { isEmbedding, type JobRequest } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import { estimatePromptTokens } from '../../protocol/token-estimate.ts'
import type { Attempts, Told } from './attempt.ts'
import type { HostOffer } from './candidates.ts'
import type { Continuation, EndedPart } from './continuation.ts'
import type { JobOrder } from './job-order.ts'
import type { RoutePlan } from './route-plan.ts'

export interface GoOnComponents {
  readonly attempts: Pick<Attempts, 'ask'>
  readonly plan: (order: JobOrder<JobRequest>) => Promise<Pick<RoutePlan, 'steps' | 'leftOut'>>
  readonly clock: Clock
  readonly log: Log
}

/** A host that broke off after text was passed on. */
export interface Broken {
  readonly step: HostOffer
  readonly error: TriforceError
  readonly part: EndedPart
}

export interface BrokenJob {
  readonly order: JobOrder<JobRequest>
  readonly answer: Continuation
  readonly told: Told
  readonly hubName: string
  /** Of this job so far, by peer; a host that broke off twice is not asked again. */
  readonly broke: Map<string, number>
  /** Hosts asked, all together. */
  asked: number
}

export const goOnDefaults = Object.freeze({ waitMsMax: 5_000, lookMs: 500, askedMax: 12 })

/** Undefined: the answer is complete. Else the next host broke off too. Throws the error of the first where nobody can go on. */
export async function goOn(components: GoOnComponents, job: BrokenJob, { step: last, error, part }: Broken): Promise<Broken | undefined> {
  const { attempts, plan, clock, log } = components
  const { order, answer, told, broke } = job
  answer.broke(part)
  broke.set(last.peer, (broke.get(last.peer) ?? 0) + 1)
  const stuck = answer.stuck()
  if (stuck === undefined && answer.isFull) {
    await end(job, last)
    return undefined
  }
  log.info('a host broke off an answer', { host: last.peer, model: last.model, code: error.code, ...(stuck === undefined ? {} : { stuck }) })
  if (stuck !== undefined) return await fail()

  const deadlineMs = clock.monotonicMs() + goOnDefaults.waitMsMax
  let after = error
  for (let round = 0; ; round += 1) {
    const { steps, leftOut } = await plan({ ...order, request: answer.request({ ids: false }) })
    const fitting = sameWeightsFirst(steps.filter((step) => canGoOn(step, round)), answer.digest)
    for (const [index, step] of fitting.entries()) {
      if (order.signal.aborted || job.asked >= goOnDefaults.askedMax) break
      job.asked += 1
      const hasNext = fitting.slice(index + 1).some(({ coolingDown }) => !coolingDown)
      const request = answer.request({ ids: step.digest !== undefined && step.digest === answer.digest })
      const { requestBytes: _, ...rest } = order
      const outcome = await attempts.ask(step, { ...rest, request }, { attempts: job.asked, hasNext, after, isPromptPaid: answer.isPromptPaid }, told)
      if (outcome === undefined) return undefined
      if (outcome.part !== undefined) return { step, error: outcome.error, part: outcome.part }
      after = outcome.error
    }
    if (order.signal.aborted) {
      await answer.settled()
      throw new TriforceError('CANCELLED')
    }
    // Where every host of the model is one that cannot go on, waiting brings none.
    const isHopeless = steps.length === 0 && leftOut.every(({ reason }) => reason === 'incapable') && !last.capabilities.includes('continue')
    if (isHopeless || job.asked >= goOnDefaults.askedMax || clock.monotonicMs() >= deadlineMs) return await fail()
    told.pulse.say({ type: 'waiting', state: 'placing' })
    await new Promise<void>((resolve) => {
      clock.after(goOnDefaults.lookMs, resolve)
    })
  }

  function canGoOn(step: HostOffer, round: number): boolean {
    if (step.model !== last.model) return false
    // A vendor writes JSON as the input of a tool, or begins it anew.
    if (step.cloud !== undefined && !isEmbedding(order.request) && (order.request.responseFormat.type !== 'text' || order.request.tools !== undefined)) return false
    const times = broke.get(step.peer) ?? 0
    return times === 0 || (round > 0 && times === 1)
  }

  async function fail(): Promise<never> {
    await answer.settled()
    throw error
  }
}

function sameWeightsFirst(steps: readonly HostOffer[], digest: string | undefined): readonly HostOffer[] {
  if (digest === undefined) return steps
  return [...steps.filter((step) => step.digest === digest), ...steps.filter((step) => step.digest !== digest)]
}

/** The host died when all tokens were there that were asked for: only its last word is missing. */
async function end({ order, answer, told, hubName, asked }: BrokenJob, { model }: HostOffer): Promise<void> {
  told.handoff.offer({ type: 'finish', finish: 'length', usage: { promptTokens: estimatePromptTokens(order.request), completionTokens: 0 } })?.catch(() => {})
  await answer.settled()
  told.handoff.offer({ type: 'settled', served: { ...answer.servedByLast(), hub: hubName, attempts: asked, model } })?.catch(() => {})
}

