/**
 * Hosts that offer a model: named by provider records in the DHT, by capacity announcements and by the catalogues of
 * hubs with keys for vendors. The router decides which of them may be asked and in which order.
 */
import { isEmbedding, type JobRequest } from '../../protocol/completion.ts'
import type { ModelCapability } from '../../protocol/messages/capacity.ts'
import type { CapacityRow, CapacityTable } from '../capacity/table.ts'
import type { CloudHosts } from '../clouds/cloud-hosts.ts'
import { ownIdOf } from '../clouds/own-clouds.ts'
import type { ModelHosts } from '../discovery/model-hosts.ts'
import type { TokenPrice } from '../gateway.ts'
import type { ProviderPeer } from '../net/host.ts'
import type { HostPrivacy } from '../settlement/host-privacy.ts'
import type { HostRecord } from './host-record.ts'
import { sampleHosts, type SampledHost } from './host-sample.ts'
import type { RouteOffer } from './router.ts'

export interface HostCandidate {
  readonly row: CapacityRow
  /** From provider records; how to reach a host that has no connection to this hub. */
  readonly addresses: readonly string[]
}

/** An offer and how to reach it. */
export interface HostOffer extends RouteOffer, HostCandidate {
  /** Most tokens of an answer; 0 where unknown. */
  readonly outputTokensMax: number
  /** Of the weights. */
  readonly digest?: string
}

/** Whose prompt it is. */
export interface Asker {
  readonly account: Uint8Array
  /** Accounts that the asking key calls friends. */
  readonly friends?: readonly Uint8Array[] | undefined
}

export interface CandidatesComponents {
  readonly table: Pick<CapacityTable, 'fresh' | 'groups' | 'host' | 'isFresh'>
  /** Machines of an account, if it lends any. */
  readonly ownPeers?: (account: Uint8Array) => readonly string[]
  readonly modelHosts: Pick<ModelHosts, 'find'>
  readonly record: Pick<HostRecord, 'load' | 'coolingDown'>
  readonly isConnected: (peer: string) => boolean
  readonly isSelf: (peer: string) => boolean
  readonly privacyOf: HostPrivacy
  readonly clouds: CloudMarket
  /** A host that failed its checks gets no jobs of this account. */
  readonly distrusts?: (peer: string, account: Uint8Array) => boolean
  /** Of `total` places of a stranger's machine those that may be taken now. Default: all. */
  readonly placesAt?: ((peer: string, total: number) => number) | undefined
}

/** What the vendors have, and for how much. */
export interface CloudMarket {
  readonly hosts: Pick<CloudHosts, 'find' | 'models'>
  /** The vendors' models that a name means, the first choice first: the id itself, or an alias such as `claude-sonnet`. */
  readonly resolve: (name: string) => readonly string[]
  /** The price of a vendor's model. */
  readonly priceOf: (vendor: string, ownId: string) => TokenPrice
}

/** What a host must be able to do for this request. */
export function needsOf(request: JobRequest): ModelCapability[] {
  if (isEmbedding(request)) return ['embedding']
  return [
    'chat',
    ...(request.responseFormat.type === 'text' ? [] : ['json' as const]),
    ...(request.continueLast ? ['continue' as const] : []),
    ...(request.tools === undefined && request.messages.every(({ role, toolCalls }) => role !== 'tool' && toolCalls === undefined) ? [] : ['tools' as const]),
    ...(request.messages.some(({ content }) => typeof content !== 'string' && content.some(({ type }) => type === 'image')) ? ['vision' as const] : []),
    ...(request.logprobs === undefined ? [] : ['logprobs' as const]),
    ...(request.reasoning === undefined || request.reasoning.effort === 'none' || request.reasoning.adaptive === true ? [] : ['reasoning' as const]),
  ]
}

export interface OffersOrder extends Asker {
  readonly model: string
  readonly needs: readonly ModelCapability[]
  /** Host that has the beginning of the prompt in its memory. */
  readonly affine?: string | undefined
  /** Hosts that may take the job, of the hubs and of the pool each; Infinity: all. */
  readonly wanted: number
  readonly allows: (offer: HostOffer) => boolean
  /** It matters which strangers are verified. */
  readonly needsProof: boolean
}

export interface FoundOffers {
  /** Some that may take the job, and some of those that may not. */
  readonly offers: readonly HostOffer[]
  /** Of all hosts, those that were not looked at included. */
  readonly known: number
}

/** Who offers what `model` names, reachable or not. */
export async function findOffers(components: CandidatesComponents, order: OffersOrder, unit: () => number): Promise<FoundOffers> {
  const peers = findPeers(components, order, addressesByPeer(await components.modelHosts.find(order.model)), unit)
  const clouds = findClouds(components, order.model)
  return clouds.length === 0 ? peers : { offers: [...peers.offers, ...clouds], known: peers.known + clouds.length }
}

function findPeers(components: CandidatesComponents, order: OffersOrder, recorded: ReadonlyMap<string, readonly string[]>, unit: () => number): FoundOffers {
  const { model: modelId, needs, affine, wanted, allows } = order
  const { record, isConnected, isSelf, distrusts, placesAt = allPlaces } = components
  const offers: HostOffer[] = []
  const privacyOf = components.privacyOf(order, order)
  const close = [order.account, ...order.friends ?? []].flatMap((account) => components.ownPeers?.(account) ?? [])
  const first = affine === undefined ? close : [...close, affine]
  const known = sampleHosts(components.table, { model: modelId, needs, first, wanted, take }, unit)
  return { offers, known }

  function take({ row, model }: SampledHost): boolean {
    const { peer, capacity } = row
    const addresses = recorded.size === 0 ? NO_ADDRESSES : recorded.get(peer) ?? NO_ADDRESSES
    const privacy = privacyOf(row)
    const plain: HostOffer = {
      row, addresses, peer, digest: model.digest, model: modelId, name: capacity.name, isHub: capacity.mode === 'hub', privacy,
      capabilities: model.capabilities, quantization: model.quantization, parameters: model.parameters, tokensPerSecond: model.tokensPerSecond,
      loaded: model.loaded, draining: capacity.draining, reachable: isSelf(peer) || isConnected(peer) || addresses.length > 0,
      slotsTotal: privacy === 'own' || privacy === 'friends' ? capacity.slots.total : placesAt(peer, capacity.slots.total), announcedLoad: capacity.slots.busy + capacity.slots.queued, ownLoad: record.load(peer),
      coolingDown: record.coolingDown(peer), outputTokensMax: 0, distrusted: distrusts?.(peer, order.account) === true,
    }
    // Most have neither, and a spread costs as much as all the rest.
    const offer = capacity.pause === undefined && peer !== affine ? plain
      : { ...plain, ...(capacity.pause === undefined ? {} : { notLending: capacity.pause.why }), ...(peer === affine ? { affine: true } : {}) }
    offers.push(offer)
    return allows(offer)
  }
}

const allPlaces = (_peer: string, total: number) => total

/** One map for each lookup: its answer is the same object until the next. */
function addressesByPeer(hosts: readonly ProviderPeer[]): ReadonlyMap<string, readonly string[]> {
  if (hosts.length === 0) return NOBODY
  let known = addressMaps.get(hosts)
  if (known === undefined) {
    known = new Map(hosts.map(({ peer, addresses }) => [peer, addresses]))
    addressMaps.set(hosts, known)
  }
  return known
}

const NOBODY: ReadonlyMap<string, readonly string[]> = new Map()
const NO_ADDRESSES: readonly string[] = Object.freeze([])
const addressMaps = new WeakMap<object, ReadonlyMap<string, readonly string[]>>()

function findClouds({ clouds, isConnected, isSelf, record }: CandidatesComponents, modelId: string): HostOffer[] {
  return clouds.resolve(modelId).flatMap((id) => clouds.hosts.find(id).map(({ row, offer, model }): HostOffer => ({
    row, addresses: [], peer: row.peer, model: id, name: row.capacity.name, isHub: true, privacy: 'cloud',
    capabilities: model.capabilities, quantization: '', parameters: 0, tokensPerSecond: 0, loaded: true, draining: row.capacity.draining,
    reachable: isSelf(row.peer) || isConnected(row.peer), slotsTotal: 1, announcedLoad: 0, ownLoad: 0,
    coolingDown: record.coolingDown(cloudRecordName(row.peer, offer.vendor)), outputTokensMax: model.outputTokensMax,
    cloud: { vendor: offer.vendor, price: clouds.priceOf(offer.vendor, ownIdOf(id)), keepsPrompts: offer.keepsPrompts, isSelf: isSelf(row.peer) },
  })))
}

/** A vendor that fails at a hub says nothing of the hub's own engines, nor of its other vendors. */
export function cloudRecordName(peer: string, vendor: string): string {
  return `${peer} ${vendor}`
}
