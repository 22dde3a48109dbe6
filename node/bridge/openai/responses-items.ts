/** The output items of `/v1/responses`, as they stand in an answer and in its events. */
import type { DetailedUsage, Reasoning, TokenLogprob, ToolCall } from '../../../protocol/completion.ts'
import { logprobsBody } from './chat-answer.ts'
import { customInputOf } from './responses-tools.ts'

type Status = 'in_progress' | 'completed' | 'incomplete'

export function textPart(text: string, logprobs: readonly TokenLogprob[]) {
  return { type: 'output_text', text, annotations: [], logprobs: logprobsBody(logprobs).content }
}

export function messageItem(id: string, status: Status, content: readonly object[]) {
  return { id, type: 'message', status, role: 'assistant', content }
}

/** Shown text stands in the summary, where clients look for it; its proof, or the cipher of hidden text, in `encrypted_content`. */
export function reasoningItem(id: string, { text, signature, redacted }: Reasoning) {
  const sealed = redacted === true ? text : signature
  return { id, type: 'reasoning', summary: redacted === true ? [] : [summaryPart(text)], ...(sealed === undefined ? {} : { encrypted_content: sealed }) }
}

export function summaryPart(text: string) {
  return { type: 'summary_text', text }
}

export function callItem(id: string, status: Status, call: ToolCall, custom: ReadonlySet<string>) {
  if (custom.has(call.name)) return { id, type: 'custom_tool_call', status, call_id: call.id, name: call.name, input: status === 'in_progress' ? '' : customInputOf(call.arguments) }
  return { id, type: 'function_call', status, call_id: call.id, name: call.name, arguments: call.arguments }
}

export function responseUsage(usage: DetailedUsage) {
  return {
    input_tokens: usage.promptTokens,
    input_tokens_details: { cached_tokens: usage.cachedPromptTokens ?? 0, cache_write_tokens: usage.cacheWriteTokens ?? 0 },
    output_tokens: usage.completionTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens ?? 0 },
    total_tokens: usage.promptTokens + usage.completionTokens,
  }
}
