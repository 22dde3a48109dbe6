/**
 * The hub's side of a job: finds hosts, issues the ticket, follows the stream, settles. Before the first text it goes on
 * to the next host; a job that was cancelled is followed to its exact end in the background.
 */
import type { HubLedger } from '../../ledger/interface.ts'
import { encode } from '../../protocol/codec.ts'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { JOB_MS_MAX } from '../../protocol/limits.ts'
import type { ModelCapability } from '../../protocol/messages/capacity.ts'
import { publicKeyOf } from '../../protocol/peer-key.ts'
import type { Clock, Log, Random, Signer } from '../../protocol/ports.ts'
import { devicesOf } from '../capacity/devices.ts'
import type { CapacityTable } from '../capacity/table.ts'
import type { ModelHosts } from '../discovery/model-hosts.ts'
import type { CompletionEvent } from '../gateway.ts'
import type { Channel } from '../net/channel.ts'
import { settleJob, type Settled } from '../settlement/settle.ts'
import { findCandidates, needsOf, type HostCandidate } from './candidates.ts'
import { createHandoff, type Handoff } from './handoff.ts'
import { fromHost, REQUEST_CODES } from './host-errors.ts'
import type { HostRecord } from './host-record.ts'
import { runJob, type JobSeen } from './job-run.ts'
import { placeJob } from './placement.ts'
import { issueTicket, type IssuedTicket, type TicketOrder } from './tickets.ts'
import { startPulse, waitingOf, type Pulse } from './waiting.ts'

export interface DispatcherComponents {
  readonly table: CapacityTable
  readonly modelHosts: ModelHosts
  readonly record: HostRecord
  /** A channel to a host: over its connection, by its addresses, or within this process. */
  readonly lease: (host: HostCandidate) => Promise<Channel>
  readonly giveBack: (channel: Channel) => void
  /** Hears of every placement, for the report of why jobs pass a machine by. */
  readonly watch?: PlacementWatch
  readonly isConnected: (peer: string) => boolean
  readonly ledger: Pick<HubLedger, 'appendReceipt'>
  readonly signer: Signer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface DispatcherOptions {
  readonly network: string
  readonly hubName: string
  /** Hosts asked for one request. Default 4. */
  readonly attemptsMax?: number
  /** Jobs of this hub at once; more are refused with QUEUE_FULL. Default 2,000. */
  readonly runningMax?: number
  /** Longest wait for the first text, loading included. Default 120_000 ms. */
  readonly firstTextMsMax?: number
}

export interface PlacementWatch {
  /** Peers that can take the job, in the order in which they are asked. */
  placed(model: string, needs: readonly ModelCapability[], order: readonly string[]): void
  /** It refused the job or broke before the first text. */
  failed(peer: string): void
}

export interface JobOrder {
  /** 16 bytes. */
  readonly account: Uint8Array
  readonly request: CompletionRequest
  /** The request's bytes where it came as bytes, so that they are hashed as they are. */
  readonly requestBytes?: Uint8Array
  readonly priority: number
  readonly signal: AbortSignal
}

export interface PlacedTicket {
  readonly issued: IssuedTicket
  readonly host: HostCandidate
}

export interface Dispatcher {
  /** See Gateway.complete. */
  run(order: JobOrder): AsyncIterable<CompletionEvent>
  /** Chooses a host and issues a ticket, for a consumer that streams on its own. */
  place(order: Omit<TicketOrder, 'contributor'> & { readonly exclude: readonly string[]; readonly needs: readonly ModelCapability[] }): Promise<PlacedTicket>
  readonly counts: { readonly running: number; readonly served: number; readonly failed: number }
  /** Resolves when no job runs any more. */
  idle(): Promise<void>
}

/** Where to tell what happens to a job. */
interface Told {
  readonly handoff: Handoff<CompletionEvent>
  readonly pulse: Pulse
}

export function createDispatcher(components: DispatcherComponents, options: DispatcherOptions): Dispatcher {
  const { record, clock, random } = components
  const log = components.log.child('dispatcher')
  const { network, hubName, attemptsMax = 4, runningMax = 2_000, firstTextMsMax = 120_000 } = options
  const counts = { running: 0, served: 0, failed: 0 }
  const startedMs = clock.monotonicMs()
  let idleWaiters: (() => void)[] = []

  async function rankedHosts(model: string, needs: readonly ModelCapability[], exclude: readonly string[] = []): Promise<HostCandidate[]> {
    const { hosts, offers } = await findCandidates(components, model, needs)
    const usable = hosts.filter((host) => !exclude.includes(host.row.peer))
    if (components.table.fresh().length === 0 && clock.monotonicMs() - startedMs < SETTLING_MS) throw stillSettling(model)
    if (usable.length === 0) throw nothingFor(model, offers, hosts.length)
    const order = placeJob(usable.map(({ row, model: offer }) => ({
      peer: row.peer,
      slotsTotal: row.capacity.slots.total,
      announcedLoad: row.capacity.slots.busy + row.capacity.slots.queued,
      ownLoad: record.load(row.peer),
      loaded: offer.loaded,
      coolingDown: record.coolingDown(row.peer),
    })), () => random.unit())
    components.watch?.placed(model, needs, order)
    return order.map((peer) => usable.find((host) => host.row.peer === peer)!)
  }

  async function attempt(host: HostCandidate, issued: IssuedTicket, request: Uint8Array, order: JobOrder, { handoff, pulse }: Told): Promise<JobSeen> {
    const { peer } = host.row
    record.started(peer)
    let seen: JobSeen | undefined
    try {
      const channel = await components.lease(host)
      seen = await runJob(channel, clock, {
        ask: { t: 'open', ticket: issued.signed, request },
        signal: order.signal,
        tokensMax: issued.ticket.tokensMax,
        firstTextMsMax,
        listener: {
          onBeat: (beat) => pulse.say(waitingOf(beat)),
          onDelta: (delta) => handoff.offer(delta),
        },
      })
      if (seen.clean) components.giveBack(channel)
      else channel.abort(seen.error ?? new TriforceError('HOST_LOST'))
      return seen
    } catch (reason) {
      return { ...nothingSeen, error: toTriforceError(reason, 'NO_HOST') }
    } finally {
      record.ended(peer, seen !== undefined && (seen.error === undefined || isNoFault(seen.error, order.signal)))
    }
  }

  async function follow(order: JobOrder, told: Told): Promise<void> {
    const { handoff } = told
    const request = order.requestBytes ?? encode(order.request)
    const requestHash = sha256(request)
    const hosts = (await rankedHosts(order.request.model, needsOf(order.request))).slice(0, attemptsMax)
    let lastError: TriforceError | undefined
    for (const [index, host] of hosts.entries()) {
      if (order.signal.aborted) throw new TriforceError('CANCELLED')
      const issued = issueTicket(components, network, {
        contributor: publicKeyOf(host.row.peer)!, account: order.account, model: order.request.model, requestHash,
        tokensMax: order.request.maxTokens, priority: order.priority,
      })
      const seen = await attempt(host, issued, request, order, told)
      const { usage } = seen
      const error = seen.error === undefined ? undefined : fromHost(seen.error)
      if (error !== undefined && !seen.delivered) {
        if (order.signal.aborted) throw new TriforceError('CANCELLED')
        components.watch?.failed(host.row.peer)
        log.info('host did not answer', { host: host.row.peer, code: error.code, attempt: index + 1 })
        if (REQUEST_CODES.has(error.code)) throw error
        lastError = error
        continue
      }
      if (error === undefined) handoff.offer({ type: 'finish', finish: seen.finish, usage })?.catch(() => {})
      const settled = await settle(issued, seen, host)
      if (order.signal.aborted) throw new TriforceError('CANCELLED')
      if (error !== undefined) throw error
      handoff.offer({ type: 'settled', served: served(host, settled, index + 1) })?.catch(() => {})
      counts.served += 1
      return
    }
    throw lastError ?? new TriforceError('NO_HOST', { model: order.request.model }, { retryAfterMs: 5_000 })
  }

  function settle(issued: IssuedTicket, seen: JobSeen, host: HostCandidate): Promise<Settled> {
    return settleJob({ ...components, log }, { issued, seen, path: 'hub', devices: devicesOf(host.row.capacity.gpus) })
  }

  function served(host: HostCandidate, settled: Settled, attempts: number) {
    return { host: host.row.peer, hostName: host.row.capacity.name, hub: hubName, attempts, ...settled }
  }

  return {
    counts,
    run(order) {
      // The consumer may stop iterating without aborting its signal; then nobody wants the rest either.
      const left = new AbortController()
      const leave = () => left.abort(CONSUMER_LEFT)
      const handoff = createHandoff<CompletionEvent>({ onReturn: leave })
      if (counts.running >= runningMax) {
        handoff.close(new TriforceError('QUEUE_FULL', { running: counts.running }, { retryAfterMs: 1_000 }))
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
      follow({ ...order, signal: left.signal }, { handoff, pulse }).then(
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
        counts.running -= 1
        if (counts.running === 0) for (const resolve of idleWaiters.splice(0)) resolve()
      })
      return handoff.events
    },
    async place({ exclude, needs, ...order }) {
      const host = (await rankedHosts(order.model, needs, exclude))[0]!
      return { host, issued: issueTicket(components, network, { ...order, contributor: publicKeyOf(host.row.peer)! }) }
    },
    idle() {
      if (counts.running === 0) return Promise.resolve()
      return new Promise((resolve) => {
        idleWaiters.push(resolve)
      })
    },
  }
}

/** The request was wrong, or it was cancelled by us: no reason to avoid the host. */
function isNoFault(error: TriforceError, signal: AbortSignal): boolean {
  return REQUEST_CODES.has(error.code) || (error.code === 'CANCELLED' && signal.aborted)
}

/** Made once: a consumer also leaves when it has all it wanted, which is after every job. */
const CONSUMER_LEFT = new TriforceError('CANCELLED')

const nothingSeen: JobSeen = {
  usage: { promptTokens: 0, completionTokens: 0 }, finish: 'error', outputHash: sha256(), observedMs: 0, delivered: false, half: undefined, relayed: undefined,
  error: undefined, clean: false,
}

/** After its start a hub hears of hosts as they reconnect: redial.ts waits up to 15 s. While it knows none, "unknown" means "not yet". */
const SETTLING_MS = 25_000

function stillSettling(model: string): TriforceError {
  return new TriforceError('NO_HOST', { model }, {
    retryAfterMs: 2_000, detail: `this hub started a moment ago and has not heard of a host for "${model}" yet; try again, or ask another hub`,
  })
}

function nothingFor(model: string, offers: number, able: number): TriforceError {
  if (offers === 0) {
    return new TriforceError('MODEL_NOT_FOUND', { model }, {
      detail: `no peer of the federation offers the model "${model}"; GET /v1/models or "triforce models" lists what is there`,
    })
  }
  if (able === 0) {
    return new TriforceError('NO_HOST', { model }, { retryAfterMs: 5_000, detail: `the hosts of "${model}" cannot be reached, are leaving, or cannot do what the request asks for` })
  }
  return new TriforceError('NO_HOST', { model }, { retryAfterMs: 5_000 })
}
