/** A route plan as it is shown to people: candidates with their scores, and the others with the reason. Pure. */
import { ROUTE_HOSTS_MAX, type RouteView } from '../../protocol/messages/route.ts'
import { expectedMs, isFull } from './placement.ts'
import type { RoutePlan } from './route-plan.ts'
import { SMALL_MODEL_PARAMETERS_MAX, type RouteOffer } from './router.ts'

export function routeView({ steps, leftOut, offers }: RoutePlan): RouteView {
  return {
    known: Math.max(offers, steps.length + leftOut.length),
    candidates: steps.slice(0, ROUTE_HOSTS_MAX).map((step) => ({
      ...nameOf(step), hub: step.isHub, privacy: step.privacy, slots: step.slotsTotal, load: Math.max(step.announcedLoad, step.ownLoad), loaded: step.loaded,
      tokensPerSecond: step.tokensPerSecond, expectedMs: expectedMs(step), coolingDown: step.coolingDown, because: `${becauseOf(step)}${rememberedOf(step)}`,
    })),
    leftOut: leftOut.slice(0, ROUTE_HOSTS_MAX).map(({ reason, ...host }) => ({ ...host, reason })),
  }
}

function nameOf({ model, peer, name, cloud }: RouteOffer): Pick<RouteView['candidates'][number], 'model' | 'peer' | 'name' | 'vendor'> {
  return { model, peer, name, ...(cloud === undefined ? {} : { vendor: cloud.vendor }) }
}

/** Where a prompt goes on from one of them, this host comes first while it has a free slot and takes no more than twice the time. */
function rememberedOf({ remembers = 0, cloud }: RouteOffer): string {
  return remembers === 0 || cloud !== undefined ? '' : `; it has ${remembers} ${remembers === 1 ? 'beginning' : 'beginnings'} of your prompts in its memory, and what goes on from there comes here first`
}

function becauseOf(step: RouteOffer): string {
  if (step.coolingDown) return 'it failed a moment ago, so it is asked last'
  if (step.cloud !== undefined) return 'a vendor costs credits, so it comes after the hosts of the federation'
  if (isFull(step)) return 'all its slots are taken: the job would wait'
  if (step.privacy === 'own') return 'a machine of the account itself'
  if (step.parameters === 0) return 'it has a free slot'
  const isSmall = step.parameters <= SMALL_MODEL_PARAMETERS_MAX
  const kind = isSmall ? 'a small model belongs on hubs' : 'a large model belongs in the pool'
  return step.isHub === isSmall ? `${kind}, and it has a free slot` : `${kind}, but this one has a free slot`
}
