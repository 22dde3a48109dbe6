/**
 * The hub's side of a job: plans where it may go, asks one host after the other, follows the stream, settles. Before the
 * first text it goes on to the next host, after it another host goes on with the answer (go-on.ts); a job that was cancelled
 * is followed to its exact end in the background.
 */
import { isEmbedding, type JobRequest } from '../../protocol/completion.ts'
import { toTriforceError, TriforceError, type ErrorCode } from '../../protocol/errors.ts'
import { JOB_MS_MAX } from '../../protocol/limits.ts'
import type { ModelCapability } from '../../protocol/messages/capacity.ts'
import { publicKeyOf } from '../../protocol/peer-key.ts'
import type { PrivacyClass, RoutingWishes } from '../../protocol/routing.ts'
import type { CompletionEvent } from '../gateway.ts'
import { createAttempts, type AttemptComponents, type HostLabels, type Told } from './attempt.ts'
import { needsOf, type CandidatesComponents, type HostCandidate } from './candidates.ts'
import type { TierLimits } from '../settlement/tier-limits.ts'
import { createContinuation } from './continuation.ts'
import { goOn, type Broken, type BrokenJob, type GoOnComponents } from './go-on.ts'
import { createHandoff, type Handoff } from './handoff.ts'
import type { JobOrder } from './job-order.ts'
import { createHostWatch, type PrefixTable } from './prefix-table.ts'
import { nothingFor, planRoute, type PlanOrder, type RoutePlan } from './route-plan.ts'
import type { IssuedTicket, TicketOrder } from './tickets.ts'
import { FIRST_TEXT_MS_MAX } from './job-run.ts'
import type { JobEvent } from './vectors.ts'
import { startPulse, type Pulse } from './waiting.ts'

export interface DispatcherComponents extends AttemptComponents, Omit<CandidatesComponents, 'record'> {
  /** Hears of every placement, for the report of why jobs pass a machine by. */
  readonly watch?: PlacementWatch
  readonly limits: TierLimits
  /** Which host knows the beginning of a prompt; absent: that is not looked at. */
  readonly prefixes?: PrefixTable
}

export interface DispatcherOptions {
  readonly network: string
  readonly hubName: string
  /** Hosts of one model asked for one request. Default 4. */
  readonly attemptsMax?: number
  /** Hosts of all its models together. Default 12. */
  readonly attemptsInAllMax?: number
  /** Jobs of this hub at once; more are refused with QUEUE_FULL. Default 2,000. */
  readonly runningMax?: number
  /** Longest wait for the first text, loading included. Default 15 minutes: a host that is alive says so every second. */
  readonly firstTextMsMax?: number
}

export interface PlacementWatch {
  /** Peers that can take the job, in the order in which they are asked. */
  placed(model: string, needs: readonly ModelCapability[], order: readonly string[]): void
  /** It refused the job or broke before the first text. */
  failed(peer: string): void
}

export interface PlacedTicket {
  readonly issued: IssuedTicket
  readonly host: HostCandidate
  readonly labels: HostLabels
}

export interface PlaceOrder extends Omit<TicketOrder, 'contributor' | 'cloud' | 'priority'> {
  readonly tier: string
  readonly exclude: readonly string[]
  readonly needs: readonly ModelCapability[]
  readonly routing?: RoutingWishes
  readonly privacy?: PrivacyClass
  readonly friends?: readonly Uint8Array[]
  /** Host that has the beginning of the prompt in its memory, as the consumer says: the hub does not see the prompt. */
  readonly affine?: string
}

export interface Dispatcher {
  /** See Gateway.complete; an embedding gives vectors in place of pieces. */
  run(order: JobOrder): AsyncIterable<CompletionEvent>
  run(order: JobOrder<JobRequest>): AsyncIterable<JobEvent>
  /**
   * Chooses a host and issues a ticket, for a consumer that streams on its own. Undefined where the first choice is a
   * vendor or another model: such a job goes through this hub.
   */
  place(order: PlaceOrder): Promise<PlacedTicket | undefined>
  /** Where a request would go now, with what was left out and why. */
  explain(order: PlanOrder): Promise<RoutePlan>
  readonly counts: { readonly running: number; readonly served: number; readonly failed: number }
  /** Resolves when no job runs any more. */
  idle(): Promise<void>
}

export function createDispatcher(components: DispatcherComponents, options: DispatcherOptions): Dispatcher {
  const { clock, random, limits, tierOf, prefixes } = components
  const log = components.log.child('dispatcher')
  const { network, hubName, attemptsMax = 4, attemptsInAllMax = 12, runningMax = 2_000, firstTextMsMax = FIRST_TEXT_MS_MAX } = options
  const attempts = createAttempts({ ...components, log }, { network, hubName, firstTextMsMax })
  const resuming: GoOnComponents = { attempts, clock, log, plan: (order) => planRoute(components, planOf(order), () => random.unit()) }
  const counts = { running: 0, served: 0, failed: 0 }
  const startedMs = clock.monotonicMs()
  let idleWaiters: (() => void)[] = []

  /** Throws MODEL_NOT_FOUND, CAPABILITY_MISSING, NO_ALLOWED_HOST or NO_HOST where nobody can be asked. */
  async function plan(order: PlanOrder): Promise<RoutePlan> {
    const planned = await planRoute(components, order, () => random.unit())
    if (planned.steps.length > 0) {
      components.watch?.placed(order.model, order.needs, planned.steps.filter((step) => step.cloud === undefined && step.model === order.model).map(({ peer }) => peer))
      return planned
    }
    if (planned.offers === 0 && components.table.fresh().length === 0 && clock.monotonicMs() - startedMs < SETTLING_MS) throw stillSettling(order.model)
    throw nothingFor(order, planned)
  }

  const planOf = ({ account, friends, request, routing, privacy }: JobOrder<JobRequest>): PlanOrder =>
    ({ account, friends, model: request.model, needs: needsOf(request), routing, privacy })

  async function follow(order: JobOrder<JobRequest>, handoff: Handoff<JobEvent>, pulse: Pulse): Promise<void> {
    const answer = createContinuation(order.request, order.routing)
    const watch = createHostWatch(order.request.model)
    const offer = (event: JobEvent, onTaken?: () => void) => {
      watch.hear(event)
      return handoff.offer(answer.pass(event), onTaken)
    }
    const told: Told = { handoff: { offer }, pulse, settled: () => answer.settled() }
    const job: BrokenJob = { order, answer, told, hubName, broke: new Map(), asked: 0 }
    let broken = await askInTurn(job)
    while (broken !== undefined) {
      if (broken.step.cloud === undefined) components.watch?.failed(broken.step.peer)
      broken = await goOn(resuming, job, broken)
    }
    if (watch.host !== undefined && !isEmbedding(order.request)) prefixes?.answered(order.account, order.request, answer.text, watch.host)
    counts.served += 1
  }

  /** Undefined: the answer is complete. Throws the last error where nobody answered. */
  async function askInTurn(job: BrokenJob): Promise<Broken | undefined> {
    const { order, told } = job
    const affine = isEmbedding(order.request) ? undefined : prefixes?.hostOf(order.account, order.request)
    const { steps } = await plan({ ...planOf(order), affine })
    const perModel = new Map<string, number>()
    const unpaid = new Set<string>()
    let lastError: TriforceError | undefined
    for (const [index, step] of steps.entries()) {
      const count = (perModel.get(step.model) ?? 0) + 1
      if (count > attemptsMax || unpaid.has(step.model)) continue
      if (job.asked >= attemptsInAllMax) break
      if (order.signal.aborted) throw new TriforceError('CANCELLED')
      perModel.set(step.model, count)
      job.asked += 1
      const hasNext = steps.slice(index + 1).some(({ coolingDown }) => !coolingDown)
      const failed = await attempts.ask(step, order, { attempts: job.asked, hasNext, after: lastError }, told)
      if (failed === undefined) return undefined
      const { error, part } = failed
      if (part !== undefined) return { step, error, part }
      if (step.cloud === undefined) components.watch?.failed(step.peer)
      // What one hub's key costs, another's costs too; a free or cheaper model may still be there.
      if (UNPAID.has(error.code)) unpaid.add(step.model)
      lastError = error
    }
    throw lastError ?? new TriforceError('NO_HOST', { model: order.request.model }, { retryAfterMs: 5_000 })
  }

  function run(order: JobOrder<JobRequest>): AsyncIterable<JobEvent> {
    // The consumer may stop iterating without aborting its signal; then nobody wants the rest either.
    const left = new AbortController()
    const leave = () => left.abort(CONSUMER_LEFT)
    const handoff = createHandoff<JobEvent>({ onReturn: leave })
    if (counts.running >= runningMax) {
      handoff.close(new TriforceError('QUEUE_FULL', { running: counts.running }, { retryAfterMs: 1_000 }))
      return handoff.events
    }
    let leavePlace: () => void
    try {
      leavePlace = limits.enter(order.account, order.tier)
    } catch (reason) {
      handoff.close(toTriforceError(reason))
      return handoff.events
    }
    counts.running += 1
    const onAbort = () => {
      leave()
      handoff.release()
    }
    if (order.signal.aborted) onAbort()
    order.signal.addEventListener('abort', onAbort)
    // The host has the same bound; here it also ends a job whose consumer has stopped to read.
    const cancelDeadline = clock.after(JOB_MS_MAX, onAbort)
    const pulse = startPulse(clock, handoff)
    follow({ ...order, signal: left.signal }, handoff, pulse).then(
      () => handoff.close(),
      (reason: unknown) => {
        const error = toTriforceError(reason)
        if (error.code !== 'CANCELLED') counts.failed += 1
        if (error.code === 'INTERNAL') log.error('job broke inside the hub', { cause: String(error.cause) })
        handoff.close(error)
      },
    ).finally(() => {
      order.signal.removeEventListener('abort', onAbort)
      cancelDeadline()
      pulse.stop()
      leavePlace()
      counts.running -= 1
      if (counts.running === 0) for (const resolve of idleWaiters.splice(0)) resolve()
    })
    return handoff.events
  }

  return {
    counts,
    // Only an embedding gives vectors.
    run: run as Dispatcher['run'],
    async place({ exclude, needs, routing, privacy, friends, affine, tier, ...order }) {
      // The stream is not seen here, so it takes no place; its beginning counts.
      limits.enter(order.account, tier)()
      const host = (await plan({ account: order.account, friends, model: order.model, needs, routing, privacy, exclude, affine })).steps[0]!
      if (host.cloud !== undefined || host.model !== order.model) return undefined
      return { host, labels: attempts.labelsOf(host), issued: await attempts.issue({ ...order, priority: tierOf(tier).priority, contributor: publicKeyOf(host.peer)! }) }
    },
    async explain(order) {
      // Whether a machine is kept free at this moment would tell it that a question is coming.
      const planned = await planRoute({ ...components, placesAt: undefined }, { ...order, isExplained: true }, () => random.unit())
      return prefixes === undefined ? planned : { ...planned, steps: planned.steps.map((step) => ({ ...step, remembers: prefixes.countAt(order.account, step.model, step.peer) })) }
    },
    idle() {
      if (counts.running === 0) return Promise.resolve()
      return new Promise((resolve) => {
        idleWaiters.push(resolve)
      })
    },
  }
}

/** Made once: a consumer also leaves when it has all it wanted, which is after every job. */
const CONSUMER_LEFT = new TriforceError('CANCELLED')

/** The account cannot pay. */
const UNPAID: ReadonlySet<ErrorCode> = new Set(['INSUFFICIENT_CREDITS', 'QUOTA_EXCEEDED', 'ACCOUNT_IN_DEBT'])

/** After its start a hub hears of hosts as they reconnect: redial.ts waits up to 15 s. While it knows none, "unknown" means "not yet". */
const SETTLING_MS = 25_000

function stillSettling(model: string): TriforceError {
  return new TriforceError('NO_HOST', { model }, {
    retryAfterMs: 2_000, detail: `this hub started a moment ago and has not heard of a host for "${model}" yet; try again, or ask another hub`,
  })
}
