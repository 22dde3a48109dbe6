/**
 * From an order to the hosts that are to be asked: which models count, who offers them, what the router makes of it; and
 * where nobody is left, the error that says why.
 */
import { TriforceError } from '../../protocol/errors.ts'
import type { ModelCapability } from '../../protocol/messages/capacity.ts'
import type { PrivacyClass, RoutingWishes } from '../../protocol/routing.ts'
import { modelKin } from '../clouds/same-model.ts'
import { findOffers, type Asker, type CandidatesComponents, type HostOffer } from './candidates.ts'
import { isFull } from './placement.ts'
import { isResting, mayBeSeenBy, narrower, reasonAgainst, route, type LeftOut, type LeftOutReason, type RouteDecision } from './router.ts'

export interface PlanOrder extends Asker {
  readonly model: string
  readonly needs: readonly ModelCapability[]
  readonly routing?: RoutingWishes | undefined
  readonly privacy?: PrivacyClass | undefined
  readonly exclude?: readonly string[]
  /** Host that has the beginning of the prompt in its memory. */
  readonly affine?: string | undefined
  /** For somebody to read: it is told which strangers are verified, also where it does not matter. */
  readonly isExplained?: boolean
  /** Hosts to consider, of the hubs and of the pool each. Default: as many as will be asked, and some to choose from. */
  readonly wanted?: number
}

export interface RoutePlan extends RouteDecision<HostOffer> {
  /** Hosts that offer one of the models, also those that were left out or not looked at. */
  readonly offers: number
}

/** Twice as many as are asked of one model, so that there is something to choose from. */
const WANTED = 8

export async function planRoute(components: CandidatesComponents, order: PlanOrder, unit: () => number): Promise<RoutePlan> {
  const { account, friends, needs, affine, exclude = [], routing: wishes = {} } = order
  const privacy = narrower(order.privacy ?? 'cloud', wishes.privacy ?? 'cloud')
  const alike = privacy === 'cloud' && (wishes.privacy ?? order.privacy) === 'cloud' ? sameAtVendors(components, order.model) : []
  const models = [...new Set([order.model, ...wishes.fallbackModels ?? [], ...alike])]
  const filter = { needs, wishes, privacy, exclude }
  const wanted = wishes.sort !== undefined || wishes.order !== undefined ? Infinity : order.wanted ?? WANTED
  /** Of hosts of the federation, which are all looked at as they are found; vendors are not. */
  const needsProof = order.isExplained === true || !mayBeSeenBy('any', privacy)
  const refused = new Map<HostOffer, LeftOutReason>()
  const allows = (offer: HostOffer) => {
    const reason = reasonAgainst(offer, filter)
    if (reason !== undefined) refused.set(offer, reason)
    return reason === undefined
  }
  const found = await Promise.all(models.map((model) => findOffers(components, { account, friends, model, needs, affine, wanted, allows, needsProof }, unit)))
  const decision = route(found.map(({ offers }) => offers), filter, unit, (offer) => offer.cloud === undefined ? refused.get(offer) : reasonAgainst(offer, filter))
  return { ...decision, steps: beforeQueues(decision.steps, alike), offers: found.reduce((sum, { known }) => sum + known, 0) }
}

/** The same weights at a vendor: only for who said `cloud` in so many words, for they cost credits and the prompt leaves the federation. */
function sameAtVendors({ clouds }: CandidatesComponents, model: string): readonly string[] {
  const kin = modelKin(model)
  if (kin === undefined) return []
  const models = clouds.hosts.models()
  let byKin = kinOf.get(models)
  if (byKin === undefined) {
    byKin = Map.groupBy(models.map((one) => one.model.id), modelKin)
    kinOf.set(models, byKin)
  }
  return byKin.get(kin) ?? []
}

/** By list, which stays the same object while the vendors have the same models. */
const kinOf = new WeakMap<object, ReadonlyMap<string | undefined, readonly string[]>>()

/** A vendor is asked before a host at which the job would only wait. */
function beforeQueues(steps: readonly HostOffer[], alike: readonly string[]): readonly HostOffer[] {
  if (alike.length === 0 || !steps.some(({ model }) => alike.includes(model))) return steps
  const waits = (step: HostOffer) => step.cloud === undefined && isFull(step)
  return [...steps.filter((step) => !waits(step)), ...steps.filter(waits)]
}

/** For a plan without a step. */
export function nothingFor({ model }: Pick<PlanOrder, 'model'>, { offers, leftOut }: Pick<RoutePlan, 'offers' | 'leftOut'>): TriforceError {
  if (offers === 0) {
    return new TriforceError('MODEL_NOT_FOUND', { model, param: 'model' }, {
      detail: `no peer of the federation offers the model "${model}"; GET /v1/models or "triforce models" lists what is there`,
    })
  }
  const reasons = [...new Set(leftOut.map(({ reason }) => reason))]
  const only = reasons.length === 1 ? reasons[0] : undefined
  if (only === 'incapable') return new TriforceError('CAPABILITY_MISSING', { model }, { detail: `no host of "${model}" can do what the request asks for` })
  if (reasons.every(isResting)) return new TriforceError('NO_HOST', { model }, { retryAfterMs: 5_000, detail: restingText(model, offers, leftOut) })
  if (reasons.every((reason) => isResting(reason) || PASSING.has(reason))) {
    return new TriforceError('NO_HOST', { model }, { retryAfterMs: 5_000, detail: `the hosts of "${model}" cannot be reached, are leaving, or were asked already` })
  }
  return new TriforceError('NO_ALLOWED_HOST', { model, reasons: reasons.join(', ') }, {
    detail: `"${model}" has ${offers} host${offers === 1 ? '' : 's'}, and each was left out: ${reasons.join(', ')}; loosen the wishes of the request, or use a key with a wider privacy class`,
  })
}

/** Another moment may be better. */
const PASSING: ReadonlySet<LeftOutReason> = new Set(['unreachable', 'excluded'])

function restingText(model: string, offers: number, leftOut: RoutePlan['leftOut']): string {
  const [{ name, reason }] = leftOut as readonly [LeftOut, ...LeftOut[]]
  if (offers > 1) return `none of the ${offers} hosts of "${model}" lends now: ${[...new Set(leftOut.map((one) => one.reason))].join(', ')}; "triforce route --model ${model} --explain" lists them`
  const wayOut = reason === 'paused' || reason === 'draining' ? '; "triforce resume" on that machine lends it again' : ''
  return `the only host of "${model}" does not lend now: ${name} is ${reason === 'draining' ? 'leaving or drained' : reason}${wayOut}`
}
