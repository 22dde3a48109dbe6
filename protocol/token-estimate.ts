/**
 * Tokens of a text where no vendor has counted them: for holds before an answer, and for answers that were cut.
 *
 * The estimate is one token for each four bytes of UTF-8, the rule of thumb that vendors give for English; it errs by
 * about a quarter for prose and code of other languages. A real tokenizer would be right for one vendor only, and costs
 * tens of megabytes of memory for its ranks.
 */
import { isEmbedding, type ChatMessage, type JobRequest } from './completion.ts'

const BYTES_A_TOKEN = 4
// Around each message: role and separators (OpenAI's cookbook says 3 to 4).
const MESSAGE_TOKENS = 4
// Claude's largest: 1,568 pixels a side / 750 pixels a token; OpenAI's high detail is below it.
const IMAGE_TOKENS = 1_600

function textTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_A_TOKEN)
}

/** A counter over pieces that gives what `textTokens` gives for all of them joined. */
export function createTokenCounter(): { add(text: string): number; readonly tokens: number } {
  let bytes = 0
  return {
    add(text) {
      bytes += Buffer.byteLength(text)
      return Math.ceil(bytes / BYTES_A_TOKEN)
    },
    get tokens() { return Math.ceil(bytes / BYTES_A_TOKEN) },
  }
}

/** What a prompt may have, images and tools included, or the texts of an embedding. */
export function estimatePromptTokens(request: JobRequest): number {
  if (isEmbedding(request)) return request.inputs.reduce((sum, input) => sum + textTokens(input), 0)
  const messages = request.messages.reduce((sum, message) => sum + messageTokens(message), 0)
  const tools = request.tools?.reduce((sum, tool) => sum + textTokens(tool.name + (tool.description ?? '') + tool.parameters) + MESSAGE_TOKENS, 0) ?? 0
  return messages + tools + (request.responseFormat.type === 'json_schema' ? textTokens(request.responseFormat.schema) : 0)
}

/** How many tokens more than the estimate a prompt may well have: a quarter, and what a vendor puts around it. */
export function promptTokensMargin(estimate: number): number {
  return Math.ceil(estimate / 4) + 2 * MESSAGE_TOKENS
}

function messageTokens({ content, toolCalls = [], reasoning = [] }: ChatMessage): number {
  const parts = typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content
  return MESSAGE_TOKENS
    + parts.reduce((sum, part) => sum + (part.type === 'text' ? textTokens(part.text) : IMAGE_TOKENS), 0)
    + toolCalls.reduce((sum, call) => sum + textTokens(call.name + call.arguments) + MESSAGE_TOKENS, 0)
    + reasoning.reduce((sum, { text }) => sum + textTokens(text), 0)
}
