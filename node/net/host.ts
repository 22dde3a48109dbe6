/**
 * The libp2p node: transports, encryption, muxing, gossip and DHT, with the settings that keep streams from being reset
 * and peers from being dropped (docs/protocol.md#libp2p lists them with their reasons).
 * Gives channels, gossip messages and provider records; nothing above this folder imports libp2p.
 */
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { gossipsub, TopicValidatorResult, type GossipSub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { kadDHT, passthroughMapper, type KadDHT } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { CID } from 'multiformats/cid'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import type { ProtocolIds } from '../../protocol/ids.ts'
import { CAPACITY_BYTES_MAX } from '../../protocol/limits.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import type { Channel, ChannelHandler } from './channel.ts'
import { trackConnections, type Way } from './connections.ts'
import { corkedTcp } from './corked-tcp.ts'
import { gossipSettings } from './gossip-settings.ts'
import { createHeldBytes } from './held-bytes.ts'
import { createMisconduct } from './misconduct.ts'
import { createRelayClient } from './relay-client.ts'
import { createRelayServer, type RelayServer, type RelayServerOptions } from './relay-server.ts'
import type { SocketShaper } from './socket-shaper.ts'
import { sparingYamux } from './sparing-yamux.ts'
import { createStreamChannel } from './stream-channel.ts'
import { createTraffic, type JobPath, type Traffic } from './traffic.ts'
import { createTurnEnd, type TurnEnd } from './turn-end.ts'
import { turnNoise } from './turn-noise.ts'

export interface HostComponents {
  readonly clock: Clock
  readonly log: Log
  /** Default: one of its own. */
  readonly turnEnd?: TurnEnd
  /** Holds a bound on what this node sends and gets. */
  readonly shaper?: SocketShaper
}

export interface HostOptions {
  /** 32-byte Ed25519 seed of the node's key. */
  readonly seed: Uint8Array
  readonly ids: ProtocolIds
  /** Hubs serve the DHT, subscribe to capacity and take many connections. */
  readonly hub: boolean
  /** Multiaddrs to listen on; empty: only dial. */
  readonly listen: readonly string[]
  /** Multiaddrs to tell others, where they differ. */
  readonly announce?: readonly string[]
  /** Multiaddrs to tell others beside those. */
  readonly announceToo?: readonly string[]
  readonly version: string
  /** Peers that are kept whatever they do. */
  readonly neverBan?: (peer: string) => boolean
  /** Peers through which this node may reach others, or be reached: the hubs. Absent: none. */
  readonly isRelay?: (peer: string) => boolean
  /** Be reachable through so many of them. Default 0. */
  readonly reservations?: number
  /** Ask the home router for a port (UPnP). */
  readonly upnp?: boolean
  /** Hubs: be a relay, for whom this lets through. */
  readonly relay?: RelayServerOptions
}

/** What a gossip message is worth: `reject` also costs the peer that passed it on its score. */
export type GossipVerdict = 'accept' | 'ignore' | 'reject'

export interface Host {
  readonly peerId: string
  start(): Promise<void>
  stop(): Promise<void>
  /** Multiaddrs under which this node listens itself, with its peer id. */
  addresses(): string[]
  /** Register before `start`. */
  handle(protocol: string, handler: ChannelHandler): void
  /** Opens a channel over the connection to `peer`, whoever dialled it. Throws NO_HOST where there is none. */
  open(peer: string, protocol: string, options: { signal: AbortSignal }): Promise<Channel>
  /** Connects to the first address that answers. Each ends in `/p2p/<peer id>`. */
  dial(addresses: readonly string[], options: { signal: AbortSignal }): Promise<void>
  isConnected(peer: string): boolean
  /** How new work would reach the peer; undefined where it must be dialled first. */
  wayTo(peer: string): Way | undefined
  /** Opens a circuit to `peer` through a relay that we are connected to. */
  dialThrough(relay: string, peer: string, options: { readonly signal: AbortSignal }): Promise<void>
  /** Asks a connected relay for a place; nothing happens where one is held. */
  reserve(relay: string): void
  /** Relays at which a place is held: peers that know one of them can reach this node through it. */
  reservedAt(): string[]
  /** Finds connections that died without a word, and cuts them. */
  probe(options: { readonly waitMsMax: number }): Promise<void>
  readonly traffic: Traffic
  /** Hubs that relay. */
  readonly relay?: RelayServer
  /** Addresses that a connected peer gave of itself, each ending in `/p2p/<peer id>`; no circuits; empty where none is known. */
  addressesOf(peer: string): Promise<string[]>
  /** Peers with an open connection. */
  peers(): string[]
  connectionCount(): number
  /** Cuts every connection to the peer. */
  drop(peer: string, reason: string): void
  onConnect(listener: (peer: string) => void): void
  onDisconnect(listener: (peer: string) => void): void
  /** Hubs only, before `start`: judges each message before it is passed on. */
  onGossip(topic: string, judge: (data: Uint8Array) => GossipVerdict): void
  /** Called when a connected peer has subscribed to the topic: only from then on it hears what is published. */
  onSubscriber(topic: string, listener: () => void): void
  /** Throws NO_HUB where no subscriber is connected. */
  publish(topic: string, data: Uint8Array): Promise<void>
  /** Writes a provider record for `key` at the hubs. */
  provide(key: CID, options: { signal: AbortSignal }): Promise<void>
  cancelProvide(key: CID): Promise<void>
  /** Peers of provider records with the addresses they gave; they may be long gone. */
  findProviders(key: CID, options: { signal: AbortSignal; limit: number }): Promise<ProviderPeer[]>
}

export interface ProviderPeer {
  readonly peer: string
  /** Multiaddrs that end in `/p2p/<peer id>`; no circuits. */
  readonly addresses: readonly string[]
}

// One connection carries all jobs between two peers.
const STREAMS_PER_PROTOCOL_MAX = 1_024
const MINUTE_MS = 60_000

export async function createHost(components: HostComponents, options: HostOptions): Promise<Host> {
  const log = components.log.child('net')
  const misconduct = createMisconduct(components, options.neverBan === undefined ? {} : { spares: options.neverBan })
  const { hub, ids } = options
  const { turnEnd = createTurnEnd() } = components
  const isRelay = options.isRelay ?? (() => false)
  const traffic = createTraffic()
  const relayClient = createRelayClient(isRelay)
  const relay = options.relay === undefined ? undefined : createRelayServer(components, options.relay)
  const listen = [...options.listen, ...Array.from({ length: options.reservations ?? 0 }, () => '/p2p-circuit')]
  // With the XML and the SSDP of home routers, which most nodes have no use for.
  const mapping = options.upnp === true ? await import('./port-mapping.ts') : undefined
  const node = await createLibp2p({
    start: false,
    privateKey: await generateKeyPairFromSeed('Ed25519', options.seed),
    nodeInfo: { name: 'triforce', version: options.version },
    addresses: { listen, appendAnnounce: [...options.announceToo ?? []], ...(options.announce === undefined ? {} : { announce: [...options.announce] }) },
    transports: [corkedTcp({ maxConnections: hub ? 6_000 : 128 }, components.shaper), ...(hub ? [] : [relayClient.transport])],
    connectionEncrypters: [turnNoise(turnEnd)],
    streamMuxers: [sparingYamux({
      keepAliveInterval: 20_000,
      maxInboundStreams: 4_096,
      maxOutboundStreams: 4_096,
      // The window must stay below the read buffer, or a paused stream is reset; the write buffer has no bound by default.
      streamOptions: { maxStreamWindowSize: 1 << 20, maxReadBufferLength: 4 << 20, maxWriteBufferLength: 16 << 20 },
    })],
    // Gossip keeps a stream open on every connection, so pruning never closes one: limits are for what comes in.
    connectionManager: {
      maxConnections: hub ? 5_000 : 128,
      inboundConnectionThreshold: hub ? 200 : 50,
      maxIncomingPendingConnections: hub ? 256 : 32,
      // The redial loop (redial.ts) knows the addresses; libp2p's own forgets them.
      reconnectRetries: 0,
    },
    // It ends a connection after one late ping, with all jobs on it; heartbeat.ts gives three strikes.
    connectionMonitor: { enabled: false },
    // A hub meets any number of peers and dials by provider records, so it forgets; the others must find their hubs again.
    peerStore: hub ? {} : { maxAddressAge: Infinity, maxPeerAge: Infinity },
    connectionGater: {
      denyDialMultiaddr: () => false,
      denyInboundEncryptedConnection: (peer: PeerId) => misconduct.isBanned(peer.toString()),
      denyDialPeer: (peer: PeerId) => misconduct.isBanned(peer.toString()),
    },
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: ping(),
      ...(relay === undefined ? {} : { relay: relay.service }),
      ...(mapping === undefined ? {} : { upnp: mapping.portMapping({ clock: components.clock, log }) }),
      gossip: gossipsub(gossipSettings({ hub, topic: ids.capacityTopic })),
      dht: kadDHT({
        protocol: ids.kad,
        clientMode: !hub,
        allowQueryWithZeroPeers: hub,
        initialQuerySelfInterval: 100,
        // Federations live in homes and offices too: private addresses are good addresses.
        peerInfoMapper: passthroughMapper,
        reprovide: { validity: 20 * MINUTE_MS, interval: 2 * MINUTE_MS, threshold: 12 * MINUTE_MS, concurrency: 10 },
      }),
    },
  })

  const connections = trackConnections({ clock: components.clock, log }, node)
  const gossip: GossipSub = node.services.gossip
  const dht: KadDHT = node.services.dht
  const held = createHeldBytes()
  const connected = new Set<string>()
  node.addEventListener('peer:connect', (event) => connected.add(event.detail.toString()))
  node.addEventListener('peer:disconnect', (event) => {
    const peer = event.detail.toString()
    connected.delete(peer)
    relay?.forget(peer)
  })
  const handlers: { protocol: string; handler: ChannelHandler }[] = []

  /** Makes the channel in the same tick, then lets the handler run; its throw ends the stream. */
  function serve(handler: ChannelHandler, stream: Stream, connection: Connection): void {
    const peer = connection.remotePeer.toString()
    const channel = channelOn(stream, connection, peer)
    handler(channel).then(
      () => channel.close(),
      (reason: unknown) => {
        const error = toTriforceError(reason)
        const context = { code: error.code, peer, protocol: stream.protocol }
        if (error.spec.blame === 'peer') log.debug('channel ended badly', context)
        else log.warn('channel ended badly', context)
        channel.abort(error)
        if (!misconduct.report(peer, error.code)) return
        log.warn('peer breaks the protocol again and again, kept out for a while', context)
        drop(peer, 'banned')
      },
    )
  }

  function channelOn(stream: Stream, connection: Connection, peer: string): Channel {
    const isGood = () => connections.isGood(connection)
    if (stream.protocol !== ids.job) return createStreamChannel(stream, peer, { held, turnEnd, isGood })
    const path: JobPath = !connection.direct ? 'relayed' : hub || isRelay(peer) ? 'proxied' : 'direct'
    return createStreamChannel(stream, peer, {
      held, turnEnd, path, isGood,
      count(bytes) {
        traffic.bytes(path, bytes)
        if (path === 'relayed') connections.used(connection)
      },
    })
  }

  function drop(peer: string, reason: string): void {
    for (const connection of node.getConnections(peerIdFromString(peer))) connection.abort(new Error(reason))
  }

  return {
    peerId: node.peerId.toString(),
    async start() {
      for (const { protocol, handler } of handlers) {
        await node.handle(protocol, (stream, connection) => serve(handler, stream, connection), {
          maxInboundStreams: STREAMS_PER_PROTOCOL_MAX, maxOutboundStreams: STREAMS_PER_PROTOCOL_MAX,
          // Circuits have limits; jobs are what they are for.
          runOnLimitedConnection: protocol === ids.job || protocol === ids.control,
        })
      }
      try {
        await node.start()
      } catch (cause) {
        throw new TriforceError('CONFIG_INVALID', reasonOf(cause), {
          cause, detail: `cannot listen on ${options.listen.join(', ')}: ${listenProblems[reasonOf(cause).reason] ?? reasonOf(cause).reason}`,
        })
      }
      connections.start()
      if (hub) gossip.subscribe(ids.capacityTopic)
    },
    async stop() {
      connections.stop()
      await node.stop()
    },
    addresses: () => node.getMultiaddrs().map(String).filter((address) => !isCircuit(address)),
    handle(protocol, handler) {
      handlers.push({ protocol, handler })
    },
    async open(peer, protocol, { signal }) {
      const connection = connections.best(peer)
      if (connection === undefined) throw new TriforceError('NO_HOST', { peer }, { detail: 'there is no connection to this peer' })
      try {
        const stream = await connection.newStream(protocol, { signal, maxOutboundStreams: STREAMS_PER_PROTOCOL_MAX, runOnLimitedConnection: true })
        return channelOn(stream, connection, peer)
      } catch (cause) {
        throw new TriforceError('HOST_LOST', { peer }, { cause, detail: 'the peer did not open a stream' })
      }
    },
    async dial(addresses, { signal }) {
      await node.dial(addresses.map((address) => multiaddr(address)), { signal })
    },
    isConnected: (peer) => connected.has(peer),
    wayTo: (peer) => connections.wayTo(peer),
    async dialThrough(through, peer, { signal }) {
      if (misconduct.isBanned(peer)) throw new TriforceError('NO_HOST', { peer })
      await relayClient.dial(through, peer, { signal })
    },
    reserve: (through) => relayClient.reserve(through),
    reservedAt: () => [...new Set(node.getMultiaddrs().flatMap((address) => /\/p2p\/([^/]+)\/p2p-circuit/.exec(address.toString())?.[1] ?? []))],
    async probe({ waitMsMax }) {
      await Promise.all(node.getConnections().map(async (connection) => {
        try {
          // A round trip that every peer answers, whatever it is doing.
          const stream = await connection.newStream(ids.control, { signal: AbortSignal.timeout(waitMsMax), runOnLimitedConnection: true })
          await stream.close({ signal: AbortSignal.timeout(waitMsMax) })
        } catch (cause) {
          log.info('connection is dead, cut', { peer: connection.remotePeer.toString() })
          connection.abort(cause instanceof Error ? cause : new Error('no answer'))
        }
      }))
    },
    traffic,
    ...(relay === undefined ? {} : { relay }),
    async addressesOf(peer) {
      // A peer that was never identified is not in the store, which then throws.
      const known = await node.peerStore.get(peerIdFromString(peer)).catch(() => undefined)
      return directAddresses(known?.addresses.map((address) => address.multiaddr) ?? [], peer)
    },
    peers: () => [...connected],
    connectionCount: () => node.getConnections().length,
    drop,
    onConnect(listener) {
      node.addEventListener('peer:connect', (event) => listener(event.detail.toString()))
    },
    onDisconnect(listener) {
      node.addEventListener('peer:disconnect', (event) => listener(event.detail.toString()))
    },
    onGossip(topic, judge) {
      gossip.topicValidators.set(topic, (_from, message) => {
        if (message.data.byteLength > CAPACITY_BYTES_MAX) return TopicValidatorResult.Reject
        return verdicts[judge(message.data)]
      })
    },
    onSubscriber(topic, listener) {
      gossip.addEventListener('subscription-change', (event) => {
        if (event.detail.subscriptions.some((change) => change.topic === topic && change.subscribe)) listener()
      })
    },
    async publish(topic, data) {
      try {
        await gossip.publish(topic, data)
      } catch (cause) {
        throw new TriforceError('NO_HUB', {}, { cause })
      }
    },
    async provide(key, { signal }) {
      await node.contentRouting.provide(key, { signal })
    },
    async cancelProvide(key) {
      await dht.cancelReprovide(key)
    },
    async findProviders(key, { signal, limit }) {
      const found: ProviderPeer[] = []
      try {
        for await (const provider of node.contentRouting.findProviders(key, { signal })) {
          const peer = provider.id.toString()
          found.push({ peer, addresses: directAddresses(provider.multiaddrs, peer) })
          if (found.length >= limit) break
        }
      } catch (error) {
        // A lookup that runs out of time has still found what it found.
        log.debug('provider lookup ended early', { code: toTriforceError(error).code, found: found.length })
      }
      return found
    },
  }
}

const verdicts = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
} as const satisfies Record<GossipVerdict, TopicValidatorResult>

const isCircuit = (address: string) => address.includes('/p2p-circuit')

function directAddresses(addresses: readonly { toString(): string }[], peer: string): string[] {
  return addresses.map(String).filter((address) => !isCircuit(address)).map((address) => address.endsWith(`/p2p/${peer}`) ? address : `${address}/p2p/${peer}`)
}

const listenProblems: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use; end what listens there, or give another with --p2p',
  EADDRNOTAVAIL: 'this machine does not have that address; give one that it has with --p2p',
  EACCES: 'the system allows this port to administrators only; give one above 1023 with --p2p',
}

/** libp2p puts every address and its stack trace into one message; the system's code in it says enough. */
function reasonOf(cause: unknown): { readonly reason: string } {
  const message = cause instanceof Error ? cause.message : String(cause)
  return { reason: Object.keys(listenProblems).find((code) => message.includes(code)) ?? message.split('\n', 1)[0]! }
}
