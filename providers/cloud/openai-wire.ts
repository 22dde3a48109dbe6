/** The OpenAI wire family: /chat/completions as a stream of its own; /embeddings and the list of models through the `openai` client. */
import type OpenAI from 'openai'
import { z } from 'zod'
import type { Random } from '../../protocol/ports.ts'
import { toHex } from '../../protocol/bytes.ts'
import { estimatePromptTokens } from '../../protocol/token-estimate.ts'
import { createOpenAiAnswer, openAiUsageSchema, usageOf } from './openai-answer.ts'
import { openAiBody } from './openai-request.ts'
import { listedOpenAi } from './openai-models.ts'
import { SDK_MS_MAX, silentLogger, type WireComponents } from './sdk.ts'
import { createSignatureStore } from './signature-store.ts'
import { readEvents, VendorToldError } from './sse-events.ts'
import type { Wire, WireCall } from './wire.ts'

const embeddingsSchema = z.object({
  data: z.array(z.object({ index: z.number().int().min(0), embedding: z.union([z.array(z.number()), z.string()]) })),
  usage: openAiUsageSchema.nullish(),
})

export function createOpenAiWire({ vendor, baseUrl, transport, random }: WireComponents): Wire {
  const { origin, pathname } = new URL(`${baseUrl}/chat/completions`)
  let loaded: Promise<OpenAI> | undefined

  /** Loaded when it is wanted: it is some MB of memory, and most nodes have no key. */
  function client(): Promise<OpenAI> {
    loaded ??= import('openai').then(({ default: Client }) => new Client({
      // The key stands in each call, since an account may bring its own; the client wants one at once.
      apiKey: 'of-each-call', baseURL: baseUrl, organization: null, project: null, maxRetries: 0, timeout: SDK_MS_MAX, fetch: transport.fetch, logger: silentLogger, logLevel: 'off',
    }))
    return loaded
  }

  const signatures = createSignatureStore()
  const optionsOf = ({ signal, key }: WireCall) => ({ signal, headers: { authorization: `Bearer ${key}` } })

  return {
    async* complete(request, call) {
      const body = openAiBody(request, { vendor, model: call.model, signatureOf: signatures.get })
      const stream = await transport.stream({
        origin, path: pathname, headers: { accept: 'text/event-stream', 'content-type': 'application/json', authorization: `Bearer ${call.key}` }, body: JSON.stringify(body), signal: call.signal,
      })
      yield [{ type: 'open' }]
      const answer = createOpenAiAnswer({ vendor, onSignature: signatures.put, newCallId: () => callId(random) })
      yield* readEvents(stream, ({ name, data }) => data === '[DONE]' ? undefined : answer.read(chunkOf(name, data)))
    },
    ...(vendor.openai.embeddings === undefined ? {} : {
      async embed(request, call) {
        const answer = embeddingsSchema.parse(await (await client()).embeddings.create({
          model: call.model, input: request.inputs, encoding_format: vendor.openai.embeddings!, ...(request.dimensions === undefined ? {} : { dimensions: request.dimensions }),
        }, optionsOf(call)))
        const vectors = [...answer.data].sort((one, other) => one.index - other.index).map(({ embedding }) => vectorOf(embedding))
        if (vectors.length !== request.inputs.length) throw new SyntaxError('a vector is missing')
        const usage = answer.usage === undefined || answer.usage === null ? {} : usageOf(answer.usage, vendor)
        return { vectors, usage: { promptTokens: usage.promptTokens ?? estimatePromptTokens(request), completionTokens: 0 } }
      },
    } satisfies Pick<Wire, 'embed'>),
    models: async (call) => listedOpenAi(await (await client()).get(vendor.openai.modelsPath, optionsOf(call))),
  }
}

/** Throws what the vendor tells in place of a chunk. */
function chunkOf(name: string | undefined, data: string): unknown {
  const chunk: unknown = JSON.parse(data)
  const error = typeof chunk === 'object' && chunk !== null && 'error' in chunk ? chunk.error : undefined
  if (name === 'error' || (error !== undefined && error !== null)) throw new VendorToldError(error ?? chunk)
  return chunk
}

function vectorOf(embedding: readonly number[] | string): Float32Array {
  if (typeof embedding !== 'string') return Float32Array.from(embedding)
  const bytes = Buffer.from(embedding, 'base64')
  if (bytes.byteLength % Float32Array.BYTES_PER_ELEMENT !== 0) throw new SyntaxError('a vector is cut')
  // A copy, since a pooled buffer need not begin at a multiple of four.
  return new Float32Array(Uint8Array.from(bytes).buffer)
}

function callId(random: Random): string {
  return `call_${toHex(random.bytes(12))}`
}
