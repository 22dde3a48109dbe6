/**
 * Answers in the form of OpenAI's chat completions, as one body or as events. What is equal in all events of an answer
 * is rendered once, so that a token costs one JSON.stringify of its text and nothing more.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { Served } from '../gateway.ts'
import type { AnswerEnd, AnswerWriter } from './dialect.ts'
import { openaiError } from './openai-errors.ts'

export interface OpenAIChatAnswer {
  /** `chatcmpl-…`, equal in all events. */
  readonly id: string
  readonly createdAtSeconds: number
  readonly model: string
  /** Adds `"usage": null` to every event and one event with the usage before `[DONE]`. */
  readonly includeUsage: boolean
}

export function createOpenAIChatWriter(answer: OpenAIChatAnswer): AnswerWriter {
  const head = `"id":${JSON.stringify(answer.id)},"object":"chat.completion.chunk","created":${answer.createdAtSeconds}`
    + `,"model":${JSON.stringify(answer.model)}`
  const tail = answer.includeUsage ? ',"usage":null}\n\n' : '}\n\n'
  const textStart = `data: {${head},"choices":[{"index":0,"delta":{"content":`
  const textEnd = `},"logprobs":null,"finish_reason":null}]${tail}`

  return {
    streamContentType: 'text/event-stream; charset=utf-8',

    begin() {
      return `data: {${head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,`
        + `"finish_reason":null}]${tail}`
    },

    text(text) {
      return textStart + JSON.stringify(text) + textEnd
    },

    end({ finish, usage, served }) {
      const finished = `data: {${head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"${finish}"}]`
        + `,"triforce":${JSON.stringify(servedBody(served))}${tail}`
      const counted = answer.includeUsage ? `data: {${head},"choices":[],"usage":${JSON.stringify(usageBody(usage))}}\n\n` : ''
      return `${finished}${counted}data: [DONE]\n\n`
    },

    // OpenRouter's form. A stream that merely stops, or `[DONE]` after an error, is read as a whole answer.
    failed(error) {
      const body = { ...openaiError(error), metadata: { error_type: error.spec.type, status: error.spec.http } }
      return `data: {${head},"choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"error"}]`
        + `,"error":${JSON.stringify(body)}${tail}`
    },

    comment(text) {
      return `: ${text}\n\n`
    },

    body(text, { finish, usage, served }) {
      return JSON.stringify({
        id: answer.id,
        object: 'chat.completion',
        created: answer.createdAtSeconds,
        model: answer.model,
        choices: [{
          index: 0,
          message: { role: 'assistant', content: text, refusal: null },
          logprobs: null,
          finish_reason: finish,
        }],
        usage: usageBody(usage),
        triforce: servedBody(served),
      })
    },
  }
}

function usageBody(usage: AnswerEnd['usage']) {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
  }
}

function servedBody(served: Served) {
  return {
    host: served.host,
    host_name: served.hostName,
    hub: served.hub,
    receipt: `rcpt_${toHex(served.receiptId)}`,
    durability: served.durability,
    // A string, since a double cannot hold every amount.
    cost_micro_credits: served.costMicroCredits.toString(),
    attempts: served.attempts,
  }
}
