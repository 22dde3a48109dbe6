/**
 * One model file and the engine process that serves it: started when needed, started again when it died, given up
 * when the file kills it.
 */
import { TriforceError } from '../../protocol/errors.ts'
import type { OfferedModel } from '../../protocol/messages/capacity.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import { createEngineProcess, type EngineJobResult, type EngineLoadError, type EngineProcess, type EngineProcessOptions } from './engine-process.ts'
import type { ModelFile } from './model-file.ts'

export interface ModelHostComponents {
  readonly clock: Clock
  readonly log: Log
}

export interface ModelHostOptions {
  readonly file: ModelFile
  readonly engine: Omit<EngineProcessOptions, 'path' | 'onPart' | 'onExit' | 'vramBytesMax'>
  /** Asked at each start. */
  readonly vramBytesMax?: () => number | undefined
  /** Start the process again by itself when it has died. */
  readonly keepLoaded: boolean
  readonly loadMsMax: number
  /** Called when `offered` or `problem` may have changed. */
  readonly onChange: () => void
}

export interface ModelHost {
  readonly id: string
  readonly path: string
  /** Undefined where the model is not to be had. */
  readonly offered: OfferedModel | undefined
  /** What is wrong with it, in words. */
  readonly problem: string | undefined
  /** True where no binary of the engine fits this machine. */
  readonly engineMissing: boolean
  readonly pid: number | undefined
  /** For choosing which model to stop first. */
  readonly usedAtMs: number
  /** The process with the model loaded; `onPart` hears how far it is. Throws MODEL_BROKEN, ENGINE_MISSING or ENGINE_FAILED. */
  ready(onPart: (part: number) => void): Promise<EngineProcess>
  measured(result: EngineJobResult): void
  /** Ends the process to give its memory back; the next job starts it again. */
  unload(): Promise<void>
  stop(): Promise<void>
}

const capabilities = ['chat', 'json', 'continue'] as const

// The first new start is quick, for one crash is an accident; a process that keeps dying does not keep the machine busy.
const BACKOFF_MS_MIN = 100
const BACKOFF_MS_MAX = 30_000
/** A process that lived this long has recovered. */
const STABLE_MS = 60_000
/** Deaths during loading after which the file is to blame: once can be the system's memory killer. */
const LOAD_DEATHS_MAX = 2

// Weight of the newest run, and runs too short to say anything.
const SPEED_WEIGHT = 0.2
const SPEED_TOKENS_MIN = 8
/** A change of speed worth an announcement. */
const SPEED_CHANGE = 0.25

export function createModelHost(components: ModelHostComponents, options: ModelHostOptions): ModelHost {
  const { clock, log } = components
  const { file, onChange } = options
  /** The process, from its start to its end; `engine` once it has loaded the model. */
  let current: EngineProcess | undefined
  let engine: EngineProcess | undefined
  /** Processes that we end ourselves: their end is no death. */
  const wanted = new WeakSet<EngineProcess>()
  let starting: Promise<EngineProcess> | undefined
  let onParts: ((part: number) => void)[] = []
  let contextTokens = Math.min(file.contextTokens, options.engine.contextTokensMax)
  let tokensPerSecond = 0
  let toldSpeed = 0
  let problem: string | undefined
  let broken = false
  let engineMissing = false
  let stopped = false
  let deaths = 0
  let loadDeaths = 0
  let mayStartAtMs = 0
  let usedAtMs = clock.monotonicMs()

  return {
    id: file.id,
    path: file.path,
    get offered() {
      if (broken || engineMissing) return undefined
      const { id, digest, quantization, parameters, demo } = file
      const speed = Number(tokensPerSecond.toPrecision(3))
      const loaded = engine !== undefined
      return { id, digest, quantization, contextTokens, parameters, capabilities: [...capabilities], tokensPerSecond: speed, loaded, demo }
    },
    get problem() { return problem },
    get engineMissing() { return engineMissing },
    get pid() { return engine?.pid },
    get usedAtMs() { return usedAtMs },
    async ready(onPart) {
      usedAtMs = clock.monotonicMs()
      if (stopped) throw new TriforceError('STOPPING')
      if (broken || engineMissing) throw failure()
      if (engine !== undefined) return engine
      onParts.push(onPart)
      starting ??= start().finally(() => { starting = undefined })
      try {
        return await starting
      } finally {
        onParts = onParts.filter((tell) => tell !== onPart)
      }
    },
    measured({ completionTokens, computeMs }) {
      usedAtMs = clock.monotonicMs()
      if (completionTokens < SPEED_TOKENS_MIN || computeMs <= 0) return
      const speed = (completionTokens - 1) * 1_000 / computeMs
      tokensPerSecond = tokensPerSecond === 0 ? speed : tokensPerSecond + SPEED_WEIGHT * (speed - tokensPerSecond)
      if (Math.abs(tokensPerSecond - toldSpeed) < SPEED_CHANGE * toldSpeed) return
      toldSpeed = tokensPerSecond
      onChange()
    },
    async unload() {
      await end()
    },
    async stop() {
      stopped = true
      await end()
    },
  }

  async function end(): Promise<void> {
    const dying = current
    if (dying === undefined) return
    wanted.add(dying)
    // From here on no job gets it any more.
    if (engine === dying) engine = undefined
    await dying.kill()
    onChange()
  }

  async function start(): Promise<EngineProcess> {
    for (;;) {
      await until(mayStartAtMs)
      if (stopped) throw new TriforceError('STOPPING')
      const startedAtMs = clock.monotonicMs()
      const vramBytesMax = options.vramBytesMax?.()
      const process: EngineProcess = createEngineProcess({
        ...options.engine,
        ...(vramBytesMax === undefined ? {} : { vramBytesMax }),
        path: file.path,
        onPart: (part) => onParts.forEach((tell) => tell(part)),
        onExit: (text) => leave(process, startedAtMs, text),
      })
      current = process
      const cancelDeadline = clock.after(options.loadMsMax, () => { void process.kill() })
      try {
        const result = await process.loaded
        contextTokens = result.contextTokens
        engine = process
        problem = undefined
        loadDeaths = 0
        log.info('model loaded', { model: file.id, contextTokens, gpu: result.gpu, ms: Math.round(clock.monotonicMs() - startedAtMs) })
        onChange()
        return process
      } catch (error) {
        const retry = loadFailed(process, error as EngineLoadError)
        await process.kill()
        if (!retry) throw failure()
      } finally {
        cancelDeadline()
      }
    }
  }

  /** Notes why a model did not load; true where it is worth another try now. */
  function loadFailed(process: EngineProcess, error: EngineLoadError): boolean {
    if (wanted.has(process)) return false
    problem = error.message
    engineMissing = error.reason === 'engine'
    if (error.reason === 'died') {
      loadDeaths += 1
      broken = loadDeaths >= LOAD_DEATHS_MAX
    } else {
      broken = error.reason === 'broken'
    }
    log.warn('model not loaded', { model: file.id, reason: error.reason, problem, givenUp: broken })
    if (error.reason === 'memory') mayStartAtMs = clock.monotonicMs() + BACKOFF_MS_MIN
    onChange()
    return error.reason === 'died' && !broken
  }

  function failure(): TriforceError {
    if (broken) return new TriforceError('MODEL_BROKEN', { model: file.id }, { detail: `the model file ${file.name} cannot be loaded: ${problem}` })
    if (engineMissing) return new TriforceError('ENGINE_MISSING', {}, { detail: problem ?? '' })
    if (stopped) return new TriforceError('STOPPING')
    return new TriforceError('ENGINE_FAILED', { model: file.id }, { detail: `the model ${file.id} could not be loaded: ${problem ?? 'it was stopped'}` })
  }

  function leave(process: EngineProcess, startedAtMs: number, text: string): void {
    if (current === process) current = undefined
    if (engine !== process) return
    engine = undefined
    problem = text
    const now = clock.monotonicMs()
    deaths = now - startedAtMs > STABLE_MS ? 1 : deaths + 1
    const waitMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (deaths - 1))
    mayStartAtMs = now + waitMs
    log.warn('engine process died', { model: file.id, deaths, waitMs, problem })
    if (options.keepLoaded) restart()
    onChange()
  }

  /** Brings the model back without a job that asks for it; a failure is in `problem` and in the log. */
  function restart(): void {
    starting ??= start().finally(() => { starting = undefined })
    starting.catch(() => undefined)
  }

  async function until(atMs: number): Promise<void> {
    const waitMs = atMs - clock.monotonicMs()
    if (waitMs > 0) await new Promise<void>((resolve) => { clock.after(waitMs, resolve) })
  }
}
