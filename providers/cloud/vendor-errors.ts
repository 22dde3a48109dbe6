/** What a vendor says when it does not answer, as one of our codes. */
import { TriforceError, toTriforceError, type ErrorCode } from '../../protocol/errors.ts'
import { scrub } from './scrub.ts'
import { VendorBodyError, VendorStatusError } from './vendor-stream.ts'
import type { Vendor } from './vendor.ts'

/** An error as the vendor tells it, in a body or inside a stream. */
export interface VendorSaying {
  readonly status: number | undefined
  readonly message: string
  /** Its `code` and `type`, joined. */
  readonly kind: string
  readonly retryAfter?: string | undefined
}

export interface ErrorPlace {
  readonly vendor: Vendor
  readonly model: string
  /** Keys that may stand in the vendor's words. */
  readonly secrets: readonly string[]
  readonly now: () => number
}

const CONTEXT = /context.?(length|window|limit)|maximum context|too many (input )?tokens|prompt is too long|input is too long|token (count|limit).*exceed|exceeds? the (maximum|limit).*token/i
const QUOTA = /insufficient_quota|credit_balance|billing|insufficient.?(balance|credit|fund)|exceeded your current quota|spending.?limit|payment/i
const MODEL = /model[_ ]?not[_ ]?found|does not exist|no endpoints|unknown model|invalid model|model_deprecated|is not found for api version/i
/** The model's own fault, told as if it were the request's. */
const MODEL_FAILED = /tool_use_failed|json_validate_failed|failed_generation/i
/** Retry times above are not believed; below, a client would be back too soon. */
const RETRY_MS_MAX = 10 * 60_000
const RETRY_MS_DEFAULT = 5_000

/** Any thrown value as a TriforceError that may be shown to whoever asked. */
export function vendorError(error: unknown, place: ErrorPlace): TriforceError {
  const cause = innermost(error)
  if (cause instanceof Error && cause.name === 'TriforceError') return toTriforceError(cause)
  if (cause instanceof VendorStatusError) return errorOf({ ...sayingOf(cause.body), status: cause.status, retryAfter: cause.retryAfter }, place)
  const told = (cause as { error?: unknown } | null)?.error
  if (typeof told === 'object' && told !== null) return errorOf(sayingIn(told), place)
  const { vendor } = place
  const detail = cause instanceof VendorBodyError ? cause.message : `the connection broke (${plainCode(cause)})`
  return new TriforceError('VENDOR_FAILED', { vendor: vendor.id }, { detail: `${vendor.name} did not answer well: ${detail}`, cause })
}

export function errorOf(saying: VendorSaying, { vendor, model, secrets, now }: ErrorPlace): TriforceError {
  const code = codeOf(saying, vendor)
  const words = scrub(saying.message, secrets)
  const status = saying.status === undefined ? '' : ` (${saying.status})`
  const context = { vendor: vendor.id, ...(code === 'MODEL_NOT_FOUND' ? { model } : {}) }
  const detail = `${vendor.name} ${verbs[code] ?? 'failed'}${status}${words === '' ? '' : `: ${words}`}`
  return new TriforceError(code, context, { detail, ...(code === 'VENDOR_BUSY' ? { retryAfterMs: retryAfterMs(saying.retryAfter, now()) } : {}) })
}

const verbs: Partial<Record<ErrorCode, string>> = {
  BAD_REQUEST: 'refuses the request', CONTEXT_LENGTH_EXCEEDED: 'cannot read so much', MODEL_NOT_FOUND: 'does not have the model',
  VENDOR_REFUSED: 'refuses the key or its balance', VENDOR_BUSY: 'is busy',
}

function codeOf({ status, message, kind, retryAfter }: VendorSaying, vendor: Vendor): ErrorCode {
  const all = `${kind} ${message}`
  const own = status === undefined ? undefined : vendor.openai.statuses[status]
  if (own === 'context') return 'CONTEXT_LENGTH_EXCEEDED'
  if (own !== undefined) return ({ busy: 'VENDOR_BUSY', refused: 'VENDOR_REFUSED', failed: 'VENDOR_FAILED' } as const)[own]
  switch (status) {
    case 401: return 'VENDOR_REFUSED'
    // OpenRouter: other requests in flight hold the balance, and it says when to come back.
    case 402: return retryAfter === undefined ? 'VENDOR_REFUSED' : 'VENDOR_BUSY'
    // A moderator's word about the prompt, not about the key.
    case 403: return /moderation|content.?policy|guardrail|flagged/i.test(all) ? 'BAD_REQUEST' : 'VENDOR_REFUSED'
    case 404: return 'MODEL_NOT_FOUND'
    case 413: return 'CONTEXT_LENGTH_EXCEEDED'
    case 400: case 422:
      if (CONTEXT.test(all)) return 'CONTEXT_LENGTH_EXCEEDED'
      if (MODEL_FAILED.test(all)) return 'VENDOR_FAILED'
      if (/(invalid|incorrect).?api.?key|api key not valid|API_KEY_INVALID/i.test(all)) return 'VENDOR_REFUSED'
      // Anthropic tells an empty balance so.
      if (QUOTA.test(all) && /balance|credit/i.test(all)) return 'VENDOR_REFUSED'
      return MODEL.test(all) ? 'MODEL_NOT_FOUND' : 'BAD_REQUEST'
    case 429: return QUOTA.test(all) && !/rate/i.test(kind) ? 'VENDOR_REFUSED' : 'VENDOR_BUSY'
    case 503: case 529: return 'VENDOR_BUSY'
    case undefined: return /rate_limit|overloaded|capacity|queue/i.test(kind) ? 'VENDOR_BUSY' : 'VENDOR_FAILED'
    default: return 'VENDOR_FAILED'
  }
}

/** The body of an error in any of the forms that vendors use: {error:{…}}, [{error:{…}}], {message,…}, {detail:…}, {error:"…"}, plain text. */
function sayingOf(body: string): Omit<VendorSaying, 'status'> {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    // A proxy's page of HTML says nothing that helps.
    return { message: /^\s*</.test(body) ? '' : body, kind: '' }
  }
  const first: unknown = Array.isArray(value) ? value[0] : value
  if (typeof first !== 'object' || first === null) return { message: typeof first === 'string' ? first : '', kind: '' }
  const inner = 'error' in first ? first.error : first
  if (typeof inner === 'string') return { message: inner, kind: textIn(first, 'code') }
  return typeof inner === 'object' && inner !== null ? sayingIn(inner) : { message: '', kind: '' }
}

function sayingIn(error: object): VendorSaying {
  // The Anthropic SDK hands over the whole event: {type:"error", error:{…}}.
  const inner = 'error' in error && typeof error.error === 'object' && error.error !== null ? error.error : error
  const code = (inner as { code?: unknown }).code
  const message = textIn(inner, 'message') || textIn(inner, 'detail')
  const kind = [textIn(inner, 'type'), textIn(inner, 'code'), textIn(inner, 'status'), textIn(inner, 'metadata')].filter((word) => word !== '').join(' ')
  return { status: typeof code === 'number' && code >= 400 && code < 600 ? code : undefined, message, kind }
}

function textIn(value: object, name: string): string {
  const field = (value as Record<string, unknown>)[name]
  if (typeof field === 'string' || typeof field === 'number') return String(field)
  return typeof field === 'object' && field !== null ? JSON.stringify(field).slice(0, 2_000) : ''
}

function retryAfterMs(header: string | undefined, now: number): number {
  if (header === undefined) return RETRY_MS_DEFAULT
  const seconds = Number(header)
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(header) - now
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 1_000), RETRY_MS_MAX) : RETRY_MS_DEFAULT
}

/** The SDKs wrap what `fetch` threw. */
function innermost(error: unknown): unknown {
  let inner = error
  for (let depth = 0; depth < 5; depth++) {
    if (inner instanceof VendorStatusError || inner instanceof VendorBodyError || !(inner instanceof Error) || inner.name === 'TriforceError') return inner
    if (inner.cause === undefined || inner.cause === null) return inner
    inner = inner.cause
  }
  return inner
}

function plainCode(error: unknown): string {
  if (!(error instanceof Error)) return 'no reason told'
  if (error instanceof SyntaxError || error.name === 'ZodError') return 'it sent something that is not its own form'
  const { code } = error as { code?: unknown }
  return typeof code === 'string' ? code : error.name
}
