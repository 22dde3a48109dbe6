/**
 * Providers: where tokens come from. One adapter per engine or vendor; the executor sees only this.
 */
import type { AnswerDelta, CompletionRequest, DetailedUsage, EmbeddingRequest, FinishReason } from '../protocol/completion.ts'
import type { Gpu, ModelCapability, OfferedModel } from '../protocol/messages/capacity.ts'

/** What an engine does while there is no text yet. */
export type ProviderState =
  | { readonly state: 'queued'; readonly position: number }
  /** `part` is 0 to 1; absent where the engine does not tell. */
  | { readonly state: 'loading'; readonly part?: number }
  | { readonly state: 'running' }

export type ProviderEvent =
  | { readonly type: 'state'; readonly state: ProviderState }
  | AnswerDelta
  /** Always the last event, also after an abort (finish `cancelled`, exact usage). */
  | { readonly type: 'end'; readonly finish: FinishReason; readonly usage: DetailedUsage }

export interface Embeddings {
  /** One for each input, in order. */
  readonly vectors: readonly Float32Array[]
  readonly usage: DetailedUsage
}

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
  /** Absent where none of its models has the capability `embedding`. Throws as `run`. */
  embed?(request: EmbeddingRequest, options: { readonly signal: AbortSignal }): Promise<Embeddings>
  close(): Promise<void>
}

/** A model of a vendor, as its catalogue tells. */
export interface CloudModel {
  /** `<vendor>/<the vendor's own id>`, such as `openai/gpt-4o`. */
  readonly id: string
  readonly name: string
  readonly contextTokens: number
  /** 0 where the vendor does not tell. */
  readonly outputTokensMax: number
  readonly capabilities: readonly ModelCapability[]
}

export interface CloudRunOptions {
  readonly signal: AbortSignal
  /** The asking account's own key at the vendor, in place of the hub's. */
  readonly ownKey?: string
}

/**
 * One vendor that is reached over HTTPS with a key. The same events as a Provider. Throws besides what Provider.run throws:
 * VENDOR_REFUSED (the vendor refuses this hub's key or balance), VENDOR_BUSY (its rate limit; `retryAfterMs` where it tells),
 * VENDOR_FAILED (anything else it says or breaks).
 */
export interface CloudProvider {
  /** As the price table names it: `openai`, `anthropic`, `gemini`, … */
  readonly vendor: string
  /** True for vendors that bill an answer to its end though the connection was closed. */
  readonly billsAborted: boolean
  /** True for vendors that keep or train on what is sent by default. */
  readonly keepsPrompts: boolean
  models(): readonly CloudModel[]
  onChange(listener: () => void): () => void
  health(): ProviderHealth
  /** `request.model` is a CloudModel's id. */
  run(request: CompletionRequest, options: CloudRunOptions): AsyncIterable<ProviderEvent>
  embed?(request: EmbeddingRequest, options: CloudRunOptions): Promise<Embeddings>
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
