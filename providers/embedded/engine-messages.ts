/**
 * What the node and an engine process say to each other over the IPC channel of `fork`. Plain JSON both ways.
 * One engine process serves one model; `job` numbers are the node's and unique in the life of a process.
 */
import type { CompletionRequest, FinishReason } from '../../protocol/completion.ts'
import type { ErrorCode } from '../../protocol/errors.ts'

export type ToEngine =
  | {
    readonly type: 'load'
    /** URL of node-llama-cpp's entry module. */
    readonly entry: string
    readonly path: string
    readonly contextTokensMax: number
    /** Answers that may be computed at once. */
    readonly sequences: number
    /** Tokens the engine may be ahead of `credit`. */
    readonly windowTokens: number
    readonly gpu: 'auto' | false
    /** Weights below this: one thread, each token computed alone. */
    readonly smallModelBytes: number
    /** Memory of the GPUs that may be in use, by whomever, once the model is loaded; absent: all. */
    readonly vramBytesMax?: number
    /** Absent: as many as the machine has mathematical cores. */
    readonly threads?: number
  }
  | { readonly type: 'run'; readonly job: number; readonly request: CompletionRequest; readonly seed: number }
  /** The consumer has taken the answer up to this many tokens. */
  | { readonly type: 'credit'; readonly job: number; readonly tokens: number }
  | { readonly type: 'cancel'; readonly job: number }

/** Why a model could not be loaded; `memory` and `engine` are not the file's fault. */
export type LoadFailure = 'engine' | 'memory' | 'broken'

export type FromEngine =
  | { readonly type: 'loading'; readonly part: number }
  | { readonly type: 'loaded'; readonly contextTokens: number; readonly gpu: string }
  | { readonly type: 'load-failed'; readonly reason: LoadFailure; readonly text: string }
  | { readonly type: 'events'; readonly events: readonly JobEvent[] }

export type JobEvent =
  | { readonly type: 'started'; readonly job: number; readonly promptTokens: number }
  /** `tokens` is cumulative; `ids` are those since the last text. */
  | { readonly type: 'text'; readonly job: number; readonly text: string; readonly tokens: number; readonly ids: readonly number[] }
  | {
    readonly type: 'end'
    readonly job: number
    readonly finish: FinishReason
    readonly promptTokens: number
    readonly completionTokens: number
    /** Time spent on tokens after the first, without waits for credit; for tokens per second. */
    readonly computeMs: number
  }
  | {
    readonly type: 'failed'
    readonly job: number
    readonly code: ErrorCode
    readonly text: string
    readonly context: Readonly<Record<string, string | number | boolean>>
  }
