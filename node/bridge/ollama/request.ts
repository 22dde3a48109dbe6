/**
 * The bodies of Ollama's `/api/chat` and `/api/generate` → the internal request. What would change the answer and cannot be
 * said is refused with the field's name; how a machine runs its model is its owner's to say, so such options are passed over.
 */
import { z } from 'zod'
import type { ChatMessage, CompletionRequest, ReasoningWish, ResponseFormat, Tool, ToolCall } from '../../../protocol/completion.ts'
import { modelIdField } from '../../../protocol/fields.ts'
import {
  COMPLETION_TOKENS_MAX, MESSAGES_MAX, PROMPT_CHARS_MAX, SCHEMA_BYTES_MAX, STOP_CHARS_MAX, STOP_STRINGS_MAX, TOOL_CALLS_MAX, TOOLS_MAX,
} from '../../../protocol/limits.ts'
import { checkPromptSize, foldSeed, isEmptyList, jsonText, objectField, optional, readImage, refuseFields, textField, type RefusedFields } from '../request-parts.ts'
import { checkBody, invalid, unsupported } from '../request-check.ts'

export interface OllamaRequest {
  /** Undefined for a request without a prompt, which at Ollama only loads a model, or unloads it. */
  readonly completion: CompletionRequest | undefined
  readonly model: string
  /** At Ollama the default. */
  readonly stream: boolean
  readonly unloads: boolean
}

const toolNameField = z.string().min(1).max(128)
const imagesField = optional(z.array(z.string()))
const stopField = z.string().min(1).max(STOP_CHARS_MAX)

/** Options that change the answer. */
const optionsSchema = z.looseObject({
  num_predict: optional(z.number().int()),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  top_k: optional(z.number().int().min(0)),
  seed: optional(z.number().int()),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  presence_penalty: optional(z.number().min(-2).max(2)),
  stop: optional(z.union([stopField, z.array(stopField).max(STOP_STRINGS_MAX)], {
    error: `must be a string or a list of up to ${STOP_STRINGS_MAX} strings of 1 to ${STOP_CHARS_MAX} characters`,
  })),
})
type Options = z.output<typeof optionsSchema>

/** Options that would change it and that no host takes; each with the values that leave it as it is. */
const refusedOptions: RefusedFields = {
  min_p: (value) => value === 0,
  typical_p: (value) => value === 1,
  tfs_z: (value) => value === 1,
  mirostat: (value) => value === 0,
  // 1 is off, and 1.1 what Ollama took where nothing was said.
  repeat_penalty: (value) => value === 1 || value === 1.1,
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
}
type Common = z.output<z.ZodObject<typeof commonFields>>

const chatSchema = z.looseObject({
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
type Message = NonNullable<z.output<typeof chatSchema>['messages']>[number]

const generateSchema = z.looseObject({ ...commonFields, prompt: optional(textField), system: optional(textField), images: imagesField })

const isEmptyText = (value: unknown): boolean => value === ''
const refusedOfGenerate: RefusedFields = {
  raw: (value) => value === false, template: isEmptyText, suffix: isEmptyText, context: isEmptyList,
  width: (value) => value === 0, height: (value) => value === 0, steps: (value) => value === 0,
}

/** Throws BAD_REQUEST with the name of the field, or CONTEXT_LENGTH_EXCEEDED. */
export function readOllamaChat(value: unknown): OllamaRequest {
  const body = checkBody(chatSchema, value)
  const tools = (body.tools ?? []).map(({ function: { name, description, parameters } }, index): Tool => ({
    name, parameters: jsonText(parameters ?? { type: 'object', properties: {} }, `tools[${index}].function.parameters`, SCHEMA_BYTES_MAX),
    ...(description === undefined ? {} : { description }),
  }))
  return requestOf(body, readMessages(body.messages ?? []), tools)
}

/** The same for `/api/generate`. */
export function readOllamaGenerate(value: unknown): OllamaRequest {
  const body = checkBody(generateSchema, value)
  refuseFields(body, refusedOfGenerate)
  const images = readImages(body.images, 'images')
  if ((body.prompt ?? '') === '' && images.length === 0) return requestOf(body, [], [])
  const system: ChatMessage[] = (body.system ?? '') === '' ? [] : [{ role: 'system', content: body.system! }]
  return requestOf(body, [...system, { role: 'user', content: contentOf(body.prompt ?? '', images) }], [])
}

function requestOf(body: Common, messages: readonly ChatMessage[], tools: readonly Tool[]): OllamaRequest {
  const common = { model: body.model, stream: body.stream !== false, unloads: body.keep_alive === 0 || body.keep_alive === '0' }
  if (messages.length === 0) return { ...common, completion: undefined }
  const options: Partial<Options> = body.options ?? {}
  refuseFields(options, refusedOptions, 'options.')
  checkPromptSize(messages)
  return {
    ...common,
    completion: {
      model: body.model,
      messages: [...messages],
      continueLast: messages.at(-1)?.role === 'assistant',
      // -1 and -2: as many as there is room for.
      ...(options.num_predict === undefined || options.num_predict < 1 ? {} : { maxTokens: Math.min(options.num_predict, COMPLETION_TOKENS_MAX) }),
      ...(options.temperature === undefined ? {} : { temperature: options.temperature }),
      ...(options.top_p === undefined ? {} : { topP: options.top_p }),
      ...(options.top_k === undefined || options.top_k === 0 ? {} : { topK: Math.min(options.top_k, TOP_K_MAX) }),
      ...(options.frequency_penalty === undefined ? {} : { frequencyPenalty: options.frequency_penalty }),
      ...(options.presence_penalty === undefined ? {} : { presencePenalty: options.presence_penalty }),
      // Ollama's -1 asks for a seed at random.
      ...(options.seed === undefined || options.seed === -1 ? {} : { seed: foldSeed(options.seed) }),
      stop: typeof options.stop === 'string' ? [options.stop] : options.stop ?? [],
      responseFormat: formatOf(body.format),
      ...(tools.length === 0 ? {} : { tools: [...tools] }),
      ...(body.think === undefined ? {} : { reasoning: thinkingOf(body.think) }),
      ...(body.logprobs === true ? { logprobs: body.top_logprobs ?? 0 } : {}),
    },
  }
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
