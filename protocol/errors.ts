/**
 * The one error table. Every error that crosses a module, a stream or an HTTP connection is a `TriforceError` with a
 * code from here; `docs/errors.md` lists the same codes and a test compares the two.
 */

/** Who is at fault: it picks the log level and the penalty. A peer is never blamed for what is `self` or `client`. */
export type Blame = 'client' | 'peer' | 'self'

export interface ErrorSpec {
  readonly blame: Blame
  /** HTTP status of the bridge. */
  readonly http: number
  /** `type` in an OpenAI error body. */
  readonly type: string
  /** True where the same request may succeed at another host or a little later. */
  readonly retry: boolean
  readonly text: string
}

export const errorTable = {
  // What an API client can do wrong.
  BAD_REQUEST: { blame: 'client', http: 400, type: 'invalid_request_error', retry: false, text: 'the request is not valid' },
  BODY_NOT_JSON: { blame: 'client', http: 400, type: 'invalid_request_error', retry: false, text: 'the body is not valid JSON' },
  CONTEXT_LENGTH_EXCEEDED: { blame: 'client', http: 400, type: 'invalid_request_error', retry: false, text: 'the prompt is longer than the model can read' },
  CAPABILITY_MISSING: { blame: 'client', http: 400, type: 'invalid_request_error', retry: false, text: 'no host of this model can do what the request asks for' },
  INVALID_API_KEY: { blame: 'client', http: 401, type: 'authentication_error', retry: false, text: 'the API key is missing or not known' },
  FORBIDDEN: { blame: 'client', http: 403, type: 'permission_error', retry: false, text: 'this key may not do that' },
  NOT_FOUND: { blame: 'client', http: 404, type: 'invalid_request_error', retry: false, text: 'there is nothing at this address' },
  MODEL_NOT_FOUND: { blame: 'client', http: 404, type: 'invalid_request_error', retry: false, text: 'no peer of the federation offers this model' },
  NO_ALLOWED_HOST: { blame: 'client', http: 404, type: 'invalid_request_error', retry: false, text: 'the model has hosts, but the wishes of the request or the privacy class of the key allow none of them' },
  RECEIPT_NOT_FOUND: { blame: 'client', http: 404, type: 'invalid_request_error', retry: false, text: 'no receipt with this id is known' },
  UNREGISTERED: { blame: 'client', http: 410, type: 'invalid_request_error', retry: false, text: 'this machine was unregistered; start it again to lend it again' },
  METHOD_NOT_ALLOWED: { blame: 'client', http: 405, type: 'invalid_request_error', retry: false, text: 'this address does not take this method' },
  BODY_TOO_LARGE: { blame: 'client', http: 413, type: 'invalid_request_error', retry: false, text: 'the body is larger than the limit' },
  UNSUPPORTED_MEDIA_TYPE: { blame: 'client', http: 415, type: 'invalid_request_error', retry: false, text: 'the body must be application/json' },
  RATE_LIMITED: { blame: 'client', http: 429, type: 'rate_limit_error', retry: true, text: 'too many requests at once' },
  INSUFFICIENT_CREDITS: { blame: 'client', http: 402, type: 'insufficient_credits', retry: false, text: 'the account has too few credits' },
  KEY_BUDGET_SPENT: { blame: 'client', http: 402, type: 'insufficient_credits', retry: false, text: 'the budget of this API key is spent: use another key, or wait for the next UTC day if it has a budget for each day' },
  KEY_EXPIRED: { blame: 'client', http: 401, type: 'authentication_error', retry: false, text: 'the API key has expired: make a new one' },
  CANCELLED: { blame: 'client', http: 499, type: 'cancelled', retry: false, text: 'the client left before the end' },

  // What the federation cannot do at the moment.
  NO_HOST: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'no host for this model is free or reachable now' },
  NO_HUB: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'no hub of the federation can be reached' },
  QUEUE_FULL: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'the queue is full' },
  QUEUE_TIMEOUT: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'the job waited too long for a free slot' },
  MODEL_LOADING: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'the model is being loaded: try again in a moment' },
  STARTING: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'the node is not ready yet' },
  LENDING_PAUSED: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'this machine is not lending now' },
  STOPPING: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'the node is shutting down' },
  FIRST_TOKEN_TIMEOUT: { blame: 'peer', http: 504, type: 'timeout_error', retry: true, text: 'the host did not answer in time' },
  HOST_LOST: { blame: 'peer', http: 502, type: 'server_error', retry: true, text: 'the host of the stream died' },
  HOST_SILENT: { blame: 'peer', http: 502, type: 'server_error', retry: true, text: 'the host of the stream went silent' },

  // What an engine can do wrong.
  ENGINE_FAILED: { blame: 'peer', http: 502, type: 'server_error', retry: true, text: 'the engine failed while it answered' },
  ENGINE_MISSING: { blame: 'self', http: 503, type: 'server_error', retry: false, text: 'no engine is installed that can run this model' },
  MODEL_BROKEN: { blame: 'self', http: 502, type: 'server_error', retry: false, text: 'the model file cannot be loaded' },

  // What a cloud vendor says or does to a hub.
  VENDOR_REFUSED: { blame: 'self', http: 502, type: 'server_error', retry: true, text: 'the vendor refuses the key that this model is asked with, or its balance' },
  VENDOR_BUSY: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'the vendor is busy or limits the rate of its key' },
  VENDOR_FAILED: { blame: 'self', http: 502, type: 'server_error', retry: true, text: 'the vendor failed while it answered' },

  // What a peer can do wrong.
  FRAME_TOO_LARGE: { blame: 'peer', http: 502, type: 'server_error', retry: false, text: 'a frame is longer than the limit' },
  FRAME_MALFORMED: { blame: 'peer', http: 502, type: 'server_error', retry: false, text: 'a frame does not have the agreed form' },
  PROTOCOL_VIOLATION: { blame: 'peer', http: 502, type: 'server_error', retry: false, text: 'the peer broke the order of messages' },
  SIGNATURE_INVALID: { blame: 'peer', http: 502, type: 'server_error', retry: false, text: 'a signature does not verify' },
  TICKET_INVALID: { blame: 'peer', http: 502, type: 'server_error', retry: false, text: 'the job ticket is not valid here' },
  TICKET_EXPIRED: { blame: 'peer', http: 502, type: 'server_error', retry: true, text: 'the job ticket has expired' },
  TICKET_USED: { blame: 'peer', http: 502, type: 'server_error', retry: false, text: 'the job ticket was used before' },
  RECEIPT_INVALID: { blame: 'peer', http: 502, type: 'server_error', retry: false, text: 'the receipt does not match its ticket' },
  STATEMENT_INVALID: { blame: 'client', http: 400, type: 'invalid_request_error', retry: false, text: 'the account statement does not prove what it says' },
  NOT_A_HUB: { blame: 'peer', http: 502, type: 'server_error', retry: false, text: 'only a hub of this federation may do that' },

  // The ledger.
  ENTRY_INVALID: { blame: 'client', http: 400, type: 'invalid_request_error', retry: false, text: 'the ledger refuses this entry' },
  ENTRY_CONFLICT: { blame: 'client', http: 409, type: 'invalid_request_error', retry: false, text: 'another entry with this id exists' },
  IDEMPOTENCY_CONFLICT: { blame: 'client', http: 409, type: 'invalid_request_error', retry: false, text: 'this Idempotency-Key was used for another request: take a new one' },
  LOG_DAMAGED: { blame: 'self', http: 503, type: 'server_error', retry: false, text: 'the log on this disk is damaged' },
  LOG_FORKED: { blame: 'self', http: 503, type: 'server_error', retry: false, text: 'two versions of one log exist' },
  LEDGER_READ_ONLY: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'this hub may not write to its log yet' },
  HUB_ISOLATED: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'no other hub has confirmed the entry' },
  NOT_HOME: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: 'another hub clears for this account' },
  RIGHTS_UNREACHABLE: { blame: 'self', http: 503, type: 'overloaded_error', retry: true, text: "the account's credits are at hubs that do not answer" },
  HOLD_DONE: { blame: 'client', http: 409, type: 'invalid_request_error', retry: false, text: 'this request was settled at another hub' },
  HOLD_UNKNOWN: { blame: 'client', http: 404, type: 'invalid_request_error', retry: false, text: 'no hold with this id is known to this hub' },
  HOLD_OVER: { blame: 'client', http: 409, type: 'invalid_request_error', retry: false, text: 'the hold is settled or has expired: begin a new request' },
  QUOTA_EXCEEDED: { blame: 'client', http: 429, type: 'insufficient_quota', retry: false, text: "the day's free tokens are used up and the account has no credits: add credits, or come back after midnight UTC" },
  ACCOUNT_IN_DEBT: { blame: 'client', http: 402, type: 'insufficient_credits', retry: false, text: 'the account owes credits after a payment was reversed: add credits to pay them first' },
  BUDGET_EXCEEDED: { blame: 'client', http: 403, type: 'permission_error', retry: false, text: 'the grant is above what this hub may grant today: have two hubs approve it, or wait for tomorrow (UTC)' },
  NEEDS_SECOND_HUB: { blame: 'client', http: 409, type: 'invalid_request_error', retry: false, text: 'a second hub must approve this change first: let the admin of another hub sign it' },

  // Set-up.
  FEDERATION_INVALID: { blame: 'client', http: 500, type: 'server_error', retry: false, text: 'the federation file is not valid' },
  IDENTITY_INVALID: { blame: 'client', http: 500, type: 'server_error', retry: false, text: 'the key file cannot be used' },
  CONFIG_INVALID: { blame: 'client', http: 500, type: 'server_error', retry: false, text: 'a setting is not valid' },
  INTERNAL: { blame: 'self', http: 500, type: 'server_error', retry: false, text: 'something went wrong inside this node' },
} as const satisfies Record<string, ErrorSpec>

export type ErrorCode = keyof typeof errorTable

export type ErrorContext = Readonly<Record<string, string | number | boolean>>

export interface TriforceErrorOptions extends ErrorOptions {
  /** A sentence for people in place of the table's text: what is wrong and the way out. */
  readonly detail?: string
  /** Earliest useful retry. */
  readonly retryAfterMs?: number
}

/** The one error class TriForce throws. Branch on `code`, never on the message or on `instanceof`. */
export class TriforceError extends Error {
  override readonly name = 'TriforceError'
  readonly code: ErrorCode
  readonly context: ErrorContext
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, context: ErrorContext = {}, options: TriforceErrorOptions = {}) {
    super(options.detail ?? errorTable[code].text, options)
    this.code = code
    this.context = context
    this.retryAfterMs = options.retryAfterMs
  }

  get spec(): ErrorSpec {
    return errorTable[this.code]
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorTable, value)
}

/** Any thrown value as a TriforceError: ours as it is, the rest as `fallback` with the original as cause. */
export function toTriforceError(error: unknown, fallback: ErrorCode = 'INTERNAL'): TriforceError {
  if (error instanceof Error && error.name === 'TriforceError' && isErrorCode((error as TriforceError).code)) {
    return error as TriforceError
  }
  return new TriforceError(fallback, {}, { cause: error })
}
