/**
 * A local server that plays one cloud vendor: it records what it is asked, answers as told byte by byte, and notes when
 * its clients go away. What is vendor-specific stands in `openai-vendor.ts` and `anthropic-vendor.ts`.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { happened } from '../happened.ts'

export interface VendorRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Record<string, unknown>
}

/** What comes next on the wire: bytes, or a way to fail. */
export type Part = string | Buffer | { readonly waitMs: number } | { readonly cut: true } | { readonly hang: true }

export interface Reply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Written one by one, each in a write of its own. */
  readonly parts: Iterable<Part>
  /** Called once, with what had been written when the answer ended or its client left. */
  readonly onEnd?: (end: { readonly written: number; readonly aborted: boolean }) => void
}

export type Answerer = (request: VendorRequest) => Reply | { readonly cut: true } | { readonly hang: true }

export interface VendorServer {
  readonly origin: string
  readonly requests: VendorRequest[]
  /** Replies for the next requests, before `answer` is asked. */
  readonly script: (Reply | { readonly cut: true } | { readonly hang: true })[]
  /** Answers whose client left before the end, with the time (performance.now) at which the server saw it. */
  readonly abandoned: number[]
  /** Connections that were made so far. */
  readonly connections: number
  /** Answers that are being written. */
  readonly open: number
  stop(): Promise<void>
}

const BODY_BYTES_MAX = 32 * 1024 * 1024

export async function startVendorServer(answer: Answerer): Promise<VendorServer> {
  const sockets = new Set<Socket>()
  let connections = 0
  let open = 0
  const server = createServer((request, response) => {
    open += 1
    response.once('close', () => { open -= 1 })
    handle(request, response).catch(() => response.destroy())
  })
  server.on('connection', (socket) => {
    connections += 1
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const state: VendorServer = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [], script: [], abandoned: [],
    get connections() { return connections },
    get open() { return open },
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => { server.close(resolve) })
    },
  }
  return state

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await bodyOf(request)
    const asked: VendorRequest = {
      method: request.method ?? '', path: request.url ?? '', headers: request.headers,
      body: text === '' ? {} : JSON.parse(text) as Record<string, unknown>,
    }
    state.requests.push(asked)
    const reply = state.script.shift() ?? answer(asked)
    if ('cut' in reply) return void request.socket.destroy()
    if ('hang' in reply) return watch(response, 0)
    response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers })
    let written = 0
    let isLeft = false
    response.once('close', () => {
      isLeft = !response.writableFinished
      if (isLeft) state.abandoned.push(performance.now())
      reply.onEnd?.({ written, aborted: isLeft })
    })
    for (const part of reply.parts) {
      // The compiler does not see that a listener sets it.
      if (isLeft as boolean) return
      if (typeof part === 'string' || Buffer.isBuffer(part)) {
        written += 1
        if (!response.write(part)) await happened(response, 'drain')
      } else if ('waitMs' in part) {
        await happened(response, 'close', part.waitMs)
      } else if ('cut' in part) {
        // What was written goes out first.
        await new Promise((resolve) => { setImmediate(resolve) })
        return void response.destroy()
      } else {
        return
      }
    }
    response.end()
  }

  function watch(response: ServerResponse, _written: number): void {
    response.once('close', () => state.abandoned.push(performance.now()))
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > BODY_BYTES_MAX) throw new Error('the request is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** One server-sent event. */
export function sse(data: unknown, name?: string): string {
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
}
