/**
 * Runs jobs on this machine: admits the ticket, waits for a slot, pipes engine → meter → coalesce → channel, and signs
 * the contributor's half of the receipt. Speaks frames of protocol/messages/job.ts.
 */
import { createHash, type Hash } from 'node:crypto'
import { pipe } from 'it-pipe'
import type { Provider } from '../../providers/interface.ts'
import { toHex } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { isEmbedding, jobRequestSchema, type CompletionRequest, type DetailedUsage, type EmbeddingRequest, type FinishReason, type JobRequest } from '../../protocol/completion.ts'
import { toTriforceError, TriforceError, type ErrorCode } from '../../protocol/errors.ts'
import { CHUNK_WAIT_MS_MAX } from '../../protocol/limits.ts'
import type { OfferedModel } from '../../protocol/messages/capacity.ts'
import { hashedHead, hashedText, tellOfDelta, type JobTell, type ProgressNote } from '../../protocol/messages/job.ts'
import { ticketHashOf, type ReceiptHalf } from '../../protocol/messages/receipt.ts'
import type { Ticket } from '../../protocol/messages/ticket.ts'
import type { Clock, Log, Signer } from '../../protocol/ports.ts'
import { signTogether, type Signed } from '../../protocol/signed.ts'
import type { Channel } from '../net/channel.ts'
import { errorTell } from '../net/requests.ts'
import type { Traffic } from '../net/traffic.ts'
import { coalesce } from './coalesce.ts'
import { sendTell, type OpenAsk } from './frames.ts'
import type { JobQueue } from './job-queue.ts'
import type { ServeJob } from './job-server.ts'
import { beatOf, createProgress, startBeats } from './signs-of-life.ts'
import type { TicketGate } from './tickets.ts'
import type { TurnSigner } from './turn-signer.ts'
import { vectorFrames } from './vectors.ts'

export interface ExecutorComponents {
  readonly provider: Pick<Provider, 'models' | 'run' | 'embed'>
  readonly queue: JobQueue
  readonly gate: TicketGate
  readonly signer: Signer
  /** With the same key. */
  readonly turnSigner: TurnSigner
  readonly clock: Clock
  readonly log: Log
  /** 16 bytes, new at each start of this node: intervals of one boot are comparable among each other, whatever the wall clock does. */
  readonly boot: Uint8Array
  /** Stable names of the devices that compute, at least one, for receipts. */
  readonly devices: () => readonly string[]
  /** Counts jobs by the path on which they came. */
  readonly traffic?: Pick<Traffic, 'job'>
  /** What its operator says of new jobs; default: all may come. */
  readonly lending?: {
    readonly refusal: () => TriforceError | undefined
    /** Place of an account in the queue, smaller first. */
    readonly rankOf: (account: Uint8Array) => number
  }
  /** A job was refused before anything was computed. */
  readonly onRefused?: (code: ErrorCode) => void
}

export interface ExecutorCounts {
  served: number
  failed: number
}

export interface Executor {
  readonly serveOpen: ServeJob<OpenAsk>
  readonly counts: Readonly<ExecutorCounts>
}

const NO_USAGE: DetailedUsage = { promptTokens: 0, completionTokens: 0 }

export function createExecutor(components: ExecutorComponents): Executor {
  const { provider, queue, gate, signer, turnSigner, clock, boot, devices } = components
  const log = components.log.child('executor')
  const counts: ExecutorCounts = { served: 0, failed: 0 }

  const nowMs = () => Math.floor(clock.monotonicMs())

  function refuse(channel: Channel, reason: unknown): void {
    const error = toTriforceError(reason)
    components.onRefused?.(error.code)
    sendTell(channel, { ...errorTell(error), t: 'reject' })
  }

  /** Ticket and request fit each other and this machine; throws what becomes a reject. */
  function admit(ask: OpenAsk): { ticket: Ticket; request: JobRequest; model: OfferedModel } {
    const ticket = gate.admit(ask.ticket, ask.request, ask.opened?.ticket)
    const refusal = components.lending?.refusal()
    if (refusal !== undefined) throw refusal
    const request = ask.opened?.request ?? decode(jobRequestSchema, ask.request)
    const model = provider.models().find((one) => one.id === ticket.model)
    if (request.model !== ticket.model) throw new TriforceError('TICKET_INVALID', { field: 'model' })
    if (model === undefined) throw new TriforceError('MODEL_NOT_FOUND', { model: ticket.model })
    if (isEmbedding(request)) return { ticket, request, model }
    return { ticket, request: { ...request, maxTokens: Math.min(request.maxTokens ?? ticket.tokensMax, ticket.tokensMax) }, model }
  }

  return {
    counts,
    async serveOpen(channel, ask, { signal }) {
      let job: ReturnType<typeof admit>
      try {
        job = admit(ask)
      } catch (reason) {
        refuse(channel, reason)
        return
      }
      const { ticket, request, model } = job
      const beats = startBeats(channel, clock)
      let freeSlot = () => {}
      try {
        freeSlot = await queue.enter({ priority: ticket.priority, rank: components.lending?.rankOf(ticket.account) ?? 0, account: toHex(ticket.account), signal, onPlace: (place) => beats.say({ state: 'queued', at: place }) })
      } catch (reason) {
        beats.stop()
        refuse(channel, reason)
        return
      }

      const { cut, release } = cutAfter(signal, clock, ticket.msMax)
      const output = createHash('sha256')
      /** When it began to compute: neither its turn nor the loading of the model is paid as work. */
      let startMs = nowMs()
      let isLoading = false
      let usage = NO_USAGE
      let finish: FinishReason = 'error'
      /** The half is signed with those of other jobs that end in this turn, and the frame leaves with the last text. */
      const halfNow = (hash: Hash, as: FinishReason): ReceiptHalf => ({
        v: 1, ticketHash: ticketHashOf(ask.ticket), jobId: ticket.jobId, modelDigest: model.digest, ...namesOf(devices()), boot,
        ...(isLoading ? { startMs: nowMs(), endMs: nowMs() } : { startMs, endMs: Math.max(startMs, Math.ceil(clock.monotonicMs())) }), usage, outputHash: new Uint8Array(hash.digest()), finish: as,
      })
      const tellWithHalf = (frame: Extract<JobTell, { t: 'end' | 'fail' }>): Promise<void> => new Promise((resolve) => {
        accept()
        turnSigner.sign('receiptHalf', halfNow(output, finish), (half) => {
          sendTell(channel, { ...frame, half })
          resolve()
        })
      })
      const progress = createProgress(ticket.jobId, clock)
      const accept = acceptSoon(channel, clock)

      async function complete(request: CompletionRequest): Promise<void> {
        await pipe(provider.run(request, { signal: cut }), coalesce(clock, { waitMsMax: () => chunkWaitMs(queue.running) }), async (events) => {
          for await (const event of events) {
            if (event.type === 'state') {
              if (isLoading && event.state.state === 'running') startMs = nowMs()
              isLoading = event.state.state === 'loading'
              beats.say(beatOf(event.state))
              continue
            }
            if (event.type === 'end') {
              usage = event.usage
              finish = event.finish
              continue
            }
            output.update(hashedText(event))
            usage = { ...usage, completionTokens: event.tokens }
            accept()
            const writable = sendTell(channel, tellOfDelta(event))
            beats.sent()
            const note = progress.due(event.tokens)
            if (note !== undefined) sendTell(channel, { t: 'progress', ...signedSoFar(signer, note, halfNow(output.copy(), 'error')) })
            // A peer that reads slowly stops the engine here; a cancel still gets through.
            if (!writable) await drainedOrCut(channel, cut)
          }
        })
      }

      async function embed(request: EmbeddingRequest): Promise<void> {
        if (provider.embed === undefined) throw new TriforceError('CAPABILITY_MISSING', { model: request.model }, { detail: `"${request.model}" makes no embeddings here` })
        const made = await provider.embed(request, { signal: cut }).catch((reason: unknown) => {
          if (!cut.aborted) throw reason
        })
        if (made === undefined || cut.aborted) {
          finish = 'cancelled'
          return
        }
        usage = { ...made.usage, completionTokens: 0 }
        for (const frame of vectorFrames(made.vectors, request.inputs.length)) {
          output.update(hashedHead(frame)).update(frame.values)
          accept()
          const writable = sendTell(channel, frame)
          beats.sent()
          if (!writable) await drainedOrCut(channel, cut)
        }
        finish = 'stop'
      }

      try {
        beats.say({ state: 'running' })
        await (isEmbedding(request) ? embed(request) : complete(request))
        if (finish === 'error') throw new TriforceError('ENGINE_FAILED', {}, { detail: 'the engine stopped without an end' })
        counts.served += 1
        if (channel.path !== undefined) components.traffic?.job(channel.path)
        await tellWithHalf({ t: 'end', finish, usage })
      } catch (reason) {
        const error = toTriforceError(reason, 'ENGINE_FAILED')
        counts.failed += 1
        if (error.spec.blame === 'client') log.debug('job refused by the engine', { code: error.code, model: ticket.model })
        else log.warn('job failed', { code: error.code, model: ticket.model })
        finish = 'error'
        const frame = { ...errorTell(error), t: 'fail' as const, usage }
        if (usage.completionTokens > 0) await tellWithHalf(frame)
        else {
          accept()
          sendTell(channel, frame)
        }
      } finally {
        release()
        beats.stop()
        freeSlot()
      }
    },
  }
}

/** Says `accept` when called, at the latest ACCEPT_MS_MAX from now: most engines have a first piece by then, and the two leave as one message. */
function acceptSoon(channel: Channel, clock: Clock): () => void {
  let isSaid = false
  const say = (): void => {
    if (isSaid) return
    isSaid = true
    cancel()
    sendTell(channel, { t: 'accept' })
  }
  const cancel = clock.after(ACCEPT_MS_MAX, say)
  return say
}

/** If nothing came after it, the half would be that of an answer that broke here: so a host that dies is paid for what it did. */
function signedSoFar(signer: Signer, note: ProgressNote, half: ReceiptHalf): { readonly note: Signed; readonly half: Signed } {
  const [signedNote, signedHalf] = signTogether(signer, [{ domain: 'progress', body: encode(note) }, { domain: 'receiptHalf', body: encode(half) }])
  return { note: signedNote!, half: signedHalf! }
}

/** As a half names them: the list only where there are several. */
function namesOf(devices: readonly string[]): Pick<ReceiptHalf, 'device' | 'devices'> {
  return { device: devices[0]!, ...(devices.length > 1 ? { devices: [...devices] } : {}) }
}

/** The job's signal, which also ends after `msMax`. */
function cutAfter(signal: AbortSignal, clock: Clock, msMax: number): { cut: AbortSignal; release: () => void } {
  const controller = new AbortController()
  const abort = () => controller.abort()
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort)
  const cancelTimer = clock.after(msMax, abort)
  return {
    cut: controller.signal,
    release() {
      cancelTimer()
      signal.removeEventListener('abort', abort)
    },
  }
}

/** Waits until the channel takes more, or the job is over anyway. */
async function drainedOrCut(channel: Channel, cut: AbortSignal): Promise<void> {
  if (cut.aborted) return
  await new Promise<void>((resolve) => {
    const settle = () => {
      cut.removeEventListener('abort', settle)
      resolve()
    }
    cut.addEventListener('abort', settle)
    channel.drained().then(settle, settle)
  })
}

/**
 * With many streams at once each gets little text in CHUNK_WAIT_MS_MAX, and the small pieces would cost more than the
 * text. A quarter of a millisecond more for each stream, 50 ms at most, nobody sees; 200 streams then have a fifth of the pieces.
 */
function chunkWaitMs(streams: number): number {
  return Math.min(CHUNK_WAIT_MS_MAX + Math.max(streams - FEW_STREAMS, 0) / 4, CHUNK_WAIT_BUSY_MS_MAX)
}

const CHUNK_WAIT_BUSY_MS_MAX = 50
/** Nobody gives up a host this soon. */
const ACCEPT_MS_MAX = 10
/** So many wait no longer than one alone. */
const FEW_STREAMS = 8
