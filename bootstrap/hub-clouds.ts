/** The vendors of a hub put together: its own keys as capacity, what the other hubs reach, names and prices. */
import type { HubLedger } from '../ledger/interface.ts'
import type { Federation } from '../protocol/federation.ts'
import type { CapacityTable } from '../node/capacity/table.ts'
import { createCloudHosts, type CloudHosts } from '../node/clouds/cloud-hosts.ts'
import { ownIdOf, type OwnClouds } from '../node/clouds/own-clouds.ts'
import type { CloudMarket } from '../node/jobs/candidates.ts'
import type { Requests } from '../node/net/requests.ts'
import type { System } from './system.ts'

export interface HubClouds {
  readonly own: OwnClouds
  readonly hosts: CloudHosts
  readonly market: CloudMarket
}

export interface HubCloudsParts {
  readonly table: CapacityTable
  readonly ledger: HubLedger
  readonly requests: Requests
  readonly own: OwnClouds
  readonly federation: Federation
  readonly peerId: string
}

export function createHubClouds({ clock, log }: System, { table, ledger, requests, own, federation, peerId }: HubCloudsParts): HubClouds {
  const hosts = createCloudHosts({ table, own, requests, isSelf: (peer) => peer === peerId, clock, log }, { hubs: federation.hubs.map((hub) => hub.peerId) })
  return { own, hosts, market: { hosts, resolve: createResolver(hosts), priceOf: (vendor, ownId) => ledger.price(vendor, ownId) } }
}

/** The id itself, or every vendor's model that its vendor calls so. */
function createResolver(hosts: CloudHosts): CloudMarket['resolve'] {
  return (name) => {
    if (hosts.find(name).length > 0) return [name]
    return hosts.models().filter(({ model }) => ownIdOf(model.id) === name).map(({ model }) => model.id)
  }
}
