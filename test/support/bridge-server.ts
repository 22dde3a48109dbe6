/** A bridge on a free port in front of a scripted gateway, and raw HTTP to talk to it byte by byte. */
import { connect, type Socket } from 'node:net'
import { createClock, createRandom } from '../../bootstrap/system.ts'
import { createBridge, type Bridge, type BridgeComponents, type BridgeOptions } from '../../node/bridge/server.ts'
import type { Log, LogContext } from '../../protocol/ports.ts'
import { createScriptedGateway, TEST_KEY, type ScriptedGateway } from './bridge-gateway.ts'

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly text: string
  readonly context: LogContext | undefined
}

export interface TestBridge {
  readonly bridge: Bridge
  readonly gateway: ScriptedGateway
  readonly url: string
  readonly port: number
  readonly logLines: readonly LogLine[]
  stop(): Promise<void>
}

export async function startTestBridge(
  options: Partial<BridgeOptions> = {}, components: Partial<Pick<BridgeComponents, 'admin' | 'contributor' | 'lender' | 'vendorKeys' | 'metrics' | 'clock'>> = {},
): Promise<TestBridge> {
  const gateway = createScriptedGateway()
  const logLines: LogLine[] = []
  const bridge = createBridge({ gateway, clock: createClock(), random: createRandom(), log: createTestLog(logLines), ...components },
    { port: 0, stopMsMax: 200, ...options })
  const { port } = await bridge.start()
  return { bridge, gateway, url: `http://127.0.0.1:${port}`, port, logLines, stop: () => bridge.stop() }
}

export function createTestLog(lines: LogLine[]): Log {
  const at = (level: LogLine['level']) => (text: string, context?: LogContext) => {
    lines.push({ level, text, context })
  }
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log }
  return log
}

/** A connection that says exactly what it is told and keeps what came back. */
export interface RawConnection {
  readonly socket: Socket
  /** All bytes so far, as text. */
  readonly received: string
  send(text: string): void
  /** Resolves when `text` has arrived; rejects when the connection ends before. */
  until(text: string): Promise<void>
  /** Resolves with all text when the other side has closed. */
  readonly closed: Promise<string>
}

export function rawConnection(port: number): RawConnection {
  const socket = connect(port, '127.0.0.1')
  const closed = Promise.withResolvers<string>()
  const watchers = new Set<() => void>()
  let received = ''
  let over = false
  const look = (): void => {
    for (const watch of watchers) watch()
  }
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    received += text
    look()
  })
  // A reset is one more way to be closed.
  socket.on('error', () => undefined)
  socket.on('close', () => {
    over = true
    look()
    closed.resolve(received)
  })
  return {
    socket,
    get received() {
      return received
    },
    send: (text) => {
      socket.write(text)
    },
    until(text) {
      return new Promise((resolve, reject) => {
        const watch = (): void => {
          if (received.includes(text)) resolve()
          else if (over) reject(new Error(`closed before ${JSON.stringify(text)} came; got ${JSON.stringify(received)}`))
          else return
          watchers.delete(watch)
        }
        watchers.add(watch)
        watch()
      })
    },
    closed: closed.promise,
  }
}

/** The text of a `POST /v1/chat/completions`. */
export function chatRequestText(body: unknown, headers = ''): string {
  const text = JSON.stringify(body)
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TEST_KEY}\r\n`
    + `content-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
}

export const chatBody = { model: 'demo', messages: [{ role: 'user', content: 'What is TriForce?' }] }

/** The events of an SSE body: what stands behind `data: `, and comments with their colon. */
export function sseEvents(body: string): string[] {
  return body.split('\n\n').filter((event) => event !== '').map((event) => event.replace(/^data: /, ''))
}

/** A chunked body without its framing. */
export function unchunk(response: string): string {
  let rest = response.slice(response.indexOf('\r\n\r\n') + 4)
  let body = ''
  for (;;) {
    const lineEnd = rest.indexOf('\r\n')
    const size = Number.parseInt(rest.slice(0, lineEnd), 16)
    if (lineEnd === -1 || Number.isNaN(size) || size === 0) return body
    const bytes = Buffer.from(rest.slice(lineEnd + 2), 'utf8')
    body += bytes.subarray(0, size).toString('utf8')
    rest = bytes.subarray(size + 2).toString('utf8')
  }
}

/** `init` with the test's key among its headers. */
export function authorized(init: Omit<RequestInit, 'headers'> & { readonly headers?: Readonly<Record<string, string>> } = {}) {
  return { ...init, headers: { authorization: `Bearer ${TEST_KEY}`, ...init.headers } }
}

export function postJson(body: unknown) {
  return authorized({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}
