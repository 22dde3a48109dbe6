/** A request as a body for /chat/completions of any OpenAI-compatible vendor. */
import { createHash } from 'node:crypto'
import type { ChatCompletionCreateParamsStreaming, ChatCompletionMessageParam } from 'openai/resources/chat/completions'
import { textOf, type ChatMessage, type CompletionRequest, type ImagePart, type ReasoningWish, type ToolCall } from '../../protocol/completion.ts'
import { objectOf } from './json-text.ts'
import { effortOf } from './reasoning-effort.ts'
import type { OpenAiQuirks, Vendor } from './vendor.ts'

export type OpenAiBody = ChatCompletionCreateParamsStreaming & Readonly<Record<string, unknown>>

export interface OpenAiRequestParts {
  readonly vendor: Vendor
  /** The vendor's own id. */
  readonly model: string
  /** Signature of an earlier tool call of a vendor with `thoughtSignatures`; undefined: not known any more. */
  readonly signatureOf: (callId: string) => string | undefined
}

/** What Google's documentation names for calls whose signature is lost or that another model made (ai.google.dev, thought signatures). */
const NO_SIGNATURE = 'skip_thought_signature_validator'

export function openAiBody(request: CompletionRequest, parts: OpenAiRequestParts): OpenAiBody {
  const { vendor: { openai: quirks }, model } = parts
  const { tools, toolChoice, responseFormat: format } = request
  const body = {
    model,
    messages: messagesOf(request, parts),
    stream: true as const,
    ...(quirks.usage === 'always' ? {} : { stream_options: { include_usage: true } }),
    ...defined({
      [quirks.tokensField]: request.maxTokens,
      temperature: request.temperature, top_p: request.topP, top_k: request.topK,
      frequency_penalty: request.frequencyPenalty === 0 ? undefined : request.frequencyPenalty,
      presence_penalty: request.presencePenalty === 0 ? undefined : request.presencePenalty,
      [quirks.seedField]: request.seed,
      stop: request.stop.length === 0 ? undefined : request.stop,
      tools: tools?.map(({ name, description, parameters, strict }) => ({
        type: 'function' as const, function: { name, ...defined({ description, strict }), parameters: objectOf(parameters, 'tools', `the parameters of the tool "${name}"`) },
      })),
      tool_choice: toolChoice === undefined || tools === undefined ? undefined
        : toolChoice.type === 'tool' ? { type: 'function' as const, function: { name: toolChoice.name } }
          : toolChoice.type === 'required' ? quirks.requiredToolWord : toolChoice.type,
      parallel_tool_calls: request.parallelToolCalls === false && tools !== undefined ? false : undefined,
      ...(request.logprobs === undefined ? {} : { logprobs: true, top_logprobs: request.logprobs === 0 ? undefined : request.logprobs }),
      response_format: format.type === 'text' ? undefined : format.type === 'json_object' ? { type: 'json_object' as const } : {
        type: 'json_schema' as const,
        json_schema: { name: format.name ?? 'answer', schema: objectOf(format.schema, 'response_format', 'the JSON schema'), ...defined({ strict: format.strict }) },
      },
    }),
    ...(request.reasoning === undefined ? {} : reasoningFields(request.reasoning, quirks)),
    ...Object.assign({}, ...quirks.extras.filter(({ models }) => models.test(model)).map(({ fields }) => fields)) as Record<string, unknown>,
  }
  return body as unknown as OpenAiBody
}

function reasoningFields(wish: ReasoningWish, quirks: OpenAiQuirks): Record<string, unknown> {
  const { effort, tokensMax } = wish
  if (effort === undefined && tokensMax === undefined) return {}
  switch (quirks.reasoning) {
    case 'effort': return { reasoning_effort: effortOf(wish) }
    case 'switch': return { thinking: { type: effort === 'none' ? 'disabled' : 'enabled' } }
    case 'object': return { reasoning: effort === 'none' ? { enabled: false } : tokensMax === undefined ? { effort } : { max_tokens: tokensMax } }
    case 'budget': return tokensMax === undefined ? { reasoning_effort: effort } : { extra_body: { google: { thinking_config: { thinking_budget: tokensMax } } } }
  }
}

function messagesOf(request: CompletionRequest, parts: OpenAiRequestParts): ChatCompletionMessageParam[] {
  const messages: ChatCompletionMessageParam[] = []
  let toolImages: ImagePart[] = []
  for (const [index, message] of request.messages.entries()) {
    if (message.role === 'tool') toolImages.push(...imagesOf(message))
    messages.push(messageOf(message, parts, request.continueLast && index === request.messages.length - 1))
    // The family's tool messages hold text only: their images follow as the user's, behind the last result.
    if (toolImages.length === 0 || request.messages[index + 1]?.role === 'tool') continue
    messages.push({ role: 'user', content: [{ type: 'text', text: 'Images of the tool results above:' }, ...toolImages.map(imageOf)] })
    toolImages = []
  }
  return messages
}

function messageOf(message: ChatMessage, parts: OpenAiRequestParts, isContinued: boolean): ChatCompletionMessageParam {
  const { openai: quirks } = parts.vendor
  switch (message.role) {
    case 'system': return { role: 'system', content: textOf(message) }
    case 'tool': return {
      role: 'tool', tool_call_id: toolId(message.toolCallId!, quirks), content: `${message.toolFailed === true ? 'The tool failed: ' : ''}${textOf(message)}`,
    }
    case 'user': return {
      role: 'user',
      content: typeof message.content === 'string' ? message.content : message.content.map((part) => part.type === 'text' ? { type: 'text', text: part.text } : imageOf(part)),
    }
    case 'assistant': {
      const text = textOf(message)
      const thought = message.reasoning?.map(({ text: part, redacted }) => redacted === true ? '' : part).join('') ?? ''
      return {
        role: 'assistant', content: text === '' && message.toolCalls !== undefined ? null : text,
        ...(message.toolCalls === undefined ? {} : { tool_calls: message.toolCalls.map((call) => toolCallOf(call, parts)) }),
        ...(quirks.returnsReasoning && message.toolCalls !== undefined && thought !== '' ? { reasoning_content: thought } : {}),
        ...(isContinued && quirks.continues === 'prefix' ? { prefix: true } : {}),
      }
    }
  }
}

function toolCallOf({ id, name, arguments: text }: ToolCall, { vendor: { openai: quirks }, model, signatureOf }: OpenAiRequestParts) {
  const signature = quirks.thoughtSignatures ? signatureOf(id) ?? (/gemini-[3-9]/.test(model) ? NO_SIGNATURE : undefined) : undefined
  return {
    id: toolId(id, quirks), type: 'function' as const, function: { name, arguments: text === '' ? '{}' : text },
    ...(signature === undefined ? {} : { extra_content: { google: { thought_signature: signature } } }),
  }
}

/** The id itself where it fits; else as many letters and digits of its hash, so that call and result still fit each other. */
function toolId(id: string, { toolIdChars }: OpenAiQuirks): string {
  if (toolIdChars === undefined || (id.length === toolIdChars && /^[A-Za-z0-9]+$/.test(id))) return id
  return createHash('sha256').update(id).digest('hex').slice(0, toolIdChars)
}

function imagesOf({ content }: ChatMessage): ImagePart[] {
  return typeof content === 'string' ? [] : content.filter((part) => part.type === 'image')
}

function imageOf({ mediaType, data }: ImagePart) {
  return { type: 'image_url' as const, image_url: { url: `data:${mediaType};base64,${Buffer.from(data).toString('base64')}` } }
}

function defined<T extends object>(fields: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [Name in keyof T]?: Exclude<T[Name], undefined> }
}
