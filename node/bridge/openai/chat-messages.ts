/** Messages of a chat completion → messages of the internal request. */
import { z } from 'zod'
import type { ChatMessage, ContentPart, Reasoning, ToolCall } from '../../../protocol/completion.ts'
import { MESSAGES_MAX, PROMPT_CHARS_MAX, TOOL_CALLS_MAX } from '../../../protocol/limits.ts'
import { invalid, unsupported } from '../request-check.ts'
import { defined, isEmptyList, optional, readImageUri, refuseFields, type RefusedFields } from '../request-parts.ts'

const partSchema = z.looseObject({
  type: z.string().describe('text or image_url'),
  text: z.string().optional(),
  image_url: optional(z.union([z.string(), z.looseObject({ url: z.string().describe('A data URI: images are not fetched from addresses') })])),
})

const contentField = z.union([z.string(), z.array(partSchema).max(MESSAGES_MAX)], { error: 'must be a string or a list of content parts' })
export type ChatContent = z.output<typeof contentField>

const callIdField = z.string().min(1).max(256)

const toolCallSchema = z.looseObject({
  id: callIdField,
  type: optional(z.string()),
  function: z.looseObject({ name: z.string().min(1).max(128), arguments: z.string().max(PROMPT_CHARS_MAX) }),
})

/** OpenRouter's form of what a model thought, with the proof that it is unchanged. */
const reasoningDetailSchema = z.looseObject({
  type: z.string(),
  text: optional(z.string().max(PROMPT_CHARS_MAX)),
  signature: optional(z.string().max(PROMPT_CHARS_MAX)),
  data: optional(z.string().max(PROMPT_CHARS_MAX)),
})

export const messageSchema = z.looseObject({
  role: z.string().describe('system, developer, user, assistant or tool'),
  content: optional(contentField),
  tool_calls: optional(z.array(toolCallSchema).max(TOOL_CALLS_MAX)),
  tool_call_id: optional(callIdField),
  reasoning_content: optional(z.string().max(PROMPT_CHARS_MAX)),
  reasoning_details: optional(z.array(reasoningDetailSchema).max(64)),
})
type Message = z.output<typeof messageSchema>

const refusedFields: RefusedFields = {
  function_call: { idle: () => false, instead: 'use `tool_calls`' },
  audio: () => false,
}

/** Throws BAD_REQUEST that names the field below `path`. */
export function readMessage(message: Message, path: string): ChatMessage {
  refuseFields(message, refusedFields, `${path}.`)
  const role = readRole(message.role, `${path}.role`)
  if (role === 'tool' && message.tool_call_id === undefined) throw invalid(`${path}.tool_call_id`, 'is missing')
  if (role !== 'assistant' && !isEmptyList(message.tool_calls ?? [])) throw invalid(`${path}.tool_calls`, 'only messages of the assistant have them')
  const toolCalls = message.tool_calls?.map((call, index) => readToolCall(call, `${path}.tool_calls[${index}]`)) ?? []
  const reasoning = role === 'assistant' ? readReasoning(message, path) : []
  // An assistant that only calls tools says nothing.
  const content = message.content ?? (toolCalls.length > 0 ? '' : undefined)
  return defined<ChatMessage>({
    role,
    content: readContent(content, { path: `${path}.content`, images: role === 'user' || role === 'tool' }),
    toolCalls: toolCalls.length === 0 ? undefined : toolCalls,
    reasoning: reasoning.length === 0 ? undefined : reasoning,
    toolCallId: role === 'tool' ? message.tool_call_id : undefined,
  })
}

function readRole(role: string, path: string): ChatMessage['role'] {
  switch (role) {
    case 'system':
    case 'user':
    case 'assistant':
    case 'tool':
      return role
    case 'developer':
      return 'system'
    case 'function':
      throw unsupported(path, 'messages of role "function" are not supported; use "tool"')
    default:
      throw invalid(path, 'must be "system", "developer", "user", "assistant" or "tool"')
  }
}

/** Texts alone become one text; with images the parts stay in their order. */
export function readContent(content: ChatContent | undefined, { path, images }: { readonly path: string; readonly images: boolean }): ChatMessage['content'] {
  if (content === undefined) throw invalid(path, 'must be a string or a list of content parts')
  // A lone half of a surrogate pair has no UTF-8 form; replaced here, every later step sees the same text.
  if (typeof content === 'string') return content.toWellFormed()
  const parts = content.map((part, index) => readPart(part, { path: `${path}[${index}]`, images }))
  if (parts.some(({ type }) => type === 'image')) return parts
  return parts.map((part) => part.type === 'text' ? part.text : '').join('\n')
}

function readPart(part: z.output<typeof partSchema>, { path, images }: { readonly path: string; readonly images: boolean }): ContentPart {
  switch (part.type) {
    case 'text':
      if (part.text === undefined) throw invalid(`${path}.text`, 'must be a string')
      return { type: 'text', text: part.text.toWellFormed() }
    case 'image_url': {
      if (!images) throw unsupported(`${path}.type`, 'images stand in messages of the user and of tools only')
      const url = typeof part.image_url === 'string' ? part.image_url : part.image_url?.url
      if (url === undefined) throw invalid(`${path}.image_url`, 'is missing')
      return readImageUri(url, `${path}.image_url.url`)
    }
    default:
      throw unsupported(`${path}.type`, 'only content parts of type "text" and "image_url" are supported')
  }
}

function readToolCall(call: z.output<typeof toolCallSchema>, path: string): ToolCall {
  if (call.type !== undefined && call.type !== 'function') throw unsupported(`${path}.type`, 'only calls of type "function" are supported')
  return { id: call.id, name: call.function.name, arguments: call.function.arguments.toWellFormed() }
}

/** What the answer writer gave, so that a vendor that asks for its model's thoughts back gets them unchanged. */
function readReasoning(message: Message, path: string): Reasoning[] {
  if (message.reasoning_details === undefined) {
    return message.reasoning_content === undefined || message.reasoning_content === '' ? [] : [{ text: message.reasoning_content.toWellFormed() }]
  }
  return message.reasoning_details.map((detail, index) => {
    switch (detail.type) {
      case 'reasoning.text':
        return defined<Reasoning>({ text: (detail.text ?? '').toWellFormed(), signature: detail.signature })
      case 'reasoning.encrypted':
        if (detail.data === undefined) throw invalid(`${path}.reasoning_details[${index}].data`, 'must be a string')
        return { text: detail.data, redacted: true }
      default:
        throw unsupported(`${path}.reasoning_details[${index}].type`, 'must be "reasoning.text" or "reasoning.encrypted"')
    }
  })
}
