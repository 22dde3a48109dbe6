/** A channel to a candidate: within this process, over its connection, or by its addresses. */
import { TriforceError } from '../../protocol/errors.ts'
import type { Channel, ChannelHandler } from '../net/channel.ts'
import type { ChannelPool } from '../net/channel-pool.ts'
import type { Host } from '../net/host.ts'
import { createLocalChannels } from '../net/local-channel.ts'
import type { HostCandidate } from './candidates.ts'

/** Time to reach a host that has no connection to this hub before the next one is asked. */
const REACH_MS_MAX = 1_500

/** To this process's own job server. */
export function leaseLocal(server: ChannelHandler, peer: string): Channel {
  const [asking, serving] = createLocalChannels(peer)
  server(serving).catch((reason: unknown) => serving.abort(reason instanceof TriforceError ? reason : new TriforceError('INTERNAL', {}, { cause: reason })))
  return asking
}

export async function leaseRemote(host: Pick<Host, 'isConnected' | 'dial'>, pool: ChannelPool, candidate: HostCandidate): Promise<Channel> {
  const { peer } = candidate.row
  if (!host.isConnected(peer)) await host.dial(candidate.addresses, { signal: AbortSignal.timeout(REACH_MS_MAX) })
  return pool.lease(peer)
}
