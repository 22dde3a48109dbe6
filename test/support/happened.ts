/** Waits for what happens to an answer of a test's server, without leaving listeners behind. */
import type { ServerResponse } from 'node:http'

/** Resolves with the event, when the client has gone, or after `waitMsMax`. */
export async function happened(response: ServerResponse, event: 'drain' | 'close', waitMsMax?: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = waitMsMax === undefined ? undefined : setTimeout(resolve, waitMsMax)
  const done = (): void => resolve()
  response.on(event, done).on('close', done)
  await promise
  clearTimeout(timer)
  response.off(event, done).off('close', done)
}
