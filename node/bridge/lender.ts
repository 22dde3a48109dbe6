/**
 * `/v1/contributor/controls`, `pause`, `resume` and `drain`: what the operator of a machine that lends does with it while it
 * runs. Changes need the admin token of its state folder, or an API key of the account that it earns for.
 */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { availabilitySchema, weekdaySchema } from '../../protocol/messages/contributor.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { Lender, LenderView } from '../lending/lender.ts'
import { lendingStateWords } from '../lending/lending-state-words.ts'
import { controlsSchema, type SettingsChange } from '../lending/settings.ts'
import { principalOf, type OnRequestHook } from './key-hook.ts'
import { checkBody } from './request-check.ts'
import { createTokenCheck } from './token-hook.ts'

export interface LenderRoutes {
  readonly lender: Lender
  readonly clock: Clock
  readonly adminToken: string | undefined
  /** An API key that may make keys. */
  readonly requireKey: OnRequestHook
  /** Who may look. */
  readonly statusKey: OnRequestHook | undefined
}

const MINUTE_MS = 60_000
const { uploadMbits, downloadMbits, vramGib, powerWatts, yieldTo, friends } = controlsSchema.shape

/** `null` takes a setting back. */
export const controlsBody = z.strictObject({
  hours_per_day: z.number().min(0).max(24).nullish(),
  schedule: availabilitySchema.shape.schedule.nullable(),
  days: z.array(weekdaySchema).max(7).nullish(),
  time_zone: z.string().max(64).nullish(),
  upload_mbits: uploadMbits.nullable(),
  download_mbits: downloadMbits.nullable(),
  vram_gb: vramGib.nullable(),
  power_watts: powerWatts.nullable(),
  yield_to: yieldTo.nullable(),
  friends: friends.nullable(),
})
export const orderBody = z.strictObject({})
export const pauseBody = z.strictObject({ for_minutes: z.number().min(1).max(60 * 24 * 365).optional() })

export function routeLender(app: FastifyInstance, { lender, clock, adminToken, requireKey, statusKey }: LenderRoutes): void {
  const isToken = adminToken === undefined ? () => false : createTokenCheck(adminToken)
  const controlled = {
    onRequest: async (...[request, reply]: Parameters<OnRequestHook>) => {
      if (isToken(request)) return
      await requireKey(request, reply)
      lender.checkOwner(principalOf(request))
    },
  }
  const answer = () => lenderBody(lender.view(), clock.now())

  app.get('/v1/contributor/controls', statusKey === undefined ? {} : { onRequest: statusKey }, () => Promise.resolve(answer()))

  app.patch('/v1/contributor/controls', controlled, async (request) => {
    await lender.change(changeOf(checkBody(controlsBody, request.body)))
    return answer()
  })

  app.post('/v1/contributor/pause', controlled, async (request) => {
    const { for_minutes: minutes } = checkBody(pauseBody, request.body ?? {})
    await lender.pause({ untilMs: minutes === undefined ? undefined : clock.now() + Math.round(minutes * MINUTE_MS) })
    return answer()
  })

  app.post('/v1/contributor/resume', controlled, async (request) => {
    checkBody(orderBody, request.body ?? {})
    await lender.resume()
    return answer()
  })

  app.post('/v1/contributor/drain', controlled, (request) => {
    checkBody(orderBody, request.body ?? {})
    lender.drain()
    return Promise.resolve(answer())
  })
}

function changeOf(body: z.output<typeof controlsBody>): SettingsChange {
  return {
    availability: { hoursPerDay: body.hours_per_day, schedule: body.schedule, days: body.days, timeZone: body.time_zone },
    controls: {
      uploadMbits: body.upload_mbits, downloadMbits: body.download_mbits, vramGib: body.vram_gb, powerWatts: body.power_watts,
      yieldTo: body.yield_to, friends: body.friends,
    },
  }
}

export function lenderBody(view: LenderView, nowMs: number) {
  const { settings: { availability, controls }, state } = view
  return {
    object: 'contributor.controls',
    lending: state.reasons.length === 0,
    explanation: lendingStateWords(view, nowMs),
    not_lending: state.reasons.map(({ why, untilMs, detail }) => ({ why, until: untilMs ?? null, detail: detail ?? null })),
    changes_at: state.changesMs ?? null,
    running: view.running,
    waiting: view.waiting,
    lent_today_ms: Math.floor(view.lentTodayMs),
    bounds: view.bounds,
    paused_since: controls.pause?.sinceMs ?? null,
    settings: {
      hours_per_day: availability.hoursPerDay ?? null, schedule: availability.schedule ?? null, days: availability.days ?? null, time_zone: availability.timeZone ?? null,
      upload_mbits: controls.uploadMbits ?? null, download_mbits: controls.downloadMbits ?? null, vram_gb: controls.vramGib ?? null,
      power_watts: controls.powerWatts ?? null, yield_to: controls.yieldTo ?? 'off', friends: controls.friends ?? [],
    },
  }
}
