/**
 * One chat completion over a node's HTTP API, as events. It asks for a stream and reads server-sent events; an answer
 * that ends without its closing chunk is a failure, never a short answer.
 */
import { createParser } from 'eventsource-parser'
import { z } from 'zod'
import { TriforceError } from '../protocol/errors.ts'
import type { ChatMessage } from '../protocol/completion.ts'
import { codeOf, type ApiClient } from './api-client.ts'

export interface ChatRequest {
  readonly model: string
  readonly messages: readonly ChatMessage[]
  readonly temperature?: number | undefined
  readonly maxTokens?: number | undefined
}

export interface ChatUsage { readonly promptTokens: number; readonly completionTokens: number }

export interface ChatServed {
  readonly host: string
  readonly hostName: string
  readonly hub: string
  /** Null where nothing was logged: an answer with the account's own key at a vendor. */
  readonly receipt: string | null
  readonly durability: string
  readonly costMicroCredits: bigint
  readonly attempts: number
}

export type ChatEvent =
  /** What the node says while there is no text, such as `queued`. */
  | { readonly type: 'waiting'; readonly what: string }
  | { readonly type: 'text'; readonly text: string }
  /** Always the last event. */
  | { readonly type: 'end'; readonly finish: string; readonly usage: ChatUsage | undefined; readonly served: ChatServed | undefined }

const microCreditsField = z.union([z.number().int(), z.string().regex(/^-?\d{1,18}$/)]).transform((value) => BigInt(value))

const servedSchema = z.object({
  host: z.string(), host_name: z.string(), hub: z.string(), receipt: z.string().nullable(), durability: z.string(),
  cost_micro_credits: microCreditsField, attempts: z.number(),
}).transform((served): ChatServed => ({
  host: served.host, hostName: served.host_name, hub: served.hub, receipt: served.receipt, durability: served.durability,
  costMicroCredits: served.cost_micro_credits, attempts: served.attempts,
}))

const chunkSchema = z.object({
  choices: z.array(z.object({
    delta: z.object({ content: z.string().nullish() }).optional(),
    finish_reason: z.string().nullish(),
  })).optional(),
  usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }).nullish(),
  triforce: servedSchema.optional(),
  error: z.object({ message: z.string(), code: z.union([z.string(), z.number()]).nullish() }).optional(),
})

/** One event carries at most one coalesced chunk of text; far above that something else is talking. */
const EVENT_CHARS_MAX = 1024 * 1024

const DONE = '[DONE]'

/** Throws the node's TriforceError, also where it comes in the middle of the stream. */
export async function* streamChat(client: ApiClient, request: ChatRequest, options: { readonly signal: AbortSignal }): AsyncGenerator<ChatEvent> {
  const response = await client.send('/v1/chat/completions', {
    method: 'POST',
    body: {
      model: request.model, messages: request.messages, stream: true, stream_options: { include_usage: true },
      ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
      ...(request.maxTokens === undefined ? {} : { max_tokens: request.maxTokens }),
    },
    signal: options.signal,
  })
  let finish: string | undefined
  let usage: ChatUsage | undefined
  let served: ChatServed | undefined
  for await (const event of serverEvents(response, options.signal)) {
    if (event.type === 'comment') {
      yield { type: 'waiting', what: event.text }
      continue
    }
    if (event.data === DONE) {
      if (finish === undefined) break
      yield { type: 'end', finish, usage, served }
      return
    }
    const chunk = parseChunk(event.data)
    if (chunk.error !== undefined) {
      const code = typeof chunk.error.code === 'string' ? chunk.error.code : undefined
      throw new TriforceError(codeOf(code, 500), {}, { detail: chunk.error.message })
    }
    const [choice] = chunk.choices ?? []
    const text = choice?.delta?.content ?? ''
    if (text !== '') yield { type: 'text', text }
    finish = choice?.finish_reason ?? finish
    served = chunk.triforce ?? served
    if (chunk.usage) usage = { promptTokens: chunk.usage.prompt_tokens, completionTokens: chunk.usage.completion_tokens }
  }
  throw new TriforceError('HOST_LOST', {}, { detail: 'the answer broke off before its end; ask again' })
}

type ServerEvent = { readonly type: 'comment'; readonly text: string } | { readonly type: 'data'; readonly data: string }

async function* serverEvents(response: Response, signal: AbortSignal): AsyncGenerator<ServerEvent> {
  if (response.body === null) return
  const ready: ServerEvent[] = []
  const parser = createParser({
    maxBufferSize: EVENT_CHARS_MAX,
    onEvent: (event) => { ready.push({ type: 'data', data: event.data }) },
    onComment: (comment) => { ready.push({ type: 'comment', text: comment.trim() }) },
  })
  try {
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      parser.feed(piece)
      yield* ready.splice(0)
    }
  } catch (cause) {
    if (signal.aborted) throw cause
    throw new TriforceError('HOST_LOST', {}, { detail: 'the node went away in the middle of the answer; ask again', cause })
  }
}

function parseChunk(data: string): z.output<typeof chunkSchema> {
  try {
    return chunkSchema.parse(JSON.parse(data))
  } catch (cause) {
    throw new TriforceError('FRAME_MALFORMED', {}, { detail: 'the answer holds a part that is not one of a chat completion; check --api', cause })
  }
}
