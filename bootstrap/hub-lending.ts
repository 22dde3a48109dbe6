/** The lending side of a hub: who is registered, what they ask, and why jobs pass machines by. */
import { join } from 'node:path'
import type { HubLedger } from '../ledger/interface.ts'
import type { CapacityTable } from '../node/capacity/table.ts'
import { createContributorDesk, type ContributorDesk } from '../node/contributor/contributor-desk.ts'
import { createContributorGateway, type ContributorGateway } from '../node/contributor/contributor-gateway.ts'
import { createMinuteBudget } from '../node/contributor/minute-budget.ts'
import { createOrderWriter } from '../node/contributor/orders.ts'
import { createPassedBy } from '../node/contributor/passed-by.ts'
import { createPlacementWatch } from '../node/contributor/placement-watch.ts'
import { openRegistry, type Registry } from '../node/contributor/registry.ts'
import { speedBudget } from '../node/contributor/speed.ts'
import type { PlacementWatch } from '../node/jobs/dispatcher.ts'
import type { Requests } from '../node/net/requests.ts'
import { toHex } from '../protocol/bytes.ts'
import { decode, encode } from '../protocol/codec.ts'
import { toTriforceError } from '../protocol/errors.ts'
import { contributorTells } from '../protocol/messages/contributor.ts'
import type { ControlQuestion } from '../protocol/messages/control.ts'
import type { Signed } from '../protocol/signed.ts'
import type { NodeConfig } from './config.ts'
import type { HubChecks } from './hub-checks.ts'
import { createRegistrationFiles } from './registration-files.ts'
import type { System } from './system.ts'

export interface HubLendingParts {
  readonly config: NodeConfig
  readonly system: System
  readonly ledger: HubLedger
  readonly table: CapacityTable
  readonly registry: Registry
  readonly requests: Requests
  readonly isConnected: (peer: string) => boolean
  readonly isSelf: (peer: string) => boolean
  readonly isHub: (peer: string) => boolean
  readonly checks: HubChecks
  /** Machines that failed a moment ago. */
  readonly coolingDown: (peer: string) => boolean
}

export interface HubLending {
  readonly gateway: ContributorGateway
  /** Counts why machines are passed by. */
  readonly watch: PlacementWatch
  readonly isNodeKey: (publicKey: Uint8Array) => boolean
  /** Machines of an account, for its own jobs. */
  readonly ownPeers: (account: Uint8Array) => readonly string[]
  readonly answer: (peer: string, question: Extract<ControlQuestion, { t: 'contributor' | 'speed' | 'checks' }>) => Promise<Uint8Array>
}

const PASS_ON_MS_MAX = 5_000

/** Machines that this hub knew before its restart. */
export async function openHubRegistry(config: NodeConfig, { log }: System): Promise<Registry> {
  return await openRegistry({ store: createRegistrationFiles({ log }, { dir: join(config.dir, 'contributors') }), log })
}

export function createHubLending(parts: HubLendingParts): HubLending {
  const { config, system: { clock, log }, ledger, table, registry, requests, isConnected, isSelf, isHub, coolingDown, checks: { honesty, exchange } } = parts
  const { federation } = config
  const passedBy = createPassedBy({ clock })
  const desk: ContributorDesk = createContributorDesk({
    ledger, registry, table, passedBy, isHub, isConnected, clock, log, checkOf: honesty.checkOf,
    recheck: (node) => { honesty.again(node, { force: false }) },
    passOn: (order) => {
      for (const { peerId } of federation.hubs) if (!isSelf(peerId) && isConnected(peerId)) void passOn(peerId, order)
    },
  }, { network: federation.network, hubName: config.name })
  const speed = createMinuteBudget({ clock }, speedBudget)

  /** A hub that does not hear of it now hears of it from the machine itself, or with the next order. */
  async function passOn(hub: string, order: Signed): Promise<void> {
    try {
      await requests.ask(hub, { t: 'contributor', order }, { waitMsMax: PASS_ON_MS_MAX })
    } catch (reason) {
      log.debug('an order about a machine was not passed on', { hub, code: toTriforceError(reason).code })
    }
  }

  return {
    gateway: createContributorGateway({
      writer: createOrderWriter({ clock }, { network: federation.network }),
      // Who asks over HTTP has been checked by the bridge; the order carries that account's own signature.
      ask: async (act, order) => decode(contributorTells[act], await desk.answer(`http:${toHex(order.key)}`, { t: 'contributor', order })) as never,
    }),
    watch: createPlacementWatch({ table, passedBy, clock, coolingDown, distrusts: (peer) => honesty.distrusts(peer), isReachable: (peer) => isSelf(peer) || isConnected(peer) }),
    ownPeers: (account) => registry.peersOf(account),
    isNodeKey: (publicKey) => registry.isNodeKey(publicKey),
    async answer(peer, question) {
      if (question.t === 'contributor') return await desk.answer(peer, question)
      if (question.t === 'checks') return await exchange.answer(peer, question)
      speed.take(peer, question.data.byteLength)
      return encode({ receivedBytes: question.data.byteLength })
    },
  }
}
