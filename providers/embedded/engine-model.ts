/**
 * The model of an engine process: loading, the sequences of its one context, and the runs on them.
 *
 * Takes:  messages `load`, `run`, `credit` and `cancel` (engine-messages.ts).
 * Gives:  messages through `send`; the texts of all runs are collected for a few milliseconds, so that a fast engine
 *         does not spend its time on IPC, while the tokens of a slow one go out at once.
 */
import type * as NodeLlamaCpp from 'node-llama-cpp'
import type { ChatWrapper, Llama, LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp'
import { TriforceError, toTriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'
import { createBatchGate, type BatchMember } from './batch-gate.ts'
import { batchShares } from './batch-shares.ts'
import { generate, type GenerationControl } from './generation.ts'
import { renderPrompt } from './prompt.ts'
import { acceptTokens, createJsonGrammar } from './json-grammar.ts'
import { resume } from './resume.ts'
import type { FromEngine, JobEvent, LoadFailure, ToEngine } from './engine-messages.ts'

type Library = typeof NodeLlamaCpp
type LoadMessage = Extract<ToEngine, { type: 'load' }>
type RunMessage = Extract<ToEngine, { type: 'run' }>

interface Loaded {
  readonly library: Library
  readonly llama: Llama
  readonly model: LlamaModel
  readonly wrapper: ChatWrapper
  readonly contextTokens: number
  /** Sequences that no run uses. The node never starts more runs than there are sequences. */
  readonly free: LlamaContextSequence[]
  readonly windowTokens: number
  readonly small: boolean
}

interface Run {
  readonly company: BatchMember | undefined
  cancelled: boolean
  credit: number
  wake: (() => void) | undefined
}

export interface EngineModel {
  take(message: ToEngine): void
}

// Texts are sent at most this often: at 2,000 tokens a second ten tokens then share a message.
const FLUSH_MS = 4

export function createEngineModel(clock: Pick<Clock, 'monotonicMs' | 'after'>, send: (message: FromEngine) => void): EngineModel {
  const runs = new Map<number, Run>()
  const gate = createBatchGate({ clock })
  const outbox = createOutbox(send)
  let loaded: Loaded | undefined

  return {
    take(message) {
      switch (message.type) {
        case 'load': {
          load(message, send).then((result) => {
            loaded = result
            send({ type: 'loaded', contextTokens: result.contextTokens, gpu: String(result.llama.gpu) })
          }, (error: unknown) => send({ type: 'load-failed', ...loadFailure(error) }))
          return
        }
        case 'run':
          runJob(message).catch((error: unknown) => fail(message.job, error))
          return
        case 'credit': {
          const run = runs.get(message.job)
          if (run === undefined) return
          run.credit = Math.max(run.credit, message.tokens)
          run.wake?.()
          return
        }
        case 'cancel': {
          const run = runs.get(message.job)
          if (run === undefined) return
          run.cancelled = true
          run.wake?.()
          run.company?.pause()
        }
      }
    },
  }

  async function runJob(message: RunMessage): Promise<void> {
    const { job, request, seed } = message
    if (loaded === undefined) throw new TriforceError('INTERNAL', {}, { detail: 'no model is loaded' })
    const { library, llama, model, wrapper, contextTokens, free } = loaded
    const prompt = renderPrompt(model, wrapper, request)
    const begun = resume(model, request, [...request.stop, ...prompt.stopTexts])
    const sequence = takeFittest(free, [...prompt.tokens, ...begun.tokens])
    // In company it would add up in another order.
    const company = loaded.small ? undefined : gate.join()
    const run: Run = { company, cancelled: false, credit: 0, wake: undefined }
    runs.set(job, run)
    try {
      const grammar = await createJsonGrammar(llama, request.responseFormat)
      const state = grammar === undefined ? undefined : new library.LlamaGrammarEvaluationState({ model, grammar })
      if (state !== undefined) acceptTokens(llama, state, begun.tokens)
      const result = await generate({
        sequence, prompt, begun, contextTokens, request, seed, grammar: state, stepByStep: loaded.small, company,
      }, controlOf(job, run, loaded.windowTokens))
      outbox.put({ type: 'end', job, ...result })
    } catch (error) {
      // A sequence in an unknown state is emptied; its next user starts from nothing.
      await sequence.clearHistory()
      fail(job, error)
    } finally {
      if (company !== undefined) gate.leave(company)
      runs.delete(job)
      free.push(sequence)
    }
  }

  function controlOf(job: number, run: Run, windowTokens: number): GenerationControl {
    return {
      get cancelled() { return run.cancelled },
      room(tokens) {
        if (run.cancelled || tokens < run.credit + windowTokens) return undefined
        return new Promise((resolve) => {
          run.wake = () => {
            if (!run.cancelled && tokens >= run.credit + windowTokens) return
            run.wake = undefined
            resolve()
          }
        })
      },
      started(promptTokens) { outbox.put({ type: 'started', job, promptTokens }) },
      text(text, tokens, ids) { outbox.put({ type: 'text', job, text, tokens, ids }) },
    }
  }

  function fail(job: number, error: unknown): void {
    const { code, message, context } = toTriforceError(error, 'ENGINE_FAILED')
    // Only our own errors carry their words out: those of the library might quote the prompt.
    outbox.put({ type: 'failed', job, code, text: message, context })
  }
}

/** Takes the sequence that has computed the longest beginning of the prompt: the next turn of a conversation finds its own. */
function takeFittest(free: LlamaContextSequence[], tokens: Token[]): LlamaContextSequence {
  let best = 0
  let bestLength = -1
  for (const [index, sequence] of free.entries()) {
    const { firstDifferentIndex } = sequence.compareContextTokens(tokens)
    if (firstDifferentIndex > bestLength) {
      best = index
      bestLength = firstDifferentIndex
    }
  }
  const [taken] = free.splice(best, 1)
  if (taken === undefined) throw new TriforceError('INTERNAL', {}, { detail: 'no free sequence' })
  return taken
}

async function load(message: LoadMessage, send: (message: FromEngine) => void): Promise<Loaded> {
  const library = await import(message.entry) as Library
  const llama = await library.getLlama({
    build: 'never', logLevel: library.LlamaLogLevel.error, gpu: message.gpu,
    ...(message.threads === undefined ? {} : { maxThreads: message.threads }),
    // What is kept free is not there for the layers of a model; those that do not fit stay with the processor.
    ...(message.vramBytesMax === undefined ? {} : { vramPadding: (total: number) => Math.max(0, total - message.vramBytesMax!) }),
  })
  let sentPart = 0
  const model = await llama.loadModel({
    modelPath: message.path,
    onLoadProgress: (part) => {
      // At most a hundred messages, however many tensors the file has.
      if (part - sentPart < 0.01) return
      sentPart = part
      send({ type: 'loading', part })
    },
  })
  const small = model.size < message.smallModelBytes
  const context = await model.createContext({
    sequences: message.sequences,
    // Its steps take so little that handing them between threads costs more than it saves, and on a busy machine threads
    // that spin while they wait for each other stall it (seen: 62 tokens in 140 s on two cores).
    ...(small ? { threads: 1, batching: { itemPrioritizationStrategy: batchShares } } : {}),
    contextSize: { max: Math.min(message.contextTokensMax, model.trainContextSize) },
  })
  const free = Array.from({ length: message.sequences }, () => context.getSequence())
  return {
    library, llama, model, free, small,
    wrapper: library.resolveChatWrapper(model, { warningLogs: false }),
    // The engine rounds its context up; the model is not asked for more than it was trained on.
    contextTokens: Math.min(context.contextSize, model.trainContextSize, message.contextTokensMax),
    windowTokens: message.windowTokens,
  }
}

function loadFailure(error: unknown): { readonly reason: LoadFailure; readonly text: string } {
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  const kind = error instanceof Error ? error.constructor.name : name
  const text = message.split('\n', 1)[0]?.slice(0, 200) ?? ''
  if (kind === 'NoBinaryFoundError') return { reason: 'engine', text: 'node-llama-cpp has no binary for this platform' }
  if (isNodeError(error) && error.code?.startsWith('ERR_MODULE') === true) return { reason: 'engine', text: 'node-llama-cpp cannot be imported' }
  if (kind === 'InsufficientMemoryError' || /memory|vram/i.test(text)) return { reason: 'memory', text }
  return { reason: 'broken', text }
}

function isNodeError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error
}

interface Outbox {
  put(event: JobEvent): void
}

/** Collects events; a quiet outbox sends at once, a busy one every FLUSH_MS. */
function createOutbox(send: (message: FromEngine) => void): Outbox {
  let events: JobEvent[] = []
  let sentAt = 0
  let timer: NodeJS.Timeout | undefined

  return {
    put(event) {
      const last = events.at(-1)
      if (event.type === 'text' && last?.type === 'text' && last.job === event.job) {
        events[events.length - 1] = { ...event, text: last.text + event.text, ids: [...last.ids, ...event.ids] }
      } else {
        events.push(event)
      }
      if (timer !== undefined && event.type === 'text') return
      const waitMs = sentAt + FLUSH_MS - performance.now()
      if (event.type !== 'text' || waitMs <= 0) flush()
      else timer = setTimeout(flush, waitMs)
    },
  }

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    sentAt = performance.now()
    const batch = events
    events = []
    send({ type: 'events', events: batch })
  }
}
