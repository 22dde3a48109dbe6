/**
 * Lending a machine. A contributor signs an order with its node's key; an account agrees with a consent, signed by one of
 * its API keys. Both are meant for the whole network and not for one hub, so that a hub can pass them on; what was signed
 * later counts, and the same document again changes nothing. All claims are claims until they are checked.
 */
import { z } from 'zod'
import { countField, idField, modelIdField, publicKeyField, shortText, timeField } from '../fields.ts'
import { CAPACITY_GPUS_MAX, CAPACITY_MODELS_MAX, CONTRIBUTOR_ORDER_BYTES_MAX, REGISTRATIONS_LISTED_MAX, SPEED_BYTES_MAX } from '../limits.ts'
import { signedSchema } from '../signed.ts'

const TIB = 1024 ** 4

/** Microcredits on the wire: decimal text, since a double cannot hold every amount. */
const microCreditsField = z.string().regex(/^-?\d{1,20}$/)
const word = z.string().max(64)

export const claimedGpuSchema = z.object({ name: shortText, vramBytes: countField.max(TIB) })

/** What a machine says of itself. Empty text: not known. */
export const hardwareClaimSchema = z.object({
  gpus: z.array(claimedGpuSchema).max(CAPACITY_GPUS_MAX),
  driver: word, cuda: word, cpu: shortText, platform: word, cores: countField, ramBytes: countField, diskFreeBytes: countField,
  /** Engines that answer, such as `Ollama 0.5.7`. */
  engines: z.array(word).max(8),
  /** Measured with a timed transfer to a hub; absent where it was not. */
  uploadMbits: z.number().min(0).max(1_000_000).optional(),
})
export type HardwareClaim = z.output<typeof hardwareClaimSchema>

export const weekdaySchema = z.enum(['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'])
export type Weekday = z.output<typeof weekdaySchema>

export const availabilitySchema = z.object({
  hoursPerDay: z.number().min(0).max(24).optional(),
  /** Such as `18:00-02:00`. */
  schedule: word.optional(),
  /** Days on which the schedule begins; absent: all. */
  days: z.array(weekdaySchema).max(7).optional(),
  /** IANA name; absent: that of the machine. */
  timeZone: word.optional(),
})
export type Availability = z.output<typeof availabilitySchema>

const order = { v: z.literal(1), network: word, sentAt: timeField }
const claims = { name: word, hardware: hardwareClaimSchema, availability: availabilitySchema, models: z.array(modelIdField).max(CAPACITY_MODELS_MAX) }

export const contributorOrderSchema = z.discriminatedUnion('do', [
  /** Signed by the node's key. `startedAt`: when the node decided to lend; after an unregistration only a later one counts. */
  z.object({ do: z.literal('register'), ...order, ...claims, startedAt: timeField }),
  /** Signed by an API key, for a machine whose node has not shown up yet. */
  z.object({ do: z.literal('announce'), ...order, ...claims }),
  /** Signed by the node's key or by an API key of its account. `revoke`: the node's key never earns again. */
  z.object({ do: z.literal('unregister'), ...order, id: idField, revoke: z.boolean() }),
  /** Signed like it, about a machine that failed its checks: have it checked again. */
  z.object({ do: z.literal('recheck'), ...order, id: idField }),
  /** Signed by the node's key (about itself) or by an API key (about all machines of its account). */
  z.object({ do: z.literal('list'), ...order }),
  z.object({ do: z.literal('status'), ...order }),
])
export type ContributorOrder = z.output<typeof contributorOrderSchema>

/** An account agrees that this node earns for it; signed by an API key of the account. */
export const lendingConsentSchema = z.object({ v: z.literal(1), network: word, node: publicKeyField, sentAt: timeField })
export type LendingConsent = z.output<typeof lendingConsentSchema>

/** Fields that nobody knows are not read, but they are signed and so would be kept: the whole is bounded. */
const boundedSigned = signedSchema.refine(({ body }) => body.byteLength <= CONTRIBUTOR_ORDER_BYTES_MAX, 'must be within CONTRIBUTOR_ORDER_BYTES_MAX')

export const contributorAskSchema = z.object({ t: z.literal('contributor'), order: boundedSigned, consent: boundedSigned.optional() })

/** Bytes to be thrown away: the asker times how long they take. */
export const speedAskSchema = z.object({
  t: z.literal('speed'),
  data: z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.byteLength <= SPEED_BYTES_MAX, 'must be bytes within SPEED_BYTES_MAX'),
})
export const speedTellSchema = z.object({ receivedBytes: countField })

/** Where a machine falls short of the plan's table. */
export const shortfallSchema = z.object({
  what: z.enum(['gpu', 'memory', 'upload', 'system', 'engine', 'models', 'node']), level: z.enum(['minimum', 'recommended']),
  have: shortText, need: shortText, fix: z.string().max(512),
})
export type Shortfall = z.output<typeof shortfallSchema>

/** `claimed`: nobody looked yet. */
export const checkStateSchema = z.object({ state: z.enum(['claimed', 'running', 'passed', 'suspected', 'failed']), text: shortText, at: timeField.optional() })
export type CheckState = z.output<typeof checkStateSchema>

export const registrationSchema = z.object({
  id: idField, account: idField, accountName: shortText, tier: shortText,
  /** Absent while only announced: no node has shown that it is this machine. */
  node: publicKeyField.optional(),
  ...claims,
  /** What each device earns an hour, in µcr, by the hardware table and the account's tier. */
  devices: z.array(z.object({ device: shortText, class: word, busyPerHour: microCreditsField, standbyPerHour: microCreditsField })).max(CAPACITY_GPUS_MAX),
  probation: z.object({
    active: z.boolean(), receipts: countField, receiptsMin: countField, firstAt: timeField.optional(), ageMsMin: countField, backPercent: z.number().min(0).max(100),
  }),
  check: checkStateSchema,
  missing: z.array(shortfallSchema).max(64),
  registeredAt: timeField, updatedAt: timeField,
  /** The hub that tells has a connection to it now. */
  connected: z.boolean(),
})
export type RegistrationInfo = z.output<typeof registrationSchema>

export const passedByReasonSchema = z.enum(['busy', 'draining', 'missing_capability', 'unreachable', 'failed_lately', 'others_were_freer', 'refused', 'failed_checks'])
export type PassedByReason = z.output<typeof passedByReasonSchema>

/** Jobs of the last 24 hours for the models that a machine offers, as one hub placed them. */
export const passedBySchema = z.object({
  sinceMs: timeField,
  /** Requests for a model that it offers; of these, those it got. */
  asked: countField, got: countField,
  reasons: z.array(z.object({ reason: passedByReasonSchema, count: countField })).max(16),
})
export type PassedBy = z.output<typeof passedBySchema>

export const lendingStatusSchema = z.object({
  hub: word,
  machines: z.array(z.object({
    registration: registrationSchema,
    passedBy: passedBySchema.optional(),
    /** What each device did and earned, µcr; `time`: the highest rate first. */
    earned: z.array(z.object({
      device: shortText, receipts: countField, firstAt: timeField, earned: microCreditsField, paid: microCreditsField,
      time: z.array(z.object({ microCreditsPerHour: microCreditsField, ms: countField })).max(64),
    })).max(CAPACITY_GPUS_MAX * 4),
  })).max(REGISTRATIONS_LISTED_MAX),
  /** Of the account: due with the next pay, paid so far, held back of what was paid. */
  money: z.object({ unpaid: microCreditsField, paid: microCreditsField, heldBack: microCreditsField, available: microCreditsField }),
})
export type LendingStatus = z.output<typeof lendingStatusSchema>

/** What comes back for each order. */
export const contributorTells = {
  register: registrationSchema,
  announce: registrationSchema,
  unregister: z.object({ id: idField }),
  recheck: registrationSchema,
  list: z.object({ registrations: z.array(registrationSchema).max(REGISTRATIONS_LISTED_MAX) }),
  status: lendingStatusSchema,
} as const
export type ContributorAct = keyof typeof contributorTells
