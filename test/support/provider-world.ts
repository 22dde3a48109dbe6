/** What provider tests need around a provider: a real clock, requests, and a look at a whole run. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { isErrorCode, type ErrorCode } from '../../protocol/errors.ts'
import type { Clock, Random } from '../../protocol/ports.ts'
import { findEngine } from '../../providers/embedded/engine-install.ts'
import { createEmbeddedProvider, type EmbeddedProvider, type EmbeddedProviderOptions } from '../../providers/embedded/provider.ts'
import type { Provider, ProviderEvent } from '../../providers/interface.ts'
import { quietLog } from './quiet-log.ts'

export function realClock(): Clock {
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    after(delayMs, run) {
      const timer = setTimeout(run, delayMs)
      timer.unref()
      return () => clearTimeout(timer)
    },
  }
}

/** The same numbers in every run. */
export function fixedRandom(): Random {
  return { bytes: (length) => new Uint8Array(length).fill(7), unit: () => 0.25 }
}

export function chatRequest(model: string, fields: Partial<CompletionRequest> = {}): CompletionRequest {
  return { model, messages: [{ role: 'user', content: 'hello' }], continueLast: false, stop: [], responseFormat: { type: 'text' }, ...fields }
}

export interface RunResult {
  readonly events: readonly ProviderEvent[]
  readonly text: string
  readonly end: Extract<ProviderEvent, { type: 'end' }>
}

/** Runs to the end; `onEvent` may abort. */
export async function collect(provider: Pick<Provider, 'run'>, request: CompletionRequest, options: { signal?: AbortSignal; onEvent?: (event: ProviderEvent) => void } = {}): Promise<RunResult> {
  const events: ProviderEvent[] = []
  for await (const event of provider.run(request, { signal: options.signal ?? new AbortController().signal })) {
    events.push(event)
    options.onEvent?.(event)
  }
  const end = events.at(-1)
  if (end?.type !== 'end') throw new Error('the run did not end with `end`')
  return { events, text: textOf(events), end }
}

export function textOf(events: readonly ProviderEvent[]): string {
  return events.map((event) => (event.type === 'text' ? event.text : '')).join('')
}

/** The code with which it rejects. */
export async function codeOf(work: Promise<unknown>): Promise<ErrorCode | 'no error'> {
  try {
    await work
    return 'no error'
  } catch (error) {
    const code = (error as { code?: unknown }).code
    if (isErrorCode(code)) return code
    throw error
  }
}

export interface TempFolder {
  readonly path: string
  remove(): Promise<void>
}

export async function tempFolder(): Promise<TempFolder> {
  const path = await mkdtemp(join(tmpdir(), 'triforce-providers-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** The embedded provider with the real engine; one thread, for the machine is shared. */
export async function realEmbedded(options: Omit<EmbeddedProviderOptions, 'engine'>): Promise<EmbeddedProvider> {
  const engine = await findEngine({ enginesDir: '/nowhere' })
  if (engine === undefined) throw new Error('node-llama-cpp is a devDependency: run npm install')
  const components = { clock: realClock(), random: fixedRandom(), log: quietLog('embedded') }
  const provider = createEmbeddedProvider(components, { threads: 1, gpu: false, ...options, engine })
  await provider.start()
  return provider
}

/** True while a process with this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
