/**
 * How many tokens a prompt has, before its vendor counts them: what is held for it. Rather too many than too few, since a
 * hold that is too small must grow before it is settled. Takes a request; gives whole tokens.
 */
import { isEmbedding, textOf, type ChatMessage, type JobRequest } from '../../protocol/completion.ts'

/** English has 4 to 4.5 characters a token, code 3 to 3.5; other scripts have about one. */
const ASCII_CHARS_PER_TOKEN = 3.2
const OTHER_TOKENS_PER_CHAR = 1.2
/** Role and separators. */
const MESSAGE_TOKENS = 8
/** A picture of the largest size that vendors take without shrinking it: 1,568 at Anthropic, 1,105 at OpenAI. */
const IMAGE_TOKENS = 1_600
const TOOL_TOKENS = 16

export function estimatePromptTokens(request: JobRequest): number {
  if (isEmbedding(request)) return request.inputs.reduce((sum, input) => sum + estimateTokens(input), 0)
  let tokens = 3
  for (const message of request.messages) tokens += MESSAGE_TOKENS + tokensOfMessage(message)
  for (const tool of request.tools ?? []) tokens += TOOL_TOKENS + estimateTokens(tool.name) + estimateTokens(tool.description ?? '') + estimateTokens(tool.parameters)
  if (request.responseFormat.type === 'json_schema') tokens += estimateTokens(request.responseFormat.schema)
  return Math.ceil(tokens)
}

function tokensOfMessage(message: ChatMessage): number {
  let tokens = estimateTokens(textOf(message))
  if (typeof message.content !== 'string') tokens += IMAGE_TOKENS * message.content.filter(({ type }) => type === 'image').length
  for (const call of message.toolCalls ?? []) tokens += TOOL_TOKENS + estimateTokens(call.name) + estimateTokens(call.arguments)
  for (const { text } of message.reasoning ?? []) tokens += estimateTokens(text)
  return tokens
}

export function estimateTokens(text: string): number {
  let other = 0
  for (let at = 0; at < text.length; at += 1) if (text.charCodeAt(at) > 0x7f) other += 1
  return Math.ceil((text.length - other) / ASCII_CHARS_PER_TOKEN + other * OTHER_TOKENS_PER_CHAR)
}
