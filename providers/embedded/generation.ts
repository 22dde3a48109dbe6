/**
 * One answer, token by token. Runs in the engine process.
 *
 * Pull-based: `sequence.evaluate` computes a token only when asked, and is asked only while the consumer is less than a
 * window behind. Sampling is OpenAI's (temperature 1 and top_p 1 when absent, no repeat penalty); top_k when absent, and
 * min_p, which clients cannot say, are as llama.cpp's own server has them.
 */
import type { LlamaContextSequence, LlamaGrammarEvaluationState, Token } from 'node-llama-cpp'
import type { CompletionRequest, FinishReason } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { COMPLETION_TOKENS_MAX } from '../../protocol/limits.ts'
import type { BatchMember } from './batch-gate.ts'
import { ONE_BY_ONE } from './batch-shares.ts'
import type { Prompt } from './prompt.ts'
import type { Resumed } from './resume.ts'

/** What drives a run from outside. */
export interface GenerationControl {
  readonly cancelled: boolean
  /** Resolves when the consumer is less than a window behind `tokens`, or when the run is cancelled. */
  room(tokens: number): Promise<void> | undefined
  started(promptTokens: number): void
  /** `ids`: of the tokens since the last text. */
  text(text: string, tokens: number, ids: readonly Token[]): void
}

export interface GenerationOptions {
  readonly sequence: LlamaContextSequence
  readonly prompt: Prompt
  /** What another host made of this answer; its tokens are computed again, and not counted. */
  readonly begun: Resumed
  /**
   * They are computed one by one, as they were made. Batches are far faster on a large model, but add up in another order, and
   * a model that hesitates may then choose another token: batches with the tokens of other answers too.
   */
  readonly stepByStep: boolean
  /** For asking together with the answers that are computed at the same time; undefined: each asks when it can. */
  readonly company: BatchMember | undefined
  readonly contextTokens: number
  readonly request: CompletionRequest
  readonly seed: number
  readonly grammar: LlamaGrammarEvaluationState | undefined
}

export interface Generation {
  readonly finish: FinishReason
  readonly promptTokens: number
  readonly completionTokens: number
  readonly computeMs: number
}

const TOP_K = 40
const MIN_P = 0.05

// The prompt is computed in steps, because a step cannot be interrupted; a cancel then waits one step at most.
const PREFILL_STEP_MS = 50
const PREFILL_STEP_TOKENS_MIN = 16
const PREFILL_STEP_TOKENS_MAX = 512
/** Handed over at once where they are computed one by one: a millisecond each, or two. */
const ONE_BY_ONE_TOKENS = 32

export async function generate(options: GenerationOptions, control: GenerationControl): Promise<Generation> {
  const { sequence, prompt, begun, contextTokens, request } = options
  const promptTokens = prompt.tokens.length
  const tokens = [...prompt.tokens, ...begun.tokens]
  if (tokens.length >= contextTokens) {
    throw new TriforceError('CONTEXT_LENGTH_EXCEEDED', { promptTokens, contextTokens }, {
      detail: `the prompt has ${promptTokens} tokens, and the model reads ${contextTokens} including the answer`,
    })
  }
  control.started(promptTokens)

  const tokensMax = Math.min(request.maxTokens ?? COMPLETION_TOKENS_MAX, contextTokens - tokens.length)
  const { decoder, stops } = begun
  let completionTokens = 0
  let emittedTokens = 0
  let computeMs = 0
  const { frequencyPenalty = 0, presencePenalty = 0 } = request
  /** Tokens of the answer, which the penalties look at. */
  const answered: Token[] = [...begun.tokens]
  const end = (finish: FinishReason): Generation => ({ finish, promptTokens, completionTokens, computeMs })

  // The last token of the prompt was the first to be computed alone.
  const last = await prefill(sequence, tokens, options.stepByStep ? promptTokens - 1 : tokens.length, control)
  if (last === undefined) return end('cancelled')

  const iterator = sequence.evaluate([last], {
    temperature: request.temperature ?? 1,
    topP: request.topP ?? 1,
    topK: request.topK ?? TOP_K,
    minP: MIN_P,
    seed: options.seed,
    ...(options.grammar === undefined ? {} : { grammarEvaluationState: options.grammar }),
    ...(frequencyPenalty === 0 && presencePenalty === 0 ? {} : { repeatPenalty: { punishTokens: () => answered, penalty: 1, frequencyPenalty, presencePenalty } }),
  })
  try {
    while (completionTokens < tokensMax) {
      const room = control.room(emittedTokens)
      if (room !== undefined) {
        options.company?.pause()
        await room
      }
      const startedAt = performance.now()
      await options.company?.ready()
      if (control.cancelled) return end('cancelled')
      const next = await iterator.next()
      if (control.cancelled) return end('cancelled')
      if (next.done === true || prompt.stopTokens.has(next.value)) {
        flush()
        return end('stop')
      }
      if (completionTokens > 0) computeMs += performance.now() - startedAt
      completionTokens += 1
      answered.push(next.value)
      const { text, stopped } = stops.push(decoder.push(next.value))
      emit(text)
      if (stopped) return end('stop')
    }
    const finish = flush() ? 'stop' : 'length'
    return end(finish)
  } finally {
    await iterator.return()
  }

  function emit(text: string): void {
    if (text === '') return
    const ids = answered.slice(begun.tokens.length + emittedTokens)
    emittedTokens = completionTokens
    control.text(text, completionTokens, ids)
  }

  /** Gives out what was held back; true if that completed a stop string. */
  function flush(): boolean {
    const { text, stopped } = stops.push(decoder.rest())
    emit(stopped ? text : text + stops.rest())
    return stopped
  }
}

/**
 * Computes all tokens but the last and gives the last; undefined where the run was cancelled. What the sequence has
 * computed before and still fits is kept, so the next turn of a conversation costs only its new messages. From the place
 * `batched` on they are computed one by one.
 */
async function prefill(sequence: LlamaContextSequence, tokens: readonly Token[], batched: number, control: GenerationControl): Promise<Token | undefined> {
  const head = tokens.slice(0, -1)
  await sequence.adaptStateToTokens(head, false)
  let step = PREFILL_STEP_TOKENS_MIN * 4
  for (let at = sequence.nextTokenIndex; at < head.length;) {
    if (control.cancelled) return undefined
    const isBatched = at < batched
    const part = head.slice(at, isBatched ? Math.min(at + step, batched) : at + ONE_BY_ONE_TOKENS)
    const startedAt = performance.now()
    await sequence.evaluateWithoutGeneratingNewTokens(part, isBatched ? {} : { evaluationPriority: ONE_BY_ONE })
    const ms = performance.now() - startedAt
    at += part.length
    if (!isBatched) continue
    if (ms < PREFILL_STEP_MS / 2) step = Math.min(step * 2, PREFILL_STEP_TOKENS_MAX)
    else if (ms > PREFILL_STEP_MS) step = Math.max(step / 2, PREFILL_STEP_TOKENS_MIN)
  }
  return control.cancelled ? undefined : tokens.at(-1)
}
