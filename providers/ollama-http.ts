/**
 * The way to an Ollama server: its address, and the one `fetch` for the `ollama` client.
 *
 * Why an own fetch: Node's gives up after 300 s without headers, which a model that loads slowly needs; the client's own
 * request cannot be cancelled before its headers; and what the client would print on our stdout is caught here.
 */
import { Agent, fetch as undiciFetch } from 'undici'
import { Ollama } from 'ollama'
import { TriforceError } from '../protocol/errors.ts'

/** A status other than 2xx, with Ollama's own words. */
export class OllamaStatusError extends Error {
  readonly status: number

  constructor(status: number, text: string) {
    super(text)
    this.status = status
  }
}

export interface OllamaHttp {
  readonly address: string
  /** A client whose requests all end when `signal` aborts. A line may have `lineBytesMax`, and what is not streamed is one line. */
  client(signal: AbortSignal, options?: { readonly lineBytesMax?: number }): Ollama
  close(): Promise<void>
}

// One frame carries some text, a tool call, or once the statistics.
const LINE_BYTES_MAX = 1024 * 1024
const ERROR_CHARS_MAX = 500
const CONNECT_MS_MAX = 5_000

export function createOllamaHttp(host: string | undefined): OllamaHttp {
  const address = ollamaAddress(host)
  const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0, connectTimeout: CONNECT_MS_MAX })

  return {
    address,
    client(signal, { lineBytesMax = LINE_BYTES_MAX } = {}) {
      return new Ollama({
        host: address,
        fetch: async (input, init) => {
          const url = input instanceof Request ? input.url : input
          const own = init?.signal
          const both = own === undefined || own === null ? signal : AbortSignal.any([signal, own])
          const response = await undiciFetch(url, { ...init, signal: both, dispatcher: agent } as Parameters<typeof undiciFetch>[1])
          if (!response.ok) throw new OllamaStatusError(response.status, await errorText(response))
          return new Response(response.body?.pipeThrough(wholeLines(lineBytesMax)) ?? null, { status: response.status })
        },
      })
    },
    async close() { await agent.destroy() },
  }
}

/** OLLAMA_HOST as Ollama reads it: host, host:port, :port, with or without scheme; `0.0.0.0` is asked on this machine. */
export function ollamaAddress(value: string | undefined): string {
  const text = (value ?? '').trim().replace(/^["']+|["']+$/g, '').trim()
  const [, scheme = '', hostPort = '', path = ''] = /^(?:([a-z]+):\/\/)?([^/]*)(.*?)\/*$/i.exec(text) ?? []
  const defaultPort = { http: '80', https: '443' }[scheme] ?? '11434'
  // A bare IPv6 address has colons that are no port.
  const bare = hostPort.startsWith('[') || hostPort.split(':').length <= 2 ? undefined : hostPort
  const [, given = '', port = defaultPort] = bare === undefined ? /^(.*?)(?::(\d+))?$/.exec(hostPort) ?? [] : ['', `[${bare}]`]
  const everywhere = ['', '0.0.0.0', '[::]'].includes(given)
  const url = URL.parse(`${scheme === 'https' ? 'https' : 'http'}://${everywhere ? '127.0.0.1' : given}:${port}${path}`)
  if (url === null) throw new TriforceError('CONFIG_INVALID', {}, { detail: 'OLLAMA_HOST is not an address' })
  return `${url.protocol}//${url.hostname}:${url.port || defaultPort}${url.pathname.replace(/\/+$/, '')}`
}

async function errorText(response: Awaited<ReturnType<typeof undiciFetch>>): Promise<string> {
  const text = (await response.text()).slice(0, 64 * 1024)
  try {
    const body = JSON.parse(text) as { error?: unknown }
    if (typeof body.error === 'string') return body.error.slice(0, ERROR_CHARS_MAX)
  } catch {
    // Not Ollama's form; the status has to do.
  }
  return `HTTP status ${response.status}`
}

/**
 * Lets whole lines of JSON of bounded length pass. What is none the client would print, with the words of an answer in it, so
 * there the answer ends without its last frame: an error would take along the good lines that wait to be read.
 */
function wholeLines(bytesMax: number): TransformStream<Uint8Array, Uint8Array> {
  let tail: Uint8Array[] = []
  let tailBytes = 0
  return new TransformStream({
    transform(chunk, controller) {
      const end = chunk.lastIndexOf(10) + 1
      if (end > 0) {
        const lines = Buffer.concat([...tail, chunk.subarray(0, end)])
        tail = []
        tailBytes = 0
        const good = goodBytes(lines)
        if (good > 0) controller.enqueue(lines.subarray(0, good))
        if (good < lines.byteLength) return controller.terminate()
      }
      const rest = chunk.subarray(end)
      tailBytes += rest.byteLength
      if (tailBytes > bytesMax) return controller.terminate()
      if (rest.byteLength > 0) tail.push(rest)
    },
    flush(controller) {
      // A single JSON object without a line feed is how Ollama answers where it does not stream.
      const bytes = Buffer.concat(tail)
      if (isJson(bytes.toString('utf8'))) controller.enqueue(bytes)
    },
  })
}

/** Of whole lines, those before the first that is no JSON. */
function goodBytes(lines: Buffer): number {
  let good = 0
  for (let end = lines.indexOf(10); end !== -1; end = lines.indexOf(10, good)) {
    if (end > good && !isJson(lines.toString('utf8', good, end))) return good
    good = end + 1
  }
  return good
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
