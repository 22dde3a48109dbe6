/**
 * A consumer's side of a job. First straight from the contributor, over a connection of its own or a circuit that the
 * hub cannot read: a hub issues the ticket and stays out of the data path. Where neither works, the hub proxies the stream.
 */
import { encode } from '../../protocol/codec.ts'
import { isEmbedding, type CompletionRequest, type JobRequest } from '../../protocol/completion.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { toTriforceError, TriforceError, type ErrorCode } from '../../protocol/errors.ts'
import type { FederationHub } from '../../protocol/federation.ts'
import { JOB_MS_MAX, JOB_SILENCE_MS_MAX } from '../../protocol/limits.ts'
import { encodeRequest, type JobOptions } from '../../protocol/messages/job.ts'
import { ticketSchema } from '../../protocol/messages/ticket.ts'
import { peerIdOf, publicKeyOf } from '../../protocol/peer-key.ts'
import type { Clock, Log, Signer } from '../../protocol/ports.ts'
import type { RoutingWishes } from '../../protocol/routing.ts'
import { openDocument, type Signed } from '../../protocol/signed.ts'
import { estimatePromptTokens } from '../../protocol/token-estimate.ts'
import { mayBeSeenBy } from './router.ts'
import type { CompleteOptions, CompletionEvent, PlacedEvent } from '../gateway.ts'
import type { ChannelPool } from '../net/channel-pool.ts'
import type { JobPath, Traffic } from '../net/traffic.ts'
import type { AccountClient } from '../settlement/account-client.ts'
import type { HostLabels } from './attempt.ts'
import { needsOf } from './candidates.ts'
import { createContinuation, type Continuation, type EndedPart } from './continuation.ts'
import { createHandoff, type Handoff } from './handoff.ts'
import { fromHost } from './host-errors.ts'
import { createHostWatch, type PrefixTable } from './prefix-table.ts'
import type { Reach } from './reach.ts'
import { ANSWER_MS_MAX, FIRST_TEXT_MS_MAX, PIECE_MS_MAX, runJob, type JobListener, type JobSeen, type RunJobOptions } from './job-run.ts'
import { placedEvent, relayedBody, servedOf } from './relay-frames.ts'
import { signedPart } from './signed-part.ts'
import { inTime } from './silence-watch.ts'
import type { JobEvent, VectorsEvent } from './vectors.ts'
import { waitingOf } from './waiting.ts'

export interface RemoteJobComponents {
  readonly reach: Reach
  readonly pool: Pick<ChannelPool, 'lease' | 'giveBack' | 'discard'>
  readonly client: AccountClient
  readonly traffic: Pick<Traffic, 'job'>
  /** Which host knows the beginning of a prompt; absent: that is not looked at. */
  readonly prefixes?: PrefixTable
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
  /** What is asked now: of an answer that was begun, with its beginning. */
  readonly request: JobRequest
  readonly bytes: Uint8Array
  readonly routing: RoutingWishes | undefined
  readonly signal: AbortSignal
  readonly handoff: Handoff<JobEvent>
  readonly answer: Continuation
  /** Hosts that were asked directly, and those of them that did not answer or broke off. */
  readonly exclude: Uint8Array[]
  readonly unanswered: Uint8Array[]
  /** Hubs that were lost while they relayed it: asked after the others. */
  readonly lostHubs: Set<string>
}

/** Who was asked broke off after something was passed on. */
interface Broken {
  readonly error: TriforceError
  readonly part: EndedPart
  /** Name of the hub that clears it. */
  readonly hub: string
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

/** Codes of hosts that a hub should look at. */
const UNANSWERED: ReadonlySet<ErrorCode> = new Set(['HOST_LOST', 'HOST_SILENT'])

/** Made once: a consumer also leaves when it has all it wanted, which is after every job. */
const CONSUMER_LEFT = new TriforceError('CANCELLED')

/** A hub that restarts is back within some seconds: waits of 1, 2, 3 and 4 s. */
const SETTLE_ATTEMPTS_MAX = 5
const SETTLE_WAIT_MS = 1_000

export function createRemoteJobs(components: RemoteJobComponents, options: RemoteJobOptions = {}): RemoteJobs {
  const { reach, pool, client, clock, traffic, prefixes } = components
  const log = components.log.child('remote-job')
  const { directAttemptsMax = 2, firstTextMsMax = FIRST_TEXT_MS_MAX } = options
  const counts = { running: 0, served: 0, failed: 0 }

  /** A hub is asked with the defaults: it speaks for its hosts, and has its own bounds for them. */
  async function askOn(
    peer: string, ask: Parameters<typeof runJob>[2]['ask'], signal: AbortSignal, listener: JobListener, bounds: Pick<RunJobOptions, 'tokensMax' | 'answerMsMax' | 'pieceMsMax'> = {},
  ): Promise<JobSeen & { path: JobPath }> {
    const channel = await inTime(clock, bounds.answerMsMax ?? JOB_SILENCE_MS_MAX, pool.lease(peer), (late) => pool.giveBack(late))
    const seen = await runJob(channel, clock, { ask, signal, listener, firstTextMsMax, ...bounds })
    if (seen.clean) pool.giveBack(channel)
    else pool.discard(channel, seen.error ?? new TriforceError('HOST_LOST'))
    return { ...seen, path: channel.path ?? 'direct' }
  }

  interface Ticketed { readonly hub: FederationHub; readonly labels: HostLabels; readonly peer: string; readonly hostName: string; readonly signed: Signed; readonly tokensMax: number; readonly addresses: readonly string[] }

  /** Undefined where the hub wants to relay the job. */
  async function ticketFor({ signer, request, bytes, routing, exclude, unanswered }: Job): Promise<(Ticketed & { key: Uint8Array }) | undefined> {
    const known = isEmbedding(request) ? undefined : prefixes?.hostOf(signer.publicKey, request)
    const affine = known === undefined ? undefined : publicKeyOf(known)
    const { hub, answer } = await client.ask(signer, 'ticket', {
      model: request.model, requestHash: sha256(bytes), tokensMax: (isEmbedding(request) ? undefined : request.maxTokens) ?? 0, exclude: [...exclude], needs: needsOf(request),
      ...(unanswered.length === 0 ? {} : { unanswered: [...unanswered] }),
      ...(routing === undefined ? {} : { routing }), ...(affine === undefined ? {} : { affine }),
    })
    if (answer.ticket === undefined) return undefined
    const ticket = openDocument('ticket', ticketSchema, answer.ticket)
    return {
      hub, labels: labelsIn(answer), key: ticket.contributor, peer: peerIdOf(ticket.contributor), hostName: answer.hostName, signed: answer.ticket, tokensMax: ticket.tokensMax,
      addresses: answer.addresses,
    }
  }

  /** True where the job is done; false where nothing was delivered and another way may be tried. */
  async function direct(job: Job): Promise<boolean | Broken> {
    const { request, bytes, signal, handoff, exclude, unanswered } = job
    for (let attempt = 1; attempt <= directAttemptsMax; attempt += 1) {
      let ticketed: Awaited<ReturnType<typeof ticketFor>>
      try {
        ticketed = await ticketFor(job)
      } catch (reason) {
        const error = toTriforceError(reason, 'NO_HUB')
        if (FINAL_CODES.has(error.code) && !isBegun(request)) throw error
        // No other host is left to be reached directly: a hub may still reach the one that we could not.
        return false
      }
      if (ticketed === undefined) return false
      exclude.push(ticketed.key)
      const isReached = await reach.to({ peer: ticketed.peer, addresses: ticketed.addresses, relay: ticketed.hub.peerId }, { signal })
      if (signal.aborted) throw new TriforceError('CANCELLED')
      if (!isReached) continue
      void handoff.offer({ type: 'placed', host: ticketed.peer, hostName: ticketed.hostName, attempts: exclude.length, model: request.model, ...ticketed.labels })
      const seen = await askOn(ticketed.peer, { t: 'open', ticket: ticketed.signed, request: bytes }, signal, listenerOf(job), {
        // Who does not answer here is asked again by way of a hub.
        tokensMax: ticketed.tokensMax, answerMsMax: ANSWER_MS_MAX, pieceMsMax: PIECE_MS_MAX,
      }).catch((reason: unknown): TriforceError => toTriforceError(reason, 'HOST_LOST'))
      if (seen instanceof TriforceError || (seen.error !== undefined && !seen.delivered)) {
        const error = fromHost(seen instanceof TriforceError ? seen : seen.error!)
        if (signal.aborted) throw new TriforceError('CANCELLED')
        log.info('host did not answer', { host: ticketed.peer, code: error.code, attempt })
        if (UNANSWERED.has(error.code)) unanswered.push(ticketed.key)
        if (FINAL_CODES.has(error.code) && !isBegun(request)) throw error
        continue
      }
      if (seen.error !== undefined && !signal.aborted) {
        unanswered.push(ticketed.key)
        const settling = settleSeen(job, ticketed, signedPart(seen)).then(settledOf, (reason: unknown) => {
          log.warn('what a host made before it broke off could not be settled', { host: ticketed.peer, code: toTriforceError(reason).code })
          return undefined
        })
        return { error: fromHost(seen.error), part: { host: ticketed.peer, hostName: ticketed.hostName, digest: ticketed.labels.digest, promptTokens: 0, settling }, hub: ticketed.hub.name }
      }
      if (seen.error === undefined) void handoff.offer({ type: 'finish', finish: seen.finish, usage: seen.usage })
      const [answer] = await Promise.all([settleSeen(job, ticketed, seen), job.answer.settled()])
      if (signal.aborted) throw new TriforceError('CANCELLED')
      traffic.job(seen.path)
      void handoff.offer({
        type: 'settled',
        served: { host: ticketed.peer, hostName: ticketed.hostName, hub: ticketed.hub.name, ...settledOf(answer), attempts: exclude.length, model: request.model },
      })
      return true
    }
    return false
  }

  function settleSeen({ signer }: Job, { hub, signed }: Ticketed, seen: JobSeen & { path: JobPath } | JobSeen) {
    return settle(signer, hub, {
      ticket: signed, observedMs: seen.observedMs, observedUsage: seen.usage, outputHash: seen.outputHash, finish: seen.finish,
      path: 'path' in seen && seen.path === 'relayed' ? 'relay' : 'direct', ...(seen.half === undefined ? {} : { half: seen.half }),
    })
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

  async function proxied(job: Job): Promise<Broken | undefined> {
    const { signer, bytes, routing, signal, handoff, answer, lostHubs } = job
    const options = routing === undefined ? {} : { options: encode({ routing } satisfies JobOptions) }
    const body = relayedBody({ request: bytes, ...options })
    let lastError = new TriforceError('NO_HUB', {}, { retryAfterMs: 3_000 })
    const hubs = client.hubs()
    const isLost = ({ peerId }: FederationHub) => lostHubs.has(peerId)
    for (const hub of [...hubs.filter((one) => !isLost(one)), ...hubs.filter(isLost)]) {
      if (signal.aborted) throw new TriforceError('CANCELLED')
      let placed: PlacedEvent | undefined
      let seen: JobSeen
      try {
        const listener = { ...listenerOf(job), onPlaced: (frame: Parameters<typeof placedEvent>[0]) => void handoff.offer(placed = placedEvent(frame)) }
        seen = await askOn(hub.peerId, { t: 'relay', authorization: client.authorize(signer, hub, 'relay', body), request: bytes, ...options }, signal, listener)
      } catch (reason) {
        lastError = toTriforceError(reason, 'NO_HUB')
        continue
      }
      const { error, relayed: end } = seen
      if (signal.aborted) throw new TriforceError('CANCELLED')
      if (error !== undefined && seen.delivered) {
        // A hub that says so has looked for another host itself.
        if (error.context['remote'] === true) throw error
        lostHubs.add(hub.peerId)
        return { error, part: { host: placed?.host ?? hub.peerId, hostName: placed?.hostName ?? hub.name, digest: placed?.digest, promptTokens: 0, settling: Promise.resolve(undefined) }, hub: hub.name }
      }
      if (error !== undefined && FINAL_CODES.has(error.code) && !isBegun(job.request)) throw error
      if (error === undefined && end !== undefined) {
        traffic.job('proxied')
        void handoff.offer({ type: 'finish', finish: seen.finish, usage: seen.usage })
        await answer.settled()
        void handoff.offer({ type: 'settled', served: servedOf(end) })
        return undefined
      }
      lastError = error ?? new TriforceError('PROTOCOL_VIOLATION', { frame: 'end' })
    }
    throw lastError
  }

  /** Directly, else by way of a hub. Undefined: the answer is complete. */
  async function once(job: Job): Promise<Broken | undefined> {
    const done = await direct(job)
    if (done === true) return undefined
    if (done !== false) return done
    // A hub that relays reads along.
    if (!mayBeSeenBy(RELAY_PRIVACY, job.routing?.privacy ?? 'cloud')) throw notRelayed(job.request.model)
    return await proxied(job)
  }

  async function follow(asked: Omit<Job, 'bytes' | 'handoff' | 'answer' | 'exclude' | 'unanswered' | 'lostHubs'>, handoff: Handoff<JobEvent>): Promise<void> {
    const answer = createContinuation(asked.request, asked.routing)
    const watch = createHostWatch(asked.request.model)
    const offer = (event: JobEvent) => {
      watch.hear(event)
      return handoff.offer(answer.pass(event))
    }
    const through: Handoff<JobEvent> = { ...handoff, offer }
    const job: Job = { ...asked, bytes: encodeRequest(asked.request), handoff: through, answer, exclude: [], unanswered: [], lostHubs: new Set() }
    for (let broken = await once(job); broken !== undefined;) broken = await goOn(job, broken)
    if (watch.host !== undefined && !isEmbedding(asked.request)) prefixes?.answered(asked.signer.publicKey, asked.request, answer.text, watch.host)
    counts.served += 1
  }

  /** Undefined: the answer is complete. Throws the error of the host that broke off where nobody can go on. */
  async function goOn(job: Job, { error, part, hub }: Broken): Promise<Broken | undefined> {
    const { answer, handoff, signal, exclude } = job
    answer.broke(part)
    const stuck = answer.stuck()
    log.info('a host broke off an answer', { host: part.host, code: error.code, ...(stuck === undefined ? {} : { stuck }) })
    if (stuck !== undefined) {
      await answer.settled()
      throw error
    }
    if (answer.isFull) {
      void handoff.offer({ type: 'finish', finish: 'length', usage: { promptTokens: estimatePromptTokens(job.request), completionTokens: 0 } })
      await answer.settled()
      void handoff.offer({ type: 'settled', served: { ...answer.servedByLast(), hub, attempts: exclude.length, model: job.request.model } })
      return undefined
    }
    // The weights of the host to come are not known: it takes the tokens only where they give the text.
    const request = answer.request({ ids: true })
    try {
      return await once({ ...job, request, bytes: encodeRequest(request) })
    } catch (reason) {
      await answer.settled()
      if (signal.aborted) throw reason
      log.info('nobody can go on with an answer', { code: toTriforceError(reason).code })
      throw error
    }
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
    follow({ signer, request, routing, signal: left.signal }, handoff).then(
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

/** An answer that goes on: whatever refuses it, another may take it. */
function isBegun(request: JobRequest): boolean {
  return !isEmbedding(request) && request.begun !== undefined
}

function settledOf({ receiptId, durability, costMicroCredits }: { readonly receiptId: Uint8Array; readonly durability: 'replicated' | 'local'; readonly costMicroCredits: string }) {
  return { receiptId, durability, costMicroCredits: BigInt(costMicroCredits) }
}

function notRelayed(model: string): TriforceError {
  return new TriforceError('NO_HOST', { model }, {
    retryAfterMs: 5_000, detail: `no host of "${model}" that may see the prompt can be reached from here, and a hub must not relay it: it would see it too`,
  })
}
