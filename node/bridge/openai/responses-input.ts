/** The input items of `/v1/responses` → messages of the internal request. */
import { z } from 'zod'
import type { ChatMessage, ContentPart, Reasoning, ToolCall } from '../../../protocol/completion.ts'
import { MESSAGES_MAX, PROMPT_CHARS_MAX, TOOL_CALLS_MAX } from '../../../protocol/limits.ts'
import { invalid, unsupported } from '../request-check.ts'
import { optional, readImageUri } from '../request-parts.ts'
import { callOfCustomInput } from './responses-tools.ts'

const callIdField = z.string().min(1).max(256)
const nameField = z.string().min(1).max(128)
const longText = z.string().max(PROMPT_CHARS_MAX)

const partSchema = z.looseObject({
  type: z.string().describe('input_text, output_text, input_image or refusal'),
  text: optional(z.string()),
  refusal: optional(z.string()),
  image_url: optional(z.string().describe('A data URI: images are not fetched from addresses')),
})
const contentField = z.union([z.string(), z.array(partSchema).max(MESSAGES_MAX)], { error: 'must be a string or a list of content parts' })
type Content = z.output<typeof contentField>

const itemSchema = z.looseObject({
  type: optional(z.string().describe('message, function_call, function_call_output, custom_tool_call, custom_tool_call_output or reasoning')),
  role: optional(z.string()),
  content: optional(contentField),
  call_id: optional(callIdField),
  name: optional(nameField),
  arguments: optional(longText),
  input: optional(longText),
  output: optional(contentField),
  summary: optional(z.array(z.looseObject({ text: longText })).max(64)),
  encrypted_content: optional(longText),
})
type Item = z.output<typeof itemSchema>

export const inputField = z.union([z.string(), z.array(itemSchema).max(MESSAGES_MAX)], { error: 'must be a string or a list of items' })

/** Throws BAD_REQUEST that names the item. */
export function readInput(input: z.output<typeof inputField>): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input.toWellFormed() }]
  const turns = createTurns()
  for (const [index, item] of input.entries()) readItem(item, `input[${index}]`, turns)
  return turns.end()
}

function readItem(item: Item, path: string, turns: Turns): void {
  // A message may leave its type out.
  switch (item.type ?? 'message') {
    case 'message':
      if (item.role === 'assistant') turns.said(textOnly(contentOf(item.content, `${path}.content`, false)))
      else turns.other({ role: readRole(item.role, `${path}.role`), content: contentOf(item.content, `${path}.content`, item.role === 'user') })
      break
    case 'function_call':
      turns.called({ id: needed(item.call_id, `${path}.call_id`), name: needed(item.name, `${path}.name`), arguments: needed(item.arguments, `${path}.arguments`).toWellFormed() }, path)
      break
    case 'custom_tool_call':
      turns.called({ id: needed(item.call_id, `${path}.call_id`), name: needed(item.name, `${path}.name`), arguments: callOfCustomInput(needed(item.input, `${path}.input`).toWellFormed()) }, path)
      break
    case 'function_call_output':
    case 'custom_tool_call_output':
      turns.other({ role: 'tool', toolCallId: needed(item.call_id, `${path}.call_id`), content: contentOf(item.output, `${path}.output`, true) })
      break
    case 'reasoning':
      turns.thought(readReasoning(item))
      break
    case 'item_reference':
      throw unsupported(`${path}.type`, 'nothing is stored here that an item could refer to; send the item itself')
    default:
      throw unsupported(`${path}.type`, 'items of this type are not supported')
  }
}

interface Turns {
  thought(block: Reasoning | undefined): void
  said(text: string): void
  called(call: ToolCall, path: string): void
  other(message: ChatMessage): void
  end(): ChatMessage[]
}

/** What an assistant thought, said and called in one turn comes as several items and is one message. */
function createTurns(): Turns {
  const messages: ChatMessage[] = []
  let reasoning: Reasoning[] = []
  let text: string | undefined
  let toolCalls: ToolCall[] = []

  function close(): void {
    if (reasoning.length > 0 || text !== undefined || toolCalls.length > 0) {
      messages.push({
        role: 'assistant', content: text ?? '', ...(reasoning.length === 0 ? {} : { reasoning }), ...(toolCalls.length === 0 ? {} : { toolCalls }),
      })
    }
    reasoning = []
    text = undefined
    toolCalls = []
  }

  return {
    thought(block) {
      if (text !== undefined || toolCalls.length > 0) close()
      // As many as a message may have; older ones mean nothing any more.
      if (block !== undefined) reasoning = [...reasoning, block].slice(-64)
    },
    said(words) {
      if (text !== undefined || toolCalls.length > 0) close()
      text = words
    },
    called(call, path) {
      if (toolCalls.length >= TOOL_CALLS_MAX) throw invalid(path, `an answer may have ${TOOL_CALLS_MAX} calls`)
      toolCalls.push(call)
    },
    other(message) {
      close()
      messages.push(message)
    },
    end() {
      close()
      return messages
    },
  }
}

function readRole(role: string | undefined, path: string): 'system' | 'user' {
  switch (role) {
    case 'user': return 'user'
    case 'system':
    case 'developer': return 'system'
    case undefined:
    default: throw invalid(path, 'must be "user", "assistant", "system" or "developer"')
  }
}

/** Texts alone become one text; with images the parts stay in their order. */
function contentOf(content: Content | undefined, path: string, images: boolean): ChatMessage['content'] {
  if (content === undefined) throw invalid(path, 'must be a string or a list of content parts')
  if (typeof content === 'string') return content.toWellFormed()
  const parts = content.map((part, index) => readPart(part, `${path}[${index}]`, images))
  return parts.some(({ type }) => type === 'image') ? parts : parts.map((part) => part.type === 'text' ? part.text : '').join('\n')
}

function textOnly(content: ChatMessage['content']): string {
  return typeof content === 'string' ? content : ''
}

function readPart(part: z.output<typeof partSchema>, path: string, images: boolean): ContentPart {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
    case 'text':
      return { type: 'text', text: needed(part.text, `${path}.text`).toWellFormed() }
    case 'refusal':
      return { type: 'text', text: needed(part.refusal, `${path}.refusal`).toWellFormed() }
    case 'input_image':
      if (!images) throw unsupported(`${path}.type`, 'images stand in messages of the user and in results of tools only')
      if (part.image_url === undefined) throw unsupported(`${path}.image_url`, 'files are not stored here; send the image itself as "data:image/png;base64,…"')
      return readImageUri(part.image_url, `${path}.image_url`)
    default:
      throw unsupported(`${path}.type`, 'only input_text, output_text, refusal and input_image are supported')
  }
}

/** As `responses-items.ts` writes it: the proof of shown text, or the cipher of hidden text. An item that says neither is passed over. */
function readReasoning({ summary = [], content, encrypted_content: sealed }: Item): Reasoning | undefined {
  const shown = summary.map(({ text }) => text)
  const raw = Array.isArray(content) ? content.flatMap(({ text }) => text ?? []) : []
  const text = (shown.length > 0 ? shown : raw).join('\n').toWellFormed()
  if (sealed === undefined) return text === '' ? undefined : { text }
  return text === '' ? { text: sealed, redacted: true } : { text, signature: sealed }
}

function needed<Value>(value: Value | undefined, path: string): Value {
  if (value === undefined) throw invalid(path, 'is missing')
  return value
}
