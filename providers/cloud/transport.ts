/**
 * The way to one vendor: streams of answers, and the `fetch` that its SDK uses for the rest.
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
import { ERROR_BYTES_MAX, openVendorStream, VendorBodyError, VendorStatusError, type StreamCall, type VendorStream } from './vendor-stream.ts'

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
  /** See vendor-stream.ts. */
  stream(call: StreamCall): Promise<VendorStream>
  /** Takes no more, and ends when all that runs has ended. */
  end(): Promise<void>
  close(): Promise<void>
}

const HEADERS_OUT = ['accept', 'authorization', 'content-type', 'x-api-key', 'anthropic-version', 'anthropic-beta']
const CONNECT_MS_MAX = 10_000
/** Compressed bytes would have to be unpacked before an event could be seen. */
const HEADERS_ALWAYS = { 'user-agent': 'triforce', 'accept-encoding': 'identity' }

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
        headers: headersOut(init.headers, settings.headers), body: (init.body ?? null) as string | null, signal: leaving.signal, bodyTimeout: settings.idleMsMax,
      })
      const { statusCode: status } = response
      if (status < 200 || status > 299) {
        throw new VendorStatusError(status, await errorText(response.body), one(response.headers['retry-after']))
      }
      return asResponse(response, done)
    } catch (error) {
      done()
      throw leaving.signal.aborted && !(init.signal?.aborted ?? false) ? leaving.signal.reason : error
    } finally {
      cancelTimer()
    }
  }

  function asResponse(response: Dispatcher.ResponseData, done: () => void): Response {
    const headers = new Headers()
    for (const [name, value] of Object.entries(response.headers)) if (value !== undefined) headers.set(name, one(value) ?? '')
    const text = async () => wholeText(response.body, settings.bodyBytesMax).finally(done)
    return {
      ok: true, status: response.statusCode, statusText: '', headers, url: '', redirected: false, type: 'basic', text, json: async () => JSON.parse(await text()) as unknown,
    } as unknown as Response
  }

  return {
    fetch,
    stream: (call) => openVendorStream({ clock, agent }, { ...call, headers: { ...HEADERS_ALWAYS, ...settings.headers, ...call.headers } }, settings),
    async end() { await agent.close() },
    async close() { await agent.destroy() },
  }
}

function headersOut(given: RequestInit['headers'], own: Readonly<Record<string, string>> = {}): Record<string, string> {
  const headers: Record<string, string> = { ...HEADERS_ALWAYS, ...own }
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
