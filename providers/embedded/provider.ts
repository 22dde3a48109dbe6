/**
 * The embedded engine: llama.cpp in child processes, one for each model file.
 *
 * Takes:  paths of GGUF files and the place of node-llama-cpp.
 * Gives:  a Provider. What a file, the engine or its process does wrong ends one job at most; the node lives.
 */
import { basename } from 'node:path'
import process from 'node:process'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { TriforceError, toTriforceError } from '../../protocol/errors.ts'
import type { OfferedModel } from '../../protocol/messages/capacity.ts'
import type { Clock, Log, Random } from '../../protocol/ports.ts'
import { createEventBox, type EventBox } from '../event-box.ts'
import type { Provider, ProviderEvent, ProviderHealth } from '../interface.ts'
import { createSlotQueue } from '../slot-queue.ts'
import { ENGINE_VERSION, type EngineLocation } from './engine-install.ts'
import { GgufError } from './gguf.ts'
import { createDigestCache, modelIdOf, readModelFile } from './model-file.ts'
import { createModelHost, type ModelHost } from './model-host.ts'
import type { EngineRun } from './engine-process.ts'

export interface EmbeddedProviderComponents {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface EmbeddedModelOption {
  readonly path: string
  /** Load it at the start and keep it loaded; else with the first request. */
  readonly keepLoaded?: boolean
}

export interface EmbeddedProviderOptions {
  readonly models: readonly EmbeddedModelOption[]
  /** From `findEngine` or `installEngine`; undefined where node-llama-cpp is not there. */
  readonly engine: EngineLocation | undefined
  /** Folder for the digests of large files; none are kept without it. */
  readonly dataDir?: string
  /** Answers computed at once, over all models. Default 4. */
  readonly slots?: number
  /** Upper bound of a model's context; each slot of a model needs memory for this. Default 8,192. */
  readonly contextTokensMax?: number
  /** Tokens the engine computes ahead of its consumer. Default 64. */
  readonly windowTokens?: number
  /** Processes with a loaded model; beyond it, one without work is stopped first. Default 2. */
  readonly loadedMax?: number
  /** A model that is not loaded by then is given up. Default 600,000 ms: 70 GB from a slow disk. */
  readonly loadMsMax?: number
  /** An engine that does not confirm a cancelled job by then is stopped. Default 30,000 ms. */
  readonly cancelMsMax?: number
  /** Processor threads for each model; default: as many as the machine has cores that compute. */
  readonly threads?: number
  readonly gpu?: 'auto' | false
  /** A model with less weights than this gets one thread, and each token is computed alone, so that the same question has the same answer. Default 64 MiB. */
  readonly smallModelBytes?: number
  /** Environment of the engine processes; names that look like secrets are left out. Default: this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

export const embeddedProviderDefaults = Object.freeze({
  slots: 4,
  contextTokensMax: 8_192,
  windowTokens: 64,
  loadedMax: 2,
  loadMsMax: 600_000,
  cancelMsMax: 30_000,
  gpu: 'auto',
  smallModelBytes: 64 * 1024 * 1024,
})

export interface EmbeddedProvider extends Provider {
  /** Reads the files and loads what is to be kept loaded; resolves when that is done or has failed. Call it once. */
  start(): Promise<void>
  /** An engine that was installed after the start. */
  useEngine(engine: EngineLocation): Promise<void>
  /** Memory of the GPUs that models may use. Holds for what is loaded from now on; what is loaded is loaded anew when it has no work. */
  limitVram(bytes: number | undefined): Promise<void>
  /** Process of this model, or of any loaded model. */
  enginePid(model?: string): number | undefined
}

export const engineMissingText = `llama.cpp is not installed on this machine: run \`npm install node-llama-cpp@${ENGINE_VERSION}\`, or run Ollama`

export function createEmbeddedProvider(components: EmbeddedProviderComponents, options: EmbeddedProviderOptions): EmbeddedProvider {
  const { clock, random, log } = components
  const settings = { ...embeddedProviderDefaults, ...options }
  const slots = createSlotQueue({ slots: settings.slots })
  const listeners = new Set<() => void>()
  const digests = createDigestCache(settings.dataDir)
  const hosts = new Map<string, ModelHost>()
  const running = new Map<ModelHost, number>()
  /** Files that are not served, by model id, with the reason. */
  const leftOut = new Map<string, string>()
  /** Loaded under another bound than the present one. */
  const outdated = new Set<ModelHost>()
  let vramBytesMax: number | undefined
  let engine = settings.engine
  let closed = false

  return {
    name: 'embedded',
    slots: settings.slots,
    models,
    health,
    enginePid: (model) => (model === undefined ? [...hosts.values()].find((host) => host.pid !== undefined) : hosts.get(model))?.pid,
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    async start() {
      if (engine !== undefined) await addModels(engine)
    },
    async limitVram(bytes) {
      if (bytes === vramBytesMax) return
      vramBytesMax = bytes
      for (const host of hosts.values()) if (host.pid !== undefined) outdated.add(host)
      await Promise.all([...outdated].map(renew))
    },
    async useEngine(location) {
      if (engine !== undefined) return
      engine = location
      await addModels(location)
    },
    run,
    async close() {
      closed = true
      await Promise.all([...hosts.values()].map((host) => host.stop()))
    },
  }

  function models(): readonly OfferedModel[] {
    return [...hosts.values()].flatMap((host) => host.offered ?? [])
  }

  function health(): ProviderHealth {
    if (engine === undefined || [...hosts.values()].some((host) => host.engineMissing)) return { ok: false, text: engineMissingText }
    const count = models().length
    const broken = [...hosts.values()].flatMap((host) => (host.problem === undefined ? [] : [`${host.id}: ${host.problem}`]))
    const problems = [...[...leftOut].map(([name, reason]) => `${name}: ${reason}`), ...broken]
    const text = `llama.cpp (node-llama-cpp ${ENGINE_VERSION}) serves ${count} ${count === 1 ? 'model' : 'models'}`
    return { ok: count > 0, text: problems.length === 0 ? text : `${text}; not served: ${problems.join('; ')}` }
  }

  function changed(): void {
    if (!closed) listeners.forEach((listener) => listener())
  }

  async function addModels(location: EngineLocation): Promise<void> {
    for (const option of settings.models) await addModel(option, location)
    changed()
    const kept = settings.models.filter((option) => option.keepLoaded).map((option) => option.path)
    const loading = [...hosts.values()].filter((host) => kept.includes(host.path))
    // A model that does not load is in the log and in `health`.
    await Promise.allSettled(loading.map((host) => host.ready(() => undefined)))
  }

  async function addModel(option: EmbeddedModelOption, location: EngineLocation): Promise<void> {
    try {
      const file = await readModelFile(option.path, digests)
      if (closed) return
      if (hosts.has(file.id)) throw new GgufError('another file has the same name')
      const { contextTokensMax, slots: sequences, windowTokens, gpu, threads, loadMsMax, smallModelBytes } = settings
      const env = settings.env ?? process.env
      hosts.set(file.id, createModelHost({ clock, log }, {
        vramBytesMax: () => vramBytesMax, file, loadMsMax, keepLoaded: option.keepLoaded ?? false, onChange: changed,
        engine: { entry: location.entry, contextTokensMax, sequences, windowTokens, gpu: location.processorOnly === true ? false : gpu, smallModelBytes, env, ...(threads === undefined ? {} : { threads }) },
      }))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      leftOut.set(modelIdOf(basename(option.path)), reason)
      log.warn('model file left out', { file: option.path, reason })
    }
  }

  async function* run(request: CompletionRequest, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<ProviderEvent> {
    let engineRun: EngineRun | undefined
    const box = createEventBox({ onTaken: (tokens) => engineRun?.credit(tokens) })
    const leaving = new AbortController()
    const onAbort = (): void => {
      box.cancel()
      leaving.abort()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    serve(request, box, leaving.signal, (started) => { engineRun = started }).catch((error: unknown) => box.fail(toTriforceError(error)))
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

  /** Takes a job through queue, loading and engine; resolves when the engine is done with it. */
  async function serve(request: CompletionRequest, box: EventBox, leaving: AbortSignal, onRun: (run: EngineRun) => void): Promise<void> {
    const host = hosts.get(request.model)
    if (engine === undefined) throw new TriforceError('ENGINE_MISSING', {}, { detail: engineMissingText })
    if (host === undefined) {
      const reason = leftOut.get(request.model)
      if (reason === undefined) throw new TriforceError('MODEL_NOT_FOUND', { model: request.model })
      throw new TriforceError('MODEL_BROKEN', { model: request.model }, { detail: `the file of ${request.model} is not served: ${reason}` })
    }
    const release = await slots.acquire({ signal: leaving, onPosition: (position) => box.state({ state: 'queued', position }) })
    running.set(host, (running.get(host) ?? 0) + 1)
    try {
      if (host.pid === undefined) {
        box.state({ state: 'loading', part: 0 })
        await makeRoom(host)
      }
      const engineProcess = await host.ready((part) => box.state({ state: 'loading', part }))
      if (leaving.aborted) return
      const engineRun = engineProcess.run({ request, box, seed: request.seed ?? Math.floor(random.unit() * 2 ** 32) })
      onRun(engineRun)
      let cancelDeadline: (() => void) | undefined
      const cancel = (): void => {
        engineRun.cancel()
        cancelDeadline = clock.after(settings.cancelMsMax, () => { void engineProcess.kill() })
      }
      leaving.addEventListener('abort', cancel, { once: true })
      const result = await engineRun.done
      leaving.removeEventListener('abort', cancel)
      cancelDeadline?.()
      if (result !== undefined) host.measured(result)
    } finally {
      running.set(host, (running.get(host) ?? 1) - 1)
      release()
      await renew(host)
    }
  }

  /** Loads a model anew that nobody uses, where its bound has changed. */
  async function renew(host: ModelHost): Promise<void> {
    if (!outdated.has(host) || (running.get(host) ?? 0) > 0) return
    outdated.delete(host)
    await host.unload()
    const isKept = settings.models.some((option) => option.keepLoaded === true && option.path === host.path)
    if (isKept && !closed) await host.ready(() => undefined).catch(() => undefined)
  }

  /** Stops the model that was idle longest where too many are loaded. */
  async function makeRoom(wanted: ModelHost): Promise<void> {
    const loaded = [...hosts.values()].filter((host) => host !== wanted && host.pid !== undefined)
    if (loaded.length < settings.loadedMax) return
    const idle = loaded.filter((host) => (running.get(host) ?? 0) === 0).sort((a, b) => a.usedAtMs - b.usedAtMs)
    await idle[0]?.unload()
  }
}
