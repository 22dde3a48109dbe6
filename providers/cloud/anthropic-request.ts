/** A request as a body for Anthropic's Messages API. */
import { createHash } from 'node:crypto'
import type { ContentBlockParam, ImageBlockParam, MessageCreateParamsStreaming, MessageParam, TextBlockParam, ToolChoice, ToolUnion } from '@anthropic-ai/sdk/resources/messages'
import { textOf, type ChatMessage, type CompletionRequest, type ImagePart, type ToolCall } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { COMPLETION_TOKENS_MAX } from '../../protocol/limits.ts'
import { objectOf } from './json-text.ts'
import { effortOf } from './reasoning-effort.ts'

export interface AnthropicRequest {
  readonly body: MessageCreateParamsStreaming
  /** The tool whose input is the answer; undefined where the answer is text. */
  readonly jsonTool: string | undefined
  /** Blanks at the end of the text that the answer goes on from; the API refuses them, so it may write them again. */
  readonly trimmed: string
}

export interface AnthropicRequestParts {
  readonly model: string
  /** 0 where it is not known. */
  readonly outputTokensMax: number
}

const JSON_TOOL = 'json_answer'
/** The API wants a bound; every Claude can write so much. */
const MAX_TOKENS_DEFAULT = 4_096
/** The API's own bounds and steps for thinking (platform.claude.com, extended thinking). */
const BUDGET_TOKENS_MIN = 1_024
const BUDGETS = { minimal: 1_024, low: 2_048, medium: 8_192, high: 24_576 } as const
/** Models that decide how long they think and are told an effort in place of a budget. A date after the version is no version. */
export const ADAPTIVE = /^claude-[a-z]+-(4-[6-9](?!\d)|[5-9]|preview)/
/** Models with structured outputs. */
const STRUCTURED = /^claude-[a-z]+-(4-[1-9](?!\d)|[5-9]|preview)/

export function anthropicRequest(request: CompletionRequest, parts: AnthropicRequestParts): AnthropicRequest {
  const { model } = parts
  const { temperature, responseFormat: format } = request
  if (temperature !== undefined && temperature > 1) {
    throw new TriforceError('CAPABILITY_MISSING', { param: 'temperature' }, { detail: 'Anthropic takes a "temperature" of 0 to 1; lower it or ask another model' })
  }
  const maxTokens = request.maxTokens ?? Math.min(parts.outputTokensMax === 0 ? MAX_TOKENS_DEFAULT : parts.outputTokensMax, COMPLETION_TOKENS_MAX)
  const thinking = thinkingOf(request, model, maxTokens)
  const jsonTool = asJsonTool(request, model)
  const nativeSchema = format.type === 'json_schema' && jsonTool === undefined ? objectOf(format.schema, 'response_format', 'the JSON schema') : undefined
  const effort = thinking?.type === 'adaptive' ? adaptiveEffort(request) : undefined
  const system = request.messages.filter(({ role }) => role === 'system').map(textOf).filter((text) => text !== '').join('\n\n')
  const tools = jsonTool === undefined ? toolsOf(request) : [jsonTool]
  const toolChoice = jsonTool === undefined ? toolChoiceOf(request) : { type: 'tool' as const, name: JSON_TOOL, disable_parallel_tool_use: true }
  return {
    jsonTool: jsonTool === undefined ? undefined : JSON_TOOL,
    trimmed: trimmedOf(request),
    body: {
      model, max_tokens: maxTokens, stream: true, messages: messagesOf(request),
      ...(system === '' ? {} : { system }),
      ...(temperature === undefined ? {} : { temperature }),
      ...(request.topP === undefined || request.topP === 1 ? {} : { top_p: request.topP }),
      ...(request.topK === undefined ? {} : { top_k: request.topK }),
      ...(request.stop.length === 0 ? {} : { stop_sequences: request.stop }),
      ...(tools === undefined ? {} : { tools }),
      ...(toolChoice === undefined ? {} : { tool_choice: toolChoice }),
      ...(thinking === undefined ? {} : { thinking }),
      ...(nativeSchema === undefined && effort === undefined ? {} : {
        output_config: { ...(effort === undefined ? {} : { effort }), ...(nativeSchema === undefined ? {} : { format: { type: 'json_schema' as const, schema: nativeSchema } }) },
      }),
    },
  }
}

/**
 * JSON without a schema, and schemas that need not be strict (structured outputs refuse many), come as the input of a
 * tool that must be called. Beside other tools or thinking that cannot be.
 */
function asJsonTool(request: CompletionRequest, model: string): ToolUnion | undefined {
  const { responseFormat: format } = request
  if (format.type === 'text') return undefined
  const isAlone = request.tools === undefined && !wantsThinking(request)
  if (format.type === 'json_object') {
    if (isAlone) return { name: JSON_TOOL, description: 'Gives the answer: any JSON object.', input_schema: { type: 'object' } }
    throw new TriforceError('CAPABILITY_MISSING', { param: 'response_format' }, {
      detail: 'Anthropic gives JSON without a schema only where there are no tools and no reasoning; give a JSON schema or ask another model',
    })
  }
  if (STRUCTURED.test(model) && (format.strict === true || !isAlone)) return undefined
  if (!isAlone) throw new TriforceError('CAPABILITY_MISSING', { param: 'response_format' }, { detail: `${model} takes a JSON schema only where there are no tools and no reasoning` })
  return { name: JSON_TOOL, description: 'Gives the answer.', input_schema: { type: 'object', ...objectOf(format.schema, 'response_format', 'the JSON schema') } }
}

function wantsThinking({ reasoning }: CompletionRequest): boolean {
  return reasoning !== undefined && (reasoning.tokensMax !== undefined || (reasoning.effort ?? 'none') !== 'none')
}

function thinkingOf(request: CompletionRequest, model: string, maxTokens: number): MessageCreateParamsStreaming['thinking'] {
  // Newer models think unless they are told not to.
  if (!wantsThinking(request)) return request.reasoning?.effort === 'none' && ADAPTIVE.test(model) ? { type: 'disabled' } : undefined
  if (ADAPTIVE.test(model)) return { type: 'adaptive', display: 'summarized' }
  const { effort = 'medium', tokensMax } = request.reasoning!
  if (maxTokens <= BUDGET_TOKENS_MIN) {
    throw new TriforceError('BAD_REQUEST', { param: 'max_tokens' }, { detail: `${model} needs more than ${BUDGET_TOKENS_MIN} "max_tokens" to think: they hold the thoughts too` })
  }
  const wanted = tokensMax ?? (effort === 'none' ? BUDGET_TOKENS_MIN : BUDGETS[effort])
  return { type: 'enabled', budget_tokens: Math.min(Math.max(wanted, BUDGET_TOKENS_MIN), maxTokens - 1) }
}

function adaptiveEffort({ reasoning }: CompletionRequest): 'low' | 'medium' | 'high' {
  const effort = effortOf(reasoning!)
  return effort === 'none' || effort === 'minimal' ? 'low' : effort
}

function toolsOf({ tools }: CompletionRequest): ToolUnion[] | undefined {
  return tools?.map(({ name, description, parameters, strict }) => ({
    name, input_schema: { type: 'object', ...objectOf(parameters, 'tools', `the parameters of the tool "${name}"`) },
    ...(description === undefined ? {} : { description }), ...(strict === true ? { strict } : {}),
  }))
}

function toolChoiceOf({ tools, toolChoice, parallelToolCalls }: CompletionRequest): ToolChoice | undefined {
  if (tools === undefined) return undefined
  const single = parallelToolCalls === false ? { disable_parallel_tool_use: true } : {}
  switch (toolChoice?.type) {
    case 'none': return { type: 'none' }
    case 'required': return { type: 'any', ...single }
    case 'tool': return { type: 'tool', name: toolChoice.name, ...single }
    case 'auto': case undefined: return parallelToolCalls === false ? { type: 'auto', ...single } : undefined
  }
}

/** Results of tools are the user's in this API, in one message with what the user says next. */
function messagesOf({ messages, continueLast }: CompletionRequest): MessageParam[] {
  const out: { role: 'user' | 'assistant'; content: ContentBlockParam[] }[] = []
  for (const [index, message] of messages.entries()) {
    if (message.role === 'system') continue
    const role = message.role === 'assistant' ? 'assistant' : 'user'
    const content = blocksOf(message, continueLast && index === messages.length - 1)
    if (content.length === 0) continue
    const last = out.at(-1)
    if (last?.role === role) last.content.push(...content)
    else out.push({ role, content })
  }
  return out
}

function trimmedOf({ messages, continueLast }: CompletionRequest): string {
  const last = messages.at(-1)
  if (!continueLast || last?.role !== 'assistant') return ''
  const text = textOf(last)
  return text.slice(text.trimEnd().length)
}

function blocksOf(message: ChatMessage, isContinued: boolean): ContentBlockParam[] {
  if (message.role === 'tool') {
    const content = partsOf(message)
    return [{
      type: 'tool_result', tool_use_id: toolId(message.toolCallId!), ...(content.length === 0 ? {} : { content }), ...(message.toolFailed === true ? { is_error: true } : {}),
    }]
  }
  if (message.role === 'user') return partsOf(message)
  const text = isContinued ? textOf(message).trimEnd() : textOf(message)
  return [
    // Thoughts without the vendor's signature are another model's and would be refused.
    ...(message.reasoning ?? []).flatMap(({ text: thought, signature, redacted }): ContentBlockParam[] => {
      if (redacted === true) return [{ type: 'redacted_thinking', data: thought }]
      return signature === undefined ? [] : [{ type: 'thinking', thinking: thought, signature }]
    }),
    ...(text === '' ? [] : [{ type: 'text' as const, text }]),
    ...(message.toolCalls ?? []).map((call) => ({ type: 'tool_use' as const, id: toolId(call.id), name: call.name, input: inputOf(call) })),
  ]
}

function partsOf({ content }: ChatMessage): (TextBlockParam | ImageBlockParam)[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }]
  return content.flatMap((part): (TextBlockParam | ImageBlockParam)[] => part.type === 'image' ? [imageOf(part)] : part.text === '' ? [] : [{ type: 'text', text: part.text }])
}

function imageOf({ mediaType, data }: ImagePart): ImageBlockParam {
  return { type: 'image', source: { type: 'base64', media_type: mediaType, data: Buffer.from(data).toString('base64') } }
}

/** A call that a model wrote badly stays readable, since the API takes only objects. */
function inputOf({ arguments: text }: ToolCall): Record<string, unknown> {
  if (text.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // As below.
  }
  return { arguments: text }
}

const TOOL_ID = /^[a-zA-Z0-9_-]{1,256}$/

function toolId(id: string): string {
  return TOOL_ID.test(id) ? id : `toolu_${createHash('sha256').update(id).digest('hex').slice(0, 24)}`
}
