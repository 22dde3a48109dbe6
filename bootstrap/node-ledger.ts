/** Opens a hub's ledger in its state folder. */
import { join } from 'node:path'
import type { HubLedger } from '../ledger/interface.ts'
import { openLedger } from '../ledger/ledger.ts'
import type { NodeConfig } from './config.ts'
import type { System } from './system.ts'

export interface NodeLedger {
  readonly ledger: HubLedger
  /** Resolves with the reason when it can no longer be written or trusted; else pending. */
  readonly failed: Promise<Error>
}

/** Throws CONFIG_INVALID and LOG_DAMAGED. */
export async function openNodeLedger(config: NodeConfig, { clock, random, log }: System, hubIndex: number): Promise<NodeLedger> {
  const { promise: failed, resolve: onFailed } = Promise.withResolvers<Error>()
  const ledger = await openLedger({ clock, random, log: log.child('ledger'), signer: config.identity.signer }, {
    dir: join(config.dir, 'ledger'), federation: config.federation, hubIndex, onFailed, ...(config.payEveryMs === undefined ? {} : { core: { vestEveryMs: config.payEveryMs } }),
  })
  return { ledger, failed }
}
