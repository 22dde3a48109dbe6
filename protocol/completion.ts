/**
 * The one internal form of a request for a completion and of its answer. Every HTTP dialect maps to it and every
 * provider maps from it, so dialects and providers never meet.
 */
import { z } from 'zod'
import {
  COMPLETION_TOKENS_MAX, MESSAGES_MAX, PROMPT_CHARS_MAX, SCHEMA_BYTES_MAX, STOP_CHARS_MAX, STOP_STRINGS_MAX,
} from './limits.ts'
import { countField, modelIdField } from './fields.ts'

export const chatMessageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string().max(PROMPT_CHARS_MAX),
})
export type ChatMessage = z.output<typeof chatMessageSchema>

export const responseFormatSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  /** Any JSON object. */
  z.object({ type: z.literal('json_object') }),
  /** JSON that fits a schema; the schema is JSON text, so that its bytes are the client's. */
  z.object({ type: z.literal('json_schema'), schema: z.string().max(SCHEMA_BYTES_MAX) }),
])
export type ResponseFormat = z.output<typeof responseFormatSchema>

export const completionRequestSchema = z.object({
  model: modelIdField,
  messages: z.array(chatMessageSchema).min(1).max(MESSAGES_MAX)
    .refine((messages) => messages.reduce((sum, message) => sum + message.content.length, 0) <= PROMPT_CHARS_MAX,
      `all messages together may have ${PROMPT_CHARS_MAX} characters`),
  /** Where true, the last message is the assistant's and the answer goes on from its end. */
  continueLast: z.boolean(),
  /** Tokens to produce at most; absent: as many as the context holds, up to COMPLETION_TOKENS_MAX. */
  maxTokens: z.number().int().min(1).max(COMPLETION_TOKENS_MAX).optional(),
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().min(0).max(1).optional(),
  seed: z.number().int().min(0).max(0xffff_ffff).optional(),
  stop: z.array(z.string().min(1).max(STOP_CHARS_MAX)).max(STOP_STRINGS_MAX),
  responseFormat: responseFormatSchema,
})
export type CompletionRequest = z.output<typeof completionRequestSchema>

/** Why an answer ended. `cancelled`: the client left; `error`: it did not end well. */
export const finishReasonSchema = z.enum(['stop', 'length', 'cancelled', 'error'])
export type FinishReason = z.output<typeof finishReasonSchema>

export const usageSchema = z.object({ promptTokens: countField, completionTokens: countField })
/** Tokens as the host's tokenizer counts them; the end-of-answer token is not counted. */
export type Usage = z.output<typeof usageSchema>
