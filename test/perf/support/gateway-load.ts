/**
 * The load generator of the gateway bench, in a process of its own: keeps so many requests running for so long, reads each answer to its
 * end and measures it. Asked by its parent over the channel, one load at a time.
 */
import { Client, type Dispatcher } from 'undici'
import { benchToken } from '../../../providers/bench-source.ts'

export interface GatewayLoad {
  readonly origin: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly connections: number
  /** Requests begin for so long; those that run are then read to their end. */
  readonly forMs: number
  /** Of each answer. */
  readonly tokens: number
}

export interface LoadMeasured {
  readonly answers: number
  /** Answers that were not whole, and what was wrong with the first. */
  readonly failures: number
  readonly firstFailure: string
  readonly requestsPerSecond: number
  readonly tokensPerSecond: number
  /** Milliseconds from the request to its end, and to its first token. */
  readonly wholeMs: Quantiles
  readonly firstMs: Quantiles
  /** Between two pieces of one answer that came one after the other, and held tokens, ms. */
  readonly gapMs: Quantiles
}

export interface Quantiles {
  readonly p50: number
  readonly p99: number
}

interface Answer {
  readonly startMs: number
  readonly chunks: Buffer[]
  status: number
  firstMs: number
  lastMs: number
}

/** Of so many answers every word is looked at; of the others the first and the last. */
const LOOKED_THROUGH_EACH = 32
/** In events and in whole bodies. */
const TOKEN = Buffer.from('"content":"t')

/** What was seen of all answers of one load. */
function createMeter({ tokens }: GatewayLoad) {
  const whole: number[] = []
  const first: number[] = []
  const gaps: number[] = []
  let failures = 0
  let firstFailure = ''
  let lastEndMs = 0

  function fail(problem: string): void {
    failures += 1
    firstFailure ||= problem
  }

  function problemOf({ status, chunks }: Answer): string | undefined {
    const text = Buffer.concat(chunks).toString('latin1')
    if (status !== 200) return `status ${status}: ${text.slice(0, 300)}`
    if (!text.includes(benchToken(tokens - 1))) return `the last token is missing: …${text.slice(-300)}`
    if (whole.length % LOOKED_THROUGH_EACH !== 0) return undefined
    let at = 0
    for (let index = 0; index < tokens; index += 1) {
      at = text.indexOf(benchToken(index), at)
      if (at < 0) return `token ${index} is missing`
    }
    return undefined
  }

  return {
    fail,
    data(answer: Answer, chunk: Buffer): void {
      const nowMs = performance.now()
      answer.chunks.push(chunk)
      // What comes without a token is the end, which waits for the receipt, or a sign of life.
      if (!chunk.includes(TOKEN)) return
      if (answer.firstMs === 0) answer.firstMs = nowMs
      else gaps.push(nowMs - answer.lastMs)
      answer.lastMs = nowMs
    },
    end(answer: Answer): void {
      lastEndMs = performance.now()
      const problem = problemOf(answer)
      if (problem !== undefined) {
        fail(problem)
        return
      }
      whole.push(lastEndMs - answer.startMs)
      first.push(answer.firstMs - answer.startMs)
    },
    measured(startMs: number): LoadMeasured {
      const seconds = (lastEndMs - startMs) / 1_000
      return {
        answers: whole.length, failures, firstFailure, requestsPerSecond: whole.length / seconds, tokensPerSecond: whole.length * tokens / seconds,
        wholeMs: quantiles(whole), firstMs: quantiles(first), gapMs: quantiles(gaps),
      }
    },
  }
}
type Meter = ReturnType<typeof createMeter>

async function run(load: GatewayLoad): Promise<LoadMeasured> {
  const meter = createMeter(load)
  const clients = Array.from({ length: load.connections }, () => new Client(load.origin, { headersTimeout: 0, bodyTimeout: 0 }))
  const startMs = performance.now()
  await Promise.all(clients.map(async (client) => {
    do await ask(client, load, meter)
    while (performance.now() - startMs < load.forMs)
  }))
  await Promise.all(clients.map((client) => client.close()))
  return meter.measured(startMs)
}

/** Never rejects: what goes wrong is counted. */
function ask(client: Client, { path, headers, body }: GatewayLoad, meter: Meter): Promise<void> {
  return new Promise((resolve) => {
    const answer: Answer = { startMs: performance.now(), chunks: [], status: 0, firstMs: 0, lastMs: 0 }
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart() {},
      onResponseStart(_controller, statusCode) { answer.status = statusCode },
      onResponseData(_controller, chunk) { meter.data(answer, chunk) },
      onResponseEnd() {
        meter.end(answer)
        resolve()
      },
      onResponseError(_controller, error) {
        meter.fail(error.message)
        // A server that refuses connections would else be asked without a pause.
        setTimeout(resolve, 10)
      },
    }
    client.dispatch({ method: 'POST', path, headers, body }, handler)
  })
}

function quantiles(values: number[]): Quantiles {
  const sorted = Float64Array.from(values).sort()
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

if (process.argv[1] === import.meta.filename) {
  process.on('disconnect', () => { process.exit(0) })
  process.on('message', (load) => {
    run(load as GatewayLoad).then((measured) => { process.send!(measured) }, (error: Error) => {
      process.stderr.write(`${error.stack}\n`)
      process.exit(1)
    })
  })
  process.send!('ready')
}
