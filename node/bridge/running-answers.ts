/**
 * The answers that are being made: how many, and who waits for each. A client that leaves, in whatever phase, aborts what
 * makes its answer at once; a stop of the server aborts all.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import type { Log } from '../../protocol/ports.ts'
import type { BridgeMetrics } from './metrics.ts'

export interface RunningAnswersComponents {
  readonly log: Log
  readonly metrics: BridgeMetrics
}

export interface RunningAnswersOptions {
  /** Answers at once; the next one is refused with QUEUE_FULL. */
  readonly runningMax?: number
}

export const runningAnswersDefaults = Object.freeze({ runningMax: 2_048 }) satisfies Required<RunningAnswersOptions>

export interface RunningAnswers {
  /** Does the work, which may answer or throw; rejects with a TriforceError while no byte of an answer was sent. */
  run(request: FastifyRequest, reply: FastifyReply, work: (controller: AbortController) => Promise<void>): Promise<void>
  /** Ends all that run; their clients are told `reason`. */
  abort(reason: TriforceError): void
}

export function createRunningAnswers(components: RunningAnswersComponents, options: RunningAnswersOptions = {}): RunningAnswers {
  const { log, metrics } = components
  const { runningMax } = { ...runningAnswersDefaults, ...options }
  const running = new Set<AbortController>()

  return {
    async run(request, reply, work) {
      if (running.size >= runningMax) throw new TriforceError('QUEUE_FULL')
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
        await work(controller)
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

/**
 * Whatever failed, the engine must stop. Where we ended the job ourselves, our reason is the one to tell; else nobody
 * here cancelled, so for the client a cancelled job is a failed one.
 */
export function stopBecauseOf(thrown: unknown, controller: AbortController): TriforceError {
  let error = toTriforceError(controller.signal.aborted ? controller.signal.reason : thrown)
  if (error.code === 'CANCELLED' && !controller.signal.aborted) error = new TriforceError('ENGINE_FAILED', {}, { cause: error })
  controller.abort(error)
  return error
}

export function hasLeft(request: FastifyRequest): boolean {
  return request.raw.socket.destroyed
}
