/**
 * A bench source: a provider without a model. It emits numbered words at will, so that a bench measures the path and
 * not an engine, and a test can see a lost or doubled token. Never offered by a node unless it is asked for by name.
 *
 * The last message steers it: `tokens=4000 gapMs=5 batch=8` gives 4,000 tokens, 8 at a time, 5 ms apart. `maxTokens`
 * bounds the count. With `continueLast` it goes on after the last word of the assistant's text.
 */
import { setImmediate as nextTick } from 'node:timers/promises'
import { textOf, type CompletionRequest, type FinishReason } from '../protocol/completion.ts'
import { TriforceError } from '../protocol/errors.ts'
import { COMPLETION_TOKENS_MAX } from '../protocol/limits.ts'
import type { OfferedModel } from '../protocol/messages/capacity.ts'
import type { Clock } from '../protocol/ports.ts'
import type { Provider, ProviderEvent } from './interface.ts'

export interface BenchSourceComponents {
  readonly clock: Clock
}

export interface BenchSourceOptions {
  /** Jobs it says it can run at once; nothing is queued. Default 256. */
  readonly slots?: number
  /** Tokens of an answer when neither the message nor `maxTokens` says. Default 256. */
  readonly tokens?: number
  /** Tokens in one event. Default 16. */
  readonly batchTokens?: number
  /** Wait before each event. Default 0: as fast as they are taken. */
  readonly gapMs?: number
}

export const benchSourceDefaults = Object.freeze({ slots: 256, tokens: 256, batchTokens: 16, gapMs: 0 })

export const BENCH_SOURCE_MODEL = 'bench-source'

const GAP_MS_MAX = 60_000

const model: OfferedModel = {
  id: BENCH_SOURCE_MODEL,
  digest: '00'.repeat(32),
  quantization: '',
  contextTokens: 1_000_000,
  parameters: 0,
  capabilities: ['chat', 'continue'],
  tokensPerSecond: 0,
  loaded: true,
  demo: true,
}

/** The text of token `index`, counted from 0. */
export function benchToken(index: number): string {
  return `t${index} `
}

export function createBenchSource(components: BenchSourceComponents, options: BenchSourceOptions = {}): Provider {
  const { clock } = components
  const settings = { ...benchSourceDefaults, ...options }

  return {
    name: BENCH_SOURCE_MODEL,
    slots: settings.slots,
    models: () => [model],
    onChange: () => () => undefined,
    health: () => ({ ok: true, text: 'bench source: emits numbered words, no model' }),
    run,
    close: async () => undefined,
  }

  async function* run(request: CompletionRequest, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<ProviderEvent> {
    if (request.model !== BENCH_SOURCE_MODEL) throw new TriforceError('MODEL_NOT_FOUND', { model: request.model })
    if (request.responseFormat.type !== 'text') throw new TriforceError('CAPABILITY_MISSING', {}, { detail: 'the bench source writes no JSON' })
    const last = request.messages.at(-1)
    const prefill = request.continueLast && last?.role === 'assistant' ? textOf(last) : ''
    const steered = textOf(request.messages.findLast((message) => message.role === 'user') ?? { content: '' })
    const first = prefill === '' ? 0 : prefill.trim().split(/\s+/).length
    // What another host made of this answer counts for the limit that the client gave.
    const total = setting(steered, 'tokens') ?? (request.maxTokens === undefined ? settings.tokens : request.maxTokens + (request.begun === undefined ? 0 : first))
    const gapMs = Math.min(setting(steered, 'gapMs') ?? settings.gapMs, GAP_MS_MAX)
    const batch = Math.max(1, setting(steered, 'batch') ?? settings.batchTokens)
    const count = Math.min(Math.max(0, total - first), request.maxTokens ?? COMPLETION_TOKENS_MAX, COMPLETION_TOKENS_MAX)
    const promptTokens = request.messages.reduce((sum, message) => sum + Math.ceil(textOf(message).length / 4), -Math.ceil((request.begun?.chars ?? 0) / 4))
    let given = 0
    const end = (finish: FinishReason): ProviderEvent => ({ type: 'end', finish, usage: { promptTokens, completionTokens: given } })

    if (signal.aborted) {
      yield end('cancelled')
      return
    }
    yield { type: 'state', state: { state: 'running' } }
    while (given < count) {
      // Without a gap it still lets go of the event loop once for each batch, or 200 streams would starve each other.
      if (gapMs > 0) await waitFor(gapMs, signal)
      else await nextTick()
      if (signal.aborted) {
        yield end('cancelled')
        return
      }
      const until = Math.min(given + batch, count)
      let text = ''
      for (; given < until; given++) text += benchToken(first + given)
      yield { type: 'text', text, tokens: given }
    }
    yield end(first + given >= total ? 'stop' : 'length')
  }

  async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    await new Promise<void>((resolve) => {
      const cancel = clock.after(ms, leave)
      signal.addEventListener('abort', leave, { once: true })
      function leave(): void {
        cancel()
        signal.removeEventListener('abort', leave)
        resolve()
      }
    })
  }
}

/** `name=123` in a text; a number that is too large is bounded by its user. */
function setting(text: string, name: string): number | undefined {
  const digits = new RegExp(`\\b${name}=(\\d{1,9})\\b`).exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
