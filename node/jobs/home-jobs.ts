/** A hub sends jobs of a key with a budget to the hub that counts it, in the name of that key, as a consumer would. */
import type { FederationHub } from '../../protocol/federation.ts'
import type { AccountClient } from '../settlement/account-client.ts'
import { createRemoteJobs, type RemoteJobComponents, type RemoteJobs } from './remote-job.ts'

export interface HomeJobsComponents extends Omit<RemoteJobComponents, 'client'> {
  readonly isConnected: (peer: string) => boolean
  /** Asks one hub only. */
  readonly clientOf: (hub: FederationHub) => AccountClient
}

/** Gives undefined for this hub itself, and where the other one is not connected. */
export function createHomeJobs({ isConnected, clientOf, ...components }: HomeJobsComponents, { hubs, me }: { readonly hubs: readonly FederationHub[]; readonly me: number }) {
  const jobs = hubs.map((hub) => createRemoteJobs({ ...components, client: clientOf(hub) }))
  return (hub: number): Pick<RemoteJobs, 'run'> | undefined => hub === me || !isConnected(hubs[hub]!.peerId) ? undefined : jobs[hub]
}
