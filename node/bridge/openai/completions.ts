/** `POST /v1/completions`, OpenAI's old endpoint. */
import type { FastifyInstance } from 'fastify'
import type { Clock } from '../../../protocol/ports.ts'
import type { CompletionRunner } from '../completion-runner.ts'
import { principalOf, type OnRequestHook } from '../key-hook.ts'
import { createOpenAICompletionsWriter } from './completions-answer.ts'
import { readOpenAICompletionsRequest } from './completions-request.ts'

export interface CompletionsComponents {
  readonly runner: CompletionRunner
  readonly requireKey: OnRequestHook
  readonly clock: Clock
}

export function routeCompletions(app: FastifyInstance, { runner, requireKey, clock }: CompletionsComponents): void {
  app.post('/v1/completions', { onRequest: requireKey }, async (request, reply) => {
    const { includeUsage, ...asked } = readOpenAICompletionsRequest(request.body, request.headers)
    const writer = createOpenAICompletionsWriter({
      id: `cmpl-${request.id}`, createdAtSeconds: Math.floor(clock.now() / 1_000), model: asked.completion.model, includeUsage,
    })
    await runner.run(request, reply, { principal: principalOf(request), writer, ...asked })
    return reply
  })
}
