/** `POST /v1/responses`, stateless. */
import type { FastifyInstance } from 'fastify'
import type { Clock } from '../../../protocol/ports.ts'
import type { CompletionRunner } from '../completion-runner.ts'
import { principalOf, type OnRequestHook } from '../key-hook.ts'
import { createOpenAIResponsesWriter } from './responses-answer.ts'
import { readOpenAIResponsesRequest } from './responses-request.ts'

export interface ResponsesComponents {
  readonly runner: CompletionRunner
  readonly requireKey: OnRequestHook
  readonly clock: Clock
}

export function routeResponses(app: FastifyInstance, { runner, requireKey, clock }: ResponsesComponents): void {
  app.post('/v1/responses', { onRequest: requireKey }, async (request, reply) => {
    const { tools, echo, ...asked } = readOpenAIResponsesRequest(request.body, request.headers)
    const writer = createOpenAIResponsesWriter({
      requestId: request.id, createdAtSeconds: Math.floor(clock.now() / 1_000), model: asked.completion.model, tools, echo,
    })
    await runner.run(request, reply, { principal: principalOf(request), writer, ...asked })
    return reply
  })
}
