/** An engine that does what the test says, step by step, and tells what was asked of it. */
import type { CompletionRequest, EmbeddingRequest } from '../../protocol/completion.ts'
import type { OfferedModel } from '../../protocol/messages/capacity.ts'
import type { Embeddings, ProviderEvent } from '../../providers/interface.ts'
import { aModel } from './completions.ts'

export interface ScriptedProvider {
  models(): readonly OfferedModel[]
  run(request: CompletionRequest, options: { readonly signal: AbortSignal }): AsyncIterable<ProviderEvent>
  /** Absent until the test sets it. */
  embed?: (request: EmbeddingRequest, options: { readonly signal: AbortSignal }) => Promise<Embeddings>
  /** Requests that arrived. */
  readonly requests: CompletionRequest[]
  /** Events that were taken. */
  readonly taken: number
  /** True once the signal of a run has aborted. */
  readonly aborted: boolean
  /** True once the iterator was given back or has ended. */
  readonly ended: boolean
}

export type ProviderScript = (request: CompletionRequest, signal: AbortSignal) => AsyncIterable<ProviderEvent>

export function scriptedProvider(script: ProviderScript, models: readonly OfferedModel[] = [aModel()]): ScriptedProvider {
  const seen = { requests: [] as CompletionRequest[], taken: 0, aborted: false, ended: false }
  return Object.defineProperties({
    models: () => models,
    async* run(request: CompletionRequest, { signal }: { readonly signal: AbortSignal }) {
      seen.requests.push(request)
      signal.addEventListener('abort', () => { seen.aborted = true })
      try {
        for await (const event of script(request, signal)) {
          seen.taken += 1
          yield event
        }
      } finally {
        seen.ended = true
      }
    },
  }, {
    requests: { get: () => seen.requests }, taken: { get: () => seen.taken }, aborted: { get: () => seen.aborted }, ended: { get: () => seen.ended },
  }) as unknown as ScriptedProvider
}

/** Says the words, then ends; a cancelled run ends with what was said so far. */
export function sayWords(words: readonly string[]): ProviderScript {
  return async function* (_request, signal) {
    let tokens = 0
    for (const word of words) {
      if (signal.aborted) break
      tokens += 1
      yield { type: 'text', text: word, tokens }
    }
    yield { type: 'end', finish: signal.aborted ? 'cancelled' : 'stop', usage: { promptTokens: 5, completionTokens: tokens } }
  }
}

/** Yields what the test gives it; `end` closes. */
export function handFed(): { readonly script: ProviderScript; give(event: ProviderEvent): void; fail(error: Error): void; end(): void } {
  const waiting: (ProviderEvent | Error | 'end')[] = []
  let wake = () => {}
  const push = (step: ProviderEvent | Error | 'end') => {
    waiting.push(step)
    wake()
  }
  return {
    give: push,
    fail: push,
    end: () => push('end'),
    async* script(_request, signal) {
      let tokens = 0
      signal.addEventListener('abort', () => wake())
      for (;;) {
        while (waiting.length === 0 && !signal.aborted) await new Promise<void>((resolve) => { wake = resolve })
        if (signal.aborted) {
          yield { type: 'end', finish: 'cancelled', usage: { promptTokens: 5, completionTokens: tokens } }
          return
        }
        const step = waiting.shift()!
        if (step === 'end') return
        if (step instanceof Error) throw step
        if (step.type === 'text') ({ tokens } = step)
        yield step
      }
    },
  }
}
