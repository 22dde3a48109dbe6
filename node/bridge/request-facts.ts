/** What a request tells beside its body: how its answer is remembered, and whether it is one that was sent before. */
import type { FastifyRequest } from 'fastify'
import { toHex } from '../../protocol/bytes.ts'
import { encode } from '../../protocol/codec.ts'
import { sha256 } from '../../protocol/crypto.ts'
import type { Principal } from '../gateway.ts'
import type { GenerationStart } from './generations.ts'
import type { ReplayKey } from './replays.ts'
import { invalid } from './request-check.ts'

const PATH_CHARS_MAX = 128
const IDEMPOTENCY_KEY = /^[!-~]{1,255}$/

export function generationOf(request: FastifyRequest, { account }: Principal, { model, stream }: Pick<GenerationStart, 'model' | 'stream'>): GenerationStart {
  return {
    id: request.id, account, model, stream, path: request.url.split('?', 1)[0]!.slice(0, PATH_CHARS_MAX),
    retryCount: retryCountOf(request.headers['x-stainless-retry-count']),
  }
}

/** `asked`: all that must be equal. Throws BAD_REQUEST. Undefined where the client sent no Idempotency-Key. */
export function replayKeyOf(request: FastifyRequest, { account }: Principal, asked: unknown): ReplayKey | undefined {
  const header = request.headers['idempotency-key']
  if (header === undefined) return undefined
  if (typeof header !== 'string' || !IDEMPOTENCY_KEY.test(header)) throw invalid('Idempotency-Key', 'must be 1 to 255 printable characters without spaces')
  return { name: `${toHex(account)} ${header}`, fingerprint: toHex(sha256(encode(asked))) }
}

/** OpenAI's and Anthropic's clients count the repetitions of a request, but give it no key: each is a request of its own. */
function retryCountOf(header: string | string[] | undefined): number {
  return typeof header === 'string' && /^\d{1,3}$/.test(header) ? Number(header) : 0
}
