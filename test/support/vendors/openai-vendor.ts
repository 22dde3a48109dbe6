/**
 * Vendors of the OpenAI family, each with its own wire quirks: where usage stands, how it says why an answer ended, what
 * comes around the chunks. Answers by itself with words, or as scripted.
 */
import { countedPrompt, wordsAnswer, type Bill, type PlayedAnswer, type PlayedBehaviour, type PlayedUsage } from './answers.ts'
import { sse, startVendorServer, type Part, type Reply, type VendorRequest, type VendorServer } from './vendor-server.ts'

export type OpenAiVendorId = 'openai' | 'gemini' | 'groq' | 'cerebras' | 'mistral' | 'together' | 'openrouter' | 'deepseek' | 'xai' | 'custom'

export interface OpenAiVendorServer extends VendorServer {
  readonly behaviour: PlayedBehaviour
  /** What the vendor would write on its invoice, one line an answer. */
  readonly bills: Bill[]
  /** As this vendor streams it. */
  reply(answer: PlayedAnswer): Reply
  /** The events of the stream, for tests that cut them. */
  events(answer: PlayedAnswer): string[]
}

const CREATED = 1_790_000_000
/** Vendors that bill an answer to its end though its client has left. */
const BILLS_ABORTED: readonly OpenAiVendorId[] = ['groq', 'gemini', 'mistral']

const modelLists: Readonly<Record<OpenAiVendorId, unknown>> = {
  openai: { object: 'list', data: ['gpt-4o', 'gpt-4o-2024-11-20', 'gpt-4o-mini', 'gpt-4-turbo', 'gpt-5', 'o3', 'o3-pro', 'whisper-1', 'dall-e-3', 'tts-1', 'text-embedding-3-small', 'omni-moderation-latest', 'gpt-3.5-turbo-instruct'].map((id) => ({ id, object: 'model', created: CREATED, owned_by: 'openai' })) },
  gemini: { object: 'list', data: ['models/gemini-2.0-flash', 'models/gemini-2.5-flash', 'models/gemini-2.5-pro', 'models/gemini-3-pro-preview', 'models/gemini-embedding-001', 'models/imagen-4.0-generate-001'].map((id) => ({ id, object: 'model', owned_by: 'google', display_name: id })) },
  groq: { object: 'list', data: [
    { id: 'llama-3.3-70b-versatile', object: 'model', created: CREATED, owned_by: 'Meta', active: true, context_window: 131_072, max_completion_tokens: 32_768, public_apps: null },
    { id: 'openai/gpt-oss-120b', object: 'model', created: CREATED, owned_by: 'OpenAI', active: true, context_window: 131_072, max_completion_tokens: 65_536, public_apps: null },
    { id: 'whisper-large-v3', object: 'model', created: CREATED, owned_by: 'OpenAI', active: true, context_window: 448, public_apps: null, max_completion_tokens: 448 },
    { id: 'retired-8b', object: 'model', created: CREATED, owned_by: 'Meta', active: false, context_window: 8_192, public_apps: null },
  ] },
  cerebras: { object: 'list', data: [{ id: 'llama3.1-8b', object: 'model', created: CREATED, owned_by: 'Meta' }, { id: 'gpt-oss-120b', object: 'model', created: CREATED, owned_by: 'OpenAI' }] },
  mistral: { object: 'list', data: [
    { id: 'mistral-small-latest', object: 'model', created: CREATED, owned_by: 'mistralai', capabilities: { completion_chat: true, completion_fim: false, function_calling: true, fine_tuning: false, vision: true }, name: 'mistral-small-2506', max_context_length: 131_072, aliases: ['mistral-small-2506'], type: 'base' },
    { id: 'mistral-large-latest', object: 'model', created: CREATED, owned_by: 'mistralai', capabilities: { completion_chat: true, function_calling: true, vision: false }, name: 'mistral-large-2411', max_context_length: 131_072, type: 'base' },
    { id: 'magistral-medium-latest', object: 'model', created: CREATED, owned_by: 'mistralai', capabilities: { completion_chat: true, function_calling: true, vision: false }, max_context_length: 40_960, type: 'base' },
    { id: 'mistral-embed', object: 'model', created: CREATED, owned_by: 'mistralai', capabilities: { completion_chat: false, function_calling: false, vision: false }, max_context_length: 8_192, type: 'base' },
  ] },
  together: [
    { id: 'meta-llama/Llama-3.3-70B-Instruct-Turbo', object: 'model', created: CREATED, type: 'chat', running: false, display_name: 'Meta Llama 3.3 70B Instruct Turbo', organization: 'Meta', context_length: 131_072, pricing: { input: 0.88, output: 0.88 } },
    { id: 'BAAI/bge-large-en-v1.5', object: 'model', created: CREATED, type: 'embedding', display_name: 'BGE Large EN', context_length: 512 },
    { id: 'black-forest-labs/FLUX.1-schnell', object: 'model', created: CREATED, type: 'image', display_name: 'FLUX.1 schnell' },
  ],
  openrouter: { data: [
    { id: 'anthropic/claude-sonnet-4.5', name: 'Anthropic: Claude Sonnet 4.5', created: CREATED, context_length: 1_000_000, architecture: { input_modalities: ['text', 'image'], output_modalities: ['text'], tokenizer: 'Claude' }, pricing: { prompt: '0.000003', completion: '0.000015' }, top_provider: { context_length: 1_000_000, max_completion_tokens: 64_000 }, supported_parameters: ['max_tokens', 'reasoning', 'tools'] },
    { id: 'meta-llama/llama-3.3-70b-instruct:free', name: 'Meta: Llama 3.3 70B Instruct (free)', created: CREATED, context_length: 65_536, architecture: { input_modalities: ['text'], output_modalities: ['text'] }, pricing: { prompt: '0', completion: '0' }, top_provider: { context_length: 65_536, max_completion_tokens: null }, supported_parameters: ['max_tokens', 'temperature'] },
    { id: 'google/gemini-2.5-flash-image', name: 'Google: Nano Banana', created: CREATED, context_length: 32_768, architecture: { input_modalities: ['image', 'text'], output_modalities: ['image', 'text'] }, top_provider: { max_completion_tokens: 8_192 }, supported_parameters: [] },
  ] },
  deepseek: { object: 'list', data: [{ id: 'deepseek-chat', object: 'model', owned_by: 'deepseek' }, { id: 'deepseek-reasoner', object: 'model', owned_by: 'deepseek' }] },
  xai: { object: 'list', data: ['grok-4', 'grok-4-fast-non-reasoning', 'grok-3', 'grok-3-mini', 'grok-2-image-1212'].map((id) => ({ id, object: 'model', created: CREATED, owned_by: 'xai' })) },
  custom: { object: 'list', data: [{ id: 'my-model', object: 'model' }] },
}

export async function startOpenAiVendor(id: OpenAiVendorId): Promise<OpenAiVendorServer> {
  const behaviour: PlayedBehaviour = { words: 20, gapMs: 0 }
  const bills: Bill[] = []
  const server = await startVendorServer(answer)
  const eventsOfAnswer = (played: PlayedAnswer) => [...streamEvents(id, played, 'model-x')]
  // The getters of `server` stay live.
  return Object.defineProperties({
    behaviour, bills, events: eventsOfAnswer,
    reply: (played: PlayedAnswer): Reply => ({ headers: streamHeaders, parts: eventsOfAnswer(played) }),
  }, Object.getOwnPropertyDescriptors(server)) as unknown as OpenAiVendorServer

  function answer(request: VendorRequest): Reply {
    if (request.path.endsWith('/models')) return { parts: [JSON.stringify(modelLists[id])] }
    if (request.path.endsWith('/embeddings')) return embeddings(request)
    return words(request)
  }

  function words({ body }: VendorRequest): Reply {
    const model = String(body['model'])
    const limit = Number(body['max_completion_tokens'] ?? body['max_tokens'] ?? Infinity)
    const played = wordsAnswer(Math.min(behaviour.words, limit), countedPrompt(body['messages'] as unknown[]))
    const answered = limit < behaviour.words ? { ...played, finish: 'length' as const } : played
    const before = id === 'openrouter' ? 2 : 1
    return {
      headers: streamHeaders, parts: paced(streamEvents(id, answered, model), behaviour),
      onEnd: ({ written, aborted }) => bills.push({
        model, aborted, promptTokens: answered.usage.prompt,
        completionTokens: aborted && !BILLS_ABORTED.includes(id) ? Math.min(Math.max(written - before, 0), answered.usage.completion) : answered.usage.completion,
      }),
    }
  }

  function embeddings({ body }: VendorRequest): Reply {
    const inputs = [body['input']].flat() as string[]
    const vectors = inputs.map((input) => [input.length, 0.5, -0.25])
    return {
      parts: [JSON.stringify({
        object: 'list', model: body['model'],
        data: vectors.map((vector, index) => ({ object: 'embedding', index, embedding: body['encoding_format'] === 'base64' ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector })).toReversed(),
        usage: { prompt_tokens: inputs.length * 3, total_tokens: inputs.length * 3 },
      })],
    }
  }
}

const streamHeaders = { 'content-type': 'text/event-stream' }

function* paced(events: Iterable<string>, { gapMs }: PlayedBehaviour): Iterable<Part> {
  for (const event of events) {
    yield event
    if (gapMs > 0) yield { waitMs: gapMs }
  }
}

function* streamEvents(id: OpenAiVendorId, { reasoning = [], text = [], toolCalls = [], finish, usage }: PlayedAnswer, model: string): Iterable<string> {
  const chunk = (choice: Record<string, unknown> | undefined, more: Record<string, unknown> = {}) => sse({
    id: 'chatcmpl-1', object: 'chat.completion.chunk', created: CREATED, model, ...(id === 'openai' ? { system_fingerprint: 'fp_1', service_tier: 'default' } : {}),
    choices: choice === undefined ? [] : [{ index: 0, logprobs: null, finish_reason: null, ...choice }], ...(id === 'openai' || id === 'xai' ? { usage: null } : {}), ...more,
  })
  if (id === 'openrouter') yield ': OPENROUTER PROCESSING\n\n'
  if (id === 'deepseek') yield ': keep-alive\n\n'
  yield chunk({ delta: { role: 'assistant', content: '' } }, id === 'groq' ? { x_groq: { id: 'req_1' } } : {})
  for (const thought of reasoning) yield chunk({ delta: reasoningDelta(id, thought) })
  for (const piece of text) yield chunk({ delta: { content: piece, ...(id === 'together' ? { tool_calls: [] } : {}) }, ...(id === 'together' ? { text: piece } : {}) })
  for (const [index, call] of toolCalls.entries()) {
    // Gemini, Mistral and Groq send a whole call at once; Gemini has no index.
    if (id === 'gemini' || id === 'mistral' || id === 'groq') {
      yield chunk({ delta: { tool_calls: [{
        ...(id === 'gemini' ? {} : { index }), id: call.id, ...(id === 'mistral' ? {} : { type: 'function' }), function: { name: call.name, arguments: call.arguments.join('') },
        ...(id === 'gemini' ? { extra_content: { google: { thought_signature: `sig-of-${call.id}` } } } : {}),
      }] } })
      continue
    }
    yield chunk({ delta: { tool_calls: [{ index, id: call.id, type: 'function', function: { name: call.name, arguments: '' } }] } })
    for (const piece of call.arguments) yield chunk({ delta: { tool_calls: [{ index, function: { arguments: piece } }] } })
  }
  const last = { delta: id === 'deepseek' || id === 'mistral' ? { content: '' } : {}, finish_reason: finishWord(id, finish) }
  const wireUsage = usageBody(id, usage)
  switch (id) {
    case 'groq': yield chunk(last, { x_groq: { id: 'req_1', usage: wireUsage } }); break
    case 'mistral': case 'deepseek': case 'gemini': case 'together': yield chunk(last, { usage: wireUsage }); break
    case 'openrouter':
      yield chunk(last)
      // Its usage chunk has a choice.
      yield chunk({ delta: { role: 'assistant', content: '' } }, { usage: wireUsage })
      break
    case 'openai': case 'cerebras': case 'xai': case 'custom':
      yield chunk(last)
      yield chunk(undefined, { usage: wireUsage })
  }
  yield sse('[DONE]')
}

function reasoningDelta(id: OpenAiVendorId, thought: string): Record<string, unknown> {
  switch (id) {
    case 'groq': case 'cerebras': case 'openrouter': return { reasoning: thought }
    case 'mistral': return { content: [{ type: 'thinking', thinking: [{ type: 'text', text: thought }] }] }
    case 'openai': case 'gemini': case 'together': case 'deepseek': case 'xai': case 'custom': return { reasoning_content: thought }
  }
}

function finishWord(id: OpenAiVendorId, finish: PlayedAnswer['finish']): string {
  if (id === 'together' && finish === 'stop') return 'eos'
  if (id === 'mistral' && finish === 'length') return 'model_length'
  // Says `stop` of tool calls, too.
  if (id === 'gemini' && finish === 'tool_calls') return 'stop'
  return finish
}

function usageBody(id: OpenAiVendorId, { prompt, completion, cached, reasoning }: PlayedUsage): Record<string, unknown> {
  const outside = (id === 'gemini' || id === 'xai') && reasoning !== undefined ? reasoning : 0
  return {
    prompt_tokens: prompt, completion_tokens: completion - outside, total_tokens: prompt + completion,
    ...(cached === undefined ? {} : id === 'deepseek' ? { prompt_cache_hit_tokens: cached, prompt_cache_miss_tokens: prompt - cached } : { prompt_tokens_details: { cached_tokens: cached } }),
    ...(reasoning === undefined || id === 'gemini' ? {} : { completion_tokens_details: { reasoning_tokens: reasoning } }),
    ...(id === 'openrouter' ? { cost: 0.00014, is_byok: false } : {}),
  }
}
