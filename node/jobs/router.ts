/**
 * Where a request may go, and in which order: a pure function of what is offered, what the client wishes and who may see
 * the prompt. What was left out stands in the decision with its reason, so that it can be explained.
 *
 * Of the hosts of one model the order is: those that the client named first, then by its `sort`, else the account's own
 * machines, then the plan: small models at hubs and large ones in the pool while these have a free slot, then whoever has
 * one, then whoever is left. A vendor comes after the hosts of the federation, for it costs credits. Other models come after
 * all hosts of the first.
 */
import type { ModelCapability, NotLendingWhy } from '../../protocol/messages/capacity.ts'
import type { PrivacyClass, RoutingWishes } from '../../protocol/routing.ts'
import type { TokenPrice } from '../gateway.ts'
import { expectedWaitMs, isFull, loadShare, placeJob, type PlacementCandidate } from './placement.ts'

/** One model at one host. */
export interface RouteOffer extends PlacementCandidate {
  readonly model: string
  /** Name of the node. */
  readonly name: string
  readonly isHub: boolean
  /** The first privacy class that has this host. */
  readonly privacy: PrivacyClass
  readonly capabilities: readonly ModelCapability[]
  readonly quantization: string
  readonly draining: boolean
  /** Where it drains and stays: why. */
  readonly notLending?: NotLendingWhy
  readonly reachable: boolean
  /** Beginnings of prompts of who asks that it has in its memory; known only where a route is explained. */
  readonly remembers?: number
  /** It failed its checks. */
  readonly distrusted?: boolean
  /** Of a vendor's model; the peer is the hub that has the key. */
  readonly cloud?: { readonly vendor: string; readonly price: TokenPrice; readonly keepsPrompts: boolean; readonly isSelf: boolean }
}

/** By what holds the machine; `draining` is also one that leaves. */
const notLendingReasons = {
  paused: 'paused', draining: 'draining', schedule: 'outside its hours', hours: 'lent enough today', in_use: 'in use by its owner', settings: 'held by its settings',
} as const satisfies Record<NotLendingWhy, string>

type RestingReason = typeof notLendingReasons[NotLendingWhy]

export type LeftOutReason =
  | RestingReason | 'unreachable' | 'failed checks' | 'incapable' | 'excluded' | 'privacy' | 'not in only' | 'ignored' | 'not in order' | 'quantization' | 'keeps prompts' | 'too dear'

/** True where the host is there and does not lend now. */
export function isResting(reason: LeftOutReason): reason is RestingReason {
  return Object.values<LeftOutReason>(notLendingReasons).includes(reason)
}

export interface LeftOut {
  readonly model: string
  readonly peer: string
  readonly name: string
  readonly vendor?: string
  readonly reason: LeftOutReason
}

export interface RouteOrder {
  readonly needs: readonly ModelCapability[]
  readonly wishes: RoutingWishes
  /** Who may see the prompt. */
  readonly privacy: PrivacyClass
  /** Peers that were asked already. */
  readonly exclude?: readonly string[]
}

export interface RouteDecision<Offer extends RouteOffer = RouteOffer> {
  /** In the order in which to ask them. */
  readonly steps: readonly Offer[]
  readonly leftOut: readonly LeftOut[]
}

/** Models of up to 8 billion parameters belong on hubs; an "8B" has a little more than its name says. */
export const SMALL_MODEL_PARAMETERS_MAX = 8_500_000_000

const PRIVACY_ORDER: readonly PrivacyClass[] = ['own', 'friends', 'verified', 'any', 'cloud']

/** True where hosts of the class `host` may see what may be seen by `allowed`. */
export function mayBeSeenBy(host: PrivacyClass, allowed: PrivacyClass): boolean {
  return PRIVACY_ORDER.indexOf(host) <= PRIVACY_ORDER.indexOf(allowed)
}

/**
 * `offers` of each model, in the order in which the models are to be tried; `unit` gives numbers in [0, 1). `reasonOf`: why an offer is
 * left out, where that was looked at before.
 */
export function route<Offer extends RouteOffer>(
  offers: readonly (readonly Offer[])[], order: RouteOrder, unit: () => number, reasonOf: (offer: Offer) => LeftOutReason | undefined = (offer) => reasonAgainst(offer, order),
): RouteDecision<Offer> {
  const leftOut: LeftOut[] = []
  const steps: Offer[] = []
  for (const ofModel of offers) {
    const allowed: Offer[] = []
    for (const offer of ofModel) {
      const reason = reasonOf(offer)
      if (reason === undefined) allowed.push(offer)
      else leftOut.push(leaveOut(offer, reason))
    }
    steps.push(...rank(allowed, order.wishes, unit))
  }
  return { steps, leftOut }
}

function leaveOut({ model, peer, name, cloud }: RouteOffer, reason: LeftOutReason): LeftOut {
  return { model, peer, name, ...(cloud === undefined ? {} : { vendor: cloud.vendor }), reason }
}

/** Undefined where the host may be asked. */
export function reasonAgainst(offer: RouteOffer, { needs, wishes, privacy, exclude = [] }: RouteOrder): LeftOutReason | undefined {
  const { order, only, ignore, allowFallbacks, quantizations, dataCollection, maxPrice } = wishes
  if (offer.draining) return notLendingReasons[offer.notLending ?? 'draining']
  if (!offer.reachable) return 'unreachable'
  if (offer.distrusted === true) return 'failed checks'
  if (exclude.includes(offer.peer)) return 'excluded'
  if (!needs.every((need) => offer.capabilities.includes(need))) return 'incapable'
  if (!mayBeSeenBy(offer.privacy, privacy)) return 'privacy'
  if (only !== undefined && only.length > 0 && placeIn(only, offer) === -1) return 'not in only'
  if (ignore !== undefined && placeIn(ignore, offer, { isToAvoid: true }) !== -1) return 'ignored'
  if (allowFallbacks === false && order !== undefined && order.length > 0 && placeIn(order, offer) === -1) return 'not in order'
  if (quantizations !== undefined && quantizations.length > 0 && !quantizations.some((name) => isQuantization(name, offer))) return 'quantization'
  if (dataCollection === 'deny' && offer.cloud?.keepsPrompts === true) return 'keeps prompts'
  if (maxPrice !== undefined && isDearer(offer.cloud?.price, maxPrice)) return 'too dear'
  return undefined
}

/**
 * Names are vendors, peer ids and names of nodes; -1 where none fits. Everybody names their own node, so a stranger's name counts only
 * where it keeps the stranger out: a machine that calls itself `openai`, or as somebody's own one is called, would be asked in its place.
 * Hubs stand in the federation file. A name that has the form of a peer id is none.
 */
function placeIn(names: readonly string[], { peer, name, cloud, isHub, privacy }: RouteOffer, { isToAvoid = false } = {}): number {
  const hasName = isHub || isToAvoid || privacy === 'own' || privacy === 'friends'
  return names.findIndex((wished) => {
    if (wished === peer) return true
    const text = wished.toLowerCase()
    return !PEER_ID_FORM.test(text) && ((hasName && text === name.toLowerCase()) || (cloud !== undefined && text === cloud.vendor))
  })
}

const PEER_ID_FORM = /^12d3koo[1-9a-z]{45}$/

/** `unknown`, as OpenRouter calls it, is what a vendor does not tell. */
function isQuantization(wished: string, { quantization }: RouteOffer): boolean {
  return wished.toLowerCase() === (quantization === '' ? 'unknown' : quantization.toLowerCase())
}

function isDearer(price: TokenPrice | undefined, { promptMicroCredits, completionMicroCredits }: NonNullable<RoutingWishes['maxPrice']>): boolean {
  if (price === undefined) return false
  return (promptMicroCredits !== undefined && price.promptMicroCredits > BigInt(promptMicroCredits))
    || (completionMicroCredits !== undefined && price.completionMicroCredits > BigInt(completionMicroCredits))
}

function rank<Offer extends RouteOffer>(offers: readonly Offer[], wishes: RoutingWishes, unit: () => number): readonly Offer[] {
  const named = wishes.order ?? []
  const groups: (Offer[] | undefined)[] = []
  for (const offer of offers) {
    const place = named.length === 0 ? -1 : placeIn(named, offer)
    // Named ones first, each in its own group; then the federation, then vendors.
    const group = place !== -1 ? place : named.length + (offer.cloud === undefined ? planGroup(offer) : CLOUD_GROUP)
    const known = groups[group]
    if (known === undefined) groups[group] = [offer]
    else known.push(offer)
  }
  const ordered: Offer[] = []
  for (const group of groups) if (group !== undefined) ordered.push(...withinGroup(group, unit))
  return wishes.sort === undefined ? ordered : sorted(ordered, wishes, named)
}

/** After all groups of `planGroup`. */
const CLOUD_GROUP = 16

/**
 * 0 to 15: one that failed a moment ago comes last, one without a free slot before it, and of the rest the account's own,
 * then friends', then the plan's.
 */
export function planGroup(offer: RouteOffer): number {
  const isSmall = offer.parameters > 0 && offer.parameters <= SMALL_MODEL_PARAMETERS_MAX
  const isPlanned = offer.parameters === 0 || offer.isHub === isSmall
  const closeness = offer.privacy === 'own' ? 0 : offer.privacy === 'friends' ? 1 : isPlanned ? 2 : 3
  return (offer.coolingDown ? 8 : 0) + (isFull(offer) ? 4 : 0) + closeness
}

function withinGroup<Offer extends RouteOffer>(group: readonly Offer[], unit: () => number): readonly Offer[] {
  if (group.every(({ cloud }) => cloud === undefined)) return placeJob(group, unit)
  const clouds = group.filter(({ cloud }) => cloud !== undefined)
  const placed = placeJob(group.filter(({ cloud }) => cloud === undefined), unit)
  // The cheaper vendor, then this hub's own key: it saves a leg.
  const order = clouds.map((offer) => ({ offer, tie: unit() }))
    .sort((a, b) => Number(a.offer.coolingDown) - Number(b.offer.coolingDown) || compare(costOf(a.offer), costOf(b.offer)) || keyed(a.offer) - keyed(b.offer) || a.tie - b.tie)
  return [...placed, ...order.map(({ offer }) => offer)]
}

const keyed = (offer: RouteOffer) => offer.cloud?.isSelf === true ? 0 : 1

/** What the client named stays first; the sort is stable, so equals keep the plan's order. */
function sorted<Offer extends RouteOffer>(offers: readonly Offer[], { sort }: RoutingWishes, named: readonly string[]): readonly Offer[] {
  const first = offers.filter((offer) => placeIn(named, offer) !== -1)
  const rest = offers.filter((offer) => placeIn(named, offer) === -1)
  rest.sort((a, b) => {
    if (a.coolingDown !== b.coolingDown) return a.coolingDown ? 1 : -1
    switch (sort) {
      case 'price': return compare(costOf(a), costOf(b))
      case 'throughput': return b.tokensPerSecond - a.tokensPerSecond
      case 'latency': return expectedWaitMs(a) - expectedWaitMs(b) || loadShare(a) - loadShare(b)
      case undefined: return 0
    }
  })
  return [...first, ...rest]
}

function costOf({ cloud }: RouteOffer): bigint {
  return cloud === undefined ? 0n : cloud.price.promptMicroCredits + cloud.price.completionMicroCredits
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** The class of the two that fewer may see. */
export function narrower(a: PrivacyClass, b: PrivacyClass): PrivacyClass {
  return mayBeSeenBy(a, b) ? a : b
}
