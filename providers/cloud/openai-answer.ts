/** Chunks of /chat/completions of any OpenAI-compatible vendor as pieces of an answer. */
import { z } from 'zod'
import type { DetailedUsage, FinishReason, TokenLogprob } from '../../protocol/completion.ts'
import type { Vendor } from './vendor.ts'
import type { AnswerPiece } from './wire.ts'

const count = z.number().min(0).nullish().transform((value) => value ?? undefined)

export const openAiUsageSchema = z.object({
  prompt_tokens: count, completion_tokens: count, total_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count }).nullish(),
  completion_tokens_details: z.object({ reasoning_tokens: count }).nullish(),
  /** DeepSeek. */
  prompt_cache_hit_tokens: count,
})

/** Mistral's thinking models send lists of parts. */
const contentPartSchema = z.object({ type: z.string(), text: z.string().optional(), thinking: z.array(z.object({ text: z.string().optional() })).optional() })

const logprobSchema = z.object({ token: z.string(), logprob: z.number() })

const toolCallSchema = z.object({
  index: z.number().int().min(0).nullish(), id: z.string().nullish(),
  function: z.object({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
  extra_content: z.object({ google: z.object({ thought_signature: z.string().optional() }).optional() }).nullish(),
})

const chunkSchema = z.object({
  choices: z.array(z.object({
    delta: z.object({
      content: z.union([z.string(), z.array(contentPartSchema)]).nullish(),
      reasoning_content: z.string().nullish(),
      reasoning: z.string().nullish(),
      refusal: z.string().nullish(),
      tool_calls: z.array(toolCallSchema).nullish(),
    }).nullish(),
    finish_reason: z.string().nullish(),
    logprobs: z.object({ content: z.array(logprobSchema.extend({ top_logprobs: z.array(logprobSchema).nullish() })).nullish() }).nullish(),
  })).nullish(),
  usage: openAiUsageSchema.nullish(),
  /** Groq. */
  x_groq: z.object({ usage: openAiUsageSchema.nullish() }).nullish(),
})
type Chunk = z.output<typeof chunkSchema>
type Delta = NonNullable<NonNullable<NonNullable<Chunk['choices']>[number]>['delta']>

/** How the family's vendors say why an answer ended. Any other word means that it did not end well. */
const FINISH: Readonly<Record<string, FinishReason>> = {
  stop: 'stop', eos: 'stop', end_turn: 'stop', stop_sequence: 'stop', length: 'length', max_tokens: 'length', model_length: 'length',
  tool_calls: 'toolCalls', function_call: 'toolCalls', content_filter: 'filtered', safety: 'filtered', recitation: 'filtered',
}

export interface OpenAiAnswerOptions {
  readonly vendor: Vendor
  /** Called with the signature that a tool call carries (Gemini 3). */
  readonly onSignature: (callId: string, signature: string) => void
  /** An id for a call that came without one. */
  readonly newCallId: () => string
}

export interface OpenAiAnswer {
  /** Throws where the chunk has not the family's form. */
  read(chunk: unknown): readonly AnswerPiece[]
}

export function createOpenAiAnswer({ vendor, onSignature, newCallId }: OpenAiAnswerOptions): OpenAiAnswer {
  const calls: { readonly id: string; readonly wireIndex: number | undefined }[] = []
  let wasRefused = false

  return {
    read(value) {
      const text = plainTextOf(value)
      if (text !== undefined) return text === '' ? [] : [{ type: 'text', text }]
      const chunk = chunkSchema.parse(value)
      const pieces: AnswerPiece[] = []
      for (const { delta, finish_reason: word, logprobs } of chunk.choices ?? []) {
        if (delta !== undefined && delta !== null) readDelta(delta, logprobsOf(logprobs?.content), pieces)
        if (word !== undefined && word !== null && word !== '') pieces.push({ type: 'finish', finish: finishOf(word) })
      }
      const usage = chunk.usage ?? chunk.x_groq?.usage
      if (usage !== undefined && usage !== null) pieces.push({ type: 'usage', usage: usageOf(usage, vendor) })
      return pieces
    },
  }

  function readDelta(delta: Delta, logprobs: readonly TokenLogprob[] | undefined, pieces: AnswerPiece[]): void {
    const thought = delta.reasoning_content ?? delta.reasoning ?? ''
    if (thought !== '') pieces.push({ type: 'reasoning', text: thought })
    if (typeof delta.content === 'string') {
      if (delta.content !== '') pieces.push({ type: 'text', text: delta.content, ...(logprobs === undefined ? {} : { logprobs }) })
    } else {
      for (const part of delta.content ?? []) {
        const text = part.type === 'thinking' ? part.thinking?.map((one) => one.text ?? '').join('') ?? '' : part.text ?? ''
        if (text !== '') pieces.push({ type: part.type === 'thinking' ? 'reasoning' : 'text', text })
      }
    }
    // What the model says in place of an answer that has the schema's form.
    if (typeof delta.refusal === 'string' && delta.refusal !== '') {
      wasRefused = true
      pieces.push({ type: 'text', text: delta.refusal })
    }
    for (const call of delta.tool_calls ?? []) pieces.push(callOf(call))
  }

  /** Some vendors leave out indexes or ids, repeat the id in every chunk, or give each call the index 0. */
  function callOf(call: z.output<typeof toolCallSchema>): AnswerPiece {
    const wireIndex = call.index ?? undefined
    const id = call.id ?? ''
    const name = call.function?.name ?? ''
    const text = call.function?.arguments ?? ''
    const known = calls.findLastIndex((one) => id === '' ? wireIndex === undefined || one.wireIndex === wireIndex : one.id === id)
    const begins = known < 0 || (id === '' && wireIndex === undefined && name !== '')
    if (!begins) return { type: 'toolCall', index: known, arguments: text }
    const own = id === '' ? newCallId() : id
    calls.push({ id: own, wireIndex })
    const signature = call.extra_content?.google?.thought_signature
    if (signature !== undefined) onSignature(own, signature)
    return { type: 'toolCall', index: calls.length - 1, id: own, name, arguments: text }
  }

  function finishOf(word: string): FinishReason {
    const lower = word.toLowerCase()
    const finish = vendor.openai.finishWords[word] ?? FINISH[lower] ?? 'error'
    // Only a plain stop may be said anew: some vendors say it of calls, too.
    if (finish === 'stop' && calls.length > 0) return 'toolCalls'
    return finish === 'stop' && wasRefused ? 'filtered' : finish
  }
}

/** What all but the first and the last chunks of most answers are. */
interface PlainChunk {
  readonly choices?: readonly { readonly delta?: Readonly<Record<string, unknown>> | null; readonly finish_reason?: unknown; readonly logprobs?: unknown }[]
  readonly usage?: unknown
  readonly x_groq?: unknown
}

/**
 * The text of a chunk that holds nothing else, checked by hand: there is one for each token, and the schema takes several times
 * as long. Undefined for every other chunk.
 */
function plainTextOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { choices, usage, x_groq: groq } = value as PlainChunk
  if (!Array.isArray(choices) || choices.length !== 1 || !isNothing(usage) || !isNothing(groq)) return undefined
  const choice = (choices as NonNullable<PlainChunk['choices']>)[0]
  if (typeof choice !== 'object' || choice === null || !isNothing(choice.finish_reason) || !isNothing(choice.logprobs)) return undefined
  const { delta } = choice
  if (typeof delta !== 'object' || delta === null || typeof delta['content'] !== 'string') return undefined
  for (const name of RICHER) if (!isNothing(delta[name])) return undefined
  return delta['content']
}

/** Fields of a delta that say more than its text. */
const RICHER = ['reasoning_content', 'reasoning', 'refusal', 'tool_calls'] as const

function isNothing(value: unknown): boolean {
  return value === undefined || value === null
}

export function usageOf(usage: z.output<typeof openAiUsageSchema>, { openai }: Vendor): Partial<DetailedUsage> {
  const promptTokens = usage.prompt_tokens
  const told = usage.completion_tokens
  const rest = usage.total_tokens === undefined || promptTokens === undefined ? undefined : usage.total_tokens - promptTokens
  const completionTokens = openai.reasoningOutsideCompletion && rest !== undefined ? Math.max(rest, told ?? 0) : told
  const hidden = completionTokens !== undefined && told !== undefined && completionTokens > told ? completionTokens - told : undefined
  const reasoningTokens = usage.completion_tokens_details?.reasoning_tokens ?? hidden
  const cachedPromptTokens = usage.prompt_tokens_details?.cached_tokens ?? usage.prompt_cache_hit_tokens
  return {
    ...(promptTokens === undefined ? {} : { promptTokens }),
    ...(completionTokens === undefined ? {} : { completionTokens }),
    ...(cachedPromptTokens === undefined ? {} : { cachedPromptTokens }),
    ...(reasoningTokens === undefined ? {} : { reasoningTokens }),
  }
}

function logprobsOf(content: readonly (z.output<typeof logprobSchema> & { top_logprobs?: readonly z.output<typeof logprobSchema>[] | null | undefined })[] | null | undefined): readonly TokenLogprob[] | undefined {
  if (content === undefined || content === null || content.length === 0) return undefined
  return content.map(({ token, logprob, top_logprobs: top }) => ({ token, logprob, top: (top ?? []).map((one) => ({ token: one.token, logprob: one.logprob })) }))
}

