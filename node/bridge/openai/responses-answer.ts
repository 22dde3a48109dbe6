/**
 * Answers in the form of OpenAI's responses: one body, or events that open items, fill them and close them. The last
 * event repeats the whole answer, so what was sent is kept, up to a bound.
 */
import type { AnswerDelta, GoodFinish, TokenLogprob, ToolCall } from '../../../protocol/completion.ts'
import { TriforceError } from '../../../protocol/errors.ts'
import type { AnswerEnd, AnswerWriter } from '../dialect.ts'
import { openaiError } from '../openai-errors.ts'
import { servedBody } from '../served.ts'
import { logprobsBody } from './chat-answer.ts'
import { callItem, messageItem, reasoningItem, responseUsage, summaryPart, textPart } from './responses-items.ts'
import type { ResponseTools } from './responses-tools.ts'
import { brokenStreamError, eventComment, EVENT_STREAM } from './stream-events.ts'

export interface OpenAIResponsesAnswer {
  /** 24 hexadecimal digits; ids of the answer and of its items end in them. */
  readonly requestId: string
  readonly createdAtSeconds: number
  readonly model: string
  readonly tools: Pick<ResponseTools, 'custom' | 'leftOut'>
  /** Fields of the request that the answer repeats. */
  readonly echo: Readonly<Record<string, unknown>>
  /** Characters of one answer. Default 4,000,000: twice what one body may have. */
  readonly charsMax?: number
}

/** An item that is being filled. */
type OpenItem =
  | { readonly type: 'message'; readonly index: number; readonly id: string; readonly deltaStart: string; text: string; logprobs: TokenLogprob[] }
  | { readonly type: 'reasoning'; readonly index: number; readonly id: string; text: string; signature?: string; redacted?: true }
  | { readonly type: 'call'; readonly index: number; readonly id: string; readonly call: { id: string; name: string; arguments: string } }

type DeltaOf<Type extends AnswerDelta['type']> = Extract<AnswerDelta, { type: Type }>

export function createOpenAIResponsesWriter(answer: OpenAIResponsesAnswer): AnswerWriter {
  const { requestId, model, tools, charsMax = 4_000_000 } = answer
  const items: object[] = []
  const calls = new Map<number, OpenItem & { type: 'call' }>()
  let current: (OpenItem & { type: 'message' | 'reasoning' }) | undefined
  let sequence = 0
  let chars = 0

  function event(type: string, fields: object): string {
    const text = `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence, ...fields })}\n\n`
    sequence += 1
    return text
  }

  function response(status: string, fields: object): object {
    return {
      id: `resp_${requestId}`, object: 'response', created_at: answer.createdAtSeconds, status, background: false, completed_at: null, error: null,
      incomplete_details: null, model, ...answer.echo, ...fields,
    }
  }

  function count(text: string): void {
    chars += text.length
    if (chars > charsMax) throw new TriforceError('ENGINE_FAILED', {}, { detail: 'the answer is too long' })
  }

  /** Its place is taken now and filled when it closes. */
  function place(): number {
    return items.push({}) - 1
  }

  function idOf(kind: string, index: number): string {
    return `${kind}_${requestId}_${index}`
  }

  function closeCurrent(): string {
    if (current === undefined) return ''
    const item = current
    current = undefined
    return item.type === 'message' ? closeMessage(item) : closeReasoning(item)
  }

  function openMessage(): string {
    const index = place()
    const id = idOf('msg', index)
    const at = { item_id: id, output_index: index, content_index: 0 }
    const start = closeCurrent()
      + event('response.output_item.added', { output_index: index, item: messageItem(id, 'in_progress', []) })
      + event('response.content_part.added', { ...at, part: textPart('', []) })
    const type = 'response.output_text.delta'
    current = { type: 'message', index, id, text: '', logprobs: [], deltaStart: `event: ${type}\ndata: {"type":"${type}",${JSON.stringify(at).slice(1, -1)},"logprobs":` }
    return start
  }

  function text(delta: DeltaOf<'text'>): string {
    count(delta.text)
    const start = current?.type === 'message' ? '' : openMessage()
    const message = current as OpenItem & { type: 'message' }
    message.text += delta.text
    if (delta.logprobs !== undefined) message.logprobs.push(...delta.logprobs)
    const logprobs = delta.logprobs === undefined ? '[]' : JSON.stringify(logprobsBody(delta.logprobs).content)
    const piece = `${message.deltaStart}${logprobs},"delta":${JSON.stringify(delta.text)},"sequence_number":${sequence}}\n\n`
    sequence += 1
    return start + piece
  }

  function closeMessage({ id, index, text: whole, logprobs }: OpenItem & { type: 'message' }): string {
    const part = textPart(whole, logprobs)
    const item = messageItem(id, 'completed', [part])
    const at = { item_id: id, output_index: index, content_index: 0 }
    items[index] = item
    return event('response.output_text.done', { ...at, text: whole, logprobs: part.logprobs })
      + event('response.content_part.done', { ...at, part })
      + event('response.output_item.done', { output_index: index, item })
  }

  function reasoning(delta: DeltaOf<'reasoning'>): string {
    count(delta.text + (delta.signature ?? ''))
    let start = ''
    // A signature closes a block, and a cipher is one of its own.
    if (current?.type !== 'reasoning' || current.signature !== undefined || current.redacted !== delta.redacted) {
      const index = place()
      const id = idOf('rs', index)
      start = closeCurrent() + event('response.output_item.added', { output_index: index, item: { id, type: 'reasoning', summary: [] } })
      if (delta.redacted !== true) start += event('response.reasoning_summary_part.added', { item_id: id, output_index: index, summary_index: 0, part: summaryPart('') })
      current = { type: 'reasoning', index, id, text: '', ...(delta.redacted === undefined ? {} : { redacted: true }) }
    }
    const block = current
    block.text += delta.text
    if (delta.signature !== undefined) block.signature = delta.signature
    if (delta.redacted === true || delta.text === '') return start
    return start + event('response.reasoning_summary_text.delta', { item_id: block.id, output_index: block.index, summary_index: 0, delta: delta.text })
  }

  function closeReasoning(block: OpenItem & { type: 'reasoning' }): string {
    const { id, index } = block
    const item = reasoningItem(id, block)
    const at = { item_id: id, output_index: index, summary_index: 0 }
    items[index] = item
    const shown = block.redacted === true ? '' : event('response.reasoning_summary_text.done', { ...at, text: block.text })
      + event('response.reasoning_summary_part.done', { ...at, part: summaryPart(block.text) })
    return shown + event('response.output_item.done', { output_index: index, item })
  }

  function toolCall(delta: DeltaOf<'toolCall'>): string {
    count(delta.arguments)
    let start = ''
    let open = calls.get(delta.index)
    if (open === undefined) {
      if (delta.id === undefined || delta.name === undefined) throw new TriforceError('ENGINE_FAILED', {}, { detail: 'the host sent a tool call without its beginning' })
      const index = place()
      const isCustom = tools.custom.has(delta.name)
      open = { type: 'call', index, id: idOf(isCustom ? 'ctc' : 'fc', index), call: { id: delta.id, name: delta.name, arguments: '' } }
      calls.set(delta.index, open)
      start = closeCurrent() + event('response.output_item.added', { output_index: index, item: callItem(open.id, 'in_progress', open.call, tools.custom) })
    }
    open.call.arguments += delta.arguments
    // The free text of a custom call can be taken out of its JSON only when that is whole.
    if (delta.arguments === '' || tools.custom.has(open.call.name)) return start
    return start + event('response.function_call_arguments.delta', { item_id: open.id, output_index: open.index, delta: delta.arguments })
  }

  function closeCall({ id, index, call }: OpenItem & { type: 'call' }): string {
    const item = callItem(id, 'completed', call, tools.custom)
    const at = { item_id: id, output_index: index }
    items[index] = item
    const whole = 'input' in item
      ? event('response.custom_tool_call_input.delta', { ...at, delta: item.input }) + event('response.custom_tool_call_input.done', { ...at, input: item.input })
      : event('response.function_call_arguments.done', { ...at, name: call.name, arguments: call.arguments })
    return whole + event('response.output_item.done', { output_index: index, item })
  }

  /** Calls of one answer may come interleaved, so they stay open to the end. */
  function closeAll(): string {
    const closed = closeCurrent() + [...calls.values()].map(closeCall).join('')
    calls.clear()
    return closed
  }

  function ended(output: readonly object[], { finish, usage, served }: AnswerEnd): { status: string; body: object } {
    const reason = incompleteReasons[finish]
    const status = reason === undefined ? 'completed' : 'incomplete'
    return {
      status,
      body: response(status, {
        output, usage: responseUsage(usage), incomplete_details: reason === undefined ? null : { reason },
        triforce: { ...servedBody(served), ...(tools.leftOut.length === 0 ? {} : { tools_left_out: tools.leftOut }) },
      }),
    }
  }

  return {
    streamContentType: EVENT_STREAM,

    begin() {
      const body = { response: response('in_progress', { output: [], usage: null }) }
      return event('response.created', body) + event('response.in_progress', body)
    },

    delta(delta) {
      switch (delta.type) {
        case 'text': return text(delta)
        case 'reasoning': return reasoning(delta)
        case 'toolCall': return toolCall(delta)
      }
    },

    end(end) {
      const closed = closeAll()
      const { status, body } = ended(items, end)
      return closed + event(`response.${status}`, { response: body })
    },

    // Agents wait for `response.failed`; OpenAI's client raises only what comes as `error`.
    failed(error) {
      const { code, message } = openaiError(error)
      const whole = items.filter((item) => 'type' in item)
      return event('response.failed', { response: response('failed', { output: whole, usage: null, error: { code, message } }) })
        + event('error', { code, message, param: null, error: brokenStreamError(error) })
    },

    comment: eventComment,

    body({ text: whole, reasoning: blocks, toolCalls, logprobs }, end) {
      const output: object[] = blocks.map((block, index) => reasoningItem(idOf('rs', index), block))
      if (whole !== '' || toolCalls.length === 0) output.push(messageItem(idOf('msg', output.length), 'completed', [textPart(whole, logprobs)]))
      output.push(...toolCalls.map((call: ToolCall, index) => callItem(idOf(tools.custom.has(call.name) ? 'ctc' : 'fc', output.length + index), 'completed', call, tools.custom)))
      return JSON.stringify(ended(output, end).body)
    },
  }
}

const incompleteReasons: Readonly<Record<GoodFinish, string | undefined>> = { stop: undefined, toolCalls: undefined, length: 'max_output_tokens', filtered: 'content_filter' }
