/**
 * The way to one vendor: the `fetch` that its SDK uses.
 *
 * Why an own one: Node's gives up after 300 s without headers and lets a body stay silent for as long again; it follows
 * redirects, which would carry a key elsewhere; and it reads a body without a bound. The SDKs read environment variables
 * of their own into headers (`OPENAI_CUSTOM_HEADERS`, organizations), which must not reach another vendor, so only the
 * headers named here go out.
 *
 * Takes:  what an SDK passes to `fetch`.
 * Gives:  as much of a Response as the SDKs read. Throws VendorStatusError for every status but 2xx, VendorBodyError
 *         for a body that is too large or silent.
 */
import { Agent, type Dispatcher } from 'undici'
import type { Clock } from '../../protocol/ports.ts'
import { createEventMeter } from './event-meter.ts'

/** A status other than 2xx, with the vendor's own words; not to be shown as they are. */
export class VendorStatusError extends Error {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly body: string

  constructor(status: number, body: string, retryAfter: string | undefined) {
    super(`HTTP status ${status}`)
    this.status = status
    this.body = body
    this.retryAfter = retryAfter
  }
}

/** The vendor broke off, went silent or sent more than a bound; the message is ours. */
export class VendorBodyError extends Error {}

export interface TransportComponents {
  readonly clock: Clock
  /** How to connect; default: undici's own way. */
  readonly connect?: Agent.Options['connect']
}

export interface TransportOptions {
  /** Until the headers, and then until the first byte of the body. Default 300,000 ms: models think for minutes. */
  readonly firstByteMsMax?: number
  /** Between two pieces of a body. Default 300,000 ms; vendors that queue send comments. */
  readonly idleMsMax?: number
  /** One event of a stream. Default 4 MiB, as a frame of ours. */
  readonly eventBytesMax?: number
  /** A body that is read whole: a list of models, embeddings. Default 64 MiB. */
  readonly bodyBytesMax?: number
  /** Connections kept to a vendor; requests above wait. Default 256. */
  readonly connectionsMax?: number
  readonly headers?: Readonly<Record<string, string>>
}

export const transportDefaults = Object.freeze({
  firstByteMsMax: 300_000, idleMsMax: 300_000, eventBytesMax: 4 * 1024 * 1024, bodyBytesMax: 64 * 1024 * 1024,
  // 256 answers at once from one vendor are more than one key is allowed anywhere.
  connectionsMax: 256,
})

export interface Transport {
  readonly fetch: typeof globalThis.fetch
  /** Takes no more, and ends when all that runs has ended. */
  end(): Promise<void>
  close(): Promise<void>
}

const HEADERS_OUT = ['accept', 'authorization', 'content-type', 'x-api-key', 'anthropic-version', 'anthropic-beta']
const ERROR_BYTES_MAX = 64 * 1024
const CONNECT_MS_MAX = 10_000
/** What may follow the last event that an SDK reads, so that the connection can be used again. */
const REST_BYTES_MAX = 64 * 1024
const REST_MS_MAX = 1_000

export function createTransport({ clock, connect }: TransportComponents, options: TransportOptions = {}): Transport {
  const settings = { ...transportDefaults, ...options }
  const agent = new Agent({
    headersTimeout: 0, bodyTimeout: 0, connections: settings.connectionsMax, connect: connect ?? { timeout: CONNECT_MS_MAX },
  })

  async function fetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    const url = new URL(input instanceof Request ? input.url : input)
    const leaving = new AbortController()
    const onAbort = () => leaving.abort(init.signal?.reason)
    init.signal?.addEventListener('abort', onAbort, { once: true })
    if (init.signal?.aborted === true) onAbort()
    const done = () => init.signal?.removeEventListener('abort', onAbort)
    const cancelTimer = clock.after(settings.firstByteMsMax, () => leaving.abort(new VendorBodyError(`no answer after ${settings.firstByteMsMax / 1_000} s`)))
    try {
      const response = await agent.request({
        origin: url.origin, path: url.pathname + url.search, method: init.method ?? 'GET',
        headers: headersOut(init.headers, settings.headers), body: (init.body ?? null) as string | null, signal: leaving.signal,
      })
      const { statusCode: status } = response
      if (status < 200 || status > 299) {
        throw new VendorStatusError(status, await errorText(response.body), one(response.headers['retry-after']))
      }
      return asResponse(response, leaving, done)
    } catch (error) {
      done()
      throw leaving.signal.aborted && !(init.signal?.aborted ?? false) ? leaving.signal.reason : error
    } finally {
      cancelTimer()
    }
  }

  function asResponse(response: Dispatcher.ResponseData, leaving: AbortController, done: () => void): Response {
    const headers = new Headers()
    for (const [name, value] of Object.entries(response.headers)) if (value !== undefined) headers.set(name, one(value) ?? '')
    const text = async () => wholeText(response.body, settings.bodyBytesMax).finally(done)
    return {
      ok: true, status: response.statusCode, statusText: '', headers, url: '', redirected: false, type: 'basic',
      body: guarded(response.body, leaving, done), text, json: async () => JSON.parse(await text()) as unknown,
    } as unknown as Response
  }

  /** The bytes of a stream, with a bound for silence and for an event without an end. */
  function guarded(body: Dispatcher.ResponseData['body'], leaving: AbortController, done: () => void): AsyncIterable<Uint8Array> {
    const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    const meter = createEventMeter()
    let silenceMs = settings.firstByteMsMax
    return {
      [Symbol.asyncIterator]: () => ({
        async next() {
          const cancelTimer = clock.after(silenceMs, () => body.destroy(new VendorBodyError(`nothing came for ${silenceMs / 1_000} s`)))
          silenceMs = settings.idleMsMax
          const result = await chunks.next().finally(cancelTimer)
          if (result.done === true) {
            done()
          } else if (meter.add(result.value) > settings.eventBytesMax) {
            body.destroy()
            done()
            throw new VendorBodyError(`one event is longer than ${settings.eventBytesMax} bytes`)
          }
          return result
        },
        // Readers stop at their last event. A few bytes may follow; read, they leave the connection fit for the next request.
        return() {
          if (!leaving.signal.aborted) {
            void readRest(chunks, body).finally(done)
          } else {
            body.destroy()
            done()
          }
          return Promise.resolve({ done: true as const, value: undefined })
        },
      }),
    }
  }

  async function readRest(chunks: AsyncIterator<Buffer>, body: Dispatcher.ResponseData['body']): Promise<void> {
    const cancelTimer = clock.after(REST_MS_MAX, () => body.destroy())
    let bytes = 0
    try {
      for (let result = await chunks.next(); result.done !== true; result = await chunks.next()) {
        bytes += result.value.byteLength
        if (bytes > REST_BYTES_MAX) break
      }
    } catch {
      // The answer is complete; what became of its connection no longer matters.
    } finally {
      cancelTimer()
      body.destroy()
    }
  }

  return {
    fetch,
    async end() { await agent.close() },
    async close() { await agent.destroy() },
  }
}

function headersOut(given: RequestInit['headers'], own: Readonly<Record<string, string>> = {}): Record<string, string> {
  const headers: Record<string, string> = { 'user-agent': 'triforce', 'accept-encoding': 'identity', ...own }
  const asked = new Headers(given)
  for (const name of HEADERS_OUT) {
    const value = asked.get(name)
    if (value !== null) headers[name] = value
  }
  return headers
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}

async function errorText(body: Dispatcher.ResponseData['body']): Promise<string> {
  return wholeText(body, ERROR_BYTES_MAX).catch(() => '')
}

async function wholeText(body: Dispatcher.ResponseData['body'], bytesMax: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > bytesMax) throw new VendorBodyError(`the body is longer than ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
