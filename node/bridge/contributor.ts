/**
 * Lending over HTTP: `POST /v1/contributor/register` with the body of the owner's plan, and what belongs to it. The
 * bodies here are snake_case views of protocol/messages/contributor.ts.
 */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { modelIdField } from '../../protocol/fields.ts'
import { CAPACITY_GPUS_MAX, CAPACITY_MODELS_MAX } from '../../protocol/limits.ts'
import { weekdaySchema, type Availability, type HardwareClaim, type LendingStatus, type RegistrationInfo } from '../../protocol/messages/contributor.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import { formatCredits } from '../../protocol/units.ts'
import type { ContributorGateway, LendingReport, RegisterOrder } from '../contributor/contributor-gateway.ts'
import { lendingWords } from '../contributor/lending-words.ts'
import { isTimeZone } from '../lending/civil-time.ts'
import { principalOf, type OnRequestHook } from './key-hook.ts'
import { lenderBody } from './lender.ts'
import { checkBody } from './request-check.ts'

export interface ContributorRoutes {
  readonly gateway: ContributorGateway
  readonly requireKey: OnRequestHook
  /** Where the machine's own report is not for everybody who can reach the server. */
  readonly statusKey: OnRequestHook | undefined
}

const GIB = 1024 ** 3

const availabilityField = z.object({
  hours_per_day: z.number().min(0).max(24).optional(),
  schedule: z.string().regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$|^\d\d:\d\d-24:00$/, 'must be two times of the day, such as 18:00-02:00').optional(),
  days: z.array(weekdaySchema).max(7).optional(),
  time_zone: z.string().max(64).refine(isTimeZone, 'must be a time zone such as Europe/Berlin, or UTC').optional(),
})
const modelsField = z.array(modelIdField).max(CAPACITY_MODELS_MAX)

export const registerBody = z.object({
  hardware: z.object({
    gpu: z.string().regex(/^[\p{L}\p{N} ()[\]/._×+-]*$/u, 'must be the name of a graphics card, such as RTX 4090').max(128),
    /** GB of the card, or of all cards of "2x A100". */
    vram: z.number().min(0).max(1_024 * CAPACITY_GPUS_MAX),
    cuda_version: z.string().regex(/^[0-9.]*$/, 'must be a version, such as 12.4').max(16).default(''),
  }),
  availability: availabilityField.default({}),
  models: modelsField.default([]),
})

export const updateBody = z.object({ availability: availabilityField.optional(), models: modelsField.optional() })
const idField = z.object({
  id: z.string().regex(/^reg_[0-9a-f]{32}$/, 'must be the id of a registration, such as reg_ and 32 digits').transform((text) => fromHex(text.slice(4))!),
})
export const leaveQuery = z.object({ revoke: z.enum(['true', 'false']).default('false') })

export function routeContributor(app: FastifyInstance, { gateway, requireKey, statusKey }: ContributorRoutes): void {
  const keyed = { onRequest: requireKey }

  app.post('/v1/contributor/register', keyed, async (request) => {
    const { info, notes } = await gateway.register(principalOf(request), orderOf(checkBody(registerBody, request.body)))
    return { ...registrationBody(info), notes, next: nextStep(info) }
  })

  app.get('/v1/contributor/registrations', keyed, async (request) => {
    return { object: 'list', data: (await gateway.list(principalOf(request))).map(registrationBody) }
  })

  app.patch('/v1/contributor/registrations/:id', keyed, async (request) => {
    const { id } = checkBody(idField, request.params)
    const { availability, models } = checkBody(updateBody, request.body)
    const info = await gateway.update(principalOf(request), id, {
      ...(availability === undefined ? {} : { availability: availabilityOf(availability) }), ...(models === undefined ? {} : { models }),
    })
    return registrationBody(info)
  })

  app.delete('/v1/contributor/registrations/:id', keyed, async (request) => {
    const { id } = checkBody(idField, request.params)
    const { revoke } = checkBody(leaveQuery, request.query)
    await gateway.unregister(principalOf(request), id, { revoke: revoke === 'true' })
    return { ok: true }
  })

  app.post('/v1/contributor/registrations/:id/recheck', keyed, async (request) => {
    return registrationBody(await gateway.recheck(principalOf(request), checkBody(idField, request.params).id))
  })

  // A machine that lends tells its own operator without a key; everywhere else it is the account's to see.
  const reportKey = gateway.lends ? statusKey : requireKey
  app.get('/v1/contributor/status', reportKey === undefined ? {} : { onRequest: reportKey }, async (request) => {
    return reportBody(await gateway.report(request.principal ?? undefined))
  })
}

function orderOf({ hardware, availability, models }: z.output<typeof registerBody>): RegisterOrder {
  return { gpus: gpusOf(hardware), cuda: hardware.cuda_version, availability: availabilityOf(availability), models }
}

/** `RTX 4090` is one card; `2x A100` with 160 GB are two of 80. No name or no memory: a machine without a card. */
function gpusOf({ gpu, vram }: { readonly gpu: string; readonly vram: number }): HardwareClaim['gpus'] {
  const [, count = '1', name = ''] = /^(?:(\d{1,2})\s*[x×]\s*)?(.*)$/iu.exec(gpu.trim()) ?? []
  const cards = Math.min(Math.max(1, Number(count)), CAPACITY_GPUS_MAX)
  if (name === '' || vram === 0) return []
  const vramBytes = Math.floor((vram / cards) * GIB)
  if (vramBytes > 1_024 * GIB) throw new TriforceError('BAD_REQUEST', { param: 'hardware.vram' }, { detail: 'hardware.vram: no card has so much memory; it is in GB' })
  return Array.from({ length: cards }, () => ({ name, vramBytes }))
}

function availabilityOf({ hours_per_day: hoursPerDay, schedule, days, time_zone: timeZone }: z.output<typeof availabilityField>): Availability {
  return {
    ...(hoursPerDay === undefined ? {} : { hoursPerDay }), ...(schedule === undefined ? {} : { schedule }), ...(days === undefined ? {} : { days }),
    ...(timeZone === undefined ? {} : { timeZone }),
  }
}

const sumOf = (amounts: readonly string[]) => amounts.reduce((sum, amount) => sum + BigInt(amount), 0n)
const gibOf = (bytes: number) => Math.round((bytes / GIB) * 10) / 10

export function registrationBody(info: RegistrationInfo) {
  const { hardware, availability, devices, probation } = info
  return {
    object: 'contributor.registration',
    id: `reg_${toHex(info.id)}`,
    node: info.node === undefined ? null : peerIdOf(info.node),
    name: info.name,
    account: toHex(info.account),
    account_name: info.accountName,
    tier: info.tier,
    class: [...new Set(devices.map((device) => device.class))].join('+'),
    ...rateFields(sumOf(devices.map(({ busyPerHour }) => busyPerHour)), sumOf(devices.map(({ standbyPerHour }) => standbyPerHour))),
    devices: devices.map(({ device, class: kind, busyPerHour, standbyPerHour }) => ({ device, class: kind, ...rateFields(BigInt(busyPerHour), BigInt(standbyPerHour)) })),
    probation: {
      active: probation.active, held_back_percent: probation.active ? probation.backPercent : 0, jobs: probation.receipts, jobs_needed: probation.receiptsMin,
      first_job_at: probation.firstAt ?? null, ends_at_earliest: probation.firstAt === undefined ? null : probation.firstAt + probation.ageMsMin,
    },
    check: { state: info.check.state, text: info.check.text, at: info.check.at ?? null },
    missing: info.missing,
    hardware: {
      gpu: hardware.gpus[0]?.name ?? '', vram: gibOf(hardware.gpus[0]?.vramBytes ?? 0), cuda_version: hardware.cuda, driver_version: hardware.driver,
      gpus: hardware.gpus.map(({ name, vramBytes }) => ({ gpu: name, vram: gibOf(vramBytes) })), cpu: hardware.cpu, cores: hardware.cores,
      ram: gibOf(hardware.ramBytes), disk_free: gibOf(hardware.diskFreeBytes), platform: hardware.platform, engines: hardware.engines,
      upload_mbits: hardware.uploadMbits ?? null,
    },
    availability: {
      hours_per_day: availability.hoursPerDay ?? null, schedule: availability.schedule ?? null,
      ...(availability.days === undefined ? {} : { days: availability.days }), ...(availability.timeZone === undefined ? {} : { time_zone: availability.timeZone }),
    },
    models: info.models,
    registered_at: info.registeredAt,
    updated_at: info.updatedAt,
    connected: info.connected,
  }
}

/** Exact in microcredits, as text, and for people in credits. */
function rateFields(busy: bigint, standby: bigint) {
  return {
    credits_per_hour: formatCredits(busy), micro_credits_per_hour: busy.toString(),
    standby_credits_per_hour: formatCredits(standby), standby_micro_credits_per_hour: standby.toString(),
  }
}

function nextStep({ missing, node, name }: RegistrationInfo): string {
  const first = missing.find(({ level }) => level === 'minimum')
  if (node === undefined) return `${name} is announced. It earns once a node runs on it; ${missing[0]?.fix ?? ''}`
  return first === undefined
    ? `${name} is registered; see GET /v1/contributor/status or "triforce status" for what it earns`
    : `${name} is registered and below the plan's minimum (${first.need}): ${first.fix}`
}

function reportBody(report: LendingReport) {
  const { local, status, problem } = report
  return {
    object: 'contributor.status',
    explanation: lendingWords(report),
    local: local === undefined ? null : {
      controls: lenderBody(local.lender, local.nowMs),
      name: local.name, hubs: local.hubs.map((hub) => ({ ...hub, problem: hub.problem ?? null })), models: local.models, jobs: local.jobs, refused: local.refused,
      upload_mbits: local.uploadMbits ?? null, round_trip_ms: local.rttMs ?? null, unregistered: local.left,
    },
    problem: problem ?? null,
    hub: status?.hub ?? null,
    machines: status?.machines.map(machineBody) ?? [],
    money: status === undefined ? null : moneyBody(status.money),
  }
}

function machineBody({ registration, passedBy, earned }: LendingStatus['machines'][number]) {
  return {
    ...registrationBody(registration),
    jobs_24h: passedBy === undefined ? null : { since: passedBy.sinceMs, asked: passedBy.asked, got: passedBy.got, passed_by: Object.fromEntries(passedBy.reasons.map(({ reason, count }) => [reason, count])) },
    earned: earned.map((record) => ({
      device: record.device, jobs: record.receipts, first_at: record.firstAt,
      earned_micro_credits: record.earned, earned_credits: formatCredits(BigInt(record.earned)), paid_micro_credits: record.paid, paid_credits: formatCredits(BigInt(record.paid)),
      time: record.time.map(({ microCreditsPerHour, ms }) => ({ micro_credits_per_hour: microCreditsPerHour, credits_per_hour: formatCredits(BigInt(microCreditsPerHour)), ms })),
    })),
  }
}

function moneyBody({ paid, unpaid, heldBack, available }: LendingStatus['money']) {
  const both = (name: string, amount: string) => ({ [`${name}_micro_credits`]: amount, [`${name}_credits`]: formatCredits(BigInt(amount)) })
  return { ...both('paid', paid), ...both('unpaid', unpaid), ...both('held_back', heldBack), ...both('available', available) }
}
