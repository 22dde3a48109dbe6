/** `POST /v1/embeddings`: texts become vectors. */
import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { EmbeddingRequest } from '../../../protocol/completion.ts'
import { modelIdField } from '../../../protocol/fields.ts'
import type { RoutingWishes } from '../../../protocol/routing.ts'
import type { EmbeddingsAnswer } from '../../gateway.ts'
import type { EmbeddingRunner } from '../embedding-runner.ts'
import { principalOf, type OnRequestHook } from '../key-hook.ts'
import { dimensionsField, inputsField, readInputs } from '../embedding-inputs.ts'
import { checkBody } from '../request-check.ts'
import { defined, optional } from '../request-parts.ts'
import { readRouting, routingFields } from '../routing-fields.ts'
import { servedBody } from '../served.ts'

export interface EmbeddingsComponents {
  readonly embeddings: EmbeddingRunner
  readonly requireKey: OnRequestHook
}

export function routeEmbeddings(app: FastifyInstance, { embeddings, requireKey }: EmbeddingsComponents): void {
  app.post('/v1/embeddings', { onRequest: requireKey }, async (request, reply) => {
    const { embedding, format, routing } = readOpenAIEmbeddingsRequest(request.body, request.headers)
    await embeddings.run(request, reply, {
      principal: principalOf(request), embedding: () => Promise.resolve(embedding), model: embedding.model, routing,
      // Vectors are long in text: written one by one, none waits for the others, and a slow reader holds no copy of all.
      body: (answer) => Readable.from(embeddingsBody(answer, embedding.model, format)),
    })
    return reply
  })
}

export const embeddingsRequestSchema = z.looseObject({
  model: modelIdField,
  input: inputsField,
  encoding_format: optional(z.enum(['float', 'base64'])),
  dimensions: optional(dimensionsField),
  ...routingFields,
})

export interface OpenAIEmbeddingsRequest {
  readonly embedding: EmbeddingRequest
  readonly format: 'float' | 'base64'
  readonly routing?: RoutingWishes
}

/** Throws BAD_REQUEST with the name of the field, or CONTEXT_LENGTH_EXCEEDED. */
export function readOpenAIEmbeddingsRequest(value: unknown, headers: IncomingHttpHeaders = {}): OpenAIEmbeddingsRequest {
  const body = checkBody(embeddingsRequestSchema, value)
  return defined<OpenAIEmbeddingsRequest>({
    embedding: defined<EmbeddingRequest>({ kind: 'embedding', model: body.model, inputs: readInputs(body.input), dimensions: body.dimensions }),
    format: body.encoding_format ?? 'float',
    routing: readRouting(body, headers),
  })
}

function* embeddingsBody({ vectors, usage, served }: EmbeddingsAnswer, model: string, format: 'float' | 'base64'): Generator<string> {
  yield '{"object":"list","data":['
  for (const [index, vector] of vectors.entries()) {
    yield `${index === 0 ? '' : ','}{"object":"embedding","index":${index},"embedding":${format === 'base64' ? JSON.stringify(base64Of(vector)) : `[${vector.join(',')}]`}}`
  }
  const counted = { prompt_tokens: usage.promptTokens, total_tokens: usage.promptTokens }
  yield `],"model":${JSON.stringify(model)},"usage":${JSON.stringify(counted)},"triforce":${JSON.stringify(servedBody(served))}}`
}

/** 32-bit floats in little-endian order, as OpenAI's clients read them. */
function base64Of(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * Float32Array.BYTES_PER_ELEMENT)
  let at = 0
  for (const value of vector) at = bytes.writeFloatLE(value, at)
  return bytes.toString('base64')
}
