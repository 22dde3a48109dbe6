/** `GET /v1/models` and `GET /v1/models/{id}`. */
import type { FastifyInstance } from 'fastify'
import { TriforceError } from '../../protocol/errors.ts'
import type { Gateway, ModelInfo } from '../gateway.ts'
import { principalOf, type OnRequestHook } from './key-hook.ts'

export interface ModelsComponents {
  readonly gateway: Pick<Gateway, 'models'>
  readonly requireKey: OnRequestHook
}

const PREFIX = '/v1/models/'

export function routeModels(app: FastifyInstance, components: ModelsComponents): void {
  const { gateway, requireKey } = components

  app.get('/v1/models', { onRequest: requireKey }, async (request) => {
    const models = await gateway.models(principalOf(request))
    return { object: 'list', data: models.map(modelBody) }
  })

  // Ids of Hugging Face and Ollama carry slashes and colons, and clients send them encoded or as they are.
  app.get(`${PREFIX}*`, { onRequest: requireKey }, async (request) => {
    const id = modelIdOf(request.url)
    const model = (await gateway.models(principalOf(request))).find((candidate) => candidate.id === id)
    if (model === undefined) throw new TriforceError('MODEL_NOT_FOUND', { param: 'model' })
    return modelBody(model)
  })
}

function modelIdOf(url: string): string {
  try {
    return decodeURIComponent(url.slice(PREFIX.length).split('?', 1)[0]!)
  } catch {
    throw new TriforceError('BAD_REQUEST', { param: 'model' }, { detail: 'the id of the model is not well encoded' })
  }
}

function modelBody(model: ModelInfo) {
  return {
    id: model.id,
    object: 'model',
    created: Math.floor(model.firstSeenAt / 1_000),
    owned_by: 'triforce',
    triforce: {
      hosts: model.hosts,
      context_tokens: model.contextTokens,
      capabilities: model.capabilities,
      quantizations: model.quantizations,
      demo: model.demo,
    },
  }
}
