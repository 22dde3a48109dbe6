/**
 * The body of Anthropic's `POST /v1/messages` → the internal request. What the internal form cannot say is refused with
 * the field's name; fields that do not change the answer are passed over. docs/bridge.md lists every field.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import type { ChatMessage, CompletionRequest, Reasoning, ReasoningWish, Tool, ToolCall, ToolChoice } from '../../../protocol/completion.ts'
import { modelIdField } from '../../../protocol/fields.ts'
import type { RoutingWishes } from '../../../protocol/routing.ts'
import {
  MESSAGES_MAX, PROMPT_CHARS_MAX, SCHEMA_BYTES_MAX, STOP_CHARS_MAX, STOP_STRINGS_MAX, TOOL_CALLS_MAX, TOOLS_MAX,
} from '../../../protocol/limits.ts'
import { cappedTokens, checkPromptSize, defined, isBegun, isEmptyList, jsonText, objectField, optional, readImage, refuseFields, textField, type RefusedFields } from '../request-parts.ts'
import { checkBody, invalid, unsupported } from '../request-check.ts'
import { readRouting, routingFields } from '../routing-fields.ts'

export interface AnthropicRequest {
  readonly completion: CompletionRequest
  readonly stream: boolean
  /** False where the client wants thinking's signature without its text. */
  readonly thinkingShown: boolean
  readonly routing?: RoutingWishes
}

const toolIdField = z.string().min(1).max(256)
const toolNameField = z.string().min(1).max(128)

const textBlock = z.looseObject({ type: z.literal('text'), text: textField })
const imageBlock = z.looseObject({ type: z.literal('image'), source: z.looseObject({ type: z.string(), data: z.string().optional() }) })
const documentBlock = z.looseObject({ type: z.literal('document'), source: z.looseObject({ type: z.string(), data: textField.optional() }) })
const resultPart = blockUnion([textBlock, imageBlock, documentBlock], 'text, image or document')
const block = blockUnion([
  textBlock, imageBlock, documentBlock,
  z.looseObject({ type: z.literal('tool_use'), id: toolIdField, name: toolNameField, input: objectField }),
  z.looseObject({ type: z.literal('tool_result'), tool_use_id: toolIdField, content: optional(blocksOf(resultPart)), is_error: optional(z.boolean()) }),
  z.looseObject({ type: z.literal('thinking'), thinking: textField, signature: z.string().optional() }),
  z.looseObject({ type: z.literal('redacted_thinking'), data: z.string() }),
], 'text, image, document, tool_use, tool_result, thinking or redacted_thinking')
type Block = z.output<typeof block>
type PlainBlock = z.output<typeof resultPart>

const effortField = z.enum(['low', 'medium', 'high', 'xhigh', 'max'])

export const promptSchema = z.looseObject({
  model: modelIdField,
  messages: z.array(z.looseObject({ role: z.enum(['user', 'assistant', 'system']), content: blocksOf(block) })).min(1).max(MESSAGES_MAX),
  system: optional(blocksOf(textBlock)),
  stream: optional(z.boolean()),
  temperature: optional(z.number().min(0).max(1)),
  top_p: optional(z.number().min(0).max(1)),
  top_k: optional(z.number().int().min(0)),
  stop_sequences: optional(z.array(z.string().min(1).max(STOP_CHARS_MAX)).max(STOP_STRINGS_MAX)),
  tools: optional(z.array(z.looseObject({ type: optional(z.string()), name: toolNameField })).max(TOOLS_MAX)),
  tool_choice: optional(z.looseObject({
    type: z.enum(['auto', 'any', 'tool', 'none']), name: toolNameField.optional(), disable_parallel_tool_use: optional(z.boolean()),
  })),
  thinking: optional(z.looseObject({
    type: z.enum(['enabled', 'disabled', 'adaptive', 'between_tools']), budget_tokens: z.number().int().min(1).optional(), display: optional(z.string()),
  })),
  output_config: optional(z.looseObject({
    effort: optional(effortField), format: optional(z.looseObject({ type: z.literal('json_schema'), schema: objectField })),
  })),
  ...routingFields,
})
type Body = z.output<typeof promptSchema>

export const messagesRequestSchema = promptSchema.extend({ max_tokens: z.number().int().min(1) })

const toolSchema = z.looseObject({
  description: optional(z.string().max(16_384)), input_schema: objectField, strict: optional(z.boolean()), input_examples: optional(z.array(objectField).max(64)),
})

/** Fields that ask for what is done at Anthropic only. */
const refused: RefusedFields = { container: () => false, mcp_servers: isEmptyList, inference_geo: () => false, output_format: () => false }

/** Throws BAD_REQUEST with the name of the field, or CONTEXT_LENGTH_EXCEEDED. */
export function readAnthropicRequest(value: unknown, headers: IncomingHttpHeaders = {}): AnthropicRequest {
  const body = checkBody(messagesRequestSchema, value)
  refuseFields(body, refused)
  return defined<AnthropicRequest>({
    completion: { ...readPrompt(body), maxTokens: cappedTokens(body.max_tokens) },
    stream: body.stream === true,
    thinkingShown: body.thinking?.display !== 'omitted',
    routing: readRouting(body, headers),
  })
}

/** The same for a body without `max_tokens`, whose prompt shall only be counted. */
export function readAnthropicPrompt(value: unknown): CompletionRequest {
  return readPrompt(checkBody(promptSchema, value))
}

function readPrompt(body: Body): CompletionRequest {
  const messages = [
    ...(body.system === undefined || body.system.length === 0 ? [] : [{ role: 'system' as const, content: readContent(body.system, 'system') }]),
    ...body.messages.flatMap(({ role, content }, index) => readMessage(role, content, `messages[${index}]`)),
  ]
  checkPromptSize(messages)
  const tools = readTools(body.tools ?? [])
  const format = body.output_config?.format
  return defined<CompletionRequest>({
    model: body.model,
    messages,
    continueLast: isBegun(messages),
    maxTokens: undefined,
    temperature: body.temperature,
    topP: body.top_p,
    topK: body.top_k === undefined || body.top_k === 0 ? undefined : Math.min(body.top_k, TOP_K_MAX),
    frequencyPenalty: undefined,
    presencePenalty: undefined,
    seed: undefined,
    stop: body.stop_sequences ?? [],
    responseFormat: format === undefined ? { type: 'text' }
      : { type: 'json_schema', schema: jsonText(format.schema, 'output_config.format.schema', SCHEMA_BYTES_MAX), strict: true },
    tools: tools.length === 0 ? undefined : tools,
    toolChoice: readToolChoice(body.tool_choice, tools),
    parallelToolCalls: tools.length > 0 && body.tool_choice?.disable_parallel_tool_use === true ? false : undefined,
    reasoning: readReasoning(body),
    logprobs: undefined,
  })
}

// Of the internal form; more candidates than this are as good as all.
const TOP_K_MAX = 1_000

/** One message of Anthropic may be several: each result of a tool is a message of its own. */
function readMessage(role: 'user' | 'assistant' | 'system', blocks: readonly Block[], path: string): ChatMessage[] {
  return role === 'assistant' ? readAssistant(blocks, `${path}.content`) : readUser(role, blocks, `${path}.content`)
}

function readUser(role: 'user' | 'system', blocks: readonly Block[], path: string): ChatMessage[] {
  const messages: ChatMessage[] = []
  let plain: PlainBlock[] = []
  const flush = (): void => {
    if (plain.length > 0) messages.push({ role, content: readContent(plain, path) })
    plain = []
  }
  for (const [index, part] of blocks.entries()) {
    if (isPlain(part)) plain.push(part)
    else if (part.type === 'tool_result' && role === 'user') {
      flush()
      messages.push({
        role: 'tool', toolCallId: part.tool_use_id, content: readContent(part.content ?? [], `${path}[${index}].content`), ...(part.is_error === true ? { toolFailed: true } : {}),
      })
    } else throw invalid(`${path}[${index}].type`, `\`${part.type}\` has no place in a message of role "${role}"`)
  }
  flush()
  if (messages.length === 0) throw invalid(path, 'must not be empty')
  return messages
}

/** In the internal form a message has its thoughts first, so text that came before a thought is a message of its own. */
function readAssistant(blocks: readonly Block[], path: string): ChatMessage[] {
  const messages: ChatMessage[] = []
  let texts: PlainBlock[] = []
  let reasoning: Reasoning[] = []
  let toolCalls: ToolCall[] = []
  const flush = (): void => {
    messages.push({
      role: 'assistant', content: readContent(texts, path), ...(reasoning.length === 0 ? {} : { reasoning }), ...(toolCalls.length === 0 ? {} : { toolCalls }),
    })
    texts = []
    reasoning = []
    toolCalls = []
  }
  for (const [index, part] of blocks.entries()) {
    const at = `${path}[${index}]`
    switch (part.type) {
      case 'text':
        texts.push(part)
        break
      case 'thinking':
      case 'redacted_thinking':
        if (texts.length > 0 && toolCalls.length === 0) flush()
        reasoning.push(part.type === 'thinking' ? { text: part.thinking, ...(part.signature === undefined ? {} : { signature: part.signature }) } : { text: part.data, redacted: true })
        break
      case 'tool_use':
        if (toolCalls.length === TOOL_CALLS_MAX) throw invalid(at, `a message may have ${TOOL_CALLS_MAX} tool calls`)
        toolCalls.push({ id: part.id, name: part.name, arguments: jsonText(part.input, `${at}.input`, PROMPT_CHARS_MAX) })
        break
      case 'image':
      case 'document':
      case 'tool_result':
        throw invalid(`${at}.type`, `\`${part.type}\` has no place in a message of role "assistant"`)
    }
  }
  if (texts.length > 0 || reasoning.length > 0 || toolCalls.length > 0 || messages.length === 0) flush()
  return messages
}

function isPlain(part: Block): part is PlainBlock & Block {
  return part.type === 'text' || part.type === 'image' || part.type === 'document'
}

/** A single text is a string, as most are. */
function readContent(blocks: readonly PlainBlock[], path: string): ChatMessage['content'] {
  const parts = blocks.map((part, index) => {
    switch (part.type) {
      case 'text':
        return { type: 'text' as const, text: part.text }
      case 'image':
        if (part.source.type !== 'base64') throw unsupported(`${path}[${index}].source.type`, 'images are taken as base64 only: no host fetches an address for a client')
        return readImage(part.source.data ?? '', `${path}[${index}].source.data`)
      case 'document':
        if (part.source.type !== 'text' || part.source.data === undefined) throw unsupported(`${path}[${index}].source.type`, 'documents are taken as text only')
        return { type: 'text' as const, text: part.source.data }
    }
  })
  const [first] = parts
  if (first === undefined) return ''
  return parts.length === 1 && first.type === 'text' ? first.text : parts
}

function readTools(tools: NonNullable<Body['tools']>): Tool[] {
  return tools.map((tool, index) => {
    const path = `tools[${index}]`
    if (tool.type !== undefined && tool.type !== 'custom') throw unsupported(`${path}.type`, `tools of type "${tool.type.slice(0, 64)}" run at Anthropic only`)
    const { description, input_schema: schema, strict, input_examples: examples = [] } = checkBody(toolSchema, tool, path)
    const shown = [description ?? '', ...examples.map((example) => `Example of its input: ${jsonText(example, `${path}.input_examples`, SCHEMA_BYTES_MAX)}`)]
      .filter((line) => line !== '').join('\n')
    return {
      name: tool.name, parameters: jsonText(schema, `${path}.input_schema`, SCHEMA_BYTES_MAX),
      ...(shown === '' ? {} : { description: shown }), ...(strict === undefined ? {} : { strict }),
    }
  })
}

function readToolChoice(choice: Body['tool_choice'], tools: readonly Tool[]): ToolChoice | undefined {
  switch (choice?.type) {
    case undefined:
    case 'auto':
      return undefined
    case 'none':
      return tools.length === 0 ? undefined : { type: 'none' }
    case 'any':
      if (tools.length === 0) throw invalid('tool_choice.type', 'needs `tools`')
      return { type: 'required' }
    case 'tool':
      if (choice?.name === undefined || !tools.some(({ name }) => name === choice.name)) throw invalid('tool_choice.name', 'must be the name of one of the tools')
      return { type: 'tool', name: choice.name }
  }
}

/** `adaptive` leaves it to the model; an effort alone asks for no more. */
function readReasoning({ thinking, output_config: output }: Pick<Body, 'thinking' | 'output_config'>): ReasoningWish | undefined {
  const effort = output?.effort === 'xhigh' || output?.effort === 'max' ? 'high' : output?.effort
  switch (thinking?.type) {
    case 'disabled':
      return { effort: 'none' }
    case 'enabled':
      return defined<ReasoningWish>({ adaptive: undefined, effort, tokensMax: thinking?.budget_tokens === undefined ? undefined : cappedTokens(thinking.budget_tokens) })
    case 'adaptive':
    case 'between_tools':
      return defined<ReasoningWish>({ adaptive: true, effort, tokensMax: undefined })
    case undefined:
      return effort === undefined ? undefined : { adaptive: true, effort }
  }
}

/** Content is a string, or a list of blocks. */
function blocksOf<Part extends z.ZodType>(part: Part) {
  return z.preprocess((value) => typeof value === 'string' ? [{ type: 'text', text: value }] : value, z.array(part, 'must be a string or a list of content blocks').max(MESSAGES_MAX))
}

function blockUnion<const Options extends readonly [z.core.$ZodTypeDiscriminable, ...z.core.$ZodTypeDiscriminable[]]>(options: Options, names: string) {
  return z.discriminatedUnion('type', options, { error: (issue) => issue.code === 'invalid_union' ? `only blocks of type ${names} are supported here` : undefined })
}
