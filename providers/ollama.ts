/**
 * Ollama, through its native API: /v1 hides errors in the middle of a stream and cannot set the context size.
 *
 * Takes:  the address of a server, which may come and go.
 * Gives:  a Provider. Usage is Ollama's own count; of a cancelled run it is what was taken, see ollama-answer.ts.
 */
import { z } from 'zod'
import type { CompletionRequest, EmbeddingRequest } from '../protocol/completion.ts'
import { TriforceError, toTriforceError } from '../protocol/errors.ts'
import type { Clock, Log, Random } from '../protocol/ports.ts'
import { estimatePromptTokens } from '../protocol/token-estimate.ts'
import { createEventBox, type EventBox } from './event-box.ts'
import type { Embeddings, Provider, ProviderEvent, ProviderHealth } from './interface.ts'
import { createOllamaAnswer, type OllamaFrame } from './ollama-answer.ts'
import { createOllamaCatalogue, offeredOf, type OllamaModel } from './ollama-catalogue.ts'
import { createOllamaHttp, OllamaStatusError } from './ollama-http.ts'
import { ollamaChat, type OllamaChat } from './ollama-request.ts'
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
  embed(request: EmbeddingRequest, options: { readonly signal: AbortSignal }): Promise<Embeddings>
  /** Looks for the server and goes on looking; resolves after the first look, found or not. Call it once. */
  start(): Promise<void>
  /** Looks now. */
  refresh(): Promise<void>
}

// Longer than those of any model of Ollama's library, by far.
const VECTOR_MAX = 65_536

/** A vector for each input; the client's own types promise more than a foreign program keeps. */
const embeddingsSchema = z.object({ embeddings: z.array(z.array(z.number()).min(1).max(VECTOR_MAX)), prompt_eval_count: z.number().int().min(0).optional() })

// As in the embedded engine: weight of the newest run, and runs too short to say anything.
const SPEED_WEIGHT = 0.2
const SPEED_TOKENS_MIN = 8

// 2,048 vectors of 1,024 numbers of 20 digits, or fewer longer ones.
const EMBEDDINGS_BYTES_MAX = 48 * 1024 * 1024

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
    embed,
    async close() {
      cancelTimer()
      closing.abort()
      await refreshing
      await http.close()
    },
  }

  function health(): ProviderHealth {
    if (found !== true) return { ok: false, text: `there is no Ollama at ${http.address}; start it, or set OLLAMA_HOST` }
    if (models.length === 0) return { ok: false, text: `Ollama at ${http.address} has no model; get one with \`ollama pull\`` }
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
    const model = modelNamed(request.model)
    const chat = ollamaChat(request, model, Math.floor(random.unit() * 2 ** 31))
    const release = await slots.acquire({ signal: leaving, onPosition: (position) => box.state({ state: 'queued', position }) })
    try {
      // Ollama tells nothing while it loads: a model that it does not list as running is said to load until its first frame.
      box.state(loaded.has(model.id) ? { state: 'running' } : { state: 'loading' })
      box.started(estimatePromptTokens(request))
      await stream(chat, model, request, box, AbortSignal.any([leaving, closing.signal]))
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

  async function stream({ body, forcedTool }: OllamaChat, model: OllamaModel, request: CompletionRequest, box: EventBox, signal: AbortSignal): Promise<void> {
    const answer = createOllamaAnswer({ request, forcedTool, random })
    let begun = false
    for await (const raw of await http.client(signal).chat(body)) {
      const { frame, deltas } = answer.read(raw)
      if (deltas.length > 0 && !begun) {
        begun = true
        box.state({ state: 'running' })
        loaded = new Set([...loaded, model.id])
      }
      for (const delta of deltas) box.delta(delta)
      if (frame.done) {
        box.end(answer.finish(frame), answer.usage(frame, estimatePromptTokens(request)))
        measure(model.id, frame)
        return
      }
      await box.room(settings.windowTokens)
      if (signal.aborted) return
    }
  }

  async function embed(request: EmbeddingRequest, { signal }: { readonly signal: AbortSignal }): Promise<Embeddings> {
    const model = modelNamed(request.model)
    if (!model.capabilities.includes('embedding')) throw new TriforceError('CAPABILITY_MISSING', { model: request.model }, { detail: 'this model makes no embeddings' })
    const release = await slots.acquire({ signal, onPosition: () => undefined })
    try {
      const { inputs, dimensions } = request
      const raw = await http.client(AbortSignal.any([signal, closing.signal]), { lineBytesMax: EMBEDDINGS_BYTES_MAX }).embed({
        // `truncate`: an error in place of a vector of half the text.
        model: request.model, input: [...inputs], truncate: false, ...(dimensions === undefined ? {} : { dimensions }),
      })
      const { embeddings, prompt_eval_count: counted } = embeddingsSchema.parse(raw)
      if (embeddings.length !== inputs.length || embeddings.some((vector) => vector.length !== embeddings[0]!.length)) throw new TriforceError('ENGINE_FAILED', {}, { detail: 'Ollama gave other vectors than were asked for' })
      loaded = new Set([...loaded, model.id])
      return { vectors: embeddings.map((vector) => Float32Array.from(vector)), usage: { promptTokens: counted ?? estimatePromptTokens(request), completionTokens: 0 } }
    } catch (error) {
      if (signal.aborted) throw new TriforceError('CANCELLED')
      if (closing.signal.aborted) throw new TriforceError('STOPPING')
      void refresh()
      throw runError(error, request.model)
    } finally {
      release()
    }
  }

  function modelNamed(id: string): OllamaModel {
    const model = models.find((one) => one.id === id)
    if (model === undefined) throw new TriforceError('MODEL_NOT_FOUND', { model: id })
    return model
  }

  function measure(id: string, { eval_count: count = 0, eval_duration: nanoseconds = 0 }: OllamaFrame): void {
    if (count < SPEED_TOKENS_MIN || nanoseconds <= 0) return
    const speed = count * 1e9 / nanoseconds
    const before = speeds.get(id)
    speeds.set(id, before === undefined ? speed : before + SPEED_WEIGHT * (speed - before))
  }
}

/** Ollama tells the prompt's tokens only in the last frame. Until then: four bytes a token, the rule of thumb for English. */
function runError(error: unknown, model: string): TriforceError {
  const known = toTriforceError(error, 'ENGINE_FAILED')
  if (!(error instanceof OllamaStatusError)) return known
  if (error.status === 404) return new TriforceError('MODEL_NOT_FOUND', { model }, { cause: error })
  if (error.status === 400 && /context length|exceed.*context/i.test(error.message)) return new TriforceError('CONTEXT_LENGTH_EXCEEDED', {}, { detail: error.message, cause: error })
  if (error.status === 400 && /does not support/i.test(error.message)) return new TriforceError('CAPABILITY_MISSING', { model }, { detail: error.message, cause: error })
  if (error.status === 400) return new TriforceError('BAD_REQUEST', {}, { detail: `Ollama refuses the request: ${error.message}`, cause: error })
  if (error.status === 503) return new TriforceError('QUEUE_FULL', {}, { cause: error })
  return known
}
