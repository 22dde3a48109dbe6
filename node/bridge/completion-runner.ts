/**
 * Runs one completion for one HTTP answer, in any dialect: pulls events from the gateway at the reader's pace and lets an
 * AnswerWriter write them. A client that leaves, in whatever phase, aborts the gateway at once.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import type { RoutingWishes } from '../../protocol/routing.ts'
import type { CompletionEvent, Gateway, PlacedEvent, Principal } from '../gateway.ts'
import { placedHeaders, servedHeaders } from './answer-headers.ts'
import { createAnswerCollector } from './collected-answer.ts'
import type { AnswerEnd, AnswerWriter } from './dialect.ts'
import type { Generation, Generations } from './generations.ts'
import { logFailure } from './http-errors.ts'
import type { BridgeMetrics } from './metrics.ts'
import type { Replays } from './replays.ts'
import { generationOf, replayKeyOf } from './request-facts.ts'
import { hasLeft, stopBecauseOf, type RunningAnswers } from './running-answers.ts'
import { createStreamAnswer, type StreamAnswer } from './stream-answer.ts'

export interface CompletionRunnerComponents {
  readonly gateway: Pick<Gateway, 'complete'>
  readonly generations: Generations
  readonly replays: Replays
  readonly running: RunningAnswers
  readonly clock: Clock
  readonly log: Log
  readonly metrics: BridgeMetrics
}

export interface CompletionRunnerOptions {
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
}

interface Run {
  /** When the checked request came here. */
  readonly startMs: number
  readonly generation: Generation
  readonly events: AsyncIterable<CompletionEvent>
}

interface Answering {
  readonly job: CompletionJob
  readonly run: Run
  readonly controller: AbortController
}

/** What becomes of the events. */
type Sink = Pick<StreamAnswer, 'waiting' | 'delta' | 'room'> & { placed(event: PlacedEvent): void }
type EventOf<Type extends CompletionEvent['type']> = Extract<CompletionEvent, { type: Type }>

export function createCompletionRunner(components: CompletionRunnerComponents, options: CompletionRunnerOptions = {}): CompletionRunner {
  const { gateway, running, generations, replays, clock, log, metrics } = components
  const settings = { ...completionRunnerDefaults, ...options }

  /** Pulls all events; gives the end once the receipt is durable. */
  async function consume({ events, generation }: Run, signal: AbortSignal, sink: Sink): Promise<AnswerEnd> {
    const startedAtMs = clock.monotonicMs()
    let begun = false
    let ended: EventOf<'finish'> | undefined
    let end: AnswerEnd | undefined
    for await (const event of events) {
      switch (event.type) {
        case 'placed':
          sink.placed(event)
          generation.placed(event)
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
            generation.firstText()
            metrics.firstText((clock.monotonicMs() - startedAtMs) / 1_000)
          }
          sink.delta(event)
          break
        case 'finish':
          ended = event
          generation.finished(event.finish, event.usage)
          break
        case 'settled':
          generation.settled(event.served)
          if (ended === undefined) throw new TriforceError('INTERNAL', { problem: 'settled before finish' })
          end = answerEnd(ended, event)
          // Always the last. A reader that left now would be taken for a client that left.
          continue
      }
      const room = sink.room()
      if (room !== undefined) await room
      signal.throwIfAborted()
    }
    if (end === undefined) throw new TriforceError('INTERNAL', { problem: 'the answer ended without its receipt' })
    return end
  }

  /** Begins the job, or joins the one that came before with the same Idempotency-Key. */
  function begin(request: FastifyRequest, reply: FastifyReply, job: CompletionJob, signal: AbortSignal): Run {
    const { principal, completion, routing } = job
    const startMs = clock.monotonicMs()
    const generation = generations.start(generationOf(request, principal, { model: completion.model, stream: job.stream }))
    const start = (until: AbortSignal) => gateway.complete(principal, completion, { signal: until, ...(routing === undefined ? {} : { routing }) })
    const key = replayKeyOf(request, principal, [completion, routing ?? null])
    if (key === undefined) return { startMs, generation, events: start(signal) }
    const { replayed, events } = replays.run(key, start, signal)
    if (replayed) {
      generation.replayed()
      reply.header('idempotent-replayed', 'true')
    }
    return { startMs, generation, events }
  }

  async function stream(request: FastifyRequest, reply: FastifyReply, { job, run, controller }: Answering): Promise<void> {
    const answer = createStreamAnswer({ reply, writer: job.writer, signal: controller.signal, clock }, settings)
    const placed = (event: PlacedEvent) => {
      if (!answer.begun) reply.headers(placedHeaders(event, clock.monotonicMs() - run.startMs))
    }
    try {
      const end = await consume(run, controller.signal, { placed, waiting: answer.waiting, delta: answer.delta, room: answer.room })
      answer.end(end)
      metrics.completionTokens(end.usage.completionTokens)
    } catch (thrown) {
      if (!answer.begun || hasLeft(request)) throw thrown
      const error = stopBecauseOf(thrown, controller)
      run.generation.failed(error.code)
      logFailure(log, error, request.id)
      answer.failed(error)
    } finally {
      answer.close()
    }
  }

  async function collect(reply: FastifyReply, { job, run, controller }: Answering): Promise<void> {
    const collector = createAnswerCollector({ charsMax: settings.answerCharsMax })
    let overheadMs = 0
    const placed = (event: PlacedEvent) => {
      overheadMs = clock.monotonicMs() - run.startMs
      reply.headers(placedHeaders(event, overheadMs))
    }
    const end = await consume(run, controller.signal, { placed, waiting: () => undefined, delta: (delta) => collector.add(delta), room: () => undefined })
    reply.headers(servedHeaders(end.served, overheadMs))
    reply.header('content-type', 'application/json; charset=utf-8')
    reply.send(job.writer.body(collector.answer, end))
    metrics.completionTokens(end.usage.completionTokens)
  }

  return {
    async run(request, reply, job) {
      await running.run(request, reply, async (controller) => {
        const run = begin(request, reply, job, controller.signal)
        try {
          await (job.stream ? stream(request, reply, { job, run, controller }) : collect(reply, { job, run, controller }))
        } catch (thrown) {
          run.generation.failed(stopBecauseOf(thrown, controller).code)
          throw thrown
        }
      })
    },
  }
}

function answerEnd({ finish, usage }: EventOf<'finish'>, { served }: EventOf<'settled'>): AnswerEnd {
  // A client that is still there must not take a cut answer for a whole one.
  if (finish === 'cancelled' || finish === 'error') throw new TriforceError('ENGINE_FAILED')
  return { finish, usage, served }
}
