/**
 * The body of OpenAI's `POST /v1/chat/completions` → the internal request. What the internal form cannot say is refused
 * with the field's name, unless its value asks for nothing; fields that do not change the answer are passed over.
 * docs/bridge.md lists every field.
 */
import { z } from 'zod'
import type { ChatMessage, CompletionRequest, ResponseFormat } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { modelIdField } from '../../protocol/fields.ts'
import {
  COMPLETION_TOKENS_MAX, MESSAGES_MAX, PROMPT_CHARS_MAX, SCHEMA_BYTES_MAX, STOP_CHARS_MAX, STOP_STRINGS_MAX,
} from '../../protocol/limits.ts'
import { checkBody, invalid, unsupported } from './request-check.ts'

export interface OpenAIChatRequest {
  readonly completion: CompletionRequest
  readonly stream: boolean
  readonly includeUsage: boolean
}

/** OpenAI's clients send `null` for what they leave out. */
function optional<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullish().transform((value) => value ?? undefined)
}

const messageSchema = z.looseObject({
  role: z.string(),
  content: optional(z.union([z.string(), z.array(z.looseObject({ type: z.string(), text: z.string().optional() })).max(MESSAGES_MAX)], {
    error: 'must be a string or a list of content parts',
  })),
})
type Message = z.output<typeof messageSchema>

const stopField = z.string().min(1).max(STOP_CHARS_MAX)

// Passed on as it came, so it is not copied key by key as `z.record` would.
const schemaField = z.custom<object>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'must be an object')

const responseFormatSchema = z.looseObject({
  type: z.string(),
  json_schema: optional(z.looseObject({ schema: optional(schemaField) })),
  // llama.cpp's clients write the schema one level higher.
  schema: optional(schemaField),
})

const bodySchema = z.looseObject({
  model: modelIdField,
  messages: z.array(messageSchema).min(1).max(MESSAGES_MAX),
  stream: optional(z.boolean()),
  stream_options: optional(z.looseObject({ include_usage: optional(z.boolean()) })),
  max_tokens: optional(z.number().int().min(1)),
  max_completion_tokens: optional(z.number().int().min(1)),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  seed: optional(z.number().int()),
  stop: optional(z.union([stopField, z.array(stopField).max(STOP_STRINGS_MAX)], {
    error: `must be a string or a list of up to ${STOP_STRINGS_MAX} strings of 1 to ${STOP_CHARS_MAX} characters`,
  })),
  response_format: optional(responseFormatSchema),
})
type Body = z.output<typeof bodySchema>

/** Fields that ask for what cannot be done here, and the test that a value asks for nothing. */
const refusedFields: Readonly<Record<string, (value: unknown) => boolean>> = {
  tools: isEmptyList,
  tool_choice: (value) => value === 'none',
  functions: isEmptyList,
  function_call: (value) => value === 'none',
  n: (value) => value === 1,
  logprobs: (value) => value === false,
  top_logprobs: (value) => value === 0,
  logit_bias: (value) => typeof value === 'object' && value !== null && Object.keys(value).length === 0,
  frequency_penalty: (value) => value === 0,
  presence_penalty: (value) => value === 0,
  modalities: (value) => Array.isArray(value) && value.every((modality) => modality === 'text'),
  audio: () => false,
  web_search_options: () => false,
}

const refusedMessageFields: Readonly<Record<string, (value: unknown) => boolean>> = {
  tool_calls: isEmptyList,
  function_call: () => false,
  audio: () => false,
}

/** Throws BAD_REQUEST with the name of the field, or CONTEXT_LENGTH_EXCEEDED. */
export function readOpenAIChatRequest(value: unknown): OpenAIChatRequest {
  const body = checkBody(bodySchema, value)
  refuseFields(body, refusedFields, '')

  const messages = body.messages.map((message, index) => readMessage(message, `messages[${index}]`))
  const promptChars = messages.reduce((sum, message) => sum + message.content.length, 0)
  if (promptChars > PROMPT_CHARS_MAX) {
    throw new TriforceError('CONTEXT_LENGTH_EXCEEDED', { param: 'messages' }, {
      detail: `the messages have ${promptChars} characters together; ${PROMPT_CHARS_MAX} are the most that a request may have`,
    })
  }

  const maxTokens = body.max_completion_tokens ?? body.max_tokens
  return {
    completion: {
      model: body.model,
      messages,
      continueLast: messages.at(-1)?.role === 'assistant',
      ...(maxTokens === undefined ? {} : { maxTokens: Math.min(maxTokens, COMPLETION_TOKENS_MAX) }),
      ...(body.temperature === undefined ? {} : { temperature: body.temperature }),
      ...(body.top_p === undefined ? {} : { topP: body.top_p }),
      ...(body.seed === undefined ? {} : { seed: foldSeed(body.seed) }),
      stop: typeof body.stop === 'string' ? [body.stop] : body.stop ?? [],
      responseFormat: readResponseFormat(body.response_format),
    },
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
  }
}

function readMessage(message: Message, path: string): ChatMessage {
  refuseFields(message, refusedMessageFields, `${path}.`)
  return { role: readRole(message.role, `${path}.role`), content: readContent(message.content, `${path}.content`) }
}

function readRole(role: string, path: string): ChatMessage['role'] {
  switch (role) {
    case 'system':
    case 'user':
    case 'assistant':
      return role
    case 'developer':
      return 'system'
    case 'tool':
    case 'function':
      throw unsupported(path, `messages of role "${role}" are not supported`)
    default:
      throw invalid(path, 'must be "system", "developer", "user" or "assistant"')
  }
}

function readContent(content: Message['content'], path: string): string {
  if (content === undefined) throw invalid(path, 'must be a string or a list of content parts')
  // A lone half of a surrogate pair has no UTF-8 form; replaced here, every later step sees the same text.
  if (typeof content === 'string') return content.toWellFormed()
  return content.map((part, index) => {
    if (part.type !== 'text') throw unsupported(`${path}[${index}].type`, 'only content parts of type "text" are supported')
    if (part.text === undefined) throw invalid(`${path}[${index}].text`, 'must be a string')
    return part.text.toWellFormed()
  }).join('\n')
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
      return { type: 'json_schema', schema: schemaText(schema, path) }
    }
    default:
      throw invalid('response_format.type', 'must be "text", "json_object" or "json_schema"')
  }
}

function schemaText(schema: object, path: string): string {
  let text: string
  try {
    text = JSON.stringify(schema)
  } catch {
    // Only a RangeError is possible: what JSON.parse built deeper than the stack.
    throw invalid(path, 'is nested too deeply')
  }
  if (Buffer.byteLength(text, 'utf8') > SCHEMA_BYTES_MAX) throw invalid(path, `may have ${SCHEMA_BYTES_MAX} bytes`)
  return text
}

/** OpenAI allows any integer and engines take 32 bits: equal seeds stay equal. */
function foldSeed(seed: number): number {
  const range = 2 ** 32
  return ((seed % range) + range) % range
}

function refuseFields(
  object: Readonly<Record<string, unknown>>, fields: Readonly<Record<string, (value: unknown) => boolean>>, path: string,
): void {
  for (const [field, asksForNothing] of Object.entries(fields)) {
    const value = object[field]
    if (value === undefined || value === null || asksForNothing(value)) continue
    throw unsupported(path + field, `\`${field}\` with this value is not supported`)
  }
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}
