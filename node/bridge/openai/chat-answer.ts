/**
 * Answers in the form of OpenAI's chat completions, as one body or as events. What is equal in all events of an answer
 * is rendered once, so that a token costs one JSON.stringify of its text and nothing more.
 */
import type { AnswerDelta, DetailedUsage, GoodFinish, Reasoning, TokenLogprob } from '../../../protocol/completion.ts'
import type { AnswerWriter } from '../dialect.ts'
import { servedBody } from '../served.ts'
import { brokenStreamError, DONE, eventComment, EVENT_STREAM } from './stream-events.ts'

export interface OpenAIChatAnswer {
  /** `chatcmpl-…`, equal in all events. */
  readonly id: string
  readonly createdAtSeconds: number
  readonly model: string
  /** Adds `"usage": null` to every event and one event with the usage before `[DONE]`. */
  readonly includeUsage: boolean
  /** False leaves out what the model thinks. Default true. */
  readonly showReasoning?: boolean
}

export function createOpenAIChatWriter(answer: OpenAIChatAnswer): AnswerWriter {
  const { showReasoning = true } = answer
  const head = `"id":${JSON.stringify(answer.id)},"object":"chat.completion.chunk","created":${answer.createdAtSeconds}`
    + `,"model":${JSON.stringify(answer.model)}`
  const tail = answer.includeUsage ? ',"usage":null}\n\n' : '}\n\n'
  const textStart = `data: {${head},"choices":[{"index":0,"delta":{"content":`
  const textEnd = `},"logprobs":null,"finish_reason":null}]${tail}`
  const nextBlock = countBlocks()

  function event(delta: object, logprobs: object | null = null): string {
    return `data: {${head},"choices":[{"index":0,"delta":${JSON.stringify(delta)},"logprobs":${JSON.stringify(logprobs)},"finish_reason":null}]${tail}`
  }

  return {
    streamContentType: EVENT_STREAM,

    begin() {
      return event({ role: 'assistant', content: '', refusal: null })
    },

    delta(delta) {
      switch (delta.type) {
        case 'text':
          if (delta.logprobs === undefined) return textStart + JSON.stringify(delta.text) + textEnd
          return event({ content: delta.text }, logprobsBody(delta.logprobs))
        case 'reasoning':
          return showReasoning ? event(reasoningDelta(delta, nextBlock(delta))) : ''
        case 'toolCall':
          return event(toolCallDelta(delta))
      }
    },

    end({ finish, usage, served }) {
      const finished = `data: {${head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"${finishReasons[finish]}"}]`
        + `,"triforce":${JSON.stringify(servedBody(served))}${tail}`
      const counted = answer.includeUsage ? `data: {${head},"choices":[],"usage":${JSON.stringify(usageBody(usage))}}\n\n` : ''
      return finished + counted + DONE
    },

    failed(error) {
      return `data: {${head},"choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"error"}]`
        + `,"error":${JSON.stringify(brokenStreamError(error))}${tail}`
    },

    comment: eventComment,

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
            ...(showReasoning ? reasoningBody(reasoning) : {}),
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

type DeltaOf<Type extends AnswerDelta['type']> = Extract<AnswerDelta, { type: Type }>

/** Gives the block that a piece of reasoning belongs to: a signature closes one, and a cipher is one of its own. */
function countBlocks(): (delta: DeltaOf<'reasoning'>) => number {
  let block = 0
  let isOpen = false
  return ({ signature, redacted }) => {
    if (redacted === true && isOpen) block += 1
    const current = block
    isOpen = signature === undefined && redacted !== true
    if (!isOpen) block += 1
    return current
  }
}

/** `reasoning_content` is DeepSeek's name, which clients read; `reasoning_details` OpenRouter's, which they send back. OpenAI itself shows neither. */
function reasoningDelta(delta: DeltaOf<'reasoning'>, index: number): object {
  const details = { reasoning_details: [reasoningDetail(delta, index)] }
  return delta.redacted === true ? details : { reasoning_content: delta.text, ...details }
}

function reasoningDetail({ text, signature, redacted }: Reasoning | DeltaOf<'reasoning'>, index: number): object {
  if (redacted === true) return { type: 'reasoning.encrypted', index, data: text }
  return { type: 'reasoning.text', index, text, ...(signature === undefined ? {} : { signature }) }
}

function reasoningBody(reasoning: readonly Reasoning[]): object {
  if (reasoning.length === 0) return {}
  return {
    reasoning_content: reasoning.map(({ text, redacted }) => redacted === true ? '' : text).join(''),
    reasoning_details: reasoning.map(reasoningDetail),
  }
}

function toolCallDelta({ index, id, name, arguments: json }: DeltaOf<'toolCall'>) {
  const begun = id === undefined ? {} : { id, type: 'function' }
  return { tool_calls: [{ index, ...begun, function: { ...(name === undefined ? {} : { name }), arguments: json } }] }
}

export function logprobsBody(logprobs: readonly TokenLogprob[]) {
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

export function usageBody(usage: DetailedUsage) {
  const cached = { cached_tokens: usage.cachedPromptTokens, cache_write_tokens: usage.cacheWriteTokens }
  const hasCache = usage.cachedPromptTokens !== undefined || usage.cacheWriteTokens !== undefined
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    ...(hasCache ? { prompt_tokens_details: cached } : {}),
    ...(usage.reasoningTokens === undefined ? {} : { completion_tokens_details: { reasoning_tokens: usage.reasoningTokens } }),
  }
}
