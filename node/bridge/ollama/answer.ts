/**
 * Answers in the form of Ollama's `/api/chat` and `/api/generate`, as one body or as a line of JSON for each piece. A line
 * cannot be a comment, so a sign of life is a line without text. Tool calls are sent whole: Ollama's clients know no pieces.
 */
import type { AnswerDelta, GoodFinish, TokenLogprob, ToolCall } from '../../../protocol/completion.ts'
import { TriforceError } from '../../../protocol/errors.ts'
import { PROMPT_CHARS_MAX } from '../../../protocol/limits.ts'
import type { Clock } from '../../../protocol/ports.ts'
import type { CollectedAnswer } from '../collected-answer.ts'
import type { AnswerEnd, AnswerWriter } from '../dialect.ts'
import { publicText } from '../openai-errors.ts'
import { servedBody } from '../served.ts'
import { toolInputOf } from '../tool-input.ts'

export interface OllamaAnswer {
  readonly kind: 'chat' | 'generate'
  /** As the client named it. */
  readonly model: string
  readonly clock: Clock
}

const NANOSECONDS = 1e6

export function createOllamaWriter({ kind, model, clock }: OllamaAnswer): AnswerWriter {
  const startedAtMs = clock.monotonicMs()
  let call: { id: string; name: string; arguments: string } | undefined
  let callsBegun = 0
  let firstAtMs: number | undefined

  function head(): object {
    return { model, created_at: new Date(clock.now()).toISOString() }
  }

  function line(fields: object): string {
    return `${JSON.stringify({ ...head(), ...fields, done: false })}\n`
  }

  function message(fields: { text?: string; thinking?: string; toolCalls?: readonly object[] }): object {
    const thinking = fields.thinking === undefined || fields.thinking === '' ? {} : { thinking: fields.thinking }
    const toolCalls = fields.toolCalls === undefined || fields.toolCalls.length === 0 ? {} : { tool_calls: fields.toolCalls }
    if (kind === 'generate') return { response: fields.text ?? '', ...thinking, ...toolCalls }
    return { message: { role: 'assistant', content: fields.text ?? '', ...thinking, ...toolCalls } }
  }

  /** The call that is on its way is whole as soon as something else comes. */
  function wholeCall(): string {
    if (call === undefined) return ''
    const text = line(message({ toolCalls: [callBody(call, callsBegun - 1)] }))
    call = undefined
    return text
  }

  function toolCall({ index, id, name, arguments: json }: Extract<AnswerDelta, { type: 'toolCall' }>): string {
    if (call !== undefined && index === callsBegun - 1) {
      call.arguments += json
      if (call.arguments.length > CALL_CHARS_MAX) throw new TriforceError('ENGINE_FAILED', {}, { detail: `a tool call may have ${CALL_CHARS_MAX} characters` })
      return ''
    }
    if (index !== callsBegun || id === undefined || name === undefined) throw new TriforceError('ENGINE_FAILED', {}, { detail: 'the host mixed the pieces of two tool calls' })
    const before = wholeCall()
    callsBegun += 1
    call = { id, name, arguments: json }
    return before
  }

  function end({ finish, usage, served }: AnswerEnd, fields: object): string {
    const endedAtMs = clock.monotonicMs()
    const evalAtMs = firstAtMs ?? startedAtMs
    return JSON.stringify({
      ...head(),
      ...fields,
      done: true,
      done_reason: doneReasons[finish],
      total_duration: Math.round((endedAtMs - startedAtMs) * NANOSECONDS),
      // Of these two a host tells only the sum.
      load_duration: 0,
      prompt_eval_duration: Math.round((evalAtMs - startedAtMs) * NANOSECONDS),
      prompt_eval_count: usage.promptTokens,
      eval_count: usage.completionTokens,
      eval_duration: Math.round((endedAtMs - evalAtMs) * NANOSECONDS),
      triforce: servedBody(served),
    })
  }

  return {
    streamContentType: 'application/x-ndjson',
    begin: () => '',

    delta(delta) {
      firstAtMs ??= clock.monotonicMs()
      switch (delta.type) {
        case 'text':
          return wholeCall() + line({ ...message({ text: delta.text }), ...(delta.logprobs === undefined ? {} : { logprobs: logprobsBody(delta.logprobs) }) })
        case 'reasoning':
          return delta.redacted === true || delta.text === '' ? '' : wholeCall() + line(message({ thinking: delta.text }))
        case 'toolCall':
          return toolCall(delta)
      }
    },

    end: (answerEnd) => `${wholeCall()}${end(answerEnd, message({}))}\n`,
    failed: (error) => `${JSON.stringify({ error: publicText(error) })}\n`,
    comment: () => line(message({})),

    body({ text, reasoning, toolCalls, logprobs }: CollectedAnswer, answerEnd) {
      const thinking = reasoning.map((block) => block.redacted === true ? '' : block.text).join('')
      return end(answerEnd, {
        ...message({ text, thinking, toolCalls: toolCalls.map(callBody) }), ...(logprobs.length === 0 ? {} : { logprobs: logprobsBody(logprobs) }),
      })
    },
  }
}

// As long as all messages of a request may be, so that the call can come back with its result.
const CALL_CHARS_MAX = PROMPT_CHARS_MAX

const doneReasons = { stop: 'stop', length: 'length', toolCalls: 'stop', filtered: 'content_filter' } as const satisfies Record<GoodFinish, string>

function callBody(call: ToolCall, index: number): object {
  return { id: call.id, function: { index, name: call.name, arguments: toolInputOf(call) } }
}

function logprobsBody(logprobs: readonly TokenLogprob[]): object[] {
  const bytes = (token: string): number[] => [...Buffer.from(token, 'utf8')]
  return logprobs.map(({ token, logprob, top }) => ({
    token, logprob, bytes: bytes(token), ...(top.length === 0 ? {} : { top_logprobs: top.map((other) => ({ ...other, bytes: bytes(other.token) })) }),
  }))
}
