/**
 * What comes of Ollama's frames: deltas, counts and the end. Ollama sends a frame for each token (it joins a few only
 * inside a character or a possible stop string), but a tool call whole, whose tokens are known at the end only.
 */
import { z } from 'zod'
import type { AnswerDelta, CompletionRequest, FinishReason, TokenLogprob, Usage } from '../protocol/completion.ts'
import type { Random } from '../protocol/ports.ts'

const logprobSchema = z.object({ token: z.string(), logprob: z.number() })

/** What we read of a frame; the client's own types promise more than old servers send. */
const frameSchema = z.object({
  message: z.object({
    content: z.string().default(''),
    thinking: z.string().default(''),
    tool_calls: z.array(z.object({ function: z.object({ name: z.string().min(1).max(128), arguments: z.record(z.string(), z.unknown()).default({}) }) })).max(128).nullish(),
  }).default({ content: '', thinking: '' }),
  logprobs: z.array(logprobSchema.extend({ top_logprobs: z.array(logprobSchema).max(20).nullish() })).nullish(),
  done: z.boolean(),
  done_reason: z.string().optional(),
  prompt_eval_count: z.number().int().min(0).optional(),
  eval_count: z.number().int().min(0).optional(),
  /** Nanoseconds. */
  eval_duration: z.number().min(0).optional(),
})
export type OllamaFrame = z.output<typeof frameSchema>

export interface OllamaAnswer {
  /** Throws for what is no frame of Ollama's. */
  read(raw: unknown): { readonly frame: OllamaFrame; readonly deltas: readonly AnswerDelta[] }
  finish(frame: OllamaFrame): FinishReason
  /** `promptEstimate` counts where the server does not tell. */
  usage(frame: OllamaFrame, promptEstimate: number): Usage
}

export interface OllamaAnswerOptions {
  readonly request: CompletionRequest
  readonly forcedTool: string | undefined
  readonly random: Random
}

/** Before the end, a call counts with the rule of thumb for English. */
const CHARS_PER_TOKEN = 4
const ID_BYTES = 12

export function createOllamaAnswer({ request, forcedTool, random }: OllamaAnswerOptions): OllamaAnswer {
  const tokensMax = request.maxTokens ?? Infinity
  const callsMax = request.parallelToolCalls === false ? 1 : Infinity
  let textFrames = 0
  let tokens = 0
  let calls = 0

  function count(more: number): number {
    tokens = Math.min(tokens + more, tokensMax)
    return tokens
  }

  function beginCall(name: string): { index: number; id: string; name: string } {
    calls += 1
    return { index: calls - 1, id: `call_${Buffer.from(random.bytes(ID_BYTES)).toString('hex')}`, name }
  }

  function text(content: string, logprobs: readonly TokenLogprob[]): AnswerDelta {
    if (forcedTool === undefined) return { type: 'text', text: content, tokens, ...(request.logprobs === undefined ? {} : { logprobs }) }
    return { type: 'toolCall', ...(calls === 0 ? beginCall(forcedTool) : { index: 0 }), arguments: content, tokens }
  }

  return {
    read(raw) {
      const frame = frameSchema.parse(raw)
      const { content, thinking, tool_calls: toolCalls } = frame.message
      const deltas: AnswerDelta[] = []
      if (content !== '' || thinking !== '') {
        textFrames += 1
        count(1)
      }
      if (thinking !== '') deltas.push({ type: 'reasoning', text: thinking, tokens })
      if (content !== '') deltas.push(text(content, (frame.logprobs ?? []).map(({ token, logprob, top_logprobs: top }) => ({ token, logprob, top: top ?? [] }))))
      for (const { function: { name, arguments: input } } of toolCalls ?? []) {
        // Where one call at most was asked for, Ollama cannot be told.
        if (calls >= callsMax) break
        const json = JSON.stringify(input)
        deltas.push({ type: 'toolCall', ...beginCall(name), arguments: json, tokens: count(Math.ceil((name.length + json.length) / CHARS_PER_TOKEN)) })
      }
      return { frame, deltas }
    },

    finish({ done_reason: reason }) {
      if (reason === 'length') return 'length'
      return calls > 0 ? 'toolCalls' : 'stop'
    },

    usage(frame, promptEstimate) {
      const counted = frame.eval_count ?? tokens
      // Ollama counts the end-of-answer token, which has no frame; ours do not.
      const withoutEnd = frame.done_reason === 'stop' && counted > textFrames ? counted - 1 : counted
      // Servers before 0.4 leave the prompt's count out when it was cached.
      const promptTokens = frame.prompt_eval_count ?? promptEstimate
      // What another host made of this answer was read like a prompt, and is none.
      return { promptTokens: Math.max(0, promptTokens - (request.begun?.tokens ?? 0)), completionTokens: Math.min(withoutEnd, tokensMax) }
    },
  }
}
