/**
 * Answers in the form of Anthropic's messages, as one body or as events. Every piece of an answer belongs to a content
 * block, blocks follow one another, and each is closed before the next begins.
 */
import type { AnswerDelta, GoodFinish } from '../../../protocol/completion.ts'
import { TriforceError } from '../../../protocol/errors.ts'
import { anthropicErrorBody } from './errors.ts'
import type { AnswerEnd, AnswerWriter } from '../dialect.ts'
import { servedBody } from '../served.ts'
import { toolInputOf } from '../tool-input.ts'

export interface AnthropicAnswer {
  /** Of the request; `msg_…` and `req_…` carry it. */
  readonly requestId: string
  readonly model: string
  /** False: blocks of thinking come without their text. */
  readonly thinkingShown: boolean
}

/** What the open block holds; of a tool call its index. */
type OpenBlock = 'text' | 'thinking' | number

export function createAnthropicWriter(answer: AnthropicAnswer): AnswerWriter {
  let blocks = 0
  let open: OpenBlock | undefined
  let textStart = ''

  function event(type: string, fields: object): string {
    return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
  }

  function openBlock(kind: OpenBlock, block: object): string {
    const closed = closeBlock()
    open = kind
    textStart = `event: content_block_delta\ndata: {"type":"content_block_delta","index":${blocks},"delta":{"type":"text_delta","text":`
    return closed + event('content_block_start', { index: blocks, content_block: block })
  }

  function closeBlock(): string {
    if (open === undefined) return ''
    open = undefined
    blocks += 1
    return event('content_block_stop', { index: blocks - 1 })
  }

  function delta(fields: object): string {
    return event('content_block_delta', { index: blocks, delta: fields })
  }

  function reasoning(piece: Extract<AnswerDelta, { type: 'reasoning' }>): string {
    if (piece.redacted === true) return openBlock('thinking', { type: 'redacted_thinking', data: piece.text }) + closeBlock()
    const begun = open === 'thinking' ? '' : openBlock('thinking', { type: 'thinking', thinking: '', signature: '' })
    const text = piece.text === '' || !answer.thinkingShown ? '' : delta({ type: 'thinking_delta', thinking: piece.text })
    // A signature is the last of its block.
    const signed = piece.signature === undefined ? '' : delta({ type: 'signature_delta', signature: piece.signature }) + closeBlock()
    return begun + text + signed
  }

  function toolCall(piece: Extract<AnswerDelta, { type: 'toolCall' }>): string {
    let begun = ''
    if (open !== piece.index) {
      // A block that was closed cannot be opened again.
      if (piece.id === undefined || piece.name === undefined) throw new TriforceError('ENGINE_FAILED', {}, { detail: 'the host mixed the pieces of two tool calls' })
      begun = openBlock(piece.index, { type: 'tool_use', id: piece.id, name: piece.name, input: {} })
    }
    return begun + (piece.arguments === '' ? '' : delta({ type: 'input_json_delta', partial_json: piece.arguments }))
  }

  return {
    streamContentType: 'text/event-stream; charset=utf-8',

    // The prompt's tokens are known at the end; `message_delta` has them.
    begin: () => event('message_start', { message: { ...messageHead(answer), content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 0, output_tokens: 0 } } }),

    delta(piece) {
      switch (piece.type) {
        case 'text':
          return (open === 'text' ? '' : openBlock('text', { type: 'text', text: '' })) + `${textStart}${JSON.stringify(piece.text)}}}\n\n`
        case 'reasoning':
          return reasoning(piece)
        case 'toolCall':
          return toolCall(piece)
      }
    },

    end({ finish, usage, served }) {
      return closeBlock()
        + event('message_delta', { delta: { stop_reason: stopReasons[finish], stop_sequence: null }, usage: usageBody(usage), triforce: servedBody(served) })
        + event('message_stop', {})
    },

    failed: (error) => `event: error\ndata: ${anthropicErrorBody(error, answer.requestId)}\n\n`,

    // The comment is for people, the event for clients that look for life.
    comment: (text) => `: ${text}\nevent: ping\ndata: {"type":"ping"}\n\n`,

    body({ text, reasoning: thoughts, toolCalls }, { finish, usage, served }) {
      return JSON.stringify({
        ...messageHead(answer),
        content: [
          ...thoughts.map((thought) => thought.redacted === true ? { type: 'redacted_thinking', data: thought.text }
            : { type: 'thinking', thinking: answer.thinkingShown ? thought.text : '', signature: thought.signature ?? '' }),
          ...(text === '' ? [] : [{ type: 'text', text }]),
          ...toolCalls.map((call) => ({ type: 'tool_use', id: call.id, name: call.name, input: toolInputOf(call) })),
        ],
        stop_reason: stopReasons[finish],
        stop_sequence: null,
        usage: usageBody(usage),
        triforce: servedBody(served),
      })
    },
  }
}

const stopReasons = { stop: 'end_turn', length: 'max_tokens', toolCalls: 'tool_use', filtered: 'refusal' } as const satisfies Record<GoodFinish, string>

function messageHead({ requestId, model }: AnthropicAnswer) {
  return { id: `msg_${requestId}`, type: 'message', role: 'assistant', model }
}

/** Anthropic's `input_tokens` are those that neither came from the cache nor went into it. */
function usageBody({ promptTokens, completionTokens, cachedPromptTokens = 0, cacheWriteTokens = 0, reasoningTokens }: AnswerEnd['usage']) {
  return {
    input_tokens: Math.max(promptTokens - cachedPromptTokens - cacheWriteTokens, 0),
    cache_read_input_tokens: cachedPromptTokens,
    cache_creation_input_tokens: cacheWriteTokens,
    output_tokens: completionTokens,
    ...(reasoningTokens === undefined ? {} : { output_tokens_details: { thinking_tokens: reasoningTokens } }),
  }
}
