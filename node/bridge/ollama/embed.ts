/** Ollama's `POST /api/embed`, and `POST /api/embeddings`, its older form for one text. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { EmbeddingRequest } from '../../../protocol/completion.ts'
import { modelIdField } from '../../../protocol/fields.ts'
import type { Clock } from '../../../protocol/ports.ts'
import type { EmbeddingsAnswer } from '../../gateway.ts'
import type { EmbeddingRunner } from '../embedding-runner.ts'
import { dimensionsField, inputsField, readInputs } from '../embedding-inputs.ts'
import { principalOf, type OnRequestHook } from '../key-hook.ts'
import { checkBody, invalid } from '../request-check.ts'
import { defined, optional, textField } from '../request-parts.ts'
import { readRouting, routingFields } from '../routing-fields.ts'
import { servedBody } from '../served.ts'
import type { OllamaNames } from './models.ts'

export interface OllamaEmbedComponents {
  readonly embeddings: EmbeddingRunner
  readonly names: OllamaNames
  readonly requireKey: OnRequestHook
  readonly clock: Clock
}

export const ollamaEmbedSchema = z.looseObject({
  model: modelIdField,
  input: inputsField,
  // A text that is too long is never cut in silence.
  truncate: optional(z.boolean()),
  dimensions: optional(dimensionsField),
  ...routingFields,
})

export const ollamaEmbeddingsSchema = z.looseObject({ model: modelIdField, prompt: textField, ...routingFields })

type Asked = Parameters<typeof readRouting>[0] & { readonly model: string; readonly input: z.output<typeof inputsField>; readonly dimensions?: number | undefined }

export function routeOllamaEmbed(app: FastifyInstance, { embeddings, names, requireKey, clock }: OllamaEmbedComponents): void {
  const keyed = { onRequest: requireKey }

  async function embed(
    request: FastifyRequest, reply: FastifyReply, asked: Asked, bodyOf: (answer: EmbeddingsAnswer) => object,
  ): Promise<FastifyReply> {
    const routing = readRouting(asked, request.headers)
    const principal = principalOf(request)
    const inputs = readInputs(asked.input)
    const embedding = async () => defined<EmbeddingRequest>({ kind: 'embedding', model: await names.resolve(principal, asked.model), inputs, dimensions: asked.dimensions })
    await embeddings.run(request, reply, { principal, embedding, model: asked.model, routing, body: bodyOf })
    return reply
  }

  app.post('/api/embed', keyed, async (request, reply) => {
    const startMs = clock.monotonicMs()
    const asked = checkBody(ollamaEmbedSchema, request.body)
    return embed(request, reply, asked, bodyOf)

    function bodyOf({ vectors, usage, served }: EmbeddingsAnswer): object {
      return {
        model: asked.model, embeddings: vectors.map((vector) => [...vector]), total_duration: Math.round((clock.monotonicMs() - startMs) * 1_000_000), load_duration: 0,
        prompt_eval_count: usage.promptTokens, triforce: servedBody(served),
      }
    }
  })

  app.post('/api/embeddings', keyed, async (request, reply) => {
    const { prompt, ...asked } = checkBody(ollamaEmbeddingsSchema, request.body)
    if (prompt === '') throw invalid('prompt', 'must not be empty')
    return embed(request, reply, { ...asked, input: prompt }, ({ vectors: [vector], served }) => ({ embedding: [...vector!], triforce: servedBody(served) }))
  })
}
