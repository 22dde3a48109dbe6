/**
 * The lending side of a node that is no hub: registers this machine, measures its line, and gives what the bridge and the
 * start of the node tell of it.
 */
import { createContributorGateway, type ContributorGateway, type LocalLending } from '../node/contributor/contributor-gateway.ts'
import { createHubAsker } from '../node/contributor/hub-asker.ts'
import { createOrderWriter } from '../node/contributor/orders.ts'
import { createRegistrar, type Registrar } from '../node/contributor/registrar.ts'
import { measureUpload, type LineSpeed } from '../node/contributor/speed.ts'
import type { LifecyclePart } from '../node/lifecycle.ts'
import type { Host } from '../node/net/host.ts'
import type { SocketShaper } from '../node/net/socket-shaper.ts'
import type { Requests } from '../node/net/requests.ts'
import { apiKeySigner } from '../protocol/api-key.ts'
import { toTriforceError, type TriforceError } from '../protocol/errors.ts'
import type { HardwareClaim } from '../protocol/messages/contributor.ts'
import type { Lender } from '../node/lending/lender.ts'
import type { Machine } from '../providers/hardware.ts'
import type { NodeConfig } from './config.ts'
import { openNodeLender } from './node-lender.ts'
import type { LentHardware } from './node-providers.ts'
import type { System } from './system.ts'

export interface NodeLendingParts {
  readonly config: NodeConfig
  readonly system: System
  readonly host: Host
  readonly requests: Requests
  readonly shaper: SocketShaper
  readonly hardware: LentHardware
  readonly models: () => readonly string[]
  readonly jobs: () => LocalLending['jobs']
  /** It lends no more, for this reason, or again. */
  readonly onChange: (refusal: TriforceError | undefined) => void
  /** Takes the offer of this machine back. */
  readonly onLeft: () => void
}

export interface NodeLending {
  readonly gateway: ContributorGateway
  /** Nodes that lend. */
  readonly registrar: Registrar | undefined
  readonly onRefused: (code: string) => void
  /** Nodes that lend: what their operator lets them do. */
  readonly lender: Lender | undefined
  readonly part: LifecyclePart
}

/** The first measurement waits until the start is over and models are loaded; then the line is measured once a day. */
const MEASURE_AFTER_MS = 20_000
const MEASURE_AGAIN_MS = 60_000
const MEASURE_EVERY_MS = 24 * 3_600_000

/** Codes of the error table are few; the map of them stays small. */
const REFUSED_CODES_MAX = 64

export async function createNodeLending(parts: NodeLendingParts): Promise<NodeLending> {
  const { config, system, host, requests, hardware, models, jobs, onChange, onLeft } = parts
  const { clock, random, log } = system
  const { federation, identity: { signer } } = config
  const isConnected = (peer: string) => host.isConnected(peer)
  const writer = createOrderWriter({ clock }, { network: federation.network })
  const ask = createHubAsker({ requests, isConnected }, { hubs: federation.hubs })
  if (config.mode === 'consumer') return { gateway: createContributorGateway({ ask, writer }), registrar: undefined, onRefused: () => {}, lender: undefined, part: { name: 'lending' } }

  const refused = new Map<string, number>()
  let line: LineSpeed | undefined
  let cancelMeasure = (): void => {}
  const { lender, gate, store, part: controls } = await openNodeLender(config, system, {
    jobs, shaper: parts.shaper, hardware,
    account: () => registrar.answers.find(({ info }) => info !== undefined)?.info?.account,
    checkOwner: (principal) => gateway.checkOwner(principal),
  })
  const registrar: Registrar = createRegistrar({
    requests, isConnected, signer, writer, clock, random, log, onLeft,
    measure: async () => ({ hardware: claimOf(await hardware.machine(), hardware.engines(), line), models: models() }),
    store,
  }, { name: config.name, hubs: federation.hubs, account: config.apiKey === undefined ? undefined : apiKeySigner(config.apiKey) })
  host.onConnect((peer) => { if (federation.hubs.some((hub) => hub.peerId === peer)) registrar.changed() })

  store.onChange(() => registrar.changed())
  gate.onChange(() => onChange(gate.refusal()))

  function local(): LocalLending {
    return {
      lender: lender.view(), nowMs: clock.now(),
      name: config.name, models: models(), jobs: jobs(), left: registrar.left, uploadMbits: line?.uploadMbits, rttMs: line?.rttMs,
      hubs: federation.hubs.map(({ name, peerId }) => {
        const answer = registrar.answers.find(({ hub }) => hub === name)
        return { name, connected: isConnected(peerId), registered: answer?.info !== undefined, problem: answer?.error?.message }
      }),
      refused: [...refused].map(([code, count]) => ({ code, count })).sort((a, b) => b.count - a.count),
    }
  }

  async function measure(): Promise<void> {
    const hub = federation.hubs.find(({ peerId }) => isConnected(peerId))
    try {
      if (hub !== undefined) {
        line = await measureUpload({ requests, clock, random }, hub.peerId)
        registrar.changed()
      }
    } catch (reason) {
      log.child('lending').debug('the line could not be measured', { code: toTriforceError(reason).code })
    }
    measureAfter(line === undefined ? MEASURE_AGAIN_MS : MEASURE_EVERY_MS)
  }

  function measureAfter(waitMs: number): void {
    cancelMeasure = clock.after(waitMs, () => { void measure() })
  }

  const gateway = createContributorGateway({ ask, writer, own: { registrar, signer, local } })
  return {
    gateway,
    registrar,
    lender,
    onRefused(code) {
      if (refused.has(code) || refused.size < REFUSED_CODES_MAX) refused.set(code, (refused.get(code) ?? 0) + 1)
    },
    part: {
      name: 'lending',
      start: () => {
        controls.start()
        registrar.start()
        measureAfter(MEASURE_AFTER_MS)
      },
      stop: async () => {
        cancelMeasure()
        registrar.stop()
        await controls.stop()
      },
    },
  }
}

/** What a machine says of itself to the hubs. */
export function claimOf(machine: Machine, engines: readonly string[], line: LineSpeed | undefined): HardwareClaim {
  return {
    gpus: machine.gpus.map(({ name, vramBytes }) => ({ name, vramBytes })), driver: (machine.driver ?? '').slice(0, 64), cuda: (machine.cuda ?? '').slice(0, 64),
    cpu: machine.cpu.slice(0, 256), platform: machine.platform.slice(0, 64), cores: machine.cores, ramBytes: machine.ramBytes,
    diskFreeBytes: Math.floor(machine.diskFreeBytes), engines: engines.map((name) => name.slice(0, 64)).slice(0, 8),
    ...(line === undefined ? {} : { uploadMbits: line.uploadMbits }),
  }
}
