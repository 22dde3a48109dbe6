/**
 * The HTTP API of a running node as the command line uses it. Answers are checked only as far as a command reads them;
 * error bodies become TriforceErrors again.
 */
import { z } from 'zod'
import { isErrorCode, TriforceError, type ErrorCode } from '../protocol/errors.ts'
import { CommandError } from './command-error.ts'
import { errorCode } from './private-file.ts'

export interface ApiTarget {
  /** Address of a node without a path. */
  readonly api: string
  /** API key or admin token; sent as Bearer. */
  readonly key: string | undefined
}

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly body?: unknown
  readonly signal?: AbortSignal
}

export interface ApiClient {
  readonly target: ApiTarget
  /** The answer where its status is 2xx. Throws the node's TriforceError, or a CommandError where no node answers. */
  send(path: string, request?: ApiRequest): Promise<Response>
  json<Schema extends z.ZodType>(schema: Schema, path: string, request?: ApiRequest): Promise<z.output<Schema>>
}

/** A node answers its own questions at once; a hub may have to ask two others first. */
const ANSWER_MS_MAX = 20_000

/** The largest answer is a list of receipts or models. */
const ERROR_BODY_CHARS_MAX = 16_384

const errorBodySchema = z.object({ error: z.object({ message: z.string(), code: z.string().nullish() }) })

export function createApiClient(target: ApiTarget): ApiClient {
  const send = async (path: string, request: ApiRequest = {}): Promise<Response> => {
    const headers: Record<string, string> = {}
    if (target.key !== undefined) headers['authorization'] = `Bearer ${target.key}`
    if (request.body !== undefined) headers['content-type'] = 'application/json'
    let response: Response
    try {
      response = await fetch(`${target.api}${path}`, {
        method: request.method ?? 'GET',
        headers,
        signal: request.signal ?? AbortSignal.timeout(ANSWER_MS_MAX),
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      })
    } catch (cause) {
      throw unreachable(target.api, cause)
    }
    if (!response.ok) throw await errorOf(response)
    return response
  }
  return {
    target,
    send,
    json: async (schema, path, request) => {
      const response = await send(path, request)
      const parsed = schema.safeParse(await response.json().catch(() => undefined))
      if (parsed.success) return parsed.data
      const field = parsed.error.issues[0]?.path.map(String).join('.') || 'its top level'
      throw new CommandError(`the answer of ${target.api}${path} is not what a TriForce node sends (at ${field}); check --api`)
    },
  }
}

/** True for the errors that say that nothing listens there, and not that a node refused. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof CommandError && error.cause !== undefined
}

function unreachable(api: string, cause: unknown): Error {
  if (cause instanceof Error && cause.name === 'AbortError') return cause
  const code = errorCode(cause instanceof Error ? cause.cause : undefined)
  const reason = cause instanceof Error && cause.name === 'TimeoutError' ? `within ${ANSWER_MS_MAX / 1_000} s` : `(${code ?? 'no connection'})`
  return new CommandError(`no node answers at ${api} ${reason}; start one with "triforce up", or name another with --api URL`, { cause })
}

async function errorOf(response: Response): Promise<TriforceError> {
  const text = (await response.text().catch(() => '')).slice(0, ERROR_BODY_CHARS_MAX)
  let body: z.output<typeof errorBodySchema> | undefined
  try {
    body = errorBodySchema.parse(JSON.parse(text))
  } catch {
    // Not a node of ours, or a proxy before it; the status must do.
  }
  const detail = body?.error.message ?? `the node answered with HTTP status ${response.status}`
  return new TriforceError(codeOf(body?.error.code, response.status), { status: response.status }, { detail })
}

export function codeOf(code: string | null | undefined, status: number): ErrorCode {
  const known = code?.toUpperCase()
  if (isErrorCode(known)) return known
  if (status === 401) return 'INVALID_API_KEY'
  if (status === 404) return 'NOT_FOUND'
  return status < 500 ? 'BAD_REQUEST' : 'INTERNAL'
}
