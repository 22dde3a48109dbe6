/** What a wire family does for any of its vendors. `openai-wire.ts` and `anthropic-wire.ts` are the two. */
import type { CompletionRequest, DetailedUsage, EmbeddingRequest, FinishReason, TokenLogprob } from '../../protocol/completion.ts'
import type { Embeddings } from '../interface.ts'

/** A piece of a vendor's answer, in the order in which it came. */
export type AnswerPiece =
  /** The vendor has taken the request. */
  | { readonly type: 'open' }
  | { readonly type: 'text'; readonly text: string; readonly logprobs?: readonly TokenLogprob[] }
  | { readonly type: 'reasoning'; readonly text: string; readonly signature?: string; readonly redacted?: true }
  | { readonly type: 'toolCall'; readonly index: number; readonly id?: string; readonly name?: string; readonly arguments: string }
  /** What the vendor has counted so far; a later one replaces an earlier one field by field. */
  | { readonly type: 'usage'; readonly usage: Partial<DetailedUsage> }
  | { readonly type: 'finish'; readonly finish: FinishReason }

/** A model as the vendor lists it; what it does not tell is absent. */
export interface ListedModel {
  /** The vendor's own id. */
  readonly id: string
  readonly name?: string | undefined
  readonly contextTokens?: number | undefined
  readonly outputTokensMax?: number | undefined
  readonly vision?: boolean | undefined
  readonly tools?: boolean | undefined
  readonly reasoning?: boolean | undefined
  /** False for what is neither a chat nor an embedding model. */
  readonly kind?: 'chat' | 'embedding' | 'other' | undefined
}

export interface WireCall {
  readonly signal: AbortSignal
  readonly key: string
}

export interface CompletionCall extends WireCall {
  /** The vendor's own id. */
  readonly model: string
  /** 0 where it is not known. */
  readonly outputTokensMax: number
}

/** Errors are thrown as they come, SDK errors included; `vendor-errors.ts` reads them. */
export interface Wire {
  /** Gives the pieces of each read at once. */
  complete(request: CompletionRequest, call: CompletionCall): AsyncIterable<readonly AnswerPiece[]>
  /** Absent where the vendor has none. */
  embed?(request: EmbeddingRequest, call: CompletionCall): Promise<Embeddings>
  models(call: WireCall): Promise<readonly ListedModel[]>
}
