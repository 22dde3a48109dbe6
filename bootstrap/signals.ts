/**
 * How a process is asked to stop: signals, and for a node that `up` started also its IPC channel. The first request
 * stops in order and within a deadline; the second one ends the process at once.
 */
import { parentMessageSchema } from './local-federation/messages.ts'
import { exitCodes } from './command-error.ts'

export interface StopRequest {
  /** Aborted by the first request; its reason says what it was. */
  readonly signal: AbortSignal
  readonly requested: Promise<string>
  /** No request ends the process any more. */
  dispose(): void
}

export interface StopOptions {
  /** After the first request the process has this long. */
  readonly deadlineMs: number
  /** Called right before a second request or the deadline ends the process. */
  readonly beforeForcedExit?: (why: string) => void
}

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export function createStopRequest(options: StopOptions): StopRequest {
  const controller = new AbortController()
  const { promise, resolve } = Promise.withResolvers<string>()
  let timer: NodeJS.Timeout | undefined

  const force = (why: string): never => {
    options.beforeForcedExit?.(why)
    process.exit(exitCodes.failed)
  }
  const request = (why: string, mayForce: boolean): void => {
    if (controller.signal.aborted) {
      if (mayForce) force(why)
      return
    }
    controller.abort(why)
    resolve(why)
    timer = setTimeout(() => force(`not stopped ${options.deadlineMs} ms after ${why}`), options.deadlineMs)
    timer.unref()
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    // Ctrl-C reaches every process of the terminal; nodes below `up` wait for its word, which keeps the order.
    if (signal === 'SIGINT' && process.channel) return
    request(signal, true)
  }
  const onMessage = (message: unknown): void => {
    const parsed = parentMessageSchema.safeParse(message)
    if (parsed.success && parsed.data.type === 'stop') request('stop', false)
  }
  const onDisconnect = (): void => request('the end of "triforce up"', false)

  for (const signal of STOP_SIGNALS) process.on(signal, onSignal)
  process.on('message', onMessage)
  process.on('disconnect', onDisconnect)
  return {
    signal: controller.signal,
    requested: promise,
    dispose: () => {
      clearTimeout(timer)
      for (const signal of STOP_SIGNALS) process.off(signal, onSignal)
      process.off('message', onMessage)
      process.off('disconnect', onDisconnect)
    },
  }
}
