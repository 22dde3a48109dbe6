/** How a hub gets a channel to a host of a job: within this process, over its connection, or by its addresses. */
import { TriforceError } from '../protocol/errors.ts'
import type { HostCandidate } from '../node/jobs/candidates.ts'
import type { Reach } from '../node/jobs/reach.ts'
import type { Channel, ChannelHandler } from '../node/net/channel.ts'
import type { ChannelPool } from '../node/net/channel-pool.ts'
import type { Host } from '../node/net/host.ts'
import { createLocalChannels } from '../node/net/local-channel.ts'

/** A channel to this process's own job server. */
export function localChannel(server: ChannelHandler, peer: string): Channel {
  const [asking, serving] = createLocalChannels(peer)
  server(serving).catch((reason: unknown) => serving.abort(reason instanceof TriforceError ? reason : new TriforceError('INTERNAL', {}, { cause: reason })))
  return asking
}

export interface OwnWay {
  readonly reach: Reach
  readonly pool: Pick<ChannelPool, 'lease' | 'giveBack' | 'discard'>
}

/** The same ways to hosts, but for the machine itself, which a node cannot dial: its own jobs stay within the process, and no hub reads them. */
export function withOwnMachine({ reach, pool }: OwnWay, { server, isSelf }: { readonly server: ChannelHandler; readonly isSelf: (peer: string) => boolean }): OwnWay {
  return {
    reach: { to: (target, options) => isSelf(target.peer) ? Promise.resolve(true) : reach.to(target, options) },
    pool: {
      lease: (peer) => isSelf(peer) ? Promise.resolve(localChannel(server, peer)) : pool.lease(peer),
      giveBack: (channel) => isSelf(channel.peer) ? channel.close() : pool.giveBack(channel),
      discard: (channel, reason) => isSelf(channel.peer) ? channel.abort(reason) : pool.discard(channel, reason),
    },
  }
}

/** Time to reach a host that has no connection to this hub before the next one is asked. */
const REACH_MS_MAX = 1_500

export async function leaseRemote(host: Host, pool: ChannelPool, candidate: HostCandidate): Promise<Channel> {
  const { peer } = candidate.row
  if (!host.isConnected(peer)) await host.dial(candidate.addresses, { signal: AbortSignal.timeout(REACH_MS_MAX) })
  return pool.lease(peer)
}
