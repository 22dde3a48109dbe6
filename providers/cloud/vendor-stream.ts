/**
 * An answer of a vendor as it comes: one POST, and the bytes of its body. It goes straight to undici. The SDKs build their
 * request three times over and hand out their body as a web stream's twin, which costs several times what the answer does
 * (docs/decisions/0015); for a list of models or an embedding that does not matter, and those go through them.
 *
 * Gives the body once the vendor has answered with 2xx. Throws VendorStatusError for every other status, and VendorBodyError
 * for what is silent or too large. A reader that stops at the last event leaves the connection fit for the next request.
 */
import type { Dispatcher } from 'undici'
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

export const ERROR_BYTES_MAX = 64 * 1024
/** Bytes that may wait for the reader before the vendor is told to wait. */
const WAITING_BYTES_HIGH = 64 * 1024
/** What may follow the last event that is read. */
const REST_BYTES_MAX = 64 * 1024
const REST_MS_MAX = 1_000

export interface StreamCall {
  readonly origin: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** JSON. */
  readonly body: string
  readonly signal: AbortSignal
}

export interface StreamBounds {
  /** Until the headers, and then until the first byte of the body. */
  readonly firstByteMsMax: number
  /** Between two pieces of the body. */
  readonly idleMsMax: number
  /** One event. */
  readonly eventBytesMax: number
}

export type VendorStream = AsyncIterable<Uint8Array>

interface Reader {
  readonly resolve: (result: IteratorResult<Uint8Array>) => void
  readonly reject: (error: Error) => void
}

export function openVendorStream({ clock, agent }: { readonly clock: Clock; readonly agent: Dispatcher }, call: StreamCall, bounds: StreamBounds): Promise<VendorStream> {
  const { signal } = call
  const opened = Promise.withResolvers<VendorStream>()
  const patience = createPatience(clock)
  const meter = createEventMeter()
  let controller: Dispatcher.DispatchController | undefined
  let status = 0
  let retryAfter: string | undefined
  let waiting: Buffer[] = []
  let waitingBytes = 0
  let reader: Reader | undefined
  let silenceMs = bounds.firstByteMsMax
  let failure: Error | undefined
  let ended = false
  /** Undefined while the body is read; then how much of the rest has come. */
  let restBytes: number | undefined

  function settle(): void {
    ended = true
    patience.end()
    signal.removeEventListener('abort', onAbort)
  }

  function fail(error: Error): void {
    if (ended) return
    settle()
    failure = error
    opened.reject(error)
    const waits = reader
    reader = undefined
    if (waits === undefined) return
    failure = undefined
    waits.reject(error)
  }

  /** Ends the connection; a connection that is still being made ends when it is there. */
  function leave(error: Error): void {
    fail(error)
    controller?.abort(error)
  }

  function onAbort(): void {
    leave(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
  }

  function take(): Uint8Array {
    const bytes = waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting, waitingBytes)
    waiting = []
    waitingBytes = 0
    if (controller?.paused === true) controller.resume()
    return bytes
  }

  function next(): Promise<IteratorResult<Uint8Array>> {
    if (waitingBytes > 0) return Promise.resolve({ done: false, value: take() })
    if (failure !== undefined) {
      const error = failure
      failure = undefined
      return Promise.reject(error)
    }
    if (ended) return Promise.resolve({ done: true, value: undefined })
    patience.start(silenceMs, () => leave(new VendorBodyError(`nothing came for ${silenceMs / 1_000} s`)))
    return new Promise((resolve, reject) => { reader = { resolve, reject } })
  }

  /** The reader has all it wants. A few bytes may follow; read, they leave the connection fit for the next request. */
  function stop(): Promise<IteratorResult<Uint8Array>> {
    if (!ended) {
      restBytes = waitingBytes
      waiting = []
      waitingBytes = 0
      if (controller?.paused === true) controller.resume()
      patience.start(REST_MS_MAX, () => leave(new VendorBodyError('the answer does not end')))
    }
    return Promise.resolve({ done: true, value: undefined })
  }

  function onData(chunk: Buffer): void {
    if (restBytes !== undefined) {
      restBytes += chunk.length
      if (restBytes > REST_BYTES_MAX) leave(new VendorBodyError('the answer does not end'))
      return
    }
    patience.stop()
    silenceMs = bounds.idleMsMax
    if (status < 300 && meter.add(chunk) > bounds.eventBytesMax) {
      leave(new VendorBodyError(`one event is longer than ${bounds.eventBytesMax} bytes`))
      return
    }
    waiting.push(chunk)
    waitingBytes += chunk.length
    const waits = reader
    if (waits !== undefined) {
      reader = undefined
      waits.resolve({ done: false, value: take() })
    } else if (status >= 300) {
      if (waitingBytes > ERROR_BYTES_MAX) leave(new VendorStatusError(status, '', retryAfter))
      else patience.start(silenceMs, () => leave(new VendorStatusError(status, '', retryAfter)))
    } else if (waitingBytes > WAITING_BYTES_HIGH) {
      controller?.pause()
    }
  }

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(started) {
      controller = started
      // It was left while it waited for a connection.
      if (ended) started.abort(failure ?? new Error('aborted'))
    },
    onResponseStart(_started, statusCode, headers) {
      // Informational ones come before.
      if (statusCode < 200) return
      patience.stop()
      status = statusCode
      const header = headers['retry-after']
      retryAfter = Array.isArray(header) ? header[0] : header
      if (status < 300) opened.resolve({ [Symbol.asyncIterator]: () => ({ next, return: stop }) })
      else patience.start(silenceMs, () => leave(new VendorStatusError(status, '', retryAfter)))
    },
    onResponseData: (_started, chunk) => onData(chunk),
    onResponseEnd() {
      if (ended) return
      if (status >= 300) {
        fail(new VendorStatusError(status, Buffer.concat(waiting).toString('utf8'), retryAfter))
        return
      }
      settle()
      const waits = reader
      reader = undefined
      waits?.resolve({ done: true, value: undefined })
    },
    onResponseError: (_started, error) => fail(error),
  }

  // Where the answer breaks before anybody looks at it.
  opened.promise.catch(() => {})
  if (signal.aborted) {
    onAbort()
    return opened.promise
  }
  signal.addEventListener('abort', onAbort, { once: true })
  patience.start(bounds.firstByteMsMax, () => leave(new VendorBodyError(`no answer after ${bounds.firstByteMsMax / 1_000} s`)))
  agent.dispatch({ origin: call.origin, path: call.path, method: 'POST', headers: call.headers, body: call.body }, handler)
  return opened.promise
}

/** One timer for a whole stream, however many pieces it has: it moves on when it fires, not with each piece. */
function createPatience(clock: Clock) {
  let dueMs = Number.POSITIVE_INFINITY
  let firesMs = Number.POSITIVE_INFINITY
  let isOver: () => void = () => {}
  let cancel: () => void = () => {}

  function arm(waitMs: number): void {
    cancel()
    firesMs = clock.monotonicMs() + waitMs
    cancel = clock.after(waitMs, look)
  }

  function look(): void {
    firesMs = Number.POSITIVE_INFINITY
    if (dueMs === Number.POSITIVE_INFINITY) return
    const leftMs = dueMs - clock.monotonicMs()
    if (leftMs > 0) arm(leftMs)
    else isOver()
  }

  return {
    start(waitMs: number, over: () => void): void {
      dueMs = clock.monotonicMs() + waitMs
      isOver = over
      if (firesMs > dueMs) arm(waitMs)
    },
    stop(): void {
      dueMs = Number.POSITIVE_INFINITY
    },
    end(): void {
      dueMs = Number.POSITIVE_INFINITY
      cancel()
    },
  }
}
