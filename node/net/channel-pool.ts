/**
 * Open channels that wait for their next use: opening one costs a round trip and a peer-store write, so a job or a
 * request leases one and brings it back after a clean end. Whatever did not end cleanly is aborted, never lent again.
 */
import { TriforceError } from '../../protocol/errors.ts'
import type { Channel } from './channel.ts'
import type { Host } from './host.ts'

export interface ChannelPoolComponents {
  readonly host: Pick<Host, 'open' | 'onDisconnect'>
}

export interface ChannelPoolOptions {
  readonly protocol: string
  /** Idle channels kept per peer; more are closed. 256 covers the highest number of streams we measure with. */
  readonly idlePerPeerMax?: number
  readonly openMsMax?: number
}

export const channelPoolDefaults = Object.freeze({ idlePerPeerMax: 256, openMsMax: 10_000 })

export interface ChannelPool {
  /** Throws NO_HOST or HOST_LOST. */
  lease(peer: string): Promise<Channel>
  /** After a clean end; a channel on which more has come than was asked for is aborted instead. */
  giveBack(channel: Channel): void
  /** After any other end. */
  discard(channel: Channel, reason: TriforceError): void
  close(): void
}

export function createChannelPool(components: ChannelPoolComponents, options: ChannelPoolOptions): ChannelPool {
  const { host } = components
  const { idlePerPeerMax, openMsMax } = { ...channelPoolDefaults, ...options }
  const idle = new Map<string, Channel[]>()

  host.onDisconnect((peer) => idle.delete(peer))

  return {
    async lease(peer) {
      const waiting = idle.get(peer)
      for (let channel = waiting?.pop(); channel !== undefined; channel = waiting?.pop()) {
        if (channel.closed.aborted) continue
        if (channel.isGood === undefined || channel.isGood()) return channel
        channel.close()
      }
      return host.open(peer, options.protocol, { signal: AbortSignal.timeout(openMsMax) })
    },
    giveBack(channel) {
      if (channel.closed.aborted) return
      if (channel.waiting.readBytes > 0) {
        // What came after the last frame would be read as the answer to the next question.
        channel.abort(new TriforceError('PROTOCOL_VIOLATION', { peer: channel.peer }, { detail: 'the peer sent more than was asked for' }))
        return
      }
      const waiting = idle.get(channel.peer) ?? []
      if (waiting.length >= idlePerPeerMax) {
        channel.close()
        return
      }
      waiting.push(channel)
      idle.set(channel.peer, waiting)
    },
    discard(channel, reason) {
      channel.abort(reason)
    },
    close() {
      for (const channels of idle.values()) for (const channel of channels) channel.close()
      idle.clear()
    },
  }
}
