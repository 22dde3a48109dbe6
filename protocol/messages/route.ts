/** Where a request would go now, and why elsewhere not: for people who ask, see node/jobs/route-view.ts. */
import { z } from 'zod'
import { countField, modelIdField, shortText } from '../fields.ts'
import { privacyClassSchema } from '../routing.ts'
import { vendorField } from './capacity.ts'

/** Hosts in one answer, chosen and left out each. */
export const ROUTE_HOSTS_MAX = 32

const host = { model: modelIdField, peer: shortText, name: shortText, vendor: vendorField.optional() }

export const routeViewSchema = z.object({
  /** Hosts of the models, with those that are not in the two lists. */
  known: countField,
  /** In the order in which they would be asked; of many hosts a random few, as for a job. */
  candidates: z.array(z.object({
    ...host, hub: z.boolean(), privacy: privacyClassSchema, slots: countField,
    /** Jobs that run or wait there, as it announced or as this hub placed. */
    load: countField, loaded: z.boolean(),
    /** 0 where it was not measured. */
    tokensPerSecond: z.number().min(0),
    /** Until the end of an answer of 256 tokens. */
    expectedMs: countField,
    /** It failed a moment ago and is asked last. */
    coolingDown: z.boolean(),
    /** Why it stands where it stands. */
    because: shortText,
  })).max(ROUTE_HOSTS_MAX),
  leftOut: z.array(z.object({ ...host, reason: shortText })).max(ROUTE_HOSTS_MAX),
})
export type RouteView = z.output<typeof routeViewSchema>
