/** How a hub gets a channel to a host of a job: within this process, over its connection, or by its addresses. */
import { TriforceError } from '../protocol/errors.ts'
import type { HostCandidate } from '../node/jobs/candidates.ts'
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

/** Time to reach a host that has no connection to this hub before the next one is asked. */
const REACH_MS_MAX = 1_500

export async function leaseRemote(host: Host, pool: ChannelPool, candidate: HostCandidate): Promise<Channel> {
  const { peer } = candidate.row
  if (!host.isConnected(peer)) await host.dial(candidate.addresses, { signal: AbortSignal.timeout(REACH_MS_MAX) })
  return pool.lease(peer)
}
