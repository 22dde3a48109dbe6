/**
 * One host is asked for one answer: what it may cost is held, the ticket issued, the stream followed, and the end settled
 * exactly once, whatever it is. A host that delivered nothing costs nothing, and another one may be asked.
 */
import type { HubLedger } from '../../ledger/interface.ts'
import { bytesEqual } from '../../protocol/bytes.ts'
import { isEmbedding, type AnswerDelta, type DetailedUsage, type FinishReason, type JobRequest } from '../../protocol/completion.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { JOB_SILENCE_MS_MAX } from '../../protocol/limits.ts'
import { encodeRequest } from '../../protocol/messages/job.ts'
import { receiptIdOf } from '../../protocol/messages/receipt.ts'
import { publicKeyOf } from '../../protocol/peer-key.ts'
import type { Clock, Log, Random } from '../../protocol/ports.ts'
import { estimatePromptTokens } from '../../protocol/token-estimate.ts'
import { devicesOf } from '../capacity/devices.ts'
import { ownIdOf } from '../clouds/own-clouds.ts'
import type { PlacedEvent, Served } from '../gateway.ts'
import type { Channel } from '../net/channel.ts'
import { paidUsage, type SeenAnswer } from '../settlement/paid-usage.ts'
import { settleJob, type Settled } from '../settlement/settle.ts'
import { startSpend, type Spend } from '../settlement/spend.ts'
import type { TierOf } from '../settlement/tiers.ts'
import { cloudRecordName, type HostCandidate, type HostOffer } from './candidates.ts'
import type { EndedPart } from './continuation.ts'
import type { Handoff } from './handoff.ts'
import type { JobWatch } from '../honesty/job-watch.ts'
import { endingOf, fromHost, REQUEST_CODES } from './host-errors.ts'
import type { HostRecord } from './host-record.ts'
import type { JobOrder } from './job-order.ts'
import { ANSWER_MS_MAX, PIECE_MS_MAX, runJob, type JobListener, type JobSeen } from './job-run.ts'
import { issueTicket, ownTicket, type IssuedTicket, type TicketOrder } from './tickets.ts'
import { signedPart } from './signed-part.ts'
import { inTime } from './silence-watch.ts'
import type { TurnSigner } from './turn-signer.ts'
import type { JobEvent, VectorsEvent } from './vectors.ts'
import { waitingOf, type Pulse } from './waiting.ts'

export interface AttemptComponents {
  readonly record: HostRecord
  /** A channel to a host: over its connection, by its addresses, or within this process. */
  readonly lease: (host: HostCandidate) => Promise<Channel>
  readonly giveBack: (channel: Channel) => void
  readonly ledger: Pick<HubLedger, 'appendReceipt' | 'account' | 'hold' | 'extend' | 'progress' | 'settle' | 'expire'>
  readonly tierOf: TierOf
  readonly signer: TurnSigner
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Absent: nobody checks hosts. */
  readonly checks?: JobWatch
}

export interface AttemptOptions {
  readonly network: string
  readonly hubName: string
  readonly firstTextMsMax: number
}

/** Where to tell what happens to a job. */
export interface Told {
  readonly handoff: Pick<Handoff<JobEvent>, 'offer'>
  readonly pulse: Pulse
  /** Resolves when what hosts before this one made of the answer is settled. */
  readonly settled: () => Promise<void>
}

/** Why a host did not answer; with `part` where it broke off after something of its answer was passed on. */
export interface Failed {
  readonly error: TriforceError
  readonly part?: EndedPart
}

/** Which of the hosts of a job it is. */
export interface Turn {
  /** Hosts asked, this one included. */
  readonly attempts: number
  /** Another healthy one comes after it: it is not waited for as long. */
  readonly hasNext: boolean
  /** Why the one before did not answer. */
  readonly after?: TriforceError | undefined
  /** A host before it was paid for the prompt. */
  readonly isPromptPaid?: boolean
}

export interface Attempts {
  /**
   * Undefined: the answer was delivered and settled. Else another host may be asked.
   * Throws where no other host may be: the request is at fault, or the client left (CANCELLED).
   */
  ask(step: HostOffer, order: JobOrder<JobRequest>, turn: Turn, told: Told): Promise<Failed | undefined>
  issue(order: TicketOrder): Promise<IssuedTicket>
  /** Which weights answer there, and whether their host was found to have them. */
  labelsOf(step: HostOffer): HostLabels
}

export type HostLabels = Pick<PlacedEvent, 'digest' | 'quantization' | 'check'>

/** What a vendor without a limit of its own may write at most. */
const CLOUD_TOKENS_MAX = 131_072

export function createAttempts(components: AttemptComponents, options: AttemptOptions): Attempts {
  const { record, ledger, tierOf, clock, random, log, checks } = components
  const { network, hubName, firstTextMsMax } = options

  function issue(order: TicketOrder): Promise<IssuedTicket> {
    return issueTicket(components, network, order)
  }

  function remaining(account: Uint8Array): Pick<Served, 'remainingMicroCredits'> {
    const known = ledger.account(account)
    return known === undefined ? {} : { remainingMicroCredits: known.balanceMicroCredits }
  }

  /** Throws what the ledger refuses with. */
  function hold(step: HostOffer, request: JobRequest, requestHash: Uint8Array, { account, key }: JobOrder<JobRequest>): Promise<Spend> {
    return startSpend(components, {
      account, request: random.bytes(16), requestHash, provider: step.cloud!.vendor, model: ownIdOf(step.model),
      promptTokens: estimatePromptTokens(request), completionTokensMax: mostTokens(step, request),
      ...(key === undefined ? {} : { key }),
    })
  }

  async function follow(
    step: HostOffer, issued: IssuedTicket, request: { readonly bytes: Uint8Array; readonly value: JobRequest }, signal: AbortSignal, listener: JobListener, answerMsMax: number,
  ): Promise<JobSeen> {
    const name = step.cloud === undefined ? step.peer : cloudRecordName(step.peer, step.cloud.vendor)
    record.started(name)
    let seen: JobSeen | undefined
    try {
      const channel = await inTime(clock, answerMsMax, components.lease(step), components.giveBack)
      seen = await runJob(channel, clock, {
        ask: { t: 'open', ticket: issued.signed, request: request.bytes, opened: { ticket: issued.ticket, request: request.value } }, signal, firstTextMsMax, listener, answerMsMax,
        ...(step.cloud === undefined ? { pieceMsMax: PIECE_MS_MAX } : {}),
        // A vendor counts as it likes; what it is paid is bounded by what is held.
        tokensMax: step.cloud === undefined ? issued.ticket.tokensMax : Number.MAX_SAFE_INTEGER,
      })
      if (seen.clean) components.giveBack(channel)
      else channel.abort(seen.error ?? new TriforceError('HOST_LOST'))
      return seen
    } catch (reason) {
      seen = { ...nothingSeen, error: toTriforceError(reason, 'NO_HOST') }
      return seen
    } finally {
      record.ended(name, endingOf(seen?.error, signal.aborted))
    }
  }

  return {
    issue,
    labelsOf,
    async ask(step, order, { attempts, hasNext, after, isPromptPaid }, { handoff, pulse, settled: settledBefore }) {
      const { model, cloud } = step
      const isSame = model === order.request.model
      const request = isSame ? order.request : { ...order.request, model }
      const bytes = (isSame ? order.requestBytes : undefined) ?? encodeRequest(request)
      const requestHash = sha256(bytes)
      const begun = isEmbedding(request) ? undefined : request.begun
      let spend: Spend | undefined
      try {
        spend = cloud === undefined ? undefined : await hold(step, request, requestHash, order)
      } catch (reason) {
        return { error: toTriforceError(reason) }
      }
      handoff.offer({
        type: 'placed', host: step.peer, hostName: step.name, attempts, model, ...remaining(order.account),
        ...(cloud === undefined ? {} : { vendor: cloud.vendor, price: cloud.price }), ...labelsOf(step),
        ...(after === undefined ? {} : { after: after.code }),
      })?.catch(() => {})
      const ticketOrder = {
        contributor: publicKeyOf(step.peer)!, account: order.account, apiKey: order.apiKey, model, requestHash, tokensMax: isEmbedding(request) ? undefined : request.maxTokens, priority: tierOf(order.tier).priority,
        ...(spend === undefined ? {} : { cloud: { priceRev: spend.priceRev } }),
      }
      const isOwn = bytesEqual(ticketOrder.contributor, components.signer.publicKey)
      const issued = isOwn ? ownTicket(components, network, ticketOrder) : await issue(ticketOrder)
      const meter = spend === undefined ? freeMeter(handoff, order.signal) : createMeter(handoff, spend, mostTokens(step, request), order.signal)
      // A part of an answer says little of its host, and is not what another would give.
      const watched = cloud === undefined && begun === undefined ? checks?.begin(watchedHost(step), request, order) : undefined
      const seen = await follow(step, issued, { bytes, value: request }, meter.signal, {
        onBeat: (beat) => {
          watched?.beat(beat.state)
          pulse.say(waitingOf(beat))
        },
        onDelta: watched === undefined ? meter.onDelta : (delta) => {
          watched.delta(delta)
          return meter.onDelta(delta)
        },
        ...(isEmbedding(request) ? { onVectors: (vectors: VectorsEvent) => handoff.offer(vectors) } : {}),
      }, hasNext ? ANSWER_MS_MAX : JOB_SILENCE_MS_MAX)
      watched?.ended(issued.ticket.jobId, seen)
      const error = seen.error === undefined || meter.stopped ? undefined : fromHost(seen.error)
      if (error !== undefined && !seen.delivered) {
        await spend?.cancel().catch((reason: unknown) => log.warn('a hold was not let go and will expire', { code: toTriforceError(reason).code }))
        if (order.signal.aborted) throw new TriforceError('CANCELLED')
        log.info('host did not answer', { host: step.peer, model, code: error.code, attempts })
        // Of an answer that was begun, another host may make something all the same.
        if (REQUEST_CODES.has(error.code) && begun === undefined) throw error
        return { error }
      }
      const paid = spend === undefined ? undefined : paidUsage({ ...seen, ...meter.seen, left: order.signal.aborted }, estimatePromptTokens(request))
      if (paid?.implausible === true) log.warn('a hub says that its vendor counted more tokens than it sent', { host: step.peer, said: seen.usage.completionTokens })
      // A vendor counts the beginning that another made as prompt.
      const usage = paid === undefined || begun === undefined ? paid?.usage ?? seen.usage
        : { ...paid.usage, promptTokens: isPromptPaid === true ? 0 : Math.max(0, paid.usage.promptTokens - begun.tokens) }
      if (error !== undefined && !order.signal.aborted && !REQUEST_CODES.has(error.code)) {
        const settling = settle(issued, spend === undefined ? signedPart(seen) : { ...seen, usage }, step, spend).catch((reason: unknown) => {
          log.error('what a host made before it broke off could not be settled', { host: step.peer, code: toTriforceError(reason).code })
          return undefined
        })
        return { error, part: { host: step.peer, hostName: step.name, digest: step.digest, promptTokens: spend === undefined ? 0 : usage.promptTokens, settling } }
      }
      const finish: FinishReason = meter.stopped ? 'length' : seen.finish
      if (error === undefined) handoff.offer({ type: 'finish', finish, usage })?.catch(() => {})
      // The half that says what the hub with the key sent does not fit what was taken of it.
      const half = usage.completionTokens === seen.usage.completionTokens ? seen.half : undefined
      const [settled] = await Promise.all([settle(issued, { ...seen, usage, half }, step, spend), settledBefore()])
      if (order.signal.aborted) throw new TriforceError('CANCELLED')
      if (error !== undefined) throw error
      handoff.offer({
        type: 'settled', served: {
          host: step.peer, hostName: step.name, hub: hubName, attempts, model, ...settled, ...remaining(order.account),
          ...(meter.stoppedBy === undefined ? {} : { stoppedBy: meter.stoppedBy }),
        },
      })?.catch(() => {})
      return undefined
    },
  }

  function labelsOf(step: HostOffer): HostLabels {
    if (step.cloud !== undefined) return {}
    return {
      ...(step.digest === undefined ? {} : { digest: step.digest }), ...(step.quantization === '' ? {} : { quantization: step.quantization }),
      ...(checks === undefined ? {} : { check: checks.labelOf(watchedHost(step)) }),
    }
  }

  /** Receipt and charge stand in one frame of the log; nothing is charged for an answer without tokens. */
  async function settle(issued: IssuedTicket, seen: JobSeen, step: HostOffer, spend: Spend | undefined): Promise<Settled> {
    const receipt = settleJob(components, { issued, seen, path: 'hub', devices: spend === undefined && checks?.pays(step.row.capacity.peer) !== false ? devicesOf(step.row.capacity.gpus) : undefined })
    if (spend === undefined) return await receipt
    const { usage } = seen
    const isFree = usage.promptTokens === 0 && usage.completionTokens === 0
    const charged = isFree ? spend.cancel().then(() => 0n) : spend.settle(usage, receiptIdOf(issued.ticket.jobId)).then((settlement) => settlement.chargeMicroCredits)
    const [logged, costMicroCredits] = await Promise.all([receipt, charged])
    return { ...logged, costMicroCredits }
  }
}

const watchedHost = ({ peer, row, isHub }: HostOffer) => ({ peer, capacity: row.capacity, isHub })

/** What stands between the host and the client. */
interface Meter {
  /** Aborts when the client has left, or when its answer ends early. */
  readonly signal: AbortSignal
  readonly stopped: boolean
  readonly stoppedBy: Served['stoppedBy']
  readonly seen: Pick<SeenAnswer, 'deliveredTokens' | 'takenTokens' | 'chars' | 'toolCalls' | 'stopped'>
  onDelta(delta: AnswerDelta): Promise<void> | undefined
}

function freeMeter(handoff: Told['handoff'], signal: AbortSignal): Meter {
  return {
    signal, stopped: false, stoppedBy: undefined, seen: { deliveredTokens: 0, takenTokens: 0, chars: 0, toolCalls: 0, stopped: false },
    onDelta: (delta) => handoff.offer(delta),
  }
}

/** Passes pieces on for as long as they are paid for, and counts them. */
function createMeter(handoff: Told['handoff'], spend: Spend, tokensMost: number, left: AbortSignal): Meter {
  const cut = new AbortController()
  const onLeft = () => cut.abort(left.reason)
  if (left.aborted) onLeft()
  else left.addEventListener('abort', onLeft, { once: true })
  const seen = { deliveredTokens: 0, takenTokens: 0, chars: 0, toolCalls: 0 }
  let stopped = false
  let stoppedBy: Served['stoppedBy']

  function pass(delta: AnswerDelta): Promise<void> | undefined {
    seen.deliveredTokens = delta.tokens
    return handoff.offer(delta, () => { seen.takenTokens = delta.tokens })
  }

  async function passIfPaid(delta: AnswerDelta, more: boolean | Promise<boolean>): Promise<void> {
    const goOn = await more
    // Up to the most that the request allows everything is reserved; only money can end it before.
    const isPaid = spend.coveredTokens >= Math.min(delta.tokens, tokensMost)
    if (isPaid) await pass(delta)
    if (goOn || spend.coveredTokens >= tokensMost) return
    stopped = true
    stoppedBy = 'credits'
    cut.abort(new TriforceError('CANCELLED'))
  }

  return {
    signal: cut.signal,
    get stopped() { return stopped },
    get stoppedBy() { return stoppedBy },
    get seen() { return { ...seen, stopped } },
    onDelta(delta: AnswerDelta): Promise<void> | undefined {
      if (stopped) return undefined
      seen.chars += delta.type === 'toolCall' ? delta.arguments.length : delta.text.length
      if (delta.type === 'toolCall') seen.toolCalls = Math.max(seen.toolCalls, delta.index + 1)
      const more = spend.used(delta.tokens)
      return more === true ? pass(delta) : passIfPaid(delta, more)
    },
  }
}

function mostTokens({ outputTokensMax }: HostOffer, request: JobRequest): number {
  if (isEmbedding(request)) return 0
  const { maxTokens } = request
  const most = outputTokensMax > 0 ? outputTokensMax : CLOUD_TOKENS_MAX
  return Math.min(maxTokens ?? most, most)
}

const NO_USAGE: DetailedUsage = { promptTokens: 0, completionTokens: 0 }

const nothingSeen: JobSeen = {
  usage: NO_USAGE, finish: 'error', outputHash: sha256(), observedMs: 0, delivered: false, half: undefined, soFar: undefined, relayed: undefined, error: undefined, clean: false,
}
