/**
 * Ollama, through its native API: /v1 hides errors in the middle of a stream and cannot set the context size.
 *
 * Takes:  the address of a server, which may come and go.
 * Gives:  a Provider. Usage is Ollama's own count; of a cancelled run it is the frames taken, since Ollama sends a frame
 *         for each token (it joins a few only inside a character or a possible stop string).
 */
import type { ChatRequest } from 'ollama'
import { z } from 'zod'
import { textOf, type CompletionRequest, type FinishReason } from '../protocol/completion.ts'
import { TriforceError, toTriforceError } from '../protocol/errors.ts'
import type { Clock, Log, Random } from '../protocol/ports.ts'
import { createEventBox, type EventBox } from './event-box.ts'
import type { Provider, ProviderEvent, ProviderHealth } from './interface.ts'
import { createOllamaCatalogue, offeredOf, type OllamaModel } from './ollama-catalogue.ts'
import { createOllamaHttp, OllamaStatusError } from './ollama-http.ts'
import { createSlotQueue } from './slot-queue.ts'

export interface OllamaProviderComponents {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface OllamaProviderOptions {
  /** OLLAMA_HOST; default http://127.0.0.1:11434. */
  readonly host?: string
  /** Jobs given to Ollama at once. Default 1, as its own OLLAMA_NUM_PARALLEL. */
  readonly slots?: number
  /** Context asked for and offered at most; Ollama's own default of 4,096 would cut longer prompts silently. Default 8,192. */
  readonly contextTokensMax?: number
  /** Frames read ahead of the consumer. Default 64. */
  readonly windowTokens?: number
  /** Default 30,000 ms. */
  readonly refreshMs?: number
  /** The same while an Ollama that was there is gone. Default 3,000 ms. */
  readonly lostMs?: number
  /** Time for one reading of the catalogue. Default 10,000 ms. */
  readonly refreshMsMax?: number
}

export const ollamaProviderDefaults = Object.freeze({
  slots: 1, contextTokensMax: 8_192, windowTokens: 64, refreshMs: 30_000, lostMs: 3_000, refreshMsMax: 10_000,
})

export interface OllamaProvider extends Provider {
  /** Looks for the server and goes on looking; resolves after the first look, found or not. Call it once. */
  start(): Promise<void>
  /** Looks now. */
  refresh(): Promise<void>
}

/** What we read of a frame; the client's own types promise more than old servers send. */
const frameSchema = z.object({
  message: z.object({ content: z.string().default(''), thinking: z.string().default('') }).default({ content: '', thinking: '' }),
  done: z.boolean(),
  done_reason: z.string().optional(),
  prompt_eval_count: z.number().int().min(0).optional(),
  eval_count: z.number().int().min(0).optional(),
  /** Nanoseconds. */
  eval_duration: z.number().min(0).optional(),
})
type Frame = z.output<typeof frameSchema>

// As in the embedded engine: weight of the newest run, and runs too short to say anything.
const SPEED_WEIGHT = 0.2
const SPEED_TOKENS_MIN = 8

export function createOllamaProvider(components: OllamaProviderComponents, options: OllamaProviderOptions = {}): OllamaProvider {
  const { clock, random, log } = components
  const settings = { ...ollamaProviderDefaults, ...options }
  const http = createOllamaHttp(settings.host)
  const catalogue = createOllamaCatalogue(http, settings)
  const slots = createSlotQueue({ slots: settings.slots })
  const listeners = new Set<() => void>()
  const speeds = new Map<string, number>()
  const closing = new AbortController()
  let models: readonly OllamaModel[] = []
  let loaded: ReadonlySet<string> = new Set()
  let found: boolean | undefined
  let wasEverFound = false
  let refreshing: Promise<void> | undefined
  let cancelTimer = (): void => undefined

  return {
    name: 'ollama',
    slots: settings.slots,
    models: () => models.map((model) => offeredOf(model, loaded.has(model.id), speeds.get(model.id) ?? 0)),
    health,
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    start: refresh,
    refresh,
    run,
    async close() {
      cancelTimer()
      closing.abort()
      await refreshing
      await http.close()
    },
  }

  function health(): ProviderHealth {
    if (found !== true) return { ok: false, text: `there is no Ollama at ${http.address}; start it, or set OLLAMA_HOST` }
    if (models.length === 0) return { ok: false, text: `Ollama at ${http.address} has no model that can chat; get one with \`ollama pull\`` }
    return { ok: true, text: `Ollama at ${http.address} serves ${models.length} ${models.length === 1 ? 'model' : 'models'}` }
  }

  async function refresh(): Promise<void> {
    refreshing ??= look().finally(() => { refreshing = undefined })
    await refreshing
  }

  async function look(): Promise<void> {
    cancelTimer()
    const before = JSON.stringify([found, models, [...loaded]])
    const wasFound = found
    try {
      const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(settings.refreshMsMax)])
      const result = await catalogue.read(signal)
      models = result.models
      loaded = result.loaded
      found = true
    } catch {
      // Whatever answered there, it was no Ollama that works.
      models = []
      loaded = new Set()
      found = false
    }
    if (closing.signal.aborted) return
    wasEverFound ||= found
    // One that was there is most likely being restarted.
    cancelTimer = clock.after(wasEverFound && !found ? settings.lostMs : settings.refreshMs, () => { void refresh() })
    if (found !== wasFound && (found || wasFound !== undefined)) log.info(found ? 'Ollama found' : 'Ollama is gone', { address: http.address, models: models.length })
    if (JSON.stringify([found, models, [...loaded]]) !== before) listeners.forEach((listener) => listener())
  }

  async function* run(request: CompletionRequest, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<ProviderEvent> {
    const box = createEventBox()
    const leaving = new AbortController()
    const onAbort = (): void => {
      box.cancel()
      leaving.abort()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    serve(request, box, leaving.signal).catch((error: unknown) => box.fail(toTriforceError(error, 'ENGINE_FAILED')))
    try {
      for (;;) {
        const event = await box.next()
        yield event
        if (event.type === 'end') return
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      leaving.abort()
    }
  }

  async function serve(request: CompletionRequest, box: EventBox, leaving: AbortSignal): Promise<void> {
    const model = models.find((one) => one.id === request.model)
    if (model === undefined) throw new TriforceError('MODEL_NOT_FOUND', { model: request.model })
    const body = chatRequest(request, model, Math.floor(random.unit() * 2 ** 31))
    const release = await slots.acquire({ signal: leaving, onPosition: (position) => box.state({ state: 'queued', position }) })
    try {
      // Ollama tells nothing while it loads: a model that it does not list as running is said to load until its first frame.
      box.state(loaded.has(model.id) ? { state: 'running' } : { state: 'loading', part: 0 })
      box.started(promptEstimate(request))
      await stream(body, model, request, box, AbortSignal.any([leaving, closing.signal]))
    } catch (error) {
      if (leaving.aborted) return
      if (closing.signal.aborted) throw new TriforceError('STOPPING')
      // The server may be gone or have lost the model: what is offered is looked up again, without making the job wait.
      void refresh()
      throw runError(error, request.model)
    } finally {
      release()
    }
  }

  async function stream(body: ChatRequest & { stream: true }, model: OllamaModel, request: CompletionRequest, box: EventBox, signal: AbortSignal): Promise<void> {
    let tokens = 0
    let firstAtMs = 0
    for await (const raw of await http.client(signal).chat(body)) {
      const frame = frameSchema.parse(raw)
      const { content, thinking } = frame.message
      if (content !== '' || thinking !== '') tokens += 1
      if (tokens === 1 && firstAtMs === 0) {
        firstAtMs = clock.monotonicMs()
        box.state({ state: 'running' })
        loaded = new Set([...loaded, model.id])
      }
      if (content !== '') box.delta({ type: 'text', text: content, tokens: tokens })
      if (frame.done) {
        box.end(finishOf(frame.done_reason), usageOf(frame, tokens, request))
        measure(model.id, frame)
        return
      }
      await box.room(settings.windowTokens)
      if (signal.aborted) return
    }
  }

  function measure(id: string, { eval_count: count = 0, eval_duration: nanoseconds = 0 }: Frame): void {
    if (count < SPEED_TOKENS_MIN || nanoseconds <= 0) return
    const speed = count * 1e9 / nanoseconds
    const before = speeds.get(id)
    speeds.set(id, before === undefined ? speed : before + SPEED_WEIGHT * (speed - before))
  }
}

function chatRequest(request: CompletionRequest, model: OllamaModel, seed: number): ChatRequest & { stream: true } {
  const { responseFormat: format } = request
  const body = {
    model: request.model,
    // The assistant's message last: Ollama leaves it open and goes on from its end.
    messages: request.messages.map((message) => ({ role: message.role, content: textOf(message) })),
    stream: true as const,
    options: {
      num_ctx: model.contextTokens,
      // Absent means 1 at OpenAI; Ollama's own compatible API sets the same.
      temperature: request.temperature ?? 1,
      top_p: request.topP ?? 1,
      seed: request.seed ?? seed,
      ...(request.maxTokens === undefined ? {} : { num_predict: request.maxTokens }),
      ...(request.stop.length === 0 ? {} : { stop: [...request.stop] }),
    },
    ...(format.type === 'text' ? {} : { format: format.type === 'json_object' ? 'json' : schemaOf(format.schema) }),
    // Not in the client's types: an error in place of a prompt that lost its beginning. Older servers ignore both.
    truncate: false,
    shift: false,
  }
  return body
}

function schemaOf(text: string): object {
  try {
    const schema: unknown = JSON.parse(text)
    if (typeof schema === 'object' && schema !== null) return schema
  } catch {
    // Told below, like a schema that is no object.
  }
  throw new TriforceError('BAD_REQUEST', { param: 'response_format' }, { detail: 'the JSON schema cannot be used: it is not a JSON object' })
}

function finishOf(reason: string | undefined): FinishReason {
  return reason === 'length' ? 'length' : 'stop'
}

function usageOf(frame: Frame, frames: number, request: CompletionRequest): { promptTokens: number; completionTokens: number } {
  const counted = frame.eval_count ?? frames
  // Ollama counts the end-of-answer token, which has no frame; ours do not.
  const withoutEnd = frame.done_reason === 'stop' && counted > frames ? counted - 1 : counted
  // Servers before 0.4 leave the prompt's count out when it was cached.
  return { promptTokens: frame.prompt_eval_count ?? promptEstimate(request), completionTokens: withoutEnd }
}

/** Ollama tells the prompt's tokens only in the last frame. Until then: four bytes a token, the rule of thumb for English. */
function promptEstimate(request: CompletionRequest): number {
  return request.messages.reduce((sum, message) => sum + Math.ceil(Buffer.byteLength(textOf(message)) / 4), 0)
}

function runError(error: unknown, model: string): TriforceError {
  const known = toTriforceError(error, 'ENGINE_FAILED')
  if (!(error instanceof OllamaStatusError)) return known
  if (error.status === 404) return new TriforceError('MODEL_NOT_FOUND', { model }, { cause: error })
  if (error.status === 400 && /context length|exceed.*context/i.test(error.message)) return new TriforceError('CONTEXT_LENGTH_EXCEEDED', {}, { detail: error.message, cause: error })
  if (error.status === 400) return new TriforceError('BAD_REQUEST', {}, { detail: `Ollama refuses the request: ${error.message}`, cause: error })
  if (error.status === 503) return new TriforceError('QUEUE_FULL', {}, { cause: error })
  return known
}
