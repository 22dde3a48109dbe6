/**
 * The serving side of the job protocol: one channel, one job at a time on it, for as long as the peer keeps it.
 */
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { jobAskSchema } from '../../protocol/messages/job.ts'
import type { Channel, ChannelHandler } from '../net/channel.ts'
import { readFrame, type Ask, type OpenAsk, type RelayAsk } from './frames.ts'

/**
 * Serves one job: sends its frames and returns when its last frame (reject, end or fail) is on its way.
 * A throw means that the protocol was broken; it aborts the channel.
 */
export type ServeJob<Ask> = (channel: Channel, ask: Ask, options: { readonly signal: AbortSignal }) => Promise<void>

export interface JobServerComponents {
  /** Runs a job on this machine. */
  readonly serveOpen?: ServeJob<OpenAsk>
  /** Places a job for a consumer; hubs only. */
  readonly serveRelay?: ServeJob<RelayAsk>
}

export function createJobServer(components: JobServerComponents): ChannelHandler {
  function serve(channel: Channel, ask: OpenAsk | RelayAsk, signal: AbortSignal): Promise<void> {
    if (ask.t === 'open' && components.serveOpen !== undefined) return components.serveOpen(channel, ask, { signal })
    if (ask.t === 'relay' && components.serveRelay !== undefined) return components.serveRelay(channel, ask, { signal })
    throw new TriforceError('PROTOCOL_VIOLATION', { ask: ask.t }, { detail: 'this node does not serve such jobs' })
  }

  return async (channel) => {
    let running: { readonly cancel: AbortController; readonly done: Promise<void> } | undefined
    try {
      for (let ask = await next(channel); ask !== undefined; ask = await next(channel)) {
        if (ask.t === 'cancel') {
          // A cancel that crosses the end frame has nothing left to cancel.
          running?.cancel.abort()
          continue
        }
        if (running !== undefined) throw new TriforceError('PROTOCOL_VIOLATION', {}, { detail: 'a second job on a busy stream' })
        const cancel = new AbortController()
        const done = serve(channel, ask, cancel.signal).then(
          () => {
            running = undefined
          },
          (reason: unknown) => channel.abort(toTriforceError(reason)),
        )
        running = { cancel, done }
      }
    } finally {
      running?.cancel.abort()
      await running?.done
    }
  }
}

function next(channel: Channel): Promise<Ask | undefined> {
  return readFrame<Ask>(channel, jobAskSchema)
}
