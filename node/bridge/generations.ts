/**
 * What became of each request that this node served: every host that was asked, times, tokens, cost and receipt. For the
 * account that asked alone, and bounded. Those that ended are kept by a store over restarts, best effort: what must not be
 * lost is in the receipt.
 */
import type { FastifyInstance } from 'fastify'
import { toHex } from '../../protocol/bytes.ts'
import type { DetailedUsage, FinishReason } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'
import { formatCredits } from '../../protocol/units.ts'
import type { PlacedEvent, Served } from '../gateway.ts'
import { principalOf, type OnRequestHook } from './key-hook.ts'

export interface GenerationStart {
  /** As in `x-request-id`, without its prefix. */
  readonly id: string
  /** 16 bytes. */
  readonly account: Uint8Array
  readonly model: string
  readonly stream: boolean
  /** Path of the request, without its query. */
  readonly path: string
  /** How often the client says that it sent the same request before (`x-stainless-retry-count`). */
  readonly retryCount: number
}

/** One completion while it runs; every call tells what has just happened. */
export interface Generation {
  placed(event: PlacedEvent): void
  firstText(): void
  finished(finish: FinishReason, usage: DetailedUsage): void
  settled(served: Served): void
  failed(code: string): void
  /** Its events are those of an earlier or running request with the same Idempotency-Key. */
  replayed(): void
}

interface Attempt {
  readonly event: PlacedEvent
  readonly atMs: number
}

interface GenerationRecord extends GenerationStart {
  readonly createdAt: number
  readonly startMs: number
  readonly attempts: Attempt[]
  firstTextMs?: number
  endMs?: number
  finish?: FinishReason
  usage?: DetailedUsage
  served?: Served
  error?: string
  replayed: boolean
}

/** One that ended, as its account sees it. */
export interface KeptGeneration {
  readonly id: string
  /** 32 hexadecimal digits. */
  readonly account: string
  readonly body: object
}

export interface GenerationStore {
  /** The oldest first. */
  readonly loaded: readonly KeptGeneration[]
  /** Never throws and waits for nothing; `kept` is called when it is written. The last one of an id counts. */
  keep(kept: () => KeptGeneration): void
}

export interface GenerationsComponents {
  readonly clock: Clock
  /** Absent: nothing outlives the node. */
  readonly store?: GenerationStore
}

export interface Generations {
  start(start: GenerationStart): Generation
  /** For its account; throws NOT_FOUND. */
  find(account: Uint8Array, id: string): object
}

export interface GenerationsOptions {
  /** Records kept; the oldest goes first. About 1 KiB each. */
  readonly recordsMax?: number
}

export const generationsDefaults = Object.freeze({ recordsMax: 4_096 }) satisfies Required<GenerationsOptions>

/** More hosts are never asked for one request. */
const ATTEMPTS_MAX = 16

export function createGenerations({ clock, store }: GenerationsComponents, options: GenerationsOptions = {}): Generations {
  const { recordsMax } = { ...generationsDefaults, ...options }
  const records = new Map<string, { readonly account: string; readonly body: () => object }>(
    (store?.loaded ?? []).slice(-recordsMax).map(({ id, account, body }) => [id, { account, body: () => body }]),
  )

  return {
    start(start) {
      const record: GenerationRecord = { ...start, createdAt: clock.now(), startMs: clock.monotonicMs(), attempts: [], replayed: false }
      if (records.size >= recordsMax) records.delete(records.keys().next().value!)
      const account = toHex(start.account)
      records.set(start.id, { account, body: () => bodyOf(record) })
      const ended = () => store?.keep(() => ({ id: start.id, account, body: bodyOf(record) }))
      const since = () => Math.round(clock.monotonicMs() - record.startMs)
      return {
        placed(event) {
          if (record.attempts.length < ATTEMPTS_MAX) record.attempts.push({ event, atMs: since() })
        },
        firstText() {
          record.firstTextMs ??= since()
        },
        finished(finish, usage) {
          record.finish = finish
          record.usage = usage
        },
        settled(served) {
          record.served = served
          record.endMs = since()
          ended()
        },
        failed(code) {
          record.error = code
          record.endMs ??= since()
          ended()
        },
        replayed() {
          record.replayed = true
        },
      }
    },

    find(account, id) {
      const record = records.get(id)
      if (record === undefined || record.account !== toHex(account)) {
        throw new TriforceError('NOT_FOUND', {}, {
          detail: `this node knows no such generation of this account; it remembers the last ${recordsMax} that it served. What was paid and delivered is in GET /v1/receipts`,
        })
      }
      return record.body()
    },
  }
}

function bodyOf(record: GenerationRecord) {
  const { served, usage, attempts } = record
  const state = record.error !== undefined ? 'failed' : served !== undefined ? 'completed' : 'running'
  return {
    id: `gen_${record.id}`,
    object: 'generation',
    request_id: `req_${record.id}`,
    state,
    path: record.path,
    stream: record.stream,
    created_at: record.createdAt,
    model: record.model,
    /** The model that answered. */
    served_model: served?.model ?? null,
    attempts: attempts.map(({ event, atMs }, index) => attemptBody(event, atMs, attempts[index + 1]?.event.after ?? (index === attempts.length - 1 && served === undefined ? record.error : undefined))),
    finish: record.finish ?? null,
    error: record.error ?? null,
    latency_ms: record.firstTextMs ?? null,
    total_ms: record.endMs ?? null,
    usage: usage === undefined ? null : {
      prompt_tokens: usage.promptTokens, completion_tokens: usage.completionTokens, cached_prompt_tokens: usage.cachedPromptTokens ?? null,
      cache_write_tokens: usage.cacheWriteTokens ?? null, reasoning_tokens: usage.reasoningTokens ?? null,
    },
    cost_micro_credits: served?.costMicroCredits.toString() ?? null,
    cost_credits: served === undefined ? null : formatCredits(served.costMicroCredits),
    receipt: served?.receiptId === undefined ? null : `rcpt_${toHex(served.receiptId)}`,
    durability: served?.durability ?? null,
    hub: served?.hub ?? null,
    stopped_by: served?.stoppedBy ?? null,
    client_retries: record.retryCount,
    replayed: record.replayed,
  }
}

function attemptBody({ host, hostName, model, vendor, digest, quantization, check, price }: PlacedEvent, atMs: number, error: string | undefined) {
  return {
    host, host_name: hostName, model, vendor: vendor ?? null, model_digest: digest ?? null, quantization: quantization ?? null, check: check ?? null, at_ms: atMs, error: error ?? null,
    price: price === undefined ? null : {
      prompt_micro_credits_per_1k: price.promptMicroCredits.toString(), completion_micro_credits_per_1k: price.completionMicroCredits.toString(),
    },
  }
}

/** Ids as a client knows them: of this endpoint, of the header, of each dialect's answers. */
const ID = /^(?:[a-z]+[-_])?([0-9a-f]{24})$/

export function routeGenerations(app: FastifyInstance, { generations, requireKey }: { readonly generations: Generations; readonly requireKey: OnRequestHook }): void {
  app.get<{ Params: { id: string } }>('/v1/generations/:id', { onRequest: requireKey }, (request) => {
    const id = ID.exec(request.params.id)?.[1] ?? ''
    return Promise.resolve(generations.find(principalOf(request).account, id))
  })
}
