/** Anthropic's Messages API: its events, its pings, its list of models. Answers by itself with words, or as scripted. */
import { countedPrompt, wordsAnswer, type Bill, type PlayedAnswer, type PlayedBehaviour } from './answers.ts'
import { sse, startVendorServer, type Part, type Reply, type VendorRequest, type VendorServer } from './vendor-server.ts'

export interface AnthropicVendorServer extends VendorServer {
  readonly behaviour: PlayedBehaviour
  /** What the vendor would write on its invoice, one line an answer. */
  readonly bills: Bill[]
  reply(answer: AnthropicAnswer): Reply
  /** The events of the stream, for tests that cut them. */
  events(answer: AnthropicAnswer): string[]
}

export interface AnthropicAnswer extends PlayedAnswer {
  /** Signature behind the thoughts. */
  readonly signature?: string
  /** A block of thoughts that is the vendor's cipher. */
  readonly redacted?: string
  /** Tokens of the prompt that were written to the cache. */
  readonly cacheWritten?: number
  /** In place of the word for `finish`. */
  readonly stopReason?: string
}

const STOP_REASONS = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use', content_filter: 'refusal' } as const

const MODELS = ['claude-sonnet-4-5-20250929', 'claude-sonnet-4-20250514', 'claude-3-7-sonnet-20250219', 'claude-opus-4-1-20250805', 'claude-opus-4-20250514', 'claude-haiku-4-5-20251001', 'claude-3-5-haiku-20241022']

/** Before the first text: message_start, ping, content_block_start. */
const EVENTS_BEFORE_TEXT = 3

export async function startAnthropicVendor(): Promise<AnthropicVendorServer> {
  const behaviour: PlayedBehaviour = { words: 20, gapMs: 0 }
  const bills: Bill[] = []
  const server = await startVendorServer(answer)
  const eventsOfAnswer = (played: AnthropicAnswer) => [...streamEvents(played, 'claude-x')]
  // The getters of `server` stay live.
  return Object.defineProperties({
    behaviour, bills, events: eventsOfAnswer,
    reply: (played: AnthropicAnswer): Reply => ({ headers: streamHeaders, parts: eventsOfAnswer(played) }),
  }, Object.getOwnPropertyDescriptors(server)) as unknown as AnthropicVendorServer

  function answer(request: VendorRequest): Reply {
    if (request.path.startsWith('/v1/models')) {
      return { parts: [JSON.stringify({ data: MODELS.map((id) => ({ type: 'model', id, display_name: id, created_at: '2026-01-01T00:00:00Z' })), has_more: false, first_id: MODELS[0], last_id: MODELS.at(-1) })] }
    }
    return words(request)
  }

  function words({ body }: VendorRequest): Reply {
    const model = String(body['model'])
    const limit = Number(body['max_tokens'])
    const played = wordsAnswer(Math.min(behaviour.words, limit), countedPrompt(body['messages'] as unknown[]))
    const answered = limit < behaviour.words ? { ...played, finish: 'length' as const } : played
    return {
      headers: streamHeaders, parts: paced(streamEvents(answered, model), behaviour),
      onEnd: ({ written, aborted }) => bills.push({
        model, aborted, promptTokens: answered.usage.prompt,
        completionTokens: aborted ? Math.min(Math.max(written - EVENTS_BEFORE_TEXT, 0), answered.usage.completion) : answered.usage.completion,
      }),
    }
  }
}

const streamHeaders = { 'content-type': 'text/event-stream; charset=utf-8', 'request-id': 'req_01' }

function* paced(events: Iterable<string>, { gapMs }: PlayedBehaviour): Iterable<Part> {
  for (const event of events) {
    yield event
    if (gapMs > 0) yield { waitMs: gapMs }
  }
}

function* streamEvents({ reasoning = [], signature, redacted, text = [], toolCalls = [], finish, usage, cacheWritten = 0, stopReason }: AnthropicAnswer, model: string): Iterable<string> {
  const event = (data: { readonly type: string }) => sse(data, data.type)
  let index = 0
  yield event({
    type: 'message_start',
    message: {
      id: 'msg_01', type: 'message', role: 'assistant', model, content: [], stop_reason: null, stop_sequence: null,
      usage: { input_tokens: usage.prompt - (usage.cached ?? 0) - cacheWritten, cache_creation_input_tokens: cacheWritten, cache_read_input_tokens: usage.cached ?? 0, output_tokens: 1, service_tier: 'standard' },
    },
  } as { type: string })
  yield event({ type: 'ping' })
  const block = function* (start: Record<string, unknown>, deltas: readonly Record<string, unknown>[]): Iterable<string> {
    yield event({ type: 'content_block_start', index, content_block: start } as { type: string })
    for (const delta of deltas) yield event({ type: 'content_block_delta', index, delta } as { type: string })
    yield event({ type: 'content_block_stop', index } as { type: string })
    index += 1
  }
  if (reasoning.length > 0) {
    yield* block({ type: 'thinking', thinking: '', signature: '' }, [
      ...reasoning.map((thinking) => ({ type: 'thinking_delta', thinking })), ...(signature === undefined ? [] : [{ type: 'signature_delta', signature }]),
    ])
  }
  if (redacted !== undefined) yield* block({ type: 'redacted_thinking', data: redacted }, [])
  if (text.length > 0) yield* block({ type: 'text', text: '' }, text.map((piece) => ({ type: 'text_delta', text: piece })))
  for (const call of toolCalls) {
    yield* block({ type: 'tool_use', id: call.id, name: call.name, input: {} }, ['', ...call.arguments].map((piece) => ({ type: 'input_json_delta', partial_json: piece })))
  }
  yield event({
    type: 'message_delta', delta: { stop_reason: stopReason ?? STOP_REASONS[finish], stop_sequence: null },
    usage: { output_tokens: usage.completion, ...(usage.reasoning === undefined ? {} : { output_tokens_details: { thinking_tokens: usage.reasoning } }) },
  } as { type: string })
  yield event({ type: 'message_stop' })
}
