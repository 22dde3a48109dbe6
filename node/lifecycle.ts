/**
 * Starts parts in order and stops them in reverse, each with a deadline, so that one part that hangs cannot keep the
 * process from ending.
 */
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import type { Clock, Log } from '../protocol/ports.ts'

export interface LifecyclePart {
  readonly name: string
  readonly start?: (options: { signal: AbortSignal }) => Promise<void> | void
  readonly stop?: () => Promise<void> | void
  /** Longest time to stop. Default 5_000 ms. */
  readonly stopMsMax?: number
}

export interface Lifecycle {
  /** Starts all; where one fails, is not done when `signal` aborts, or a stop comes between, stops those that run and throws why. */
  start(options: { signal: AbortSignal }): Promise<void>
  /** Stops all once; an aborted `signal` skips the waiting. */
  stop(options: { signal: AbortSignal }): Promise<void>
}

const STOP_MS_MAX = 5_000

export function createLifecycle(components: { readonly clock: Clock; readonly log: Log }, parts: readonly LifecyclePart[]): Lifecycle {
  const { clock } = components
  const log = components.log.child('lifecycle')
  const running: LifecyclePart[] = []
  let stopping: Promise<void> | undefined

  async function stopAll(signal: AbortSignal): Promise<void> {
    for (const part of running.splice(0).reverse()) {
      if (part.stop === undefined) continue
      const outcome = await within(clock, signal, part.stopMsMax ?? STOP_MS_MAX, Promise.resolve().then(part.stop))
      if (outcome !== 'done') log.warn('a part did not stop in order', { part: part.name, outcome })
    }
  }

  return {
    async start({ signal }) {
      for (const part of parts) {
        // Before its start, so that a stop in the middle of it stops it too.
        running.push(part)
        try {
          await inTime(part.name, signal, Promise.resolve(part.start?.({ signal })))
          if (stopping !== undefined) throw new TriforceError('STOPPING')
        } catch (error) {
          log.debug('a part did not start', { part: part.name, code: toTriforceError(error).code })
          await stopAll(AbortSignal.timeout(STOP_MS_MAX))
          throw error
        }
      }
    },
    stop({ signal }) {
      stopping ??= stopAll(signal)
      return stopping
    },
  }
}

/** A part that does not heed its signal must not hold up the start for ever. */
function inTime(part: string, signal: AbortSignal, work: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new TriforceError('STARTING', { part }, { detail: `"${part}" did not start in time` }))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function within(clock: Clock, signal: AbortSignal, msMax: number, work: Promise<void>): Promise<string> {
  return new Promise((resolve) => {
    const cancel = clock.after(msMax, () => resolve('deadline'))
    const onAbort = () => resolve('given up')
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    work.then(() => 'done', (error: unknown) => toTriforceError(error).code).then((outcome) => {
      cancel()
      signal.removeEventListener('abort', onAbort)
      resolve(outcome)
    }, () => {})
  })
}
