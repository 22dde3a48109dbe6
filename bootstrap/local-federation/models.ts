/** Which model `up` names, and the wait until every hub offers it. */
import { toTriforceError } from '../../protocol/errors.ts'
import { createApiClient, isUnreachable, type ApiClient } from '../api-client.ts'
import { modelListSchema, type ModelView } from '../api-schemas.ts'
import { pollUntil } from './poll.ts'

/** An engine that has to be unpacked and a model that has to be read from a slow disk. */
const OFFERED_MS_MAX = 90_000

export interface OfferedInput {
  readonly apis: readonly string[]
  readonly apiKey: string
}

/** A contributor's model that all hubs offer; the demo model where it is among them, since the printed question suits it. A vendor's would cost credits. */
export async function waitForModel({ apis, apiKey }: OfferedInput, options: { readonly signal: AbortSignal }): Promise<ModelView> {
  const clients = apis.map((api) => createApiClient({ api, key: apiKey }))
  return pollUntil(async () => {
    const lists = await Promise.all(clients.map(modelsOf))
    const common = lists[0]?.filter((model) => model.triforce.vendor === undefined && lists.every((list) => list.some((other) => other.id === model.id))) ?? []
    return common.find((model) => model.triforce.demo) ?? common[0]
  }, {
    ...options,
    msMax: OFFERED_MS_MAX,
    failure: 'the contributors offer no model: give one with --model FILE.gguf, start Ollama with a model, or run with --contributors 0',
  })
}

/** Empty while a hub does not know the key yet or is not ready. */
async function modelsOf(client: ApiClient): Promise<readonly ModelView[]> {
  try {
    return (await client.json(modelListSchema, '/v1/models')).data
  } catch (error) {
    const { code, spec } = toTriforceError(error)
    if (isUnreachable(error) || code === 'INVALID_API_KEY' || spec.retry) return []
    throw error
  }
}
