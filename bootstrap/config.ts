/**
 * Settings into the configuration of one node: defaults that depend on the mode, the federation and the key are filled
 * in, and combinations that cannot work are refused with the way out. `compose.ts` gets nothing else.
 */
import { homedir, hostname } from 'node:os'
import { join } from 'node:path'
import { apiKeySigner } from '../protocol/api-key.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { Federation, FederationHub } from '../protocol/federation.ts'
import type { CloudAccess } from '../providers/cloud/clouds.ts'
import type { TransportOptions } from '../providers/cloud/transport.ts'
import type { HonestyOptions } from '../node/honesty/honesty.ts'
import type { NodeMode } from '../protocol/messages/capacity.ts'
import type { Identity } from './identity.ts'
import type { LogLevel } from './log.ts'
import type { NodeSettings } from './option-table.ts'

export interface NodeConfig {
  readonly mode: NodeMode
  /** State folder, absolute. */
  readonly dir: string
  readonly name: string
  /** Checked: its three hubs signed it. */
  readonly federation: Federation
  readonly identity: Identity
  readonly apiHost: string
  /** 0: any free port. */
  readonly apiPort: number
  /** Multiaddrs to listen at. */
  readonly p2pAddresses: readonly string[]
  /** Multiaddrs to tell others in place of those; a hub's are the ones of the federation file. */
  readonly p2pAnnounce: readonly string[]
  /** Multiaddrs to tell others beside those. */
  readonly p2pAnnounceToo: readonly string[]
  /** Contributor and hybrid: be reachable through the hubs. Hub: relay. */
  readonly relay: boolean
  /** Ask the home router for a port. */
  readonly upnp: boolean
  /** The account's key: a consumer and a hybrid spend with it, a contributor earns for it. */
  readonly apiKey: string | undefined
  /** Hubs: who sends it as Bearer may use the admin routes of this hub. Nodes that lend: may pause them and change their settings. */
  readonly adminToken: string | undefined
  /** GGUF files, or folders of them; absolute. */
  readonly models: readonly string[]
  /** Base URL of Ollama; undefined: not used. */
  readonly ollamaHost: string | undefined
  readonly embedded: boolean
  readonly demoModel: boolean
  /** Jobs at once in each engine; undefined: what the engine thinks fit. */
  readonly slots: number | undefined
  readonly benchSource: boolean
  /** Hubs: how machines are checked. */
  readonly checks: HonestyOptions
  /** Hubs: least time between two pays. Default 10 minutes. */
  readonly payEveryMs?: number
  /** Keys for vendors; hubs only. Never logged. */
  readonly cloudAccess: readonly CloudAccess[]
  /** Other bounds of the ways to vendors than those of the transport, for tests. */
  readonly vendorTransport?: TransportOptions
  readonly logLevel: LogLevel
  readonly logFile: string | undefined
  readonly logJson: boolean
}

export interface ConfigParts {
  readonly federation: Federation
  readonly identity: Identity
  /** Of this hub, or of this node that lends; ignored for a consumer. */
  readonly adminToken: string | undefined
  /** Vendors' keys of the environment; ignored in other modes than hub. */
  readonly cloudAccess?: readonly CloudAccess[]
}

export const configDefaults = Object.freeze({
  nodeDir: join(homedir(), '.triforce', 'node'),
  localDir: join(homedir(), '.triforce', 'local'),
  /** Engines that were installed on demand, for all nodes of this user. */
  enginesDir: join(homedir(), '.triforce', 'engines'),
  /** GGUF files that were pulled; lent where no others are named. */
  modelsDir: join(homedir(), '.triforce', 'models'),
  apiHost: '127.0.0.1',
  apiPort: 8330,
  ollamaHost: 'http://127.0.0.1:11434',
  p2pAddress: '/ip4/0.0.0.0/tcp/0',
})

export function nodeDirOf(settings: NodeSettings): string {
  return settings.dir ?? configDefaults.nodeDir
}

export function federationPathOf(settings: NodeSettings): string {
  return settings.federation ?? join(nodeDirOf(settings), 'federation.json')
}

/** Throws CONFIG_INVALID. */
export function modeOf(settings: NodeSettings): NodeMode {
  return settings.mode ?? refuse('--mode is missing; give --mode hub, contributor, consumer or hybrid')
}

/** Throws CONFIG_INVALID. */
export function createNodeConfig(settings: NodeSettings, parts: ConfigParts): NodeConfig {
  const { federation, identity } = parts
  const mode = modeOf(settings)
  const hub = federation.hubs.find((known) => known.peerId === identity.peerId)
  checkRole(mode, hub, identity.peerId)
  const lends = mode === 'contributor' || mode === 'hybrid'
  const local = federation.kind === 'local'
  if (settings.demoModel === true && !local) {
    refuse('--demo-model cannot be on here: it only shows the software, and this is not a local federation')
  }
  return {
    mode,
    dir: nodeDirOf(settings),
    name: hub?.name ?? settings.name ?? hostName(),
    federation,
    identity,
    apiHost: settings.apiHost ?? configDefaults.apiHost,
    apiPort: settings.apiPort ?? configDefaults.apiPort,
    p2pAddresses: settings.p2p ?? (hub === undefined ? [configDefaults.p2pAddress] : listenAddresses(hub)),
    p2pAnnounce: hub?.addresses ?? [],
    p2pAnnounceToo: settings.announce ?? [],
    relay: settings.relay ?? true,
    upnp: settings.upnp ?? false,
    apiKey: checkedApiKey(mode, settings.apiKey),
    adminToken: hub !== undefined || lends ? parts.adminToken : undefined,
    models: settings.models ?? [],
    ollamaHost: ollamaHostOf(mode, settings),
    embedded: settings.embedded ?? (lends || settings.models !== undefined),
    demoModel: settings.demoModel ?? (lends && local && settings.embedded !== false),
    slots: settings.slots,
    benchSource: settings.benchSource ?? false,
    checks: { asks: settings.checks ?? !local },
    cloudAccess: hub === undefined ? [] : parts.cloudAccess ?? [],
    logLevel: settings.logLevel ?? 'info',
    logFile: settings.logFile,
    logJson: settings.logJson ?? false,
  }
}

function checkRole(mode: NodeMode, hub: FederationHub | undefined, peerId: string): void {
  if (mode === 'hub' && hub === undefined) {
    refuse(`--mode hub needs a key of one of the three hubs, and ${peerId} is none of them; `
      + 'give the --dir that holds the hub\'s key, or the federation file that names this key')
  }
  if (mode !== 'hub' && hub !== undefined) {
    refuse(`--mode ${mode} cannot run with the key of hub "${hub.name}"; give another --dir, and a new key is made there`)
  }
}

function checkedApiKey(mode: NodeMode, apiKey: string | undefined): string | undefined {
  if (mode === 'hub') return undefined
  if (apiKey === undefined) {
    // A contributor whose key a hub's admin has added to an account needs none.
    if (mode === 'contributor') return undefined
    refuse(`--key is missing; a ${mode} needs the API key of its account (or TRIFORCE_API_KEY), and a hub's admin makes one`)
  }
  if (apiKeySigner(apiKey) === undefined) refuse('--key is not an API key of TriForce; it begins with tf- and was shown when it was made')
  return apiKey
}

function ollamaHostOf(mode: NodeMode, settings: NodeSettings): string | undefined {
  if (settings.ollama === 'off' || mode === 'consumer') return undefined
  if (mode === 'hub') return settings.ollama?.url
  return settings.ollama?.url ?? configDefaults.ollamaHost
}

/**
 * A hub is known by an address that the machine itself may not have (a name, or a router's address), so it listens at
 * the same port of every address. A loopback address is meant as it stands.
 */
function listenAddresses(hub: FederationHub): readonly string[] {
  const listen = hub.addresses.map((address) => {
    const [, kind, host, , port] = address.split('/')
    if (kind === 'ip4' && host?.startsWith('127.')) return address
    if (kind === 'ip6' && host === '::1') return address
    return kind === 'ip6' || kind === 'dns6' ? `/ip6/::/tcp/${port}` : `/ip4/0.0.0.0/tcp/${port}`
  })
  return [...new Set(listen)]
}

function hostName(): string {
  // The same letters as --name allows; a host without any is still a node.
  return hostname().split('.', 1)[0]!.replaceAll(/[^\p{L}\p{N}._-]/gu, '').slice(0, 64) || 'node'
}

function refuse(detail: string): never {
  throw new TriforceError('CONFIG_INVALID', {}, { detail })
}
