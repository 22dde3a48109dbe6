/** The deltas of an answer put together again, for dialects that send it in one body. */
import type { AnswerDelta, Reasoning, TokenLogprob, ToolCall } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { COMPLETION_TOKENS_MAX } from '../../protocol/limits.ts'

export interface CollectedAnswer {
  readonly text: string
  readonly reasoning: readonly Reasoning[]
  readonly toolCalls: readonly ToolCall[]
  /** Of the text's tokens, where they were asked for. */
  readonly logprobs: readonly TokenLogprob[]
}

export interface AnswerCollector {
  /** Throws ENGINE_FAILED for an answer that is too long, or whose calls come in disorder. */
  add(delta: AnswerDelta): void
  readonly answer: CollectedAnswer
}

/** No model thinks in so many blocks; a host that sends empty ones would fill the memory. */
const REASONING_BLOCKS_MAX = 1_024

export function createAnswerCollector({ charsMax }: { readonly charsMax: number }): AnswerCollector {
  let text = ''
  let chars = 0
  const reasoning: { text: string; signature?: string; redacted?: true }[] = []
  const toolCalls: { id: string; name: string; arguments: string }[] = []
  const logprobs: TokenLogprob[] = []

  function count(piece: string): void {
    chars += piece.length
    const isTooLong = chars > charsMax || reasoning.length > REASONING_BLOCKS_MAX || logprobs.length > COMPLETION_TOKENS_MAX
    if (isTooLong) throw new TriforceError('ENGINE_FAILED', {}, { detail: 'the answer is too long for one body; ask for a stream' })
  }

  return {
    add(delta) {
      switch (delta.type) {
        case 'text':
          count(delta.text)
          text += delta.text
          if (delta.logprobs !== undefined) logprobs.push(...delta.logprobs)
          break
        case 'reasoning': {
          count(delta.text + (delta.signature ?? ''))
          const last = reasoning.at(-1)
          // A signature closes its block.
          const block = last === undefined || last.signature !== undefined || last.redacted !== delta.redacted ? undefined : last
          if (block === undefined) reasoning.push({ text: delta.text, ...(delta.signature === undefined ? {} : { signature: delta.signature }), ...(delta.redacted === undefined ? {} : { redacted: true }) })
          else {
            block.text += delta.text
            if (delta.signature !== undefined) block.signature = delta.signature
          }
          break
        }
        case 'toolCall': {
          count(delta.arguments)
          const call = toolCalls[delta.index]
          if (call !== undefined) call.arguments += delta.arguments
          else if (delta.index === toolCalls.length && delta.id !== undefined && delta.name !== undefined) {
            toolCalls.push({ id: delta.id, name: delta.name, arguments: delta.arguments })
          } else throw new TriforceError('ENGINE_FAILED', {}, { detail: 'the host sent a tool call without its beginning' })
          break
        }
      }
    },
    answer: { get text() { return text }, reasoning, toolCalls, logprobs },
  }
}
