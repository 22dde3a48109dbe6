/** A hub's checks of the machines that lend: what they need of the node, and what they are wired to. */
import { join } from 'node:path'
import type { HubLedger } from '../ledger/interface.ts'
import type { CapacityTable } from '../node/capacity/table.ts'
import { createDrawBook } from '../node/honesty/draw-book.ts'
import { createHonesty, type Honesty } from '../node/honesty/honesty.ts'
import { createIncidents } from '../node/honesty/incidents.ts'
import { openStandings, type Standings } from '../node/honesty/standings.ts'
import { createVerdictExchange, type VerdictExchange } from '../node/honesty/verdict-exchange.ts'
import type { Dispatcher } from '../node/jobs/dispatcher.ts'
import type { LifecyclePart } from '../node/lifecycle.ts'
import type { Requests } from '../node/net/requests.ts'
import type { NodeConfig } from './config.ts'
import { createRegistrationFiles } from './registration-files.ts'
import type { System } from './system.ts'

/** How machines stand, as this hub knew before its restart. In a local federation, and where nobody is checked, nobody waits for pay. */
export async function openHubStandings({ dir, federation, checks }: NodeConfig, { clock, log }: System): Promise<Standings> {
  return await openStandings({ store: createRegistrationFiles({ log }, { dir: join(dir, 'checks') }), clock, log }, { mustPass: checks.mustPass ?? (checks.asks && federation.kind !== 'local'), ...(checks.spellMs === undefined ? {} : { spellMs: checks.spellMs }) })
}

export interface HubChecksParts {
  readonly config: NodeConfig
  readonly system: System
  readonly standings: Standings
  readonly ledger: HubLedger
  readonly table: CapacityTable
  readonly requests: Requests
  readonly isConnected: (peer: string) => boolean
  readonly isSelf: (peer: string) => boolean
  readonly hubIndex: number
}

export interface HubChecks {
  readonly honesty: Honesty
  readonly exchange: VerdictExchange
  /** Asks through this dispatcher from its start on. */
  part(dispatcher: Pick<Dispatcher, 'run'>): LifecyclePart
}

export function createHubChecks({ config, system, standings, ledger, table, requests, isConnected, isSelf, hubIndex }: HubChecksParts): HubChecks {
  const { clock, random, log } = system
  const { federation: { network, hubs }, identity: { signer }, checks } = config
  const others = hubs.filter(({ peerId }) => !isSelf(peerId))
  const book = createDrawBook({ signer, clock }, { network })
  const honesty = createHonesty({
    standings, book, incidents: createIncidents({ clock }, checks.incidents), table, ledger, isConnected, isSelf, clock, random, log,
    isAlone: () => others.every(({ peerId }) => !isConnected(peerId)),
  }, checks)
  const exchange = createVerdictExchange({ standings, book, ledger, requests, isConnected, signer, clock, random, log }, { network, hubs, me: hubIndex })
  ledger.payWhere(standings.mayPay)
  return {
    honesty,
    exchange,
    part: ({ run }) => ({
      name: 'checks',
      start: () => {
        honesty.start(run)
        if (checks.asks) exchange.start()
      },
      stop: () => {
        honesty.stop()
        exchange.stop()
      },
    }),
  }
}
