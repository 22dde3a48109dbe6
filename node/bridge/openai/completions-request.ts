/**
 * The body of OpenAI's old `POST /v1/completions` → the internal request. The prompt becomes one message of the user:
 * hosts offer chat models, and what they would make of a text without turns nobody could say.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import type { ChatMessage, CompletionRequest } from '../../../protocol/completion.ts'
import { modelIdField } from '../../../protocol/fields.ts'
import type { RoutingWishes } from '../../../protocol/routing.ts'
import { checkBody, unsupported } from '../request-check.ts'
import {
  cappedTokens, checkPromptSize, defined, foldSeed, isEmptyObject, oneOf, optional, refuseFields, stopsField, stopsOf, unlessZero, type RefusedFields,
} from '../request-parts.ts'
import { readRouting, routingFields } from '../routing-fields.ts'

export interface OpenAICompletionsRequest {
  readonly completion: CompletionRequest
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly routing?: RoutingWishes
}

export const completionsRequestSchema = z.looseObject({
  model: modelIdField,
  prompt: z.union([z.string().min(1), z.array(z.unknown())], { error: 'must be a string' }).meta({ type: 'string' }),
  stream: optional(z.boolean()),
  stream_options: optional(z.looseObject({ include_usage: optional(z.boolean()) })),
  max_tokens: optional(z.number().int().min(1)),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  presence_penalty: optional(z.number().min(-2).max(2)),
  seed: optional(z.number().int()),
  stop: optional(stopsField),
  logprobs: optional(z.number().int().min(0).max(20)),
  ...routingFields,
})

const refusedFields: RefusedFields = {
  suffix: oneOf(''),
  echo: oneOf(false),
  best_of: { idle: oneOf(1), instead: 'send the request several times' },
  n: { idle: oneOf(1), instead: 'send the request several times' },
  logit_bias: isEmptyObject,
}

/** What OpenAI's old endpoint takes where `max_tokens` is absent. */
const TOKENS_DEFAULT = 16

/** Throws BAD_REQUEST with the name of the field, or CONTEXT_LENGTH_EXCEEDED. */
export function readOpenAICompletionsRequest(value: unknown, headers: IncomingHttpHeaders = {}): OpenAICompletionsRequest {
  const body = checkBody(completionsRequestSchema, value)
  refuseFields(body, refusedFields)
  const messages: ChatMessage[] = [{ role: 'user', content: readPrompt(body.prompt).toWellFormed() }]
  checkPromptSize(messages, 'prompt')
  return defined<OpenAICompletionsRequest>({
    completion: defined<CompletionRequest>({
      model: body.model,
      messages,
      continueLast: false,
      maxTokens: cappedTokens(body.max_tokens ?? TOKENS_DEFAULT),
      temperature: body.temperature,
      topP: body.top_p,
      frequencyPenalty: unlessZero(body.frequency_penalty),
      presencePenalty: unlessZero(body.presence_penalty),
      seed: body.seed === undefined ? undefined : foldSeed(body.seed),
      stop: stopsOf(body.stop),
      responseFormat: { type: 'text' },
      logprobs: body.logprobs,
    }),
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
    routing: readRouting(body, headers),
  })
}

/** One text, which may stand alone in a list. */
function readPrompt(prompt: string | readonly unknown[]): string {
  if (typeof prompt === 'string') return prompt
  const [only] = prompt
  if (prompt.length === 1 && typeof only === 'string' && only !== '') return only
  if (prompt.length > 0 && prompt.every((part) => typeof part === 'string')) throw unsupported('prompt', 'several prompts in one request are not supported; send them one by one')
  throw unsupported('prompt', 'must be a text; tokens as numbers mean something else for every model')
}
