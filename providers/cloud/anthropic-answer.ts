/** Events of Anthropic's Messages stream as pieces of an answer. */
import { z } from 'zod'
import type { DetailedUsage, FinishReason } from '../../protocol/completion.ts'
import type { AnswerPiece } from './wire.ts'

const count = z.number().min(0).nullish()

const usageSchema = z.object({
  input_tokens: count, output_tokens: count, cache_creation_input_tokens: count, cache_read_input_tokens: count,
  output_tokens_details: z.object({ thinking_tokens: count }).nullish(),
})
type WireUsage = z.output<typeof usageSchema>

const eventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('message_start'), message: z.object({ usage: usageSchema }) }),
  z.object({
    type: z.literal('content_block_start'), index: z.number().int().min(0),
    content_block: z.object({
      type: z.string(), id: z.string().optional(), name: z.string().optional(), text: z.string().optional(), thinking: z.string().optional(), data: z.string().optional(),
    }),
  }),
  z.object({
    type: z.literal('content_block_delta'), index: z.number().int().min(0),
    delta: z.object({
      type: z.string(), text: z.string().optional(), partial_json: z.string().optional(), thinking: z.string().optional(), signature: z.string().optional(),
    }),
  }),
  z.object({ type: z.literal('message_delta'), delta: z.object({ stop_reason: z.string().nullish() }), usage: usageSchema.nullish() }),
])
const KNOWN = new Set(['message_start', 'content_block_start', 'content_block_delta', 'message_delta'])

/** Any other word means that the answer did not end well. */
const FINISH: Readonly<Record<string, FinishReason>> = {
  end_turn: 'stop', stop_sequence: 'stop', pause_turn: 'stop', max_tokens: 'length', model_context_window_exceeded: 'length', tool_use: 'toolCalls', refusal: 'filtered',
}

export interface AnthropicAnswer {
  /** Throws where the event has not the API's form; events that are not known are skipped, as the API asks for. */
  read(event: unknown): readonly AnswerPiece[]
}

/**
 * `jsonTool`: name of a tool whose input is the text of the answer. `trimmed`: blanks that the text before the answer ends with and that
 * were not sent; where the answer begins with them, they are left out.
 */
export function createAnthropicAnswer({ jsonTool, trimmed = '' }: { readonly jsonTool: string | undefined; readonly trimmed?: string }): AnthropicAnswer {
  /** Indexes of the wire count all blocks, ours count calls. */
  const calls = new Map<number, number>()
  let textBlock: number | undefined
  let prompt: WireUsage = {}
  /** What of `trimmed` may still come again. */
  let again = trimmed

  return {
    read(value) {
      if (!KNOWN.has((value as { type?: string }).type ?? '')) return []
      const event = eventSchema.parse(value)
      switch (event.type) {
        case 'message_start': {
          prompt = event.message.usage
          // Its output_tokens are only those of the beginning.
          return [{ type: 'usage', usage: promptUsage(prompt) }]
        }
        case 'content_block_start': return begin(event.index, event.content_block)
        case 'content_block_delta': return go(event.index, event.delta)
        case 'message_delta': {
          const pieces: AnswerPiece[] = []
          if (event.usage !== undefined && event.usage !== null) pieces.push({ type: 'usage', usage: finalUsage(event.usage) })
          const word = event.delta.stop_reason
          if (word !== undefined && word !== null) pieces.push({ type: 'finish', finish: jsonTool !== undefined && word === 'tool_use' ? 'stop' : FINISH[word] ?? 'error' })
          return pieces
        }
      }
    },
  }

  function begin(index: number, block: { type: string; id?: string | undefined; name?: string | undefined; text?: string | undefined; thinking?: string | undefined; data?: string | undefined }): AnswerPiece[] {
    switch (block.type) {
      case 'tool_use': {
        if (block.name === jsonTool) {
          textBlock = index
          return []
        }
        calls.set(index, calls.size)
        return [{ type: 'toolCall', index: calls.size - 1, id: block.id ?? '', name: block.name ?? '', arguments: '' }]
      }
      case 'redacted_thinking': return [{ type: 'reasoning', text: block.data ?? '', redacted: true }]
      case 'thinking': return block.thinking === undefined || block.thinking === '' ? [] : [{ type: 'reasoning', text: block.thinking }]
      case 'text': return text(block.text)
      default: return []
    }
  }

  function go(index: number, delta: { type: string; text?: string | undefined; partial_json?: string | undefined; thinking?: string | undefined; signature?: string | undefined }): AnswerPiece[] {
    switch (delta.type) {
      case 'text_delta': return text(delta.text)
      case 'thinking_delta': return delta.thinking === undefined || delta.thinking === '' ? [] : [{ type: 'reasoning', text: delta.thinking }]
      case 'signature_delta': return [{ type: 'reasoning', text: '', signature: delta.signature ?? '' }]
      case 'input_json_delta': {
        if (index === textBlock) return text(delta.partial_json)
        const call = calls.get(index)
        if (call === undefined) throw new SyntaxError('a piece of a call that did not begin')
        return [{ type: 'toolCall', index: call, arguments: delta.partial_json ?? '' }]
      }
      default: return []
    }
  }

  function text(piece = ''): AnswerPiece[] {
    let from = 0
    while (from < piece.length && again !== '' && again[0] === piece[from]) {
      again = again.slice(1)
      from += 1
    }
    if (from < piece.length) again = ''
    return from === piece.length ? [] : [{ type: 'text', text: piece.slice(from) }]
  }

  /** A later count of the prompt goes before the first one, where there is one. */
  function finalUsage(usage: WireUsage): Partial<DetailedUsage> {
    const told = Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null && value !== undefined)) as WireUsage
    const thinking = usage.output_tokens_details?.thinking_tokens
    return {
      ...promptUsage({ ...prompt, ...told }),
      ...(usage.output_tokens === undefined || usage.output_tokens === null ? {} : { completionTokens: usage.output_tokens }),
      ...(thinking === undefined || thinking === null ? {} : { reasoningTokens: thinking }),
    }
  }
}

/** `input_tokens` leaves out what was read from and written to the cache; our sum holds them. */
function promptUsage({ input_tokens: fresh, cache_creation_input_tokens: written, cache_read_input_tokens: read }: WireUsage): Partial<DetailedUsage> {
  if (fresh === undefined || fresh === null) return {}
  return {
    promptTokens: fresh + (written ?? 0) + (read ?? 0),
    ...(read === undefined || read === null || read === 0 ? {} : { cachedPromptTokens: read }),
    ...(written === undefined || written === null || written === 0 ? {} : { cacheWriteTokens: written }),
  }
}
