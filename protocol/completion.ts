/**
 * The one internal form of a request for a completion and of its answer. Every HTTP dialect maps to it and every
 * provider maps from it, so dialects and providers never meet.
 */
import { z } from 'zod'
import {
  COMPLETION_TOKENS_MAX, IMAGE_BYTES_MAX, IMAGES_MAX, MESSAGES_MAX, PROMPT_CHARS_MAX, SCHEMA_BYTES_MAX, STOP_CHARS_MAX, STOP_STRINGS_MAX, TOOL_CALLS_MAX,
  TOOLS_MAX,
} from './limits.ts'
import { bytesField, countField, modelIdField } from './fields.ts'

/** An image travels as its bytes; an address of one is never fetched by a host. */
export const imagePartSchema = z.object({
  type: z.literal('image'),
  mediaType: z.enum(['image/png', 'image/jpeg', 'image/webp', 'image/gif']),
  data: bytesField.refine((data) => data.length <= IMAGE_BYTES_MAX, `an image may have ${IMAGE_BYTES_MAX} bytes`),
})
export type ImagePart = z.output<typeof imagePartSchema>

export const contentPartSchema = z.discriminatedUnion('type', [z.object({ type: z.literal('text'), text: z.string().max(PROMPT_CHARS_MAX) }), imagePartSchema])
export type ContentPart = z.output<typeof contentPartSchema>

/** `arguments` is JSON text exactly as the model wrote it: it may be broken, and only its reader judges it. */
export const toolCallSchema = z.object({ id: z.string().min(1).max(256), name: z.string().min(1).max(128), arguments: z.string().max(PROMPT_CHARS_MAX) })
export type ToolCall = z.output<typeof toolCallSchema>

/** What a model thought before it answered. `signature` proves to its vendor that it is unchanged; `redacted` text is the vendor's cipher. */
export const reasoningSchema = z.object({ text: z.string().max(PROMPT_CHARS_MAX), signature: z.string().max(PROMPT_CHARS_MAX).optional(), redacted: z.literal(true).optional() })
export type Reasoning = z.output<typeof reasoningSchema>

export const chatMessageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  /** Images stand in the user's and the tools' messages only. */
  content: z.union([z.string().max(PROMPT_CHARS_MAX), z.array(contentPartSchema).max(MESSAGES_MAX)]),
  /** Of the assistant. */
  toolCalls: z.array(toolCallSchema).min(1).max(TOOL_CALLS_MAX).optional(),
  reasoning: z.array(reasoningSchema).min(1).max(64).optional(),
  /** Of a tool: the call that this is the result of. */
  toolCallId: z.string().min(1).max(256).optional(),
  toolFailed: z.literal(true).optional(),
}).refine(({ role, toolCallId }) => (role === 'tool') === (toolCallId !== undefined), 'a message of a tool, and no other, names the call it answers')
export type ChatMessage = z.output<typeof chatMessageSchema>

/** `parameters` is a JSON schema as text, so that its bytes are the client's. */
export const toolSchema = z.object({
  name: z.string().min(1).max(128), description: z.string().max(16_384).optional(), parameters: z.string().max(SCHEMA_BYTES_MAX), strict: z.boolean().optional(),
})
export type Tool = z.output<typeof toolSchema>

/** `required`: some tool must be called; `tool`: this one. */
export const toolChoiceSchema = z.discriminatedUnion('type', [
  z.object({ type: z.enum(['auto', 'none', 'required']) }), z.object({ type: z.literal('tool'), name: z.string().min(1).max(128) }),
])
export type ToolChoice = z.output<typeof toolChoiceSchema>

export const responseFormatSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  /** Any JSON object. */
  z.object({ type: z.literal('json_object') }),
  /** JSON that fits a schema; the schema is JSON text, so that its bytes are the client's. */
  z.object({ type: z.literal('json_schema'), schema: z.string().max(SCHEMA_BYTES_MAX), name: z.string().max(64).optional(), strict: z.boolean().optional() }),
])
export type ResponseFormat = z.output<typeof responseFormatSchema>

/** How much to think before the answer; `tokensMax` where the client gives a number. `adaptive`: as the model sees fit, so one that never thinks will do. */
export const reasoningWishSchema = z.object({
  adaptive: z.literal(true).optional(),
  effort: z.enum(['none', 'minimal', 'low', 'medium', 'high']).optional(), tokensMax: z.number().int().min(1).max(COMPLETION_TOKENS_MAX).optional(),
})
export type ReasoningWish = z.output<typeof reasoningWishSchema>

/** A token as a number of the model's own vocabulary. */
export const tokenIdField = z.number().int().min(0).max(0xffff_ffff)

export const completionRequestSchema = z.object({
  model: modelIdField,
  messages: z.array(chatMessageSchema).min(1).max(MESSAGES_MAX)
    .refine((messages) => messages.reduce((sum, message) => sum + charsOf(message), 0) <= PROMPT_CHARS_MAX,
      `all messages together may have ${PROMPT_CHARS_MAX} characters`)
    .refine((messages) => messages.reduce((sum, message) => sum + imagesOf(message), 0) <= IMAGES_MAX, `all messages together may have ${IMAGES_MAX} images`),
  /** Where true, the last message is the assistant's and the answer goes on from its end. */
  continueLast: z.boolean(),
  /**
   * With `continueLast`: the answer was begun by another host, and the last `chars` UTF-16 units of the last message are what
   * the client has of it. `ids`: its tokens, for weights of the same digest. The host counts only what it adds.
   */
  begun: z.object({
    chars: z.number().int().min(1).max(PROMPT_CHARS_MAX), tokens: countField, ids: z.array(tokenIdField).max(COMPLETION_TOKENS_MAX).optional(),
  }).optional(),
  /** Tokens to produce at most; absent: as many as the context holds, up to COMPLETION_TOKENS_MAX. */
  maxTokens: z.number().int().min(1).max(COMPLETION_TOKENS_MAX).optional(),
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().min(0).max(1).optional(),
  topK: z.number().int().min(1).max(1_000).optional(),
  frequencyPenalty: z.number().min(-2).max(2).optional(),
  presencePenalty: z.number().min(-2).max(2).optional(),
  seed: z.number().int().min(0).max(0xffff_ffff).optional(),
  stop: z.array(z.string().min(1).max(STOP_CHARS_MAX)).max(STOP_STRINGS_MAX),
  responseFormat: responseFormatSchema,
  tools: z.array(toolSchema).min(1).max(TOOLS_MAX).optional(),
  /** Absent: `auto`. */
  toolChoice: toolChoiceSchema.optional(),
  /** False: at most one call in an answer. */
  parallelToolCalls: z.boolean().optional(),
  reasoning: reasoningWishSchema.optional(),
  /** Log probabilities of each token, with so many alternatives (0 to 20). */
  logprobs: z.number().int().min(0).max(20).optional(),
})
export type CompletionRequest = z.output<typeof completionRequestSchema>

/** Texts to be made into vectors. */
export const embeddingRequestSchema = z.object({
  kind: z.literal('embedding'),
  model: modelIdField,
  inputs: z.array(z.string().min(1).max(PROMPT_CHARS_MAX)).min(1).max(MESSAGES_MAX)
    .refine((inputs) => inputs.reduce((sum, input) => sum + input.length, 0) <= PROMPT_CHARS_MAX, `all inputs together may have ${PROMPT_CHARS_MAX} characters`),
  /** Length of the vectors, where the model offers several. */
  dimensions: z.number().int().min(1).max(65_536).optional(),
})
export type EmbeddingRequest = z.output<typeof embeddingRequestSchema>

/** What a job may ask for; a completion has no `kind`. */
export const jobRequestSchema = z.union([embeddingRequestSchema, completionRequestSchema])
export type JobRequest = CompletionRequest | EmbeddingRequest

export function isEmbedding(request: JobRequest): request is EmbeddingRequest {
  return 'kind' in request
}

/** Natural logarithms, as OpenAI gives them. */
export const tokenLogprobSchema = z.object({
  token: z.string(), logprob: z.number(), top: z.array(z.object({ token: z.string(), logprob: z.number() })).max(20),
})
export type TokenLogprob = z.output<typeof tokenLogprobSchema>

/** A piece of an answer, in the order in which it was made. `tokens` is cumulative over all pieces, so a lost count cannot pass unseen. */
export type AnswerDelta =
  /** `ids`: of its tokens, where the engine tells; another host with the same weights can go on from them. */
  | { readonly type: 'text'; readonly text: string; readonly tokens: number; readonly logprobs?: readonly TokenLogprob[]; readonly ids?: readonly number[] }
  | { readonly type: 'reasoning'; readonly text: string; readonly tokens: number; readonly signature?: string; readonly redacted?: true }
  /** A call begins with its `id` and `name`; `arguments` are pieces of JSON text. `index` counts the calls of an answer from 0. */
  | { readonly type: 'toolCall'; readonly index: number; readonly id?: string; readonly name?: string; readonly arguments: string; readonly tokens: number }

/** Why an answer ended. `toolCalls`: its reader shall run tools; `filtered`: its vendor cut it; `cancelled`: the client left; `error`: it did not end well. */
export const finishReasonSchema = z.enum(['stop', 'length', 'toolCalls', 'filtered', 'cancelled', 'error'])
export type FinishReason = z.output<typeof finishReasonSchema>

/** The same in a whole answer. */
export type GoodFinish = Exclude<FinishReason, 'cancelled' | 'error'>

export const usageSchema = z.object({ promptTokens: countField, completionTokens: countField })
/** Tokens as the host's tokenizer counts them; the end-of-answer token is not counted. */
export type Usage = z.output<typeof usageSchema>

/** The same with its parts, each contained in the sums: read from and written to the vendor's cache, and spent on reasoning. */
export const detailedUsageSchema = usageSchema.extend({
  cachedPromptTokens: countField.optional(), cacheWriteTokens: countField.optional(), reasoningTokens: countField.optional(),
})
export type DetailedUsage = z.output<typeof detailedUsageSchema>

/** The texts of a message joined, without its images. */
export function textOf(message: Pick<ChatMessage, 'content'>): string {
  if (typeof message.content === 'string') return message.content
  return message.content.flatMap((part) => part.type === 'text' ? [part.text] : []).join('\n')
}

function charsOf({ content, toolCalls, reasoning }: Pick<ChatMessage, 'content' | 'toolCalls' | 'reasoning'>): number {
  const texts = typeof content === 'string' ? content.length : content.reduce((sum, part) => sum + (part.type === 'text' ? part.text.length : 0), 0)
  const calls = toolCalls?.reduce((sum, call) => sum + call.arguments.length, 0) ?? 0
  return texts + calls + (reasoning?.reduce((sum, { text }) => sum + text.length, 0) ?? 0)
}

function imagesOf({ content }: Pick<ChatMessage, 'content'>): number {
  return typeof content === 'string' ? 0 : content.filter(({ type }) => type === 'image').length
}
