/**
 * The body of OpenAI's `POST /v1/responses` → the internal request. Stateless: what would have to be kept between
 * requests is refused. docs/bridge.md lists every field.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import type { CompletionRequest, ResponseFormat } from '../../../protocol/completion.ts'
import { modelIdField } from '../../../protocol/fields.ts'
import { PROMPT_CHARS_MAX, SCHEMA_BYTES_MAX } from '../../../protocol/limits.ts'
import type { RoutingWishes } from '../../../protocol/routing.ts'
import { checkBody, invalid, unsupported } from '../request-check.ts'
import {
  cappedTokens, checkPromptSize, defined, effortField, effortOf, isEmptyList, jsonText, objectField, oneOf, optional, refuseFields, stopsField, stopsOf,
  type RefusedFields,
} from '../request-parts.ts'
import { readRouting, routingFields } from '../routing-fields.ts'
import { inputField, readInput } from './responses-input.ts'
import { readResponseTools, responseToolChoiceField, responseToolsField, selectResponseTools, type ResponseTools } from './responses-tools.ts'

const metadataField = z.record(z.string().max(64), z.string().max(512))

export const responsesRequestSchema = z.looseObject({
  model: modelIdField,
  input: inputField,
  instructions: optional(z.string().max(PROMPT_CHARS_MAX)),
  stream: optional(z.boolean()),
  max_output_tokens: optional(z.number().int().min(1)),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  // OpenAI has none here; other gateways do.
  stop: optional(stopsField),
  text: optional(z.looseObject({
    format: optional(z.looseObject({ type: z.string(), name: optional(z.string().max(64)), schema: optional(objectField), strict: optional(z.boolean()) })),
  })),
  tools: optional(responseToolsField),
  tool_choice: optional(responseToolChoiceField),
  parallel_tool_calls: optional(z.boolean()),
  reasoning: optional(z.looseObject({ effort: optional(effortField) })),
  top_logprobs: optional(z.number().int().min(0).max(20)),
  include: optional(z.array(z.string()).max(16)),
  metadata: optional(metadataField),
  ...routingFields,
})
type Body = z.output<typeof responsesRequestSchema>

export interface OpenAIResponsesRequest {
  readonly completion: CompletionRequest
  readonly stream: boolean
  readonly routing?: RoutingWishes
  readonly tools: ResponseTools
  /** What the answer repeats of the request. */
  readonly echo: Readonly<Record<string, unknown>>
}

const STATELESS = 'nothing is stored here; send the whole conversation as `input`'

const refusedFields: RefusedFields = {
  store: { idle: oneOf(false), instead: STATELESS },
  previous_response_id: { idle: () => false, instead: STATELESS },
  conversation: { idle: () => false, instead: STATELESS },
  background: oneOf(false),
  prompt: () => false,
  truncation: oneOf('disabled'),
  modalities: (value) => Array.isArray(value) && value.every((modality) => modality === 'text'),
  plugins: isEmptyList,
}

const LOGPROBS = 'message.output_text.logprobs'
/** What may be asked for in `include`: the last is given wherever there is one. */
const INCLUDES = [LOGPROBS, 'reasoning.encrypted_content']

/** Throws BAD_REQUEST with the name of the field, or CONTEXT_LENGTH_EXCEEDED. */
export function readOpenAIResponsesRequest(value: unknown, headers: IncomingHttpHeaders = {}): OpenAIResponsesRequest {
  const body = checkBody(responsesRequestSchema, value)
  refuseFields(body, refusedFields)
  const unknown = (body.include ?? []).findIndex((one) => !INCLUDES.includes(one))
  if (unknown !== -1) throw unsupported(`include[${unknown}]`, 'is not known here')

  const messages = readInput(body.input)
  if (body.instructions !== undefined) messages.unshift({ role: 'system', content: body.instructions.toWellFormed() })
  if (messages.length === 0) throw invalid('input', 'must have at least 1 item')
  checkPromptSize(messages, 'input')
  const tools = readResponseTools(body.tools)
  const { tools: callable, toolChoice } = selectResponseTools(body.tool_choice, tools)
  return defined<OpenAIResponsesRequest>({
    completion: defined<CompletionRequest>({
      model: body.model,
      messages,
      continueLast: false,
      maxTokens: body.max_output_tokens === undefined ? undefined : cappedTokens(body.max_output_tokens),
      temperature: body.temperature,
      topP: body.top_p,
      stop: stopsOf(body.stop),
      responseFormat: readFormat(body.text?.format),
      tools: callable === undefined ? undefined : [...callable],
      toolChoice,
      parallelToolCalls: callable !== undefined && body.parallel_tool_calls === false ? false : undefined,
      reasoning: body.reasoning?.effort === undefined ? undefined : { effort: effortOf(body.reasoning.effort) },
      logprobs: body.top_logprobs ?? (body.include?.includes(LOGPROBS) === true ? 0 : undefined),
    }),
    stream: body.stream === true,
    routing: readRouting(body, headers),
    tools,
    echo: echoOf(body, tools),
  })
}

function readFormat(format: NonNullable<Body['text']>['format']): ResponseFormat {
  if (format === undefined) return { type: 'text' }
  switch (format.type) {
    case 'text':
    case 'json_object':
      return { type: format.type }
    case 'json_schema':
      if (format.schema === undefined) throw invalid('text.format.schema', 'must be a JSON schema')
      return defined<ResponseFormat & { readonly type: 'json_schema' }>({
        type: 'json_schema', schema: jsonText(format.schema, 'text.format.schema', SCHEMA_BYTES_MAX), name: format.name, strict: format.strict,
      })
    default:
      throw invalid('text.format.type', 'must be "text", "json_object" or "json_schema"')
  }
}

/** The answer names the tools that count, so that what was left out can be seen. */
function echoOf(body: Body, { leftOut }: ResponseTools): Readonly<Record<string, unknown>> {
  const tools = (body.tools ?? []).filter(({ type }) => !leftOut.includes(type))
  return {
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    store: false,
    temperature: body.temperature ?? null,
    text: { format: body.text?.format ?? { type: 'text' } },
    tool_choice: body.tool_choice ?? 'auto',
    tools,
    top_p: body.top_p ?? null,
    truncation: 'disabled',
  }
}
