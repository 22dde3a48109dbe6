/** Opens the vendors of a hub: keys of its environment, and those that its admin added, which are sealed in its state folder. */
import { join } from 'node:path'
import type { VendorAdmin } from '../node/gateway.ts'
import { createClouds, type Clouds } from '../providers/cloud/clouds.ts'
import type { NodeConfig } from './config.ts'
import type { System } from './system.ts'
import { createVendorAdmin, mergedAccess } from './vendor-admin.ts'
import { createVendorFile } from './vendor-file.ts'

export interface HubVendors {
  readonly clouds: Clouds
  readonly admin: VendorAdmin
}

/** Nothing is asked before `clouds.start()`. Nodes that are no hub have no keys, and only own keys of accounts are used there. */
export async function openVendors(config: NodeConfig, system: System): Promise<HubVendors> {
  const environment = config.cloudAccess
  const file = createVendorFile(config.dir, config.identity.seed)
  const added = config.mode === 'hub' ? await file.read() : []
  const clouds = createClouds({ ...system, log: system.log.child('clouds') }, {
    access: mergedAccess(environment, added), cacheDir: join(config.dir, 'clouds'),
    ...(config.vendorTransport === undefined ? {} : { provider: { transport: config.vendorTransport } }),
  })
  return { clouds, admin: createVendorAdmin({ clouds, file, environment }) }
}
