/** The Anthropic wire family: the Messages API as a stream of its own, and the list of models through `@anthropic-ai/sdk`. */
import type Anthropic from '@anthropic-ai/sdk'
import { z } from 'zod'
import { createAnthropicAnswer } from './anthropic-answer.ts'
import { anthropicRequest } from './anthropic-request.ts'
import { SDK_MS_MAX, silentLogger, type WireComponents } from './sdk.ts'
import { readEvents, VendorToldError } from './sse-events.ts'
import type { ListedModel, Wire, WireCall } from './wire.ts'

const LISTED_MAX = 1_000
/** The one that every endpoint of this family knows, with its key in x-api-key; the SDK would send the newest and a Bearer. */
const API_VERSION = '2023-06-01'

const count = z.number().min(1).nullish().catch(undefined)

const modelsSchema = z.object({
  data: z.array(z.object({ id: z.string().min(1), display_name: z.string().nullish().catch(undefined), max_input_tokens: count, max_tokens: count })).max(LISTED_MAX),
})

export function createAnthropicWire({ baseUrl, transport }: WireComponents): Wire {
  const { origin, pathname } = new URL(`${baseUrl}/v1/messages`)
  let loaded: Promise<Anthropic> | undefined

  /** Loaded when it is wanted: it is some MB of memory, and most nodes have no key. */
  function client(): Promise<Anthropic> {
    loaded ??= import('@anthropic-ai/sdk').then(({ default: Client }) => new Client({
      // The key stands in each call, since an account may bring its own; the client wants one at once.
      apiKey: 'of-each-call', baseURL: baseUrl, maxRetries: 0, timeout: SDK_MS_MAX, fetch: transport.fetch, logger: silentLogger, logLevel: 'off',
    }))
    return loaded
  }

  const optionsOf = ({ signal, key }: WireCall) => ({ signal, headers: { 'x-api-key': key, authorization: null, 'anthropic-version': API_VERSION } })

  return {
    async* complete(request, call) {
      const { body, jsonTool, trimmed } = anthropicRequest(request, call)
      const stream = await transport.stream({
        origin, path: pathname, body: JSON.stringify(body), signal: call.signal,
        headers: { accept: 'text/event-stream', 'content-type': 'application/json', 'x-api-key': call.key, 'anthropic-version': API_VERSION },
      })
      yield [{ type: 'open' }]
      const answer = createAnthropicAnswer({ jsonTool, trimmed })
      yield* readEvents(stream, ({ name, data }) => {
        const event: unknown = JSON.parse(data)
        if (name === 'error') throw new VendorToldError(event)
        return answer.read(event)
      })
    },
    async models(call): Promise<ListedModel[]> {
      const { data } = modelsSchema.parse(await (await client()).get(`/v1/models?limit=${LISTED_MAX}`, optionsOf(call)))
      return data.map(({ id, display_name: name, max_input_tokens: contextTokens, max_tokens: outputTokensMax }) => ({
        id, name: name ?? undefined, contextTokens: contextTokens ?? undefined, outputTokensMax: outputTokensMax ?? undefined,
      }))
    },
  }
}
