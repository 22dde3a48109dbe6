/** `POST /v1/chat/completions`. */
import type { FastifyInstance } from 'fastify'
import type { Clock } from '../../../protocol/ports.ts'
import type { CompletionRunner } from '../completion-runner.ts'
import { principalOf, type OnRequestHook } from '../key-hook.ts'
import { createOpenAIChatWriter } from './chat-answer.ts'
import { readOpenAIChatRequest } from './chat-request.ts'

export interface ChatCompletionsComponents {
  readonly runner: CompletionRunner
  readonly requireKey: OnRequestHook
  readonly clock: Clock
}

export function routeChatCompletions(app: FastifyInstance, components: ChatCompletionsComponents): void {
  const { runner, requireKey, clock } = components
  app.post('/v1/chat/completions', { onRequest: requireKey }, async (request, reply) => {
    const { includeUsage, showReasoning, ...asked } = readOpenAIChatRequest(request.body, request.headers)
    const writer = createOpenAIChatWriter({
      id: `chatcmpl-${request.id}`,
      createdAtSeconds: Math.floor(clock.now() / 1_000),
      model: asked.completion.model,
      includeUsage,
      showReasoning,
    })
    await runner.run(request, reply, { principal: principalOf(request), writer, ...asked })
    return reply
  })
}
