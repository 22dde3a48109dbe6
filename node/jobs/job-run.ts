/**
 * One job at one host, from the asking side: opens it, follows its frames and reports what was seen. It reads the
 * channel to the job's last frame also after a cancel, so that the usage is exact and the stream can be used again.
 */
import { createHash, type Hash } from 'node:crypto'
import type { AnswerDelta, DetailedUsage, FinishReason } from '../../protocol/completion.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { COMPLETION_TOKENS_MAX, JOB_SILENCE_MS_MAX } from '../../protocol/limits.ts'
import { deltaOfTell, hashedHead, hashedText, jobTellSchema, type JobTell } from '../../protocol/messages/job.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { Signed } from '../../protocol/signed.ts'
import { fromWireError } from '../../protocol/wire-error.ts'
import type { Channel } from '../net/channel.ts'
import { readFrame, sendAsk, type OpenAsk, type RelayAsk } from './frames.ts'
import { createSilenceWatch } from './silence-watch.ts'
import { createVectorCheck, type VectorsEvent } from './vectors.ts'

/** What the asking side saw of a job, however it ended. */
export interface JobSeen {
  readonly usage: DetailedUsage
  readonly finish: FinishReason
  readonly outputHash: Uint8Array
  readonly observedMs: number
  /** A part of the answer was passed on: the job cannot be given to another host any more. */
  readonly delivered: boolean
  /** Signed by the contributor; absent where it died before. */
  readonly half: Signed | undefined
  /** The last half that it signed on its way, and what had come by then. */
  readonly soFar: SignedSoFar | undefined
  readonly relayed: Extract<JobTell, { t: 'end' }>['relayed']
  /** Why it did not end well. */
  readonly error: TriforceError | undefined
  /** False: the stream must not be used again. */
  readonly clean: boolean
}

export interface SignedSoFar {
  readonly half: Signed
  readonly completionTokens: number
  readonly outputHash: Uint8Array
}

export interface JobListener {
  onBeat(beat: Extract<JobTell, { t: 'beat' }>): void
  /** A hub that relays has asked a host. */
  onPlaced?(placed: Extract<JobTell, { t: 'placed' }>): void
  /** The next frame is read when this resolves. */
  onDelta(delta: AnswerDelta): Promise<void> | undefined
  /** The same for an embedding, which has these and no deltas. Absent for a completion. */
  onVectors?(vectors: VectorsEvent): Promise<void> | undefined
}

export interface RunJobOptions {
  readonly ask: OpenAsk | RelayAsk
  readonly signal: AbortSignal
  /** What the ticket allows; a host that claims more breaks the protocol. Default COMPLETION_TOKENS_MAX. */
  readonly tokensMax?: number
  readonly listener: JobListener
  /** Longest time without any frame. Default JOB_SILENCE_MS_MAX. */
  readonly silenceMsMax?: number
  /** Longest time until the first frame: less than `silenceMsMax` where another host is there to be asked. */
  readonly answerMsMax?: number
  /** Longest time between two pieces of the answer, however lively the host is. Default: no bound, for a vendor may think. */
  readonly pieceMsMax?: number
  /** Longest time before the first text, loading and queueing included. */
  readonly firstTextMsMax: number
}

/** A large model on a processor reads a long prompt for minutes; a host that hangs is found by its silence. */
export const FIRST_TEXT_MS_MAX = 15 * 60_000

/** Where another host can be asked, one that does not say a word for so long is not waited for: a round trip around the world takes a fifth of it. */
export const ANSWER_MS_MAX = 1_500

/** No engine that serves people is this slow between two tokens. */
export const PIECE_MS_MAX = 30_000

/** A load that does not move for so long is not waited for; its host goes on loading. */
const LOADING_STILL_MS_MAX = 60_000
/** The same where the host cannot say how far it is: Ollama itself gives a load up after this time (OLLAMA_LOAD_TIMEOUT). */
const LOADING_UNKNOWN_MS_MAX = 300_000

/** After a cancel the host gets this long for its end frame: an engine may be inside a batch of prompt tokens. */
const CANCEL_MS_MAX = 5_000

/** Never throws: what went wrong stands in `error`. */
export async function runJob(channel: Channel, clock: Clock, options: RunJobOptions): Promise<JobSeen> {
  const { signal, listener, tokensMax = COMPLETION_TOKENS_MAX, silenceMsMax = JOB_SILENCE_MS_MAX, firstTextMsMax, pieceMsMax = Number.POSITIVE_INFINITY } = options
  const startMs = clock.monotonicMs()
  const output = createHash('sha256')
  let usage: DetailedUsage = { promptTokens: 0, completionTokens: 0 }
  const checkVectors = createVectorCheck()
  const silence = createSilenceWatch(clock, (waitMs) => channel.abort(new TriforceError('HOST_SILENT', { waitMs })))
  let answered = false
  let pieceMs = 0
  let cancelDeadline = () => {}
  let cancelLoading = () => {}
  let isLoading = false
  let loaded = 0
  let hasText = false
  let accepted = false
  let soFar: { readonly half: Signed; readonly completionTokens: number; readonly output: Hash } | undefined

  function seen(part: Partial<JobSeen> & Pick<JobSeen, 'finish'>): JobSeen {
    return {
      usage, outputHash: new Uint8Array(output.digest()), observedMs: Math.ceil(clock.monotonicMs() - startMs), delivered: hasText, half: undefined,
      soFar: soFar === undefined ? undefined : { half: soFar.half, completionTokens: soFar.completionTokens, outputHash: new Uint8Array(soFar.output.digest()) },
      relayed: undefined, error: undefined, clean: false, ...part,
    }
  }

  /** The wait begins anew whenever more of the model is loaded, and ends with anything else that the host does. */
  function watchLoading(beat: Extract<JobTell, { t: 'beat' }>): void {
    if (beat.state !== 'loading') {
      cancelLoading()
      isLoading = false
      return
    }
    const hasMoved = beat.at !== undefined && beat.at > loaded
    if (isLoading && !hasMoved) return
    loaded = beat.at ?? loaded
    isLoading = true
    cancelLoading()
    cancelLoading = clock.after(beat.at === undefined ? LOADING_UNKNOWN_MS_MAX : LOADING_STILL_MS_MAX, () => channel.abort(stillLoading(beat.at === undefined ? undefined : loaded)))
  }

  /** Beats show that a host runs; only pieces show that its engine does. Time in which our own reader was behind does not count. */
  function checkPieces(): void {
    if (hasText && clock.monotonicMs() - pieceMs > pieceMsMax) throw new TriforceError('HOST_SILENT', { pieceMsMax }, { detail: 'the host lives, but its engine gives nothing more' })
  }

  function cancel(): void {
    sendAsk(channel, { t: 'cancel' })
    cancelDeadline = clock.after(CANCEL_MS_MAX, () => channel.abort(new TriforceError('HOST_SILENT', { after: 'cancel' })))
  }

  async function nextFrame(): Promise<JobTell> {
    silence.listen(answered ? silenceMsMax : options.answerMsMax ?? silenceMsMax)
    const frame = await readFrame(channel, jobTellSchema)
    silence.heard()
    answered = true
    if (frame === undefined) throw new TriforceError('HOST_LOST')
    return frame
  }

  /** Beats may come before `accept`, a `reject` only then, everything else only after it. */
  function checkOrder(frame: JobTell): void {
    if (frame.t === 'beat') return
    const isBefore = frame.t === 'accept' || frame.t === 'reject'
    if (isBefore === accepted) throw new TriforceError('PROTOCOL_VIOLATION', { frame: frame.t, accepted })
    accepted = true
  }

  function checkTokens(said: DetailedUsage): DetailedUsage {
    if (said.completionTokens > tokensMax) throw new TriforceError('PROTOCOL_VIOLATION', { field: 'tokens', tokensMax })
    return said
  }

  const cancelFirstText = clock.after(firstTextMsMax, () => {
    if (!hasText) channel.abort(new TriforceError('FIRST_TOKEN_TIMEOUT', { firstTextMsMax }))
  })
  signal.addEventListener('abort', cancel)
  try {
    sendAsk(channel, options.ask)
    if (signal.aborted) cancel()
    for (;;) {
      const frame = await nextFrame()
      checkOrder(frame)
      switch (frame.t) {
        case 'accept':
          break
        case 'progress':
          if (frame.half !== undefined) soFar = { half: frame.half, completionTokens: usage.completionTokens, output: output.copy() }
          break
        case 'beat':
          watchLoading(frame)
          checkPieces()
          listener.onBeat(frame)
          break
        case 'placed':
          listener.onPlaced?.(frame)
          break
        case 'vectors': {
          if (listener.onVectors === undefined) throw new TriforceError('PROTOCOL_VIOLATION', { frame: frame.t })
          checkVectors(frame)
          hasText = true
          output.update(hashedHead(frame)).update(frame.values)
          const room = listener.onVectors({ type: 'vectors', dimensions: frame.dimensions, values: frame.values })
          if (room !== undefined) await room
          break
        }
        case 'chunk':
        case 'reasoning':
        case 'tool': {
          if (listener.onVectors !== undefined) throw new TriforceError('PROTOCOL_VIOLATION', { frame: frame.t })
          if (frame.tokens < usage.completionTokens) throw new TriforceError('PROTOCOL_VIOLATION', { field: 'tokens' })
          usage = checkTokens({ ...usage, completionTokens: frame.tokens })
          hasText = true
          if (isLoading) cancelLoading()
          const delta = deltaOfTell(frame)
          output.update(hashedText(delta))
          const room = listener.onDelta(delta)
          if (room !== undefined) await room
          pieceMs = clock.monotonicMs()
          break
        }
        case 'reject':
          return seen({ finish: 'error', error: fromWireError(frame), clean: true })
        case 'fail':
          usage = checkTokens(frame.usage)
          return seen({ finish: 'error', error: fromWireError(frame), half: frame.half, clean: true })
        case 'end':
          usage = checkTokens(frame.usage)
          return seen({ finish: frame.finish, half: frame.half, relayed: frame.relayed, clean: true })
      }
    }
  } catch (reason) {
    return seen({ finish: 'error', error: toTriforceError(reason, 'HOST_LOST') })
  } finally {
    silence.stop()
    cancelDeadline()
    cancelLoading()
    cancelFirstText()
    signal.removeEventListener('abort', cancel)
  }
}

/** `thousandths` of the model are loaded; undefined where the host cannot say. */
function stillLoading(thousandths: number | undefined): TriforceError {
  const part = thousandths === undefined ? '' : ` (${Math.round(thousandths / 10)}%)`
  return new TriforceError('MODEL_LOADING', thousandths === undefined ? {} : { progress: thousandths / 1_000 }, {
    retryAfterMs: 15_000, detail: `the model is still being loaded${part}; try again in a moment`,
  })
}
