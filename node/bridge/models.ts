/** `GET /v1/models` and `GET /v1/models/{id}`, in OpenAI's form, or in Anthropic's where a client of it asks. */
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { TriforceError } from '../../protocol/errors.ts'
import type { ModelCapability } from '../../protocol/messages/capacity.ts'
import type { Gateway, ModelInfo, TokenPrice } from '../gateway.ts'
import { dialectOf } from './dialect-of.ts'
import { principalOf, type OnRequestHook } from './key-hook.ts'
import { checkBody, invalid } from './request-check.ts'

export interface ModelsComponents {
  readonly gateway: Pick<Gateway, 'models'>
  readonly requireKey: OnRequestHook
}

const PREFIX = '/v1/models/'

/** Pages of Anthropic's list; OpenAI's has none. */
const anthropicModelsQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).default(20), after_id: z.string().max(256).optional(), before_id: z.string().max(256).optional(),
})

/** `resting`: models that are not offered now because every host of them is paused or leaving. */
export const modelsQuery = anthropicModelsQuery.extend({ resting: z.enum(['true', 'false']).default('false') })

export function routeModels(app: FastifyInstance, components: ModelsComponents): void {
  const { gateway, requireKey } = components

  app.get('/v1/models', { onRequest: requireKey }, async (request) => {
    const isAnthropic = dialectOf(request.url, request.headers) === 'anthropic'
    // Pages are Anthropic's alone; who speaks OpenAI's form may say anything else.
    const { resting, ...page } = checkBody(isAnthropic ? modelsQuery : modelsQuery.pick({ resting: true }), request.query)
    const models = await gateway.models(principalOf(request), { resting: resting === 'true' })
    if (isAnthropic) return anthropicPage(models, anthropicModelsQuery.parse(page))
    return { object: 'list', data: models.map(modelBody) }
  })

  // Ids of Hugging Face and Ollama carry slashes and colons, and clients send them encoded or as they are.
  app.get(`${PREFIX}*`, { onRequest: requireKey }, async (request) => {
    const id = modelIdOf(request.url)
    const model = (await gateway.models(principalOf(request))).find((candidate) => candidate.id === id)
    if (model === undefined) throw new TriforceError('MODEL_NOT_FOUND', { param: 'model' })
    return dialectOf(request.url, request.headers) === 'anthropic' ? anthropicModelBody(model) : modelBody(model)
  })
}

function modelIdOf(url: string): string {
  try {
    return decodeURIComponent(url.slice(PREFIX.length).split('?', 1)[0]!)
  } catch {
    throw new TriforceError('BAD_REQUEST', { param: 'model' }, { detail: 'the id of the model is not well encoded' })
  }
}

/** Beside OpenAI's fields those of OpenRouter's list that clients read, and under `triforce` what is ours. */
function modelBody(model: ModelInfo) {
  return {
    id: model.id,
    object: 'model',
    created: Math.floor(model.firstSeenAt / 1_000),
    owned_by: model.vendor ?? 'triforce',
    name: model.name ?? model.id,
    context_length: model.contextTokens,
    max_completion_tokens: model.outputTokensMax === undefined || model.outputTokensMax === 0 ? null : model.outputTokensMax,
    architecture: {
      input_modalities: model.capabilities.includes('vision') ? ['text', 'image'] : ['text'],
      output_modalities: model.capabilities.includes('chat') ? ['text'] : ['embeddings'],
    },
    supported_parameters: model.capabilities.includes('chat') ? [...CHAT_PARAMETERS, ...model.capabilities.flatMap((capability) => parametersOf[capability] ?? [])] : ['dimensions'],
    triforce: {
      hosts: model.hosts,
      context_tokens: model.contextTokens,
      capabilities: model.capabilities,
      quantizations: model.quantizations,
      demo: model.demo,
      ...(model.price === undefined ? {} : { price_micro_credits_per_1000_tokens: priceBody(model.price) }),
      // Who answers where it is no contributor's.
      ...(model.vendor === undefined ? {} : { vendor: model.vendor }),
    },
  }
}

const CHAT_PARAMETERS = ['max_tokens', 'temperature', 'top_p', 'seed', 'stop']

const parametersOf: Partial<Record<ModelCapability, readonly string[]>> = {
  json: ['response_format', 'structured_outputs'], tools: ['tools', 'tool_choice', 'parallel_tool_calls'], reasoning: ['reasoning', 'reasoning_effort'],
  logprobs: ['logprobs', 'top_logprobs'],
}

/** Strings, since a double cannot hold every amount. */
function priceBody({ promptMicroCredits, completionMicroCredits }: TokenPrice) {
  return { prompt: promptMicroCredits.toString(), completion: completionMicroCredits.toString() }
}

function anthropicModelBody(model: ModelInfo) {
  return { type: 'model', id: model.id, display_name: model.name ?? model.id, created_at: new Date(model.firstSeenAt).toISOString() }
}

function anthropicPage(models: readonly ModelInfo[], { limit, after_id: after, before_id: before }: z.output<typeof anthropicModelsQuery>) {
  const start = after === undefined ? 0 : indexOf(models, after, 'after_id') + 1
  const end = before === undefined ? models.length : indexOf(models, before, 'before_id')
  // Backwards, a page is the one that ends where it is asked to.
  const from = after === undefined && before !== undefined ? Math.max(0, end - limit) : start
  const page = models.slice(from, Math.min(end, from + limit))
  return {
    data: page.map(anthropicModelBody),
    has_more: after === undefined && before !== undefined ? from > 0 : from + page.length < models.length,
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
  }
}

function indexOf(models: readonly ModelInfo[], id: string, param: string): number {
  const index = models.findIndex((model) => model.id === id)
  if (index === -1) throw invalid(param, 'is not the id of a model')
  return index
}
