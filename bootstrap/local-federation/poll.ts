/** Asking again until there is an answer, within a time limit. */
import { setTimeout as delay } from 'node:timers/promises'
import { CommandError } from '../command-error.ts'

const EVERY_MS = 100

export interface PollOptions {
  readonly signal: AbortSignal
  readonly msMax: number
  /** The sentence where the time is over. */
  readonly failure: string
}

/** Calls `ask` until it gives something else than undefined. Throws what `ask` throws, the signal's reason, or the failure. */
export async function pollUntil<T>(ask: () => Promise<T | undefined>, options: PollOptions): Promise<T> {
  const deadline = performance.now() + options.msMax
  for (;;) {
    options.signal.throwIfAborted()
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() >= deadline) throw new CommandError(options.failure)
    await delay(EVERY_MS, undefined, { signal: options.signal })
  }
}
