/**
 * Runs one completion for one HTTP answer, in any dialect: pulls events from the gateway at the reader's pace and lets an
 * AnswerWriter write them. A client that leaves, in whatever phase, aborts the gateway at once.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import type { RoutingWishes } from '../../protocol/routing.ts'
import type { CompletionEvent, Gateway, Principal } from '../gateway.ts'
import { createAnswerCollector } from './collected-answer.ts'
import type { AnswerEnd, AnswerWriter } from './dialect.ts'
import { logFailure } from './http-errors.ts'
import type { BridgeMetrics } from './metrics.ts'
import { createStreamAnswer, type StreamAnswer } from './stream-answer.ts'

export interface CompletionRunnerComponents {
  readonly gateway: Pick<Gateway, 'complete'>
  readonly clock: Clock
  readonly log: Log
  readonly metrics: BridgeMetrics
}

export interface CompletionRunnerOptions {
  /** Completions at once; the next one is refused with QUEUE_FULL. */
  readonly runningMax?: number
  /** A waiting state is told after this long, and with it the status line sent. */
  readonly quietMs?: number
  /** Silence is broken by a comment this often; proxies cut at 60 s. */
  readonly keepAliveMs?: number
  /** A client that takes no byte for this long is dropped. */
  readonly stalledMsMax?: number
  /** Characters that an answer sent in one body may have. */
  readonly answerCharsMax?: number
}

export const completionRunnerDefaults = Object.freeze({
  runningMax: 2_048,
  quietMs: 1_000,
  keepAliveMs: 15_000,
  // The kernel tells of a slow reader's progress in lumps of 64 KiB and more, so this has to be long.
  stalledMsMax: 10 * 60_000,
  answerCharsMax: 2_000_000, // COMPLETION_TOKENS_MAX tokens of 60 characters
}) satisfies Required<CompletionRunnerOptions>

export interface CompletionJob {
  readonly principal: Principal
  readonly completion: CompletionRequest
  readonly stream: boolean
  readonly writer: AnswerWriter
  readonly routing?: RoutingWishes
}

export interface CompletionRunner {
  /** Answers the request, or rejects with a TriforceError while no byte of an answer was sent. */
  run(request: FastifyRequest, reply: FastifyReply, job: CompletionJob): Promise<void>
  /** Ends all that run; their clients are told `reason`. */
  abort(reason: TriforceError): void
}

/** What becomes of the events. */
type Sink = Pick<StreamAnswer, 'waiting' | 'delta' | 'room'>
type EventOf<Type extends CompletionEvent['type']> = Extract<CompletionEvent, { type: Type }>

export function createCompletionRunner(components: CompletionRunnerComponents, options: CompletionRunnerOptions = {}): CompletionRunner {
  const { gateway, clock, log, metrics } = components
  const settings = { ...completionRunnerDefaults, ...options }
  const running = new Set<AbortController>()

  /** Pulls all events; gives the end once the receipt is durable. */
  async function consume(job: CompletionJob, signal: AbortSignal, sink: Sink): Promise<AnswerEnd> {
    const startedAtMs = clock.monotonicMs()
    let begun = false
    let ended: EventOf<'finish'> | undefined
    for await (const event of gateway.complete(job.principal, job.completion, { signal, ...(job.routing === undefined ? {} : { routing: job.routing }) })) {
      switch (event.type) {
        case 'placed':
          break
        case 'waiting':
          sink.waiting(event)
          break
        case 'text':
        case 'reasoning':
        case 'toolCall':
          if (event.type === 'text' && event.text === '') break
          if (!begun) {
            begun = true
            metrics.firstText((clock.monotonicMs() - startedAtMs) / 1_000)
          }
          sink.delta(event)
          break
        case 'finish':
          ended = event
          break
        case 'settled':
          if (ended === undefined) throw new TriforceError('INTERNAL', { problem: 'settled before finish' })
          return answerEnd(ended, event)
      }
      const room = sink.room()
      if (room !== undefined) await room
      signal.throwIfAborted()
    }
    throw new TriforceError('INTERNAL', { problem: 'the answer ended without its receipt' })
  }

  async function stream(request: FastifyRequest, reply: FastifyReply, job: CompletionJob, controller: AbortController): Promise<void> {
    const answer = createStreamAnswer({ reply, writer: job.writer, signal: controller.signal, clock }, settings)
    try {
      const end = await consume(job, controller.signal, answer)
      answer.end(end)
      metrics.completionTokens(end.usage.completionTokens)
    } catch (thrown) {
      if (!answer.begun || hasLeft(request)) throw thrown
      const error = stopBecauseOf(thrown, controller)
      logFailure(log, error, request.id)
      answer.failed(error)
    } finally {
      answer.close()
    }
  }

  async function collect(reply: FastifyReply, job: CompletionJob, signal: AbortSignal): Promise<void> {
    const collector = createAnswerCollector({ charsMax: settings.answerCharsMax })
    const end = await consume(job, signal, { waiting: () => undefined, delta: (delta) => collector.add(delta), room: () => undefined })
    reply.header('content-type', 'application/json; charset=utf-8')
    reply.send(job.writer.body(collector.answer, end))
    metrics.completionTokens(end.usage.completionTokens)
  }

  return {
    async run(request, reply, job) {
      if (running.size >= settings.runningMax) throw new TriforceError('QUEUE_FULL')
      if (hasLeft(request)) {
        reply.hijack()
        return
      }
      const controller = new AbortController()
      const onClose = (): void => {
        if (!reply.raw.writableEnded) controller.abort(new TriforceError('CANCELLED'))
      }
      // Of the response, since the request's `close` comes as soon as the body was read. A pipelined request has a
      // response without a socket, which does not hear of the end.
      const leaver = reply.raw.socket === null ? request.raw.socket : reply.raw
      leaver.once('close', onClose)
      running.add(controller)
      metrics.completionStarted()
      try {
        await (job.stream ? stream(request, reply, job, controller) : collect(reply, job, controller.signal))
      } catch (thrown) {
        const error = stopBecauseOf(thrown, controller)
        if (!hasLeft(request)) throw error
        metrics.leftByClient()
        log.debug('client left before the end of its answer', { requestId: request.id })
        reply.hijack()
      } finally {
        leaver.off('close', onClose)
        running.delete(controller)
        metrics.completionEnded()
      }
    },

    abort(reason) {
      for (const controller of running) controller.abort(reason)
    },
  }
}

function answerEnd({ finish, usage }: EventOf<'finish'>, { served }: EventOf<'settled'>): AnswerEnd {
  // A client that is still there must not take a cut answer for a whole one.
  if (finish === 'cancelled' || finish === 'error') throw new TriforceError('ENGINE_FAILED')
  return { finish, usage, served }
}

/**
 * Whatever failed, the engine must stop. Where we ended the job ourselves, our reason is the one to tell; else nobody
 * here cancelled, so for the client a cancelled job is a failed one.
 */
function stopBecauseOf(thrown: unknown, controller: AbortController): TriforceError {
  let error = toTriforceError(controller.signal.aborted ? controller.signal.reason : thrown)
  if (error.code === 'CANCELLED' && !controller.signal.aborted) error = new TriforceError('ENGINE_FAILED', {}, { cause: error })
  controller.abort(error)
  return error
}

function hasLeft(request: FastifyRequest): boolean {
  return request.raw.socket.destroyed
}
