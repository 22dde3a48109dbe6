/**
 * Providers: where tokens come from. One adapter per engine or vendor; the executor sees only this.
 */
import type { CompletionRequest, FinishReason, Usage } from '../protocol/completion.ts'
import type { Gpu, OfferedModel } from '../protocol/messages/capacity.ts'

/** What an engine does while there is no text yet. */
export type ProviderState =
  | { readonly state: 'queued'; readonly position: number }
  /** `part` is 0 to 1. */
  | { readonly state: 'loading'; readonly part: number }
  | { readonly state: 'running' }

export type ProviderEvent =
  | { readonly type: 'state'; readonly state: ProviderState }
  /** `tokens` is cumulative over the answer. */
  | { readonly type: 'text'; readonly text: string; readonly tokens: number }
  /** Always the last event, also after an abort (finish `cancelled`, exact usage). */
  | { readonly type: 'end'; readonly finish: FinishReason; readonly usage: Usage }

export interface ProviderHealth {
  readonly ok: boolean
  /** A sentence for people: what is there, or what is missing and the way out. */
  readonly text: string
}

export interface Provider {
  /** `embedded`, `ollama`, … */
  readonly name: string
  /** Jobs that may run at once. */
  readonly slots: number
  /** Models that can be asked for now; may change while running. */
  models(): readonly OfferedModel[]
  /** Calls back when `models()` or the health has changed; gives a function that stops it. */
  onChange(listener: () => void): () => void
  health(): ProviderHealth
  /**
   * Runs one completion. Pull-based: an iterator that is not asked for its next event lets the engine compute only a
   * bounded amount ahead. Aborting `signal` stops the engine and still yields an `end` with the usage so far.
   * Throws MODEL_NOT_FOUND, CONTEXT_LENGTH_EXCEEDED, CAPABILITY_MISSING, BAD_REQUEST (a schema it cannot use), ENGINE_MISSING,
   * MODEL_BROKEN before the first event; ENGINE_FAILED at any time. A failed run never harms the next one.
   */
  run(request: CompletionRequest, options: { readonly signal: AbortSignal }): AsyncIterable<ProviderEvent>
  close(): Promise<void>
}

export interface Hardware {
  readonly gpus: readonly Gpu[]
  readonly cpu: string
  readonly cores: number
  readonly ramBytes: number
  readonly diskFreeBytes: number
  readonly platform: string
}
