/**
 * One engine process, seen from the node: it loads one model and answers jobs until it is killed or dies.
 *
 * One process per model, not one for all: a model file that aborts llama.cpp then takes nobody else's answers with it,
 * and stopping a process is the one way to give back all memory of a model. The price is about 60 MB for each.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { EventBox } from '../event-box.ts'
import type { FromEngine, JobEvent, LoadFailure, ToEngine } from './engine-messages.ts'
import { createLastWords } from './last-words.ts'

export interface EngineProcessOptions extends Omit<Extract<ToEngine, { type: 'load' }>, 'type'> {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly onPart: (part: number) => void
  /** The process is gone, for whatever reason, which the text tells. Called once. */
  readonly onExit: (text: string) => void
}

export interface EngineJob {
  readonly request: CompletionRequest
  readonly seed: number
  readonly box: EventBox
}

export interface EngineJobResult {
  readonly completionTokens: number
  readonly computeMs: number
}

export interface EngineRun {
  credit(tokens: number): void
  /** Asks the engine to stop; `done` tells when it has. */
  cancel(): void
  /** Resolves when the engine works on the job no more; undefined where it failed. */
  readonly done: Promise<EngineJobResult | undefined>
}

export interface EngineProcess {
  readonly pid: number | undefined
  /** Rejects with an EngineLoadError. */
  readonly loaded: Promise<{ readonly contextTokens: number; readonly gpu: string }>
  run(job: EngineJob): EngineRun
  /** Ends the process at once and resolves when it is gone. */
  kill(): Promise<void>
}

/** `died`: the process was gone before the model was loaded. */
export class EngineLoadError extends Error {
  readonly reason: LoadFailure | 'died'

  constructor(reason: LoadFailure | 'died', text: string) {
    super(text)
    this.reason = reason
  }
}

interface OpenJob {
  readonly box: EventBox
  readonly settle: (result: EngineJobResult | undefined) => void
}

// Credit is told in steps of a quarter window, so that a message does not go out for every token taken.
const CREDIT_PARTS = 4

export function createEngineProcess(options: EngineProcessOptions): EngineProcess {
  const { env, onPart, onExit, ...loadOptions } = options
  const jobs = new Map<number, OpenJob>()
  const loaded = Promise.withResolvers<{ contextTokens: number; gpu: string }>()
  const exited = Promise.withResolvers<void>()
  // A process that is stopped while it loads has nobody waiting for it.
  loaded.promise.catch(() => undefined)
  let nextJob = 1
  const words = createLastWords()
  let gone = false

  // The entry is a `.ts` file in the checkout and a `.js` file in the package, as this file is.
  const main = fileURLToPath(new URL(`engine-main${extname(import.meta.url)}`, import.meta.url))
  const child: ChildProcess = fork(main, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [], env: engineEnv(env) })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => words.add(text))
  child.on('message', (message) => take(message as FromEngine))
  child.on('error', (error) => leave(`the engine process cannot be started: ${error.message}`))
  // `close` and not `exit`: by then its last words have been read.
  child.on('close', (code, signal) => {
    const line = words.telling()
    leave(`the engine process ended (${signal ?? `code ${code}`})${line === undefined ? '' : `: ${line}`}`)
  })
  send({ type: 'load', ...loadOptions })

  return {
    get pid() { return gone ? undefined : child.pid },
    loaded: loaded.promise,
    run({ request, seed, box }) {
      const job = nextJob++
      const done = Promise.withResolvers<EngineJobResult | undefined>()
      const step = Math.max(1, Math.floor(loadOptions.windowTokens / CREDIT_PARTS))
      let credited = 0
      if (gone) {
        box.fail(new TriforceError('ENGINE_FAILED'))
        done.resolve(undefined)
      } else {
        jobs.set(job, { box, settle: done.resolve })
        send({ type: 'run', job, request, seed })
      }
      return {
        done: done.promise,
        credit(tokens) {
          if (tokens - credited < step) return
          credited = tokens
          send({ type: 'credit', job, tokens })
        },
        cancel() { if (jobs.has(job)) send({ type: 'cancel', job }) },
      }
    },
    async kill() {
      child.kill('SIGKILL')
      await exited.promise
    },
  }

  function send(message: ToEngine): void {
    // The error is that of a process which has just died; `close` follows and tells every job.
    if (!gone && child.connected) child.send(message, () => undefined)
  }

  function take(message: FromEngine): void {
    switch (message.type) {
      case 'loading': onPart(message.part); return
      case 'loaded': loaded.resolve(message); return
      case 'load-failed': loaded.reject(new EngineLoadError(message.reason, message.text)); return
      case 'events': message.events.forEach(takeEvent)
    }
  }

  function takeEvent(event: JobEvent): void {
    const job = jobs.get(event.job)
    if (job === undefined) return
    switch (event.type) {
      case 'started':
        job.box.started(event.promptTokens)
        job.box.state({ state: 'running' })
        return
      case 'text': job.box.delta({ type: 'text', text: event.text, tokens: event.tokens, ids: event.ids }); return
      case 'end': {
        const { finish, promptTokens, completionTokens, computeMs } = event
        jobs.delete(event.job)
        job.box.end(finish, { promptTokens, completionTokens })
        job.settle({ completionTokens, computeMs })
        return
      }
      case 'failed':
        jobs.delete(event.job)
        job.box.fail(new TriforceError(event.code, event.context, { detail: event.text }))
        job.settle(undefined)
    }
  }

  function leave(text: string): void {
    if (gone) return
    gone = true
    loaded.reject(new EngineLoadError('died', text))
    for (const { box, settle } of jobs.values()) {
      box.fail(new TriforceError('ENGINE_FAILED', {}, { cause: new Error(text) }))
      settle(undefined)
    }
    jobs.clear()
    exited.resolve()
    onExit(text)
  }
}

/** The node's environment without what looks like a secret: an engine reads files from strangers. */
function engineEnv(env: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !/KEY|TOKEN|SECRET|PASS|NODE_OPTIONS/i.test(name))
  // Without it, an assertion starts a debugger for a stack trace before the process dies.
  return { ...Object.fromEntries(kept), GGML_NO_BACKTRACE: '1' }
}
