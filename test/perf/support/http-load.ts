/** A load generator on kept-alive connections: so many requests at once, each answer read to its end and checked. */
import { Pool } from 'undici'

export interface LoadOptions {
  readonly origin: string
  readonly path: string
  readonly apiKey: string
  readonly body: string
  readonly concurrency: number
  readonly requests: number
  /** Throws where the answer is not what was asked for. */
  readonly check: (text: string) => void
}

/** Milliseconds for all requests together. */
export async function load(options: LoadOptions): Promise<number> {
  const pool = new Pool(options.origin, { connections: options.concurrency, pipelining: 1 })
  let left = options.requests
  const start = performance.now()
  await Promise.all(Array.from({ length: options.concurrency }, async () => {
    while (left > 0) {
      left -= 1
      options.check(await ask(pool, options))
    }
  }))
  const elapsedMs = performance.now() - start
  await pool.close()
  return elapsedMs
}

function requestOf(options: Pick<LoadOptions, 'path' | 'apiKey' | 'body'>) {
  return {
    method: 'POST' as const, path: options.path, body: options.body, headersTimeout: 0, bodyTimeout: 0,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${options.apiKey}` },
  }
}

async function ask(pool: Pool, options: LoadOptions): Promise<string> {
  const { statusCode, body } = await pool.request(requestOf(options))
  const text = await body.text()
  if (statusCode !== 200) throw new Error(`status ${statusCode}: ${text.slice(0, 300)}`)
  return text
}

/** When a stream had its first and its last piece, by `performance.now()`. */
export interface Span {
  readonly firstAtMs: number
  readonly lastAtMs: number
}

/** Begins each piece of text in a streamed chat answer. */
export const CONTENT = '"content":"'

/** One streamed answer on a connection of its own, as events, and when its text came. */
export async function readStream(options: Pick<LoadOptions, 'origin' | 'path' | 'apiKey' | 'body'>): Promise<Span & { readonly text: string }> {
  const pool = new Pool(options.origin, { connections: 1, pipelining: 1 })
  const { statusCode, body } = await pool.request(requestOf(options))
  const chunks: Buffer[] = []
  let firstAtMs = 0
  let lastAtMs = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    if (!chunk.includes(CONTENT)) continue
    lastAtMs = performance.now()
    if (firstAtMs === 0) firstAtMs = lastAtMs
  }
  await pool.close()
  const text = Buffer.concat(chunks).toString()
  if (statusCode !== 200) throw new Error(`status ${statusCode}: ${text.slice(0, 300)}`)
  return { firstAtMs, lastAtMs, text }
}

/** One streamed answer: milliseconds to the first content and to the end, and the text. */
export async function stream(options: Pick<LoadOptions, 'origin' | 'path' | 'apiKey' | 'body'>): Promise<{ firstMs: number; totalMs: number; text: string }> {
  const start = performance.now()
  const response = await fetch(options.origin + options.path, {
    method: 'POST', body: options.body, headers: { 'content-type': 'application/json', authorization: `Bearer ${options.apiKey}` },
  })
  if (response.body === null || response.status !== 200) throw new Error(`status ${response.status}`)
  let firstMs = 0
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true })
    if (firstMs === 0 && /"content":"[^"]/.test(text)) firstMs = performance.now() - start
  }
  return { firstMs, totalMs: performance.now() - start, text }
}
