/**
 * The composition root: the only file that builds every part of a node, top to bottom, so that the order can be read.
 * A mode is data here: a node with a provider lends, a node with a ledger is a hub, and every node has a bridge.
 */
import { protocolIds } from '../protocol/ids.ts'
import { hubIndexOf } from '../protocol/federation.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { HubLedger } from '../ledger/interface.ts'
import type { Provider } from '../providers/interface.ts'
import type { Clouds } from '../providers/cloud/clouds.ts'
import { createBridge } from '../node/bridge/server.ts'
import { createAnnouncer } from '../node/capacity/announcer.ts'
import { createCapacityTable, type CapacityTable } from '../node/capacity/table.ts'
import type { OwnKeys } from '../node/clouds/own-keys.ts'
import { createOwnClouds, type OwnClouds } from '../node/clouds/own-clouds.ts'
import { catalogueAnswer, serveEither } from '../node/clouds/serve-clouds.ts'
import type { ContributorGateway } from '../node/contributor/contributor-gateway.ts'
import type { Registry } from '../node/contributor/registry.ts'
import { createModelHosts } from '../node/discovery/model-hosts.ts'
import type { Standings } from '../node/honesty/standings.ts'
import type { VendorAdmin } from '../node/gateway.ts'
import { createAdminGateway, createHubGateway } from '../node/hub-gateway.ts'
import { createDispatcher } from '../node/jobs/dispatcher.ts'
import { createPrefixTable } from '../node/jobs/prefix-table.ts'
import { createExecutor } from '../node/jobs/executor.ts'
import { createHomeJobs } from '../node/jobs/home-jobs.ts'
import { createJobQueue, type JobQueue } from '../node/jobs/job-queue.ts'
import { createJobServer } from '../node/jobs/job-server.ts'
import { createRelay } from '../node/jobs/relay.ts'
import { createReach } from '../node/jobs/reach.ts'
import { createRelayRights, type RelayRights } from '../node/jobs/relay-rights.ts'
import { createRemoteJobs } from '../node/jobs/remote-job.ts'
import { createTicketGate } from '../node/jobs/tickets.ts'
import { createTurnSigner } from '../node/jobs/turn-signer.ts'
import { createLifecycle } from '../node/lifecycle.ts'
import { createChannelPool } from '../node/net/channel-pool.ts'
import { startHeartbeat } from '../node/net/heartbeat.ts'
import { createHost } from '../node/net/host.ts'
import { startRedial, type Redial } from '../node/net/redial.ts'
import { createRequestHandler, createRequests } from '../node/net/requests.ts'
import { startReservations } from '../node/net/reservations.ts'
import { startWake } from '../node/net/wake.ts'
import { createSocketShaper } from '../node/net/socket-shaper.ts'
import { createTurnEnd } from '../node/net/turn-end.ts'
import { withOwnKeys } from '../node/own-key-gateway.ts'
import { createRemoteGateway } from '../node/remote-gateway.ts'
import { createAccountClient } from '../node/settlement/account-client.ts'
import { createAccountDesk } from '../node/settlement/account-desk.ts'
import { createAccountGate } from '../node/settlement/account-gate.ts'
import { createHostPrivacy } from '../node/settlement/host-privacy.ts'
import { createHubLinks } from '../node/settlement/hub-links.ts'
import { startPresence } from '../node/settlement/presence.ts'
import { createKeyDesk } from '../node/settlement/key-desk.ts'
import { createTierLimits } from '../node/settlement/tier-limits.ts'
import { createTiers } from '../node/settlement/tiers.ts'
import { createStatus } from '../node/status.ts'
import { openGenerationFile, type GenerationFile } from './generation-file.ts'
import { createHubChecks, openHubStandings } from './hub-checks.ts'
import { createHubLending, openHubRegistry } from './hub-lending.ts'
import { createHubLiveness } from './hub-liveness.ts'
import { createNodeLending, type NodeLending } from './node-lending.ts'
import { openOwnKeys } from './own-key-file.ts'
import { leaseRemote, localChannel, withOwnMachine } from './host-channels.ts'
import { createHubClouds } from './hub-clouds.ts'
import { openNodeLedger, type NodeLedger } from './node-ledger.ts'
import { openProviders, type LentHardware } from './node-providers.ts'
import { openVendors } from './hub-vendors.ts'
import type { NodeConfig } from './config.ts'
import type { RunningNode } from './running-node.ts'
import type { SharedParts, Side } from './side.ts'
import type { System } from './system.ts'
import { version } from './version.ts'

const START_MS_MAX = 60_000
// Running answers may end in this time; `triforce start` gives all of a stop 8 s.
const BRIDGE_STOP_MS_MAX = 4_000
// A hub that comes second to dial another leaves it this long to call first.
const HUB_SECOND_DIAL_MS = 8_000

/** Builds and starts a node. Throws a TriforceError whose message is for the operator; then nothing is left running. */
export async function startNode(config: NodeConfig, system: System): Promise<RunningNode> {
  const hubIndex = hubIndexOf(config.federation, config.identity.signer.publicKey)
  const { clouds, admin: vendorAdmin } = await openVendors(config, system)
  const lent = await openProviders(config, system)
  let opened: NodeLedger | undefined
  try {
    opened = hubIndex === undefined ? undefined : await openNodeLedger(config, system, hubIndex)
    return await composeNode(config, system, { ...lent, ...opened, clouds, vendorAdmin, ownKeys: await openOwnKeys(config, system), generations: await openGenerationFile(system, { dir: config.dir }) })
  } catch (error) {
    await opened?.ledger.close()
    await lent.provider.close()
    await clouds.close()
    throw error
  }
}

export interface NodeParts {
  readonly provider: Provider
  readonly clouds: Clouds
  /** Accounts' own keys at vendors. */
  readonly ownKeys: OwnKeys
  /** What became of requests before this start. */
  readonly generations: GenerationFile
  readonly vendorAdmin: VendorAdmin
  readonly hardware: LentHardware
  /** Hubs only. */
  readonly ledger?: HubLedger
  /** Resolves with the reason when the node cannot go on. */
  readonly failed?: Promise<Error>
}

export async function composeNode(config: NodeConfig, system: System, parts: NodeParts): Promise<RunningNode> {
  const { federation, identity } = config
  const { clock, random, log } = system
  const { signer } = identity
  const { provider, hardware, ledger, clouds, ownKeys } = parts
  const ids = protocolIds(federation.network)
  const isHub = (peer: string) => federation.hubs.some((hub) => hub.peerId === peer)
  const hubIndex = hubIndexOf(federation, signer.publicKey) ?? -1

  // Network.
  const isReachedByRelay = config.relay && (config.mode === 'contributor' || config.mode === 'hybrid')
  const relayRights = createRelayRights({ clock })
  const [turnEnd, shaper] = [createTurnEnd(), createSocketShaper({ clock })]
  const turnSigner = createTurnSigner(signer, turnEnd)
  const host = await createHost({ clock, log, turnEnd, shaper }, {
    seed: identity.seed, ids, hub: config.mode === 'hub', listen: config.p2pAddresses, version: version,
    ...(config.p2pAnnounce.length === 0 ? {} : { announce: config.p2pAnnounce }),
    announceToo: config.p2pAnnounceToo, neverBan: isHub, isRelay: isHub, reservations: isReachedByRelay ? federation.hubs.length : 0, upnp: config.upnp,
    ...(ledger === undefined || !config.relay ? {} : {
      relay: { gate: { mayReserve: (peer: string) => (table.get(peer)?.capacity.models.length ?? 0) > 0, mayConnect: relayRights.has } },
    }),
  })
  const jobPool = createChannelPool({ host }, { protocol: ids.job })
  const requests = createRequests({ pool: createChannelPool({ host }, { protocol: ids.control }), clock })
  const heartbeat = startHeartbeat({ host, requests, clock, random, log }, () => true)
  const modelHosts = createModelHosts({ host, clock, random, log }, { network: federation.network, isHub })

  // What this machine lends.
  const queue: JobQueue = createJobQueue({ clock }, { slots: () => provider.slots, onChange: () => announcer.changed() })
  const boot = random.bytes(16)
  const gate = createTicketGate({ clock }, { federation, publicKey: signer.publicKey })
  const executor = createExecutor({
    traffic: host.traffic, provider, queue, signer, turnSigner, clock, log, boot, devices: hardware.devices, gate,
    onRefused: (code) => lending?.onRefused(code), ...(ledger === undefined ? { lending: { refusal: () => lending?.lender?.refusal(), rankOf: (account) => lending?.lender?.rankOf(account) ?? 0 } } : {}),
  })
  const own = createOwnClouds(clouds)
  const table = createCapacityTable({ clock }, { demoAllowed: federation.kind === 'local', isHub })
  const announcer = createAnnouncer({ host, signer, clock, random, log }, {
    topic: ids.capacityTopic,
    measure: () => ({
      peer: signer.publicKey, name: config.name, mode: config.mode, gpus: [...hardware.gpus()], models: [...provider.models()],
      slots: { total: provider.slots, busy: queue.running, queued: queue.waiting }, ...(ledger === undefined ? {} : { clouds: [...own.offers()] }),
      clock: { boot, ms: Math.floor(clock.monotonicMs()) },
    }),
    pause: () => lending?.lender?.pauseNow(), ...(ledger === undefined ? {} : { onAnnounced: (capacity) => table.put(capacity) }),
  })
  const lends = config.mode !== 'consumer'
  const withdraw = async (): Promise<void> => {
    queue.drain()
    await announcer.leave()
  }
  const lending: NodeLending | undefined = ledger !== undefined ? undefined : await createNodeLending({
    config, system, host, requests, shaper, hardware, models: () => provider.models().map((model) => model.id), onLeft: () => { void withdraw() },
    onChange: (refusal) => {
      announcer.changedNow()
      if (refusal !== undefined) queue.refuseWaiting(refusal)
    },
    jobs: () => ({ running: queue.running, queued: queue.waiting, served: executor.counts.served, failed: executor.counts.failed, slots: provider.slots }),
  })

  // What makes it a hub, or a node that asks hubs.
  const status = createStatus({
    host, clock, jobs: () => side.jobs(), offered: () => provider.models().map((model) => model.id), ...(ledger === undefined ? {} : { ledger, table }),
  }, { name: config.name, mode: config.mode, federation, version: version })
  const shared: SharedParts = { config, system, host, turnSigner, requests, jobPool, modelHosts, executor, gate, boot, queue, status, isSelf: (peer) => peer === host.peerId, isHub }
  const side = ledger === undefined
    ? consumerSide(shared, lending!.gateway)
    : hubSide(shared, { ledger, table, own }, { ids, hubIndex, relayRights, registry: await openHubRegistry(config, system), standings: await openHubStandings(config, system) })

  host.handle(ids.job, side.jobServer)
  host.handle(ids.control, side.controlServer)
  const bridge = createBridge({
    gateway: withOwnKeys(side.gateway, { keys: ownKeys, vendor: (id) => clouds.vendor(id), clock }, { peerId: host.peerId, name: config.name }),
    vendorKeys: { ownKeys, isVendor: (id) => clouds.vendor(id) !== undefined }, generationStore: parts.generations, contributor: side.contributor, clock, random, log,
    ...(lending?.lender === undefined ? {} : { lender: { lender: lending.lender, adminToken: config.adminToken } }),
    ...(ledger === undefined || config.adminToken === undefined ? {} : { admin: { gateway: createAdminGateway({ ledger }, { hubNames: federation.hubs.map((hub) => hub.name), hubIndex }), token: config.adminToken, vendors: parts.vendorAdmin, ...(side.checks === undefined ? {} : { checks: side.checks }) } }),
  }, { host: config.apiHost, port: config.apiPort, stopMsMax: BRIDGE_STOP_MS_MAX })
  let api = ''
  let redial: Redial = { now() {}, stop() {} }
  let reservations = { stop() {} }
  let wake = { stop() {} }

  const life = createLifecycle({ clock, log }, [
    { name: 'engines', stop: () => provider.close() },
    { name: 'generations', stop: () => parts.generations.close() },
    // Lists of models come when they come, and are announced then.
    { name: 'clouds', start: () => { void clouds.start() }, stop: () => clouds.close() },
    ...(ledger === undefined ? [] : [{ name: 'ledger', stop: () => ledger.close() }]),
    { name: 'network', start: () => host.start(), stop: () => host.stop() },
    { name: 'channels', stop: () => jobPool.close() },
    { name: 'heartbeat', stop: () => heartbeat.stop() },
    ...side.parts,
    {
      name: 'redial',
      start: () => {
        redial = startRedial({ host, clock, random, log }, federation.hubs.flatMap((hub, index) => hub.peerId === host.peerId ? [] : [{
          name: hub.name, peerId: hub.peerId, addresses: hub.addresses, firstWaitMs: hubIndex > index ? HUB_SECOND_DIAL_MS : 0,
        }]))
      },
      stop: () => redial.stop(),
    },
    {
      name: 'reachability',
      start: () => {
        if (isReachedByRelay) reservations = startReservations({ host, clock, random, log }, federation.hubs)
        wake = startWake({ host, clock, log, addresses: system.addresses }, { onAwake: () => redial.now() })
      },
      stop: () => {
        reservations.stop()
        wake.stop()
      },
    },
    ...(ledger === undefined ? [] : [{ name: 'recovery', start: ({ signal }: { signal: AbortSignal }) => ledger.whenWritable({ signal }) }]),
    { name: 'jobs', stop: () => queue.idle(), stopMsMax: 4_000 },
    {
      name: 'offer',
      start: () => {
        if (!lends) return
        const offer = () => {
          modelHosts.provide(provider.models().map((model) => model.id))
          announcer.changed()
          lending?.registrar?.changed()
        }
        provider.onChange(offer)
        own.onChange(() => announcer.changed())
        announcer.start()
        offer()
      },
      stop: async () => {
        await withdraw()
        announcer.stop()
        modelHosts.stop()
      },
    },
    ...(lending === undefined ? [] : [lending.part]),
    {
      name: 'bridge',
      start: async () => {
        const bound = await bridge.start()
        api = `http://${bound.host.includes(':') ? `[${bound.host}]` : bound.host}:${bound.port}`
      },
      stop: () => bridge.stop(),
      // A second more, for the error events of answers that it ends.
      stopMsMax: BRIDGE_STOP_MS_MAX + 1_000,
    },
  ])
  await life.start({ signal: AbortSignal.timeout(START_MS_MAX) })

  return {
    peerId: host.peerId,
    name: config.name,
    mode: config.mode,
    api,
    p2p: host.addresses().map((address) => address.replace(/\/p2p\/[^/]+$/, '')),
    pid: process.pid,
    models: () => provider.models().map((model) => model.id),
    status,
    ...(lending?.registrar === undefined ? {} : { registered: lending.registrar.first }),
    stop: (options) => life.stop(options),
    failed: parts.failed ?? new Promise(() => {}),
  }
}

function hubSide(shared: SharedParts, { ledger, table, own }: { readonly ledger: HubLedger; readonly table: CapacityTable; readonly own: OwnClouds }, options: {
  readonly ids: ReturnType<typeof protocolIds>
  readonly hubIndex: number
  readonly relayRights: RelayRights
  readonly registry: Registry
  readonly standings: Standings
}): Side {
  const { config, system, host, turnSigner, requests, jobPool, modelHosts, executor, gate: ticketGate, boot, queue, status, isSelf, isHub } = shared
  const { clock, random, log } = system
  const { federation, identity: { signer } } = config
  const { ids, hubIndex, relayRights, registry, standings } = options
  const checks = createHubChecks({ config, system, standings, ledger, table, requests, hubIndex, isSelf, isConnected: (peer) => host.isConnected(peer) })

  const { liveness, record } = createHubLiveness(system, { host, requests })
  const presence = startPresence({ ledger, clock, log: log.child('presence'), isConnected: (peer) => host.isConnected(peer) })
  host.onGossip(ids.capacityTopic, (data) => {
    const { verdict, row: taken } = table.judge(data)
    if (taken !== undefined && checks.honesty.pays(taken.capacity.peer)) presence.heard(taken.capacity)
    if (taken !== undefined && taken.capacity.models.length > 0) record.heard(taken.peer)
    return verdict
  })
  host.onDisconnect((peer) => {
    table.forget(peer)
    presence.left(peer)
  })

  // A vendor's answer costs this machine next to nothing, so it waits for no slot of an engine.
  const cloudQueue = createJobQueue({ clock }, { slots: () => CLOUD_JOBS_MAX })
  const cloudExecutor = createExecutor({ provider: own.source, queue: cloudQueue, signer, turnSigner, clock, log, boot, devices: () => [CLOUD_DEVICE], gate: ticketGate })
  const serveOpen = serveEither(cloudExecutor.serveOpen, executor.serveOpen)
  const { market, hosts: cloudHosts } = createHubClouds(system, { table, ledger, requests, own, federation, peerId: host.peerId })
  const localServer = createJobServer({ serveOpen })
  const lending = createHubLending({
    config, system, ledger, table, registry, requests, checks, isSelf, isHub, isConnected: (peer) => host.isConnected(peer), coolingDown: (peer) => record.coolingDown(peer),
  })
  const tierOf = createTiers({ ledger })
  const dispatcher = createDispatcher({
    tierOf, limits: createTierLimits({ clock, tierOf }),
    table, modelHosts, ledger, signer: turnSigner, clock, random, log, isSelf, clouds: market, record, watch: lending.watch, checks: checks.honesty, distrusts: checks.honesty.distrusts, placesAt: checks.honesty.placesAt,
    ownPeers: lending.ownPeers, prefixes: createPrefixTable({ clock, random }),
    privacyOf: createHostPrivacy({ ledger, isProven: (account) => ledger.lending(account)?.probation.active === false }),
    isConnected: (peer) => isSelf(peer) || host.isConnected(peer),
    lease: (candidate) => isSelf(candidate.row.peer)
      ? Promise.resolve(localChannel(localServer, candidate.row.peer))
      : leaseRemote(host, jobPool, candidate),
    giveBack: (channel) => isSelf(channel.peer) ? channel.close() : jobPool.giveBack(channel),
  }, { network: federation.network, hubName: config.name })
  const gate = createAccountGate({ ledger, clock }, { network: federation.network, hub: signer.publicKey, isNodeKey: lending.isNodeKey })
  const keys = createKeyDesk({ ledger }, { isNodeKey: lending.isNodeKey })
  const jobsAt = createHomeJobs({
    reach: createReach({ host, clock, log }), pool: jobPool, traffic: host.traffic, clock, log, isConnected: (peer) => host.isConnected(peer),
    clientOf: (hub) => createAccountClient({ requests, isConnected: (peer) => host.isConnected(peer), clock, random }, { network: federation.network, hubs: [hub] }),
  }, { hubs: federation.hubs, me: hubIndex })
  const desk = createAccountDesk({
    gate, ledger, table, clouds: market, dispatcher, keys, checks: checks.honesty, signer, clock, log, relayRights, traffic: host.traffic,
    hasRelayed: (peer, contributor) => host.relay?.hasCarried(peer, contributor, SETTLED_WITHIN_MS) ?? false,
    addressesOf: (peer) => host.addressesOf(peer), reported: (peer, by) => liveness.reported(peer, by),
    devicesOf: (contributor) => presence.devicesOf(contributor),
  })
  const links = createHubLinks({ host, sync: ledger.sync, clock, log }, { protocol: ids.ledger, hubs: federation.hubs, hubIndex })
  host.handle(ids.ledger, links.handler)

  return {
    gateway: createHubGateway({ ledger, table, clouds: market, dispatcher, keys, jobsAt, clock, status, isNodeKey: lending.isNodeKey }),
    contributor: lending.gateway,
    checks: checks.honesty,
    jobServer: createJobServer({ serveOpen, serveRelay: createRelay({ gate, dispatcher, traffic: host.traffic }) }),
    controlServer: createRequestHandler((peer, question) => question.t === 'account' ? desk.answer(peer, question)
      : question.t === 'catalogue' ? catalogueAnswer(own, federation, peer, question) : lending.answer(peer, question)),
    parts: [
      checks.part(dispatcher),
      { name: 'cloud jobs', stop: () => cloudQueue.idle(), stopMsMax: 4_000 },
      { name: 'cloud catalogues', stop: () => cloudHosts.stop() },
      { name: 'hub links', stop: () => links.stop() },
      { name: 'presence', stop: () => presence.stop() },
      { name: 'liveness', stop: () => liveness.stop() },
      { name: 'dispatcher', stop: () => dispatcher.idle() },
    ],
    jobs: () => ({ running: dispatcher.counts.running, queued: queue.waiting, served: dispatcher.counts.served, failed: dispatcher.counts.failed }),
  }
}

function consumerSide(shared: SharedParts, contributor: ContributorGateway): Side {
  const { config, system, host, requests, jobPool, executor, queue, status, isSelf } = shared
  const { clock, random, log } = system
  const client = createAccountClient(
    { requests, isConnected: (peer) => host.isConnected(peer), clock, random },
    { network: config.federation.network, hubs: config.federation.hubs },
  )
  const server = createJobServer({ serveOpen: executor.serveOpen })
  const ways = withOwnMachine({ reach: createReach({ host, clock, log }), pool: jobPool }, { server, isSelf })
  const jobs = createRemoteJobs({ ...ways, client, traffic: host.traffic, prefixes: createPrefixTable({ clock, random }), clock, log })
  return {
    gateway: createRemoteGateway({ client, jobs, status }),
    contributor,
    jobServer: server,
    controlServer: createRequestHandler(() => Promise.reject(new TriforceError('PROTOCOL_VIOLATION', {}, { detail: 'this node is no hub' }))),
    parts: [],
    jobs: () => ({
      running: jobs.counts.running + queue.running, queued: queue.waiting, served: jobs.counts.served + executor.counts.served,
      failed: jobs.counts.failed + executor.counts.failed,
    }),
  }
}

/** Vendors' answers that this hub fetches at once. */
const CLOUD_JOBS_MAX = 2_000
/** What receipts of a vendor's answers name in place of a device; it earns nothing. */
const CLOUD_DEVICE = 'cloud'

/** A consumer settles when its job has ended, and asks again for some seconds where the hub does not answer. */
const SETTLED_WITHIN_MS = 60_000
