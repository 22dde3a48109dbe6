/**
 * A consumer's side of a job. First straight from the contributor, over a connection of its own or a circuit that the
 * hub cannot read: a hub issues the ticket and stays out of the data path. Where neither works, the hub proxies the stream.
 */
import { encode } from '../../protocol/codec.ts'
import { isEmbedding, type CompletionRequest, type JobRequest } from '../../protocol/completion.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { toTriforceError, TriforceError, type ErrorCode } from '../../protocol/errors.ts'
import type { FederationHub } from '../../protocol/federation.ts'
import { JOB_MS_MAX } from '../../protocol/limits.ts'
import { encodeRequest, type JobOptions } from '../../protocol/messages/job.ts'
import { ticketSchema } from '../../protocol/messages/ticket.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import type { Clock, Log, Signer } from '../../protocol/ports.ts'
import type { RoutingWishes } from '../../protocol/routing.ts'
import { openDocument, type Signed } from '../../protocol/signed.ts'
import { mayBeSeenBy } from './router.ts'
import type { CompleteOptions, CompletionEvent } from '../gateway.ts'
import type { ChannelPool } from '../net/channel-pool.ts'
import type { JobPath, Traffic } from '../net/traffic.ts'
import type { AccountClient } from '../settlement/account-client.ts'
import type { HostLabels } from './attempt.ts'
import { needsOf } from './candidates.ts'
import { createHandoff, type Handoff } from './handoff.ts'
import { fromHost } from './host-errors.ts'
import type { Reach } from './reach.ts'
import { FIRST_TEXT_MS_MAX, runJob, type JobListener, type JobSeen } from './job-run.ts'
import { placedEvent, relayedBody, servedOf } from './relay-frames.ts'
import type { JobEvent, VectorsEvent } from './vectors.ts'
import { waitingOf } from './waiting.ts'

export interface RemoteJobComponents {
  readonly reach: Reach
  readonly pool: ChannelPool
  readonly client: AccountClient
  readonly traffic: Pick<Traffic, 'job'>
  readonly clock: Clock
  readonly log: Log
}

export interface RemoteJobOptions {
  /** Hosts tried directly. Default 2. */
  readonly directAttemptsMax?: number
  readonly firstTextMsMax?: number
}

/** What one request needs on its way. */
interface Job {
  readonly signer: Signer
  readonly request: JobRequest
  readonly bytes: Uint8Array
  readonly routing: RoutingWishes | undefined
  readonly signal: AbortSignal
  readonly handoff: Handoff<JobEvent>
}

export interface RemoteJobs {
  run(signer: Signer, request: CompletionRequest, options: CompleteOptions): AsyncIterable<CompletionEvent>
  /** An embedding gives vectors in place of pieces. */
  run(signer: Signer, request: JobRequest, options: CompleteOptions): AsyncIterable<JobEvent>
  readonly counts: { running: number; served: number; failed: number }
}

/** Codes after which neither another host nor a relay helps. */
const FINAL_CODES: ReadonlySet<ErrorCode> = new Set([
  'BAD_REQUEST', 'CONTEXT_LENGTH_EXCEEDED', 'CAPABILITY_MISSING', 'CANCELLED', 'MODEL_NOT_FOUND', 'INVALID_API_KEY', 'FORBIDDEN', 'INSUFFICIENT_CREDITS',
  'QUOTA_EXCEEDED', 'ACCOUNT_IN_DEBT', 'NO_ALLOWED_HOST',
])

/** Made once: a consumer also leaves when it has all it wanted, which is after every job. */
const CONSUMER_LEFT = new TriforceError('CANCELLED')

/** A hub that restarts is back within some seconds: waits of 1, 2, 3 and 4 s. */
const SETTLE_ATTEMPTS_MAX = 5
const SETTLE_WAIT_MS = 1_000

export function createRemoteJobs(components: RemoteJobComponents, options: RemoteJobOptions = {}): RemoteJobs {
  const { reach, pool, client, clock, traffic } = components
  const log = components.log.child('remote-job')
  const { directAttemptsMax = 2, firstTextMsMax = FIRST_TEXT_MS_MAX } = options
  const counts = { running: 0, served: 0, failed: 0 }

  async function askOn(peer: string, ask: Parameters<typeof runJob>[2]['ask'], signal: AbortSignal, listener: JobListener, tokensMax?: number): Promise<JobSeen & { path: JobPath }> {
    const channel = await pool.lease(peer)
    const seen = await runJob(channel, clock, { ask, signal, listener, firstTextMsMax, ...(tokensMax === undefined ? {} : { tokensMax }) })
    if (seen.clean) pool.giveBack(channel)
    else pool.discard(channel, seen.error ?? new TriforceError('HOST_LOST'))
    return { ...seen, path: channel.path ?? 'direct' }
  }

  interface Ticketed { readonly hub: FederationHub; readonly labels: HostLabels; readonly peer: string; readonly hostName: string; readonly signed: Signed; readonly tokensMax: number; readonly addresses: readonly string[] }

  /** Undefined where the hub wants to relay the job. */
  async function ticketFor({ signer, request, bytes, routing }: Job, exclude: readonly Uint8Array[]): Promise<(Ticketed & { key: Uint8Array }) | undefined> {
    const { hub, answer } = await client.ask(signer, 'ticket', {
      model: request.model, requestHash: sha256(bytes), tokensMax: (isEmbedding(request) ? undefined : request.maxTokens) ?? 0, exclude: [...exclude], needs: needsOf(request),
      ...(routing === undefined ? {} : { routing }),
    })
    if (answer.ticket === undefined) return undefined
    const ticket = openDocument('ticket', ticketSchema, answer.ticket)
    return {
      hub, labels: labelsIn(answer), key: ticket.contributor, peer: peerIdOf(ticket.contributor), hostName: answer.hostName, signed: answer.ticket, tokensMax: ticket.tokensMax,
      addresses: answer.addresses,
    }
  }

  /** True where the job is done; false where nothing was delivered and another way may be tried. */
  async function direct(job: Job): Promise<boolean> {
    const { signer, request, bytes, signal, handoff } = job
    const exclude: Uint8Array[] = []
    for (let attempt = 1; attempt <= directAttemptsMax; attempt += 1) {
      let ticketed: Awaited<ReturnType<typeof ticketFor>>
      try {
        ticketed = await ticketFor(job, exclude)
      } catch (reason) {
        const error = toTriforceError(reason, 'NO_HUB')
        if (FINAL_CODES.has(error.code)) throw error
        // No other host is left to be reached directly: a hub may still reach the one that we could not.
        return false
      }
      if (ticketed === undefined) return false
      exclude.push(ticketed.key)
      const isReached = await reach.to({ peer: ticketed.peer, addresses: ticketed.addresses, relay: ticketed.hub.peerId }, { signal })
      if (signal.aborted) throw new TriforceError('CANCELLED')
      if (!isReached) continue
      void handoff.offer({ type: 'placed', host: ticketed.peer, hostName: ticketed.hostName, attempts: attempt, model: request.model, ...ticketed.labels })
      const seen = await askOn(ticketed.peer, { t: 'open', ticket: ticketed.signed, request: bytes }, signal, listenerOf(job), ticketed.tokensMax)
        .catch((reason: unknown): TriforceError => toTriforceError(reason, 'HOST_LOST'))
      if (seen instanceof TriforceError || (seen.error !== undefined && !seen.delivered)) {
        const error = fromHost(seen instanceof TriforceError ? seen : seen.error!)
        if (signal.aborted) throw new TriforceError('CANCELLED')
        log.info('host did not answer', { host: ticketed.peer, code: error.code, attempt })
        if (FINAL_CODES.has(error.code)) throw error
        continue
      }
      if (seen.error === undefined) void handoff.offer({ type: 'finish', finish: seen.finish, usage: seen.usage })
      const answer = await settle(signer, ticketed.hub, {
        ticket: ticketed.signed, observedMs: seen.observedMs, observedUsage: seen.usage, outputHash: seen.outputHash, finish: seen.finish,
        path: seen.path === 'relayed' ? 'relay' : 'direct', ...(seen.half === undefined ? {} : { half: seen.half }),
      })
      if (signal.aborted) throw new TriforceError('CANCELLED')
      if (seen.error !== undefined) throw fromHost(seen.error)
      traffic.job(seen.path)
      void handoff.offer({
        type: 'settled',
        served: {
          host: ticketed.peer, hostName: ticketed.hostName, hub: ticketed.hub.name, receiptId: answer.receiptId, durability: answer.durability,
          costMicroCredits: BigInt(answer.costMicroCredits), attempts: attempt, model: request.model,
        },
      })
      return true
    }
    return false
  }

  /** Only the hub that issued the ticket can settle it: where it is away for a moment, it is asked again. */
  async function settle(signer: Signer, hub: FederationHub, body: Parameters<typeof client.ask<'settle'>>[2]) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return (await client.ask(signer, 'settle', body, hub)).answer
      } catch (reason) {
        const error = toTriforceError(reason)
        if (error.code !== 'NO_HUB' || attempt >= SETTLE_ATTEMPTS_MAX) throw error
        await new Promise<void>((resolve) => {
          clock.after(SETTLE_WAIT_MS * attempt, resolve)
        })
      }
    }
  }

  async function proxied(job: Job): Promise<void> {
    const { signer, bytes, routing, signal, handoff } = job
    const options = routing === undefined ? {} : { options: encode({ routing } satisfies JobOptions) }
    const body = relayedBody({ request: bytes, ...options })
    let lastError = new TriforceError('NO_HUB', {}, { retryAfterMs: 3_000 })
    for (const hub of client.hubs()) {
      if (signal.aborted) throw new TriforceError('CANCELLED')
      let seen: JobSeen
      try {
        seen = await askOn(hub.peerId, { t: 'relay', authorization: client.authorize(signer, hub, 'relay', body), request: bytes, ...options }, signal, listenerOf(job))
      } catch (reason) {
        lastError = toTriforceError(reason, 'NO_HUB')
        continue
      }
      const { error, relayed: end } = seen
      if (signal.aborted) throw new TriforceError('CANCELLED')
      if (error !== undefined && (seen.delivered || FINAL_CODES.has(error.code))) throw error
      if (error === undefined && end !== undefined) {
        traffic.job('proxied')
        void handoff.offer({ type: 'finish', finish: seen.finish, usage: seen.usage })
        void handoff.offer({ type: 'settled', served: servedOf(end) })
        return
      }
      lastError = error ?? new TriforceError('PROTOCOL_VIOLATION', { frame: 'end' })
    }
    throw lastError
  }

  async function follow(asked: Omit<Job, 'bytes'>): Promise<void> {
    const job: Job = { ...asked, bytes: encodeRequest(asked.request) }
    if (!(await direct(job))) {
      // A hub that relays reads along.
      if (!mayBeSeenBy(RELAY_PRIVACY, job.routing?.privacy ?? 'cloud')) throw notRelayed(job.request.model)
      await proxied(job)
    }
    counts.served += 1
  }

  function run(signer: Signer, request: JobRequest, { signal, routing }: CompleteOptions): AsyncIterable<JobEvent> {
    const left = new AbortController()
    const handoff = createHandoff<JobEvent>({ onReturn: () => left.abort(CONSUMER_LEFT) })
    const onAbort = () => {
      left.abort(CONSUMER_LEFT)
      handoff.release()
    }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    const cancelDeadline = clock.after(JOB_MS_MAX, onAbort)
    counts.running += 1
    follow({ signer, request, routing, signal: left.signal, handoff }).then(
      () => handoff.close(),
      (reason: unknown) => {
        const error = toTriforceError(reason)
        if (error.code !== 'CANCELLED') counts.failed += 1
        handoff.close(error)
      },
    ).finally(() => {
      signal.removeEventListener('abort', onAbort)
      cancelDeadline()
      counts.running -= 1
    })
    return handoff.events
  }

  return {
    counts,
    // Only an embedding gives vectors.
    run: run as RemoteJobs['run'],
  }
}

function listenerOf({ handoff, request }: Job): JobListener {
  return {
    onBeat: (beat) => handoff.offerIfIdle(waitingOf(beat)),
    onPlaced: (placed) => void handoff.offer(placedEvent(placed)),
    onDelta: (delta) => handoff.offer(delta),
    ...(isEmbedding(request) ? { onVectors: (vectors: VectorsEvent) => handoff.offer(vectors) } : {}),
  }
}

function labelsIn({ digest, quantization, check }: HostLabels | { readonly [Name in keyof HostLabels]: HostLabels[Name] | undefined }): HostLabels {
  return { ...(digest === undefined ? {} : { digest }), ...(quantization === undefined ? {} : { quantization }), ...(check === undefined ? {} : { check }) }
}

const RELAY_PRIVACY = 'verified'

function notRelayed(model: string): TriforceError {
  return new TriforceError('NO_HOST', { model }, {
    retryAfterMs: 5_000, detail: `no host of "${model}" that may see the prompt can be reached from here, and a hub must not relay it: it would see it too`,
  })
}
