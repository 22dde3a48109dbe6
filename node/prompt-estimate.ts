/** How many tokens a prompt may have, without the tokenizer of its model. */
import { isEmbedding, type JobRequest } from '../protocol/completion.ts'

// The rule of thumb for English. Other scripts have more bytes a character and more tokens a character, so bytes are the better measure.
const BYTES_PER_TOKEN = 4
/** Marks of the template around a message. */
const TOKENS_PER_MESSAGE = 4
// What Anthropic charges for an image of its best size, 1.15 megapixels; larger ones are scaled down to it.
const TOKENS_PER_IMAGE = 1_600

export function estimatePromptTokens(request: JobRequest): number {
  if (isEmbedding(request)) return request.inputs.reduce((sum, input) => sum + Math.ceil(Buffer.byteLength(input) / BYTES_PER_TOKEN), 0)
  const { messages, tools = [], responseFormat } = request
  let bytes = responseFormat.type === 'json_schema' ? responseFormat.schema.length : 0
  let tokens = messages.length * TOKENS_PER_MESSAGE
  for (const { content, toolCalls = [], reasoning = [] } of messages) {
    for (const part of typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content) {
      if (part.type === 'text') bytes += Buffer.byteLength(part.text)
      else tokens += TOKENS_PER_IMAGE
    }
    for (const call of toolCalls) bytes += Buffer.byteLength(call.name) + Buffer.byteLength(call.arguments)
    for (const block of reasoning) bytes += Buffer.byteLength(block.text)
  }
  for (const tool of tools) bytes += Buffer.byteLength(tool.name) + Buffer.byteLength(tool.description ?? '') + Buffer.byteLength(tool.parameters)
  return tokens + Math.ceil(bytes / BYTES_PER_TOKEN)
}
