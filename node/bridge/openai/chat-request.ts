/**
 * The body of OpenAI's `POST /v1/chat/completions` → the internal request. What the internal form cannot say is refused
 * with the field's name, unless its value asks for nothing; fields that do not change the answer are passed over.
 * docs/bridge.md lists every field.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import type { CompletionRequest, ReasoningWish, ResponseFormat } from '../../../protocol/completion.ts'
import { modelIdField } from '../../../protocol/fields.ts'
import { MESSAGES_MAX, SCHEMA_BYTES_MAX } from '../../../protocol/limits.ts'
import type { RoutingWishes } from '../../../protocol/routing.ts'
import { checkBody, invalid } from '../request-check.ts'
import {
  cappedTokens, checkPromptSize, defined, effortField, effortOf, foldSeed, isBegun, isEmptyList, isEmptyObject, jsonText, objectField, oneOf, optional, refuseFields,
  stopsField, stopsOf, unlessZero, type RefusedFields,
} from '../request-parts.ts'
import { readRouting, routingFields } from '../routing-fields.ts'
import { messageSchema, readMessage } from './chat-messages.ts'
import { readTools, selectTools, toolChoiceField, toolsField } from './chat-tools.ts'

export interface OpenAIChatRequest {
  readonly completion: CompletionRequest
  readonly stream: boolean
  readonly includeUsage: boolean
  /** False: the client does not want to see what the model thinks. */
  readonly showReasoning: boolean
  readonly routing?: RoutingWishes
}

const responseFormatSchema = z.looseObject({
  type: z.string().describe('text, json_object or json_schema'),
  json_schema: optional(z.looseObject({ schema: optional(objectField), name: optional(z.string().max(64)), strict: optional(z.boolean()) })),
  // llama.cpp's clients write the schema one level higher.
  schema: optional(objectField),
})

export const chatRequestSchema = z.looseObject({
  model: modelIdField,
  messages: z.array(messageSchema).min(1).max(MESSAGES_MAX),
  stream: optional(z.boolean()),
  stream_options: optional(z.looseObject({ include_usage: optional(z.boolean()) })),
  max_tokens: optional(z.number().int().min(1)),
  max_completion_tokens: optional(z.number().int().min(1)),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  top_k: optional(z.number().int().min(1).max(1_000)),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  presence_penalty: optional(z.number().min(-2).max(2)),
  seed: optional(z.number().int()),
  stop: optional(stopsField),
  response_format: optional(responseFormatSchema),
  tools: optional(toolsField),
  tool_choice: optional(toolChoiceField),
  parallel_tool_calls: optional(z.boolean()),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.number().int().min(0).max(20)),
  reasoning_effort: optional(effortField),
  reasoning: optional(z.looseObject({
    effort: optional(effortField), max_tokens: optional(z.number().int().min(1)), enabled: optional(z.boolean()), exclude: optional(z.boolean()),
  })),
  ...routingFields,
})
type Body = z.output<typeof chatRequestSchema>

/** Fields that ask for what cannot be done here. */
const refusedFields: RefusedFields = {
  functions: { idle: isEmptyList, instead: 'use `tools`' },
  function_call: { idle: oneOf('none'), instead: 'use `tool_choice`' },
  n: { idle: oneOf(1), instead: 'send the request several times' },
  logit_bias: isEmptyObject,
  modalities: (value) => Array.isArray(value) && value.every((modality) => modality === 'text'),
  audio: () => false,
  web_search_options: () => false,
  plugins: isEmptyList,
  transforms: isEmptyList,
  best_of: oneOf(1),
  min_p: oneOf(0),
  top_a: oneOf(0),
  repetition_penalty: oneOf(1),
  grammar: oneOf(''),
  guided_json: { idle: () => false, instead: 'use `response_format`' },
  guided_regex: oneOf(''),
  guided_grammar: oneOf(''),
}

/** Throws BAD_REQUEST with the name of the field, or CONTEXT_LENGTH_EXCEEDED. */
export function readOpenAIChatRequest(value: unknown, headers: IncomingHttpHeaders = {}): OpenAIChatRequest {
  const body = checkBody(chatRequestSchema, value)
  refuseFields(body, refusedFields)

  const messages = body.messages.map((message, index) => readMessage(message, `messages[${index}]`))
  checkPromptSize(messages)
  const { tools, toolChoice } = selectTools(body.tool_choice, readTools(body.tools, 'tools'), 'tool_choice')
  const maxTokens = body.max_completion_tokens ?? body.max_tokens
  return defined<OpenAIChatRequest>({
    completion: defined<CompletionRequest>({
      model: body.model,
      messages,
      continueLast: isBegun(messages),
      maxTokens: maxTokens === undefined ? undefined : cappedTokens(maxTokens),
      temperature: body.temperature,
      topP: body.top_p,
      topK: body.top_k,
      frequencyPenalty: unlessZero(body.frequency_penalty),
      presencePenalty: unlessZero(body.presence_penalty),
      seed: body.seed === undefined ? undefined : foldSeed(body.seed),
      stop: stopsOf(body.stop),
      responseFormat: readResponseFormat(body.response_format),
      tools: tools === undefined ? undefined : [...tools],
      toolChoice,
      parallelToolCalls: tools !== undefined && body.parallel_tool_calls === false ? false : undefined,
      reasoning: readReasoningWish(body),
      logprobs: readLogprobs(body),
    }),
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
    showReasoning: body.reasoning?.exclude !== true,
    routing: readRouting(body, headers),
  })
}

function readLogprobs({ logprobs, top_logprobs: top }: Body): number | undefined {
  if (logprobs === true) return top ?? 0
  if (top !== undefined && top > 0) throw invalid('top_logprobs', 'needs `logprobs: true`')
  return undefined
}

/** OpenAI's `reasoning_effort`, or OpenRouter's `reasoning`, which counts where both are given. */
function readReasoningWish({ reasoning, reasoning_effort: ownEffort }: Body): ReasoningWish | undefined {
  const wished = reasoning?.effort ?? ownEffort
  const wish = defined<ReasoningWish>({
    effort: reasoning?.enabled === false ? 'none' : wished === undefined ? undefined : effortOf(wished),
    tokensMax: reasoning?.max_tokens === undefined ? undefined : cappedTokens(reasoning.max_tokens),
  })
  if (Object.keys(wish).length > 0) return wish
  // Where no more is said than that it may think, one that never does will do.
  return reasoning?.enabled === true ? { adaptive: true } : undefined
}

function readResponseFormat(format: Body['response_format']): ResponseFormat {
  if (format === undefined) return { type: 'text' }
  switch (format.type) {
    case 'text':
    case 'json_object':
      return { type: format.type }
    case 'json_schema': {
      const wrapped = format.json_schema?.schema
      const path = wrapped === undefined && format.schema !== undefined ? 'response_format.schema' : 'response_format.json_schema.schema'
      const schema = wrapped ?? format.schema
      if (schema === undefined) throw invalid(path, 'must be a JSON schema')
      return defined<ResponseFormat & { readonly type: 'json_schema' }>({
        type: 'json_schema', schema: jsonText(schema, path, SCHEMA_BYTES_MAX), name: format.json_schema?.name, strict: format.json_schema?.strict,
      })
    }
    default:
      throw invalid('response_format.type', 'must be "text", "json_object" or "json_schema"')
  }
}
