/**
 * What one vendor is and does differently, as data. There are two wire families; everything by which vendors of a family
 * differ stands in such a record, so that a new vendor is a record and no code.
 */
import type { FinishReason } from '../../protocol/completion.ts'

export type WireFamily = 'openai' | 'anthropic'

/** Settings of a request that not every vendor takes. */
export type Setting =
  | 'temperature' | 'topP' | 'topK' | 'frequencyPenalty' | 'presencePenalty' | 'seed' | 'stop' | 'logprobs' | 'parallelToolCalls' | 'reasoning'
  | 'jsonObject' | 'jsonSchema' | 'continueLast'

/** How a vendor is told how much to think: OpenAI's word, OpenRouter's object, a switch (DeepSeek), or a budget beside the word (Gemini). */
export type ReasoningStyle = 'effort' | 'object' | 'switch' | 'budget'

export interface Refusal {
  /** Of the vendor's own model ids; absent: all. */
  readonly models?: RegExp
  readonly settings: readonly Setting[]
}

/** What happens to prompts at the vendor under its default terms; docs/clouds.md names the sources. */
export interface Retention {
  readonly trains: boolean
  /** Days for which prompts are kept; 0: not beyond the answer. Undefined where the terms give no number. */
  readonly days: number | undefined
}

export interface Vendor {
  /** As the price table names it; first part of its models' ids. */
  readonly id: string
  /** For people. */
  readonly name: string
  readonly family: WireFamily
  readonly baseUrl: string
  /** Environment variables of its key, the first that is set counts, and of its base URL. */
  readonly keyEnv: readonly string[]
  readonly baseUrlEnv: string
  /** Bills an answer to its end though the connection was closed (list of OpenRouter, docs "streaming", 2026-08). */
  readonly billsAborted: boolean
  readonly retention: Retention
  /** Sent with each request. */
  readonly headers: Readonly<Record<string, string>>
  readonly refuses: readonly Refusal[]
  /** Models that think before they answer; undefined where ids do not tell. */
  readonly reasoningModels: RegExp | undefined
  /** Models that its list has and that this API cannot ask. */
  readonly notHere: RegExp | undefined
  /** Models that are offered until its list could be read. */
  readonly fallbackModels: readonly string[]
  readonly openai: OpenAiQuirks
}

/** Differences inside the OpenAI family. */
export interface OpenAiQuirks {
  readonly tokensField: 'max_tokens' | 'max_completion_tokens'
  /** `asked`: with stream_options; `always`: without it, which some refuse; `maybe`: asked for, and an answer without is whole too. */
  readonly usage: 'asked' | 'always' | 'maybe'
  /** Its completion_tokens leave out reasoning, its total_tokens do not. */
  readonly reasoningOutsideCompletion: boolean
  readonly reasoning: ReasoningStyle
  /** Names that differ from OpenAI's. */
  readonly seedField: 'seed' | 'random_seed'
  readonly requiredToolWord: 'required' | 'any'
  /** Length of the tool call ids that it insists on; others are replaced by a hash. */
  readonly toolIdChars: number | undefined
  /** How an answer is continued from the end of the assistant's last message. */
  readonly continues: 'plain' | 'prefix'
  /** What an assistant thought before its tool calls must come back as `reasoning_content`. */
  readonly returnsReasoning: boolean
  /** Tool calls carry a signature that must come back (Gemini 3). */
  readonly thoughtSignatures: boolean
  /** Fields for certain models. */
  readonly extras: readonly { readonly models: RegExp; readonly fields: Readonly<Record<string, unknown>> }[]
  /** Finish words beyond the family's; undefined: the answer failed. */
  readonly finishWords: Readonly<Record<string, FinishReason>>
  /** Statuses that mean something else here. */
  readonly statuses: Readonly<Record<number, 'context' | 'busy' | 'refused' | 'failed'>>
  readonly embeddings: 'base64' | 'float' | undefined
  /** Path of the list of models. */
  readonly modelsPath: string
}

export const openAiQuirks: OpenAiQuirks = {
  tokensField: 'max_tokens', usage: 'asked', reasoningOutsideCompletion: false, reasoning: 'effort', seedField: 'seed', requiredToolWord: 'required',
  toolIdChars: undefined, continues: 'plain', returnsReasoning: false, thoughtSignatures: false, extras: [], finishWords: {}, statuses: {},
  embeddings: undefined, modelsPath: '/models',
}

/** True where prompts outlive the answer or are trained on. */
export function keepsPrompts({ retention }: Vendor): boolean {
  return retention.trains || retention.days !== 0
}
