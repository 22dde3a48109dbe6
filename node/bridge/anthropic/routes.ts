/** Anthropic's `POST /v1/messages` and `POST /v1/messages/count_tokens`. */
import type { FastifyInstance } from 'fastify'
import { createAnthropicWriter } from './answer.ts'
import { readAnthropicPrompt, readAnthropicRequest } from './request.ts'
import { estimatePromptTokens } from '../../../protocol/token-estimate.ts'
import type { CompletionRunner } from '../completion-runner.ts'
import { principalOf, type OnRequestHook } from '../key-hook.ts'

export interface AnthropicMessagesComponents {
  readonly runner: CompletionRunner
  readonly requireKey: OnRequestHook
}

export function routeAnthropicMessages(app: FastifyInstance, { runner, requireKey }: AnthropicMessagesComponents): void {
  app.post('/v1/messages', { onRequest: requireKey }, async (request, reply) => {
    const { thinkingShown, ...asked } = readAnthropicRequest(request.body, request.headers)
    const writer = createAnthropicWriter({ requestId: request.id, model: asked.completion.model, thinkingShown })
    await runner.run(request, reply, { principal: principalOf(request), writer, ...asked })
    return reply
  })

  app.post('/v1/messages/count_tokens', { onRequest: requireKey }, (request, reply) => {
    const prompt = readAnthropicPrompt(request.body)
    // No host is asked: what counts exactly would have to load the model first.
    reply.send({ input_tokens: estimatePromptTokens(prompt), triforce: { estimated: true } })
  })
}
