/**
 * Answers in the form of OpenAI's chat completions, as one body or as events. What is equal in all events of an answer
 * is rendered once, so that a token costs one JSON.stringify of its text and nothing more.
 */
import type { AnswerDelta, GoodFinish, TokenLogprob } from '../../protocol/completion.ts'
import type { AnswerEnd, AnswerWriter } from './dialect.ts'
import { openaiError } from './openai-errors.ts'
import { servedBody } from './served.ts'

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

    delta(delta) {
      if (delta.type === 'text' && delta.logprobs === undefined) return textStart + JSON.stringify(delta.text) + textEnd
      const logprobs = delta.type === 'text' && delta.logprobs !== undefined ? JSON.stringify(logprobsBody(delta.logprobs)) : 'null'
      return `data: {${head},"choices":[{"index":0,"delta":${JSON.stringify(deltaBody(delta))},"logprobs":${logprobs},"finish_reason":null}]${tail}`
    },

    end({ finish, usage, served }) {
      const finished = `data: {${head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"${finishReasons[finish]}"}]`
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

    body({ text, reasoning, toolCalls, logprobs }, { finish, usage, served }) {
      return JSON.stringify({
        id: answer.id,
        object: 'chat.completion',
        created: answer.createdAtSeconds,
        model: answer.model,
        choices: [{
          index: 0,
          message: {
            role: 'assistant',
            content: text === '' && toolCalls.length > 0 ? null : text,
            refusal: null,
            ...(reasoning.length === 0 ? {} : { reasoning_content: reasoning.map((block) => block.redacted === true ? '' : block.text).join('') }),
            ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls.map(({ id, name, arguments: json }) => ({ id, type: 'function', function: { name, arguments: json } })) }),
          },
          logprobs: logprobs.length === 0 ? null : logprobsBody(logprobs),
          finish_reason: finishReasons[finish],
        }],
        usage: usageBody(usage),
        triforce: servedBody(served),
      })
    },
  }
}

const finishReasons = { stop: 'stop', length: 'length', toolCalls: 'tool_calls', filtered: 'content_filter' } as const satisfies Record<GoodFinish, string>

/** `reasoning_content` is DeepSeek's name, which clients read; OpenAI itself shows none in chat completions. */
function deltaBody(delta: AnswerDelta): object {
  switch (delta.type) {
    case 'text': return { content: delta.text }
    case 'reasoning': return { reasoning_content: delta.redacted === true ? '' : delta.text }
    case 'toolCall': {
      const begun = delta.id === undefined ? {} : { id: delta.id, type: 'function' }
      const name = delta.name === undefined ? {} : { name: delta.name }
      return { tool_calls: [{ index: delta.index, ...begun, function: { ...name, arguments: delta.arguments } }] }
    }
  }
}

function logprobsBody(logprobs: readonly TokenLogprob[]) {
  return {
    content: logprobs.map(({ token, logprob, top }) => ({
      token, logprob, bytes: bytesOfToken(token), top_logprobs: top.map((other) => ({ token: other.token, logprob: other.logprob, bytes: bytesOfToken(other.token) })),
    })),
    refusal: null,
  }
}

function bytesOfToken(token: string): number[] {
  return [...Buffer.from(token, 'utf8')]
}

function usageBody(usage: AnswerEnd['usage']) {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    ...(usage.cachedPromptTokens === undefined ? {} : { prompt_tokens_details: { cached_tokens: usage.cachedPromptTokens } }),
    ...(usage.reasoningTokens === undefined ? {} : { completion_tokens_details: { reasoning_tokens: usage.reasoningTokens } }),
  }
}
