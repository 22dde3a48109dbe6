/**
 * Runs one embedding for one HTTP answer, in any dialect. A client that leaves aborts the gateway at once; an Idempotency-Key and
 * generations are those of completions.
 */
import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EmbeddingRequest } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { RoutingWishes } from '../../protocol/routing.ts'
import type { EmbeddingsAnswer, Gateway, Principal } from '../gateway.ts'
import { servedHeaders } from './answer-headers.ts'
import type { Generation, Generations } from './generations.ts'
import type { EmbeddedEvent, Replays } from './replays.ts'
import { generationOf, replayKeyOf } from './request-facts.ts'
import { stopBecauseOf, type RunningAnswers } from './running-answers.ts'

export interface EmbeddingRunnerComponents {
  readonly gateway: Pick<Gateway, 'embed'>
  readonly generations: Generations
  readonly replays: Replays
  readonly running: RunningAnswers
  readonly clock: Clock
}

export interface EmbeddingJob {
  readonly principal: Principal
  /** Asked for when the job begins. */
  readonly embedding: () => Promise<EmbeddingRequest>
  readonly model: string
  readonly routing: RoutingWishes | undefined
  readonly body: (answer: EmbeddingsAnswer) => object | Readable
}

export interface EmbeddingRunner {
  /** Answers the request, or rejects with a TriforceError while no byte of an answer was sent. */
  run(request: FastifyRequest, reply: FastifyReply, job: EmbeddingJob): Promise<void>
}

export function createEmbeddingRunner({ gateway, generations, replays, running, clock }: EmbeddingRunnerComponents): EmbeddingRunner {
  /** Gives the answer, or that of the request that came before with the same Idempotency-Key. */
  async function answerOf(request: FastifyRequest, reply: FastifyReply, job: EmbeddingJob, generation: Generation, signal: AbortSignal): Promise<EmbeddingsAnswer> {
    const { principal, routing } = job
    const embedding = await job.embedding()
    const options = { ...(routing === undefined ? {} : { routing }), onPlaced: generation.placed }
    const key = replayKeyOf(request, principal, [embedding, routing ?? null])
    if (key === undefined) return await gateway.embed(principal, embedding, { ...options, signal })
    const { replayed, events } = replays.run(key, async function* (until): AsyncIterable<EmbeddedEvent> {
      yield { type: 'embedded', answer: await gateway.embed(principal, embedding, { ...options, signal: until }) }
    }, signal)
    if (replayed) {
      generation.replayed()
      reply.header('idempotent-replayed', 'true')
    }
    for await (const { answer } of events) return answer
    throw new TriforceError('INTERNAL', { problem: 'the vectors never came' })
  }

  return {
    async run(request, reply, job) {
      await running.run(request, reply, async (controller) => {
        const startMs = clock.monotonicMs()
        const generation = generations.start(generationOf(request, job.principal, { model: job.model, stream: false }))
        try {
          const answer = await answerOf(request, reply, job, generation, controller.signal)
          controller.signal.throwIfAborted()
          generation.finished('stop', answer.usage)
          generation.settled(answer.served)
          await reply.headers(servedHeaders(answer.served, clock.monotonicMs() - startMs)).header('content-type', 'application/json; charset=utf-8').send(job.body(answer))
        } catch (thrown) {
          generation.failed(stopBecauseOf(thrown, controller).code)
          throw thrown
        }
      })
    },
  }
}
