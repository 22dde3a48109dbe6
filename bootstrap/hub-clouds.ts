/** The vendors of a hub put together: its own keys as capacity, what the other hubs reach, names and prices. */
import type { HubLedger } from '../ledger/interface.ts'
import type { Federation } from '../protocol/federation.ts'
import type { CapacityTable } from '../node/capacity/table.ts'
import { createCloudHosts, type CloudHosts } from '../node/clouds/cloud-hosts.ts'
import type { OwnClouds } from '../node/clouds/own-clouds.ts'
import type { CloudMarket } from '../node/jobs/candidates.ts'
import type { Requests } from '../node/net/requests.ts'
import { resolveCloudModels } from '../providers/cloud/resolve.ts'
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

/** Names are looked up for each request, and the models of all vendors are many: what a name meant is kept while they are the same. */
function createResolver(hosts: CloudHosts): CloudMarket['resolve'] {
  const meant = new WeakMap<object, Map<string, readonly string[]>>()
  return (name) => {
    const models = hosts.models()
    let names = meant.get(models)
    if (names === undefined || names.size >= NAMES_MAX) {
      names = new Map()
      meant.set(models, names)
    }
    let ids = names.get(name)
    if (ids === undefined) {
      ids = resolveCloudModels(name, models.map(({ model }) => model))
      names.set(name, ids)
    }
    return ids
  }
}

/** Names that clients may send; beyond these all are looked up anew. */
const NAMES_MAX = 4_096
