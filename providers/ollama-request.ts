/** The internal request as a body of Ollama's `/api/chat`. */
import type { ChatRequest, Message } from 'ollama'
import { textOf, type ChatMessage, type CompletionRequest, type Tool } from '../protocol/completion.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { OllamaModel } from './ollama-catalogue.ts'

export interface OllamaChat {
  readonly body: ChatRequest & { stream: true }
  /** The answer's text is the arguments of this tool: how a call is forced where Ollama itself has no way to. */
  readonly forcedTool: string | undefined
}

/** `seed` counts where the request has none. Throws BAD_REQUEST or CAPABILITY_MISSING for what Ollama cannot be asked. */
export function ollamaChat(request: CompletionRequest, model: OllamaModel, seed: number): OllamaChat {
  if (request.begun !== undefined && (request.responseFormat.type !== 'text' || request.tools !== undefined)) {
    throw new TriforceError('CAPABILITY_MISSING', {}, { detail: 'Ollama cannot go on in the middle of a JSON answer, nor of one that may call tools' })
  }
  const forced = forcedTool(request)
  const { responseFormat } = request
  const format = forced !== undefined ? jsonObjectOf(forced.parameters, 'tools')
    : responseFormat.type === 'text' ? undefined : responseFormat.type === 'json_object' ? 'json' : jsonObjectOf(responseFormat.schema, 'response_format')
  const tools = forced === undefined && request.toolChoice?.type !== 'none' ? request.tools ?? [] : []
  const think = thinkOf(request.reasoning, model)
  const body = {
    model: request.model,
    // The assistant's message last: Ollama leaves it open and goes on from its end.
    messages: [...messagesOf(request.messages), ...(forced === undefined ? [] : [{ role: 'system', content: orderOf(forced) }])],
    stream: true as const,
    options: {
      num_ctx: model.contextTokens,
      // Absent means 1 at OpenAI; Ollama's own compatible API sets the same.
      temperature: request.temperature ?? 1,
      top_p: request.topP ?? 1,
      seed: request.seed ?? seed,
      ...(request.topK === undefined ? {} : { top_k: request.topK }),
      ...(request.frequencyPenalty === undefined ? {} : { frequency_penalty: request.frequencyPenalty }),
      ...(request.presencePenalty === undefined ? {} : { presence_penalty: request.presencePenalty }),
      ...(request.maxTokens === undefined ? {} : { num_predict: request.maxTokens }),
      ...(request.stop.length === 0 ? {} : { stop: [...request.stop] }),
    },
    ...(format === undefined ? {} : { format }),
    ...(tools.length === 0 ? {} : { tools: tools.map(toolOf) }),
    ...(think === undefined ? {} : { think }),
    ...(request.logprobs === undefined ? {} : { logprobs: true, top_logprobs: request.logprobs }),
    // Not in the client's types: an error in place of a prompt that lost its beginning. Older servers ignore both.
    truncate: false,
    shift: false,
  }
  return { body, forcedTool: forced?.name }
}

/** JSON text of an object; throws BAD_REQUEST for anything else. */
function jsonObjectOf(text: string, param: string): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Told below, like a value that is no object.
  }
  throw new TriforceError('BAD_REQUEST', { param }, { detail: `${param}: the JSON cannot be used: it is not a JSON object` })
}

function forcedTool({ tools = [], toolChoice }: CompletionRequest): Tool | undefined {
  if (toolChoice?.type === 'tool') {
    const tool = tools.find(({ name }) => name === toolChoice.name)
    if (tool === undefined) throw new TriforceError('BAD_REQUEST', { param: 'tool_choice' }, { detail: 'tool_choice: must name one of the tools' })
    return tool
  }
  if (toolChoice?.type !== 'required') return undefined
  if (tools.length === 1) return tools[0]
  throw new TriforceError('CAPABILITY_MISSING', { param: 'tool_choice' }, { detail: 'Ollama cannot be made to call one of several tools: name the tool, or leave the choice to the model' })
}

function orderOf({ name, description }: Tool): string {
  return `Call the tool "${name}" now: reply with its arguments as one JSON object and nothing else.${description === undefined ? '' : ` What the tool does: ${description}`}`
}

function toolOf({ name, description, parameters }: Tool): NonNullable<ChatRequest['tools']>[number] {
  return { type: 'function', function: { name, ...(description === undefined ? {} : { description }), parameters: jsonObjectOf(parameters, 'tools') } }
}

/** gpt-oss thinks on three levels, all others do or do not. */
function thinkOf(wish: CompletionRequest['reasoning'], { capabilities, thinksInLevels }: OllamaModel): ChatRequest['think'] {
  const thinks = capabilities.includes('reasoning')
  if (wish === undefined || (!thinks && (wish.adaptive === true || wish.effort === 'none'))) return undefined
  if (!thinks) throw new TriforceError('CAPABILITY_MISSING', { param: 'reasoning' }, { detail: 'this model does not think before it answers' })
  if (wish.effort === 'none') return false
  if (!thinksInLevels || wish.effort === undefined) return true
  return wish.effort === 'minimal' ? 'low' : wish.effort
}

function messagesOf(messages: readonly ChatMessage[]): Message[] {
  const names = new Map<string, string>()
  return messages.map((message) => {
    const images = typeof message.content === 'string' ? [] : message.content.flatMap((part) => part.type === 'image' ? [Buffer.from(part.data).toString('base64')] : [])
    // A cipher of another vendor says nothing to this model.
    const thinking = message.reasoning?.flatMap(({ text, redacted }) => redacted === true ? [] : [text]).join('') ?? ''
    for (const { id, name } of message.toolCalls ?? []) names.set(id, name)
    return {
      role: message.role,
      // Ollama has no mark for a tool that failed.
      content: message.toolFailed === true ? `Error: ${textOf(message)}` : textOf(message),
      ...(thinking === '' ? {} : { thinking }),
      ...(images.length === 0 ? {} : { images }),
      ...(message.toolCalls === undefined ? {} : {
        tool_calls: message.toolCalls.map(({ id, name, arguments: json }) => ({ id, function: { name, arguments: jsonObjectOf(json === '' ? '{}' : json, 'messages') } })),
      }),
      ...(message.toolCallId === undefined ? {} : { tool_call_id: message.toolCallId, tool_name: names.get(message.toolCallId) ?? '' }),
    }
  })
}
