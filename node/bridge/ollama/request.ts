/**
 * The bodies of Ollama's `/api/chat` and `/api/generate` → the internal request. What would change the answer and cannot be
 * said is refused with the field's name; how a machine runs its model is its owner's to say, so such options are passed over.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import type { ChatMessage, CompletionRequest, ReasoningWish, ResponseFormat, Tool, ToolCall } from '../../../protocol/completion.ts'
import { modelIdField } from '../../../protocol/fields.ts'
import { MESSAGES_MAX, PROMPT_CHARS_MAX, SCHEMA_BYTES_MAX, TOOL_CALLS_MAX, TOOLS_MAX } from '../../../protocol/limits.ts'
import type { RoutingWishes } from '../../../protocol/routing.ts'
import {
  cappedTokens, checkPromptSize, defined, foldSeed, isBegun, isEmptyList, jsonText, objectField, oneOf, optional, readImage, refuseFields, stopsField, stopsOf, textField,
  type RefusedFields,
} from '../request-parts.ts'
import { checkBody, invalid, unsupported } from '../request-check.ts'
import { readRouting, routingFields } from '../routing-fields.ts'

export interface OllamaRequest {
  /** Absent for a request without a prompt, which at Ollama only loads a model, or unloads it. */
  readonly completion?: CompletionRequest
  readonly model: string
  /** At Ollama the default. */
  readonly stream: boolean
  readonly unloads: boolean
  readonly routing?: RoutingWishes
}

const toolNameField = z.string().min(1).max(128)
const imagesField = optional(z.array(z.string()))

/** Options that change the answer. */
const optionsSchema = z.looseObject({
  num_predict: optional(z.number().int()),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  top_k: optional(z.number().int().min(0)),
  seed: optional(z.number().int()),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  presence_penalty: optional(z.number().min(-2).max(2)),
  stop: optional(stopsField),
})
type Options = z.output<typeof optionsSchema>

/** Options that would change it and that no host takes; each with the values that leave it as it is. */
const refusedOptions: RefusedFields = {
  min_p: oneOf(0),
  typical_p: oneOf(1),
  tfs_z: oneOf(1),
  mirostat: oneOf(0),
  // 1 is off, and 1.1 what Ollama took where nothing was said.
  repeat_penalty: oneOf(1, 1.1),
}

const commonFields = {
  model: modelIdField,
  stream: optional(z.boolean()),
  format: optional(z.union([z.enum(['', 'json']), objectField], { error: 'must be "json" or a JSON schema' })),
  options: optional(optionsSchema),
  think: optional(z.union([z.boolean(), z.enum(['low', 'medium', 'high'])], { error: 'must be true, false, "low", "medium" or "high"' })),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.number().int().min(0).max(20)),
  keep_alive: optional(z.union([z.number(), z.string()])),
  ...routingFields,
}
type Common = z.output<z.ZodObject<typeof commonFields>>

export const ollamaChatSchema = z.looseObject({
  ...commonFields,
  messages: optional(z.array(z.looseObject({
    role: z.string().transform((role) => role.toLowerCase()).pipe(z.enum(['system', 'user', 'assistant', 'tool'])),
    content: optional(textField),
    thinking: optional(textField),
    images: imagesField,
    tool_calls: optional(z.array(z.looseObject({
      id: z.string().max(256).optional(), function: z.looseObject({ name: toolNameField, arguments: optional(objectField) }),
    })).max(TOOL_CALLS_MAX)),
    tool_name: z.string().optional(),
    tool_call_id: z.string().optional(),
  })).max(MESSAGES_MAX)),
  tools: optional(z.array(z.looseObject({
    type: z.literal('function'),
    function: z.looseObject({ name: toolNameField, description: optional(z.string().max(16_384)), parameters: optional(objectField) }),
  })).max(TOOLS_MAX)),
})
type Message = NonNullable<z.output<typeof ollamaChatSchema>['messages']>[number]

export const ollamaGenerateSchema = z.looseObject({ ...commonFields, prompt: optional(textField), system: optional(textField), images: imagesField })

const refusedOfGenerate: RefusedFields = {
  raw: oneOf(false), template: oneOf(''), suffix: oneOf(''), context: isEmptyList, width: oneOf(0), height: oneOf(0), steps: oneOf(0),
}

/** Throws BAD_REQUEST with the name of the field, or CONTEXT_LENGTH_EXCEEDED. */
export function readOllamaChat(value: unknown, headers: IncomingHttpHeaders = {}): OllamaRequest {
  const body = checkBody(ollamaChatSchema, value)
  const tools = (body.tools ?? []).map(({ function: { name, description, parameters } }, index): Tool => ({
    name, parameters: jsonText(parameters ?? { type: 'object', properties: {} }, `tools[${index}].function.parameters`, SCHEMA_BYTES_MAX),
    ...(description === undefined ? {} : { description }),
  }))
  return requestOf(body, headers, readMessages(body.messages ?? []), tools)
}

/** The same for `/api/generate`. */
export function readOllamaGenerate(value: unknown, headers: IncomingHttpHeaders = {}): OllamaRequest {
  const body = checkBody(ollamaGenerateSchema, value)
  refuseFields(body, refusedOfGenerate)
  const images = readImages(body.images, 'images')
  if ((body.prompt ?? '') === '' && images.length === 0) return requestOf(body, headers, [], [])
  const system: ChatMessage[] = (body.system ?? '') === '' ? [] : [{ role: 'system', content: body.system! }]
  return requestOf(body, headers, [...system, { role: 'user', content: contentOf(body.prompt ?? '', images) }], [])
}

function requestOf(body: Common, headers: IncomingHttpHeaders, messages: readonly ChatMessage[], tools: readonly Tool[]): OllamaRequest {
  return defined<OllamaRequest>({
    completion: messages.length === 0 ? undefined : completionOf(body, messages, tools),
    model: body.model,
    stream: body.stream !== false,
    unloads: body.keep_alive === 0 || body.keep_alive === '0',
    routing: readRouting(body, headers),
  })
}

function completionOf(body: Common, messages: readonly ChatMessage[], tools: readonly Tool[]): CompletionRequest {
  const options: Partial<Options> = body.options ?? {}
  refuseFields(options, refusedOptions, 'options.')
  checkPromptSize(messages)
  return defined<CompletionRequest>({
    model: body.model,
    messages: [...messages],
    continueLast: isBegun(messages),
    // -1 and -2: as many as there is room for.
    maxTokens: options.num_predict === undefined || options.num_predict < 1 ? undefined : cappedTokens(options.num_predict),
    temperature: options.temperature,
    topP: options.top_p,
    topK: options.top_k === undefined || options.top_k === 0 ? undefined : Math.min(options.top_k, TOP_K_MAX),
    frequencyPenalty: options.frequency_penalty,
    presencePenalty: options.presence_penalty,
    // Ollama's -1 asks for a seed at random.
    seed: options.seed === undefined || options.seed === -1 ? undefined : foldSeed(options.seed),
    stop: stopsOf(options.stop),
    responseFormat: formatOf(body.format),
    tools: tools.length === 0 ? undefined : [...tools],
    toolChoice: undefined,
    parallelToolCalls: undefined,
    reasoning: body.think === undefined ? undefined : thinkingOf(body.think),
    logprobs: body.logprobs === true ? body.top_logprobs ?? 0 : undefined,
  })
}

// Of the internal form; more candidates than this are as good as all.
const TOP_K_MAX = 1_000

function formatOf(format: Common['format']): ResponseFormat {
  if (format === undefined || format === '') return { type: 'text' }
  return format === 'json' ? { type: 'json_object' } : { type: 'json_schema', schema: jsonText(format, 'format', SCHEMA_BYTES_MAX) }
}

function thinkingOf(think: NonNullable<Common['think']>): ReasoningWish {
  if (typeof think === 'string') return { effort: think }
  return think ? {} : { effort: 'none' }
}

/** Ollama's calls need no id: a result then belongs to the first call of its name that has none, or to the first of all. */
function readMessages(messages: readonly Message[]): ChatMessage[] {
  let open: ToolCall[] = []
  return messages.map((message, index): ChatMessage => {
    const path = `messages[${index}]`
    const images = readImages(message.images, `${path}.images`)
    if (message.role === 'tool') {
      const answered = open.find(({ id }) => id === message.tool_call_id) ?? open.find(({ name }) => name === message.tool_name) ?? open[0]
      if (answered === undefined) throw invalid(path, 'answers no tool call of the messages before it')
      open = open.filter((call) => call !== answered)
      return { role: 'tool', toolCallId: answered.id, content: contentOf(message.content ?? '', images) }
    }
    if (images.length > 0 && message.role !== 'user') throw unsupported(`${path}.images`, `a message of role "${message.role}" cannot have images`)
    if (message.role !== 'assistant') return { role: message.role, content: contentOf(message.content ?? '', images) }
    const toolCalls = (message.tool_calls ?? []).map(({ id, function: { name, arguments: input } }, call): ToolCall => ({
      id: id === undefined || id === '' ? `call_${index}_${call}` : id, name,
      arguments: jsonText(input ?? {}, `${path}.tool_calls[${call}].function.arguments`, PROMPT_CHARS_MAX),
    }))
    open = [...open, ...toolCalls]
    return {
      role: 'assistant', content: message.content ?? '', ...(toolCalls.length === 0 ? {} : { toolCalls }),
      ...(message.thinking === undefined || message.thinking === '' ? {} : { reasoning: [{ text: message.thinking }] }),
    }
  })
}

function readImages(images: readonly string[] | undefined, path: string) {
  return (images ?? []).map((image, index) => readImage(image, `${path}[${index}]`))
}

function contentOf(text: string, images: ReturnType<typeof readImages>): ChatMessage['content'] {
  return images.length === 0 ? text : [...(text === '' ? [] : [{ type: 'text' as const, text }]), ...images]
}
