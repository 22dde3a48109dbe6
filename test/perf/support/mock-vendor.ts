/**
 * The vendor behind the gateway bench, in a process of its own: an OpenAI server that emits numbered words at will. The last message
 * steers it as it does the bench source (`tokens=200 batch=8 gapMs=0`): an event for each token, `batch` of them in one
 * write, a write for each turn of the event loop or every `gapMs`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { benchToken } from '../../../providers/bench-source.ts'

/** Listed at 10 credits for 1,000 tokens. */
export const MOCK_MODEL = 'gpt-4o'

interface Ask {
  readonly model: string
  readonly stream?: boolean
  readonly messages: readonly { readonly content: string }[]
}

interface Steering {
  readonly tokens: number
  readonly batch: number
  readonly gapMs: number
}

const HEAD = `"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"${MOCK_MODEL}","system_fingerprint":"fp_bench"`

function event(delta: object, finish: string | null): string {
  return `data: {${HEAD},"choices":[{"index":0,"delta":${JSON.stringify(delta)},"logprobs":null,"finish_reason":${JSON.stringify(finish)}}],"usage":null}\n\n`
}

/** Made once for each token: the vendor must not be what is measured. */
const events: string[] = []

function eventsOf(from: number, to: number): string {
  for (let index = events.length; index < to; index += 1) events.push(event({ content: benchToken(index) }, null))
  return events.slice(from, to).join('')
}

function steeringOf({ messages }: Ask): Steering {
  const text = messages.at(-1)!.content
  const setting = (name: string, fallback: number) => Number(new RegExp(`\\b${name}=(\\d+)`).exec(text)?.[1] ?? fallback)
  return { tokens: setting('tokens', 16), batch: setting('batch', 1), gapMs: setting('gapMs', 0) }
}

const usageOf = ({ tokens }: Steering) => ({ prompt_tokens: 12, completion_tokens: tokens, total_tokens: 12 + tokens })

function answerStream(response: ServerResponse, steering: Steering): void {
  const { tokens, batch, gapMs } = steering
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  let given = 0
  let head = event({ role: 'assistant', content: '' }, null)
  const next = (): void => {
    if (response.destroyed) return
    const until = Math.min(given + batch, tokens)
    const text = head + eventsOf(given, until)
    head = ''
    given = until
    if (given === tokens) {
      response.end(`${text}${event({}, 'stop')}data: {${HEAD},"choices":[],"usage":${JSON.stringify(usageOf(steering))}}\n\ndata: [DONE]\n\n`)
      return
    }
    const hasRoom = response.write(text)
    if (!hasRoom) response.once('drain', next)
    else if (gapMs > 0) setTimeout(next, gapMs)
    else setImmediate(next)
  }
  next()
}

function answerWhole(response: ServerResponse, steering: Steering): void {
  const content = Array.from({ length: steering.tokens }, (_, index) => benchToken(index)).join('')
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({
    id: 'chatcmpl-bench', object: 'chat.completion', created: 1_700_000_000, model: MOCK_MODEL, system_fingerprint: 'fp_bench',
    choices: [{ index: 0, message: { role: 'assistant', content, refusal: null }, logprobs: null, finish_reason: 'stop' }], usage: usageOf(steering),
  }))
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ object: 'list', data: [{ id: MOCK_MODEL, object: 'model', created: 1_700_000_000, owned_by: 'bench' }] }))
    return
  }
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk as string
  const ask = JSON.parse(body) as Ask
  if (ask.stream === true) answerStream(response, steeringOf(ask))
  else answerWhole(response, steeringOf(ask))
}

if (process.argv[1] === import.meta.filename) {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`))
}
