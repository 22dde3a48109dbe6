/** Every endpoint that answers, asked by its official client; with what came of it, the error that the client raised and its attempts. */
import * as anthropic from '@anthropic-ai/sdk'
import { Ollama } from 'ollama'
import * as openai from 'openai'

export interface EndpointAsk {
  readonly model: string
  readonly content: string
  readonly stream: boolean
}

export interface EndpointOutcome {
  /** Text that a stream had given, or a whole answer's. */
  readonly text: string
  /** What the client raised; undefined: it took the answer for whole. */
  readonly error: Error | undefined
  /** HTTP requests that the client made. */
  readonly attempts: number
}

export interface Endpoint {
  /** Endpoints without it answer in one body only. */
  readonly streams: boolean
  /** What the client asks again by itself: 2 times by default; Ollama's never. */
  readonly retries: number
  /** The class of an error in the middle of a stream, and of a status of 5xx. */
  readonly midStream: ErrorClass
  readonly serverError: ErrorClass
  ask(url: string, key: string, ask: EndpointAsk): Promise<EndpointOutcome>
}
export type ErrorClass = new (...args: never[]) => Error

/** Gives pieces of text, and throws what the client throws. */
type Pieces = (url: string, key: string, fetch: typeof globalThis.fetch, ask: EndpointAsk) => AsyncIterable<string>

function endpoint(family: Omit<Endpoint, 'ask' | 'streams'>, pieces: Pieces, streams = true): Endpoint {
  return {
    ...family, streams,
    async ask(url, key, asked) {
      let text = ''
      let attempts = 0
      const counting: typeof globalThis.fetch = (...request) => {
        attempts += 1
        return fetch(...request)
      }
      try {
        for await (const piece of pieces(url, key, counting, asked)) text += piece
        return { text, error: undefined, attempts }
      } catch (error) {
        return { text, error: error as Error, attempts }
      }
    },
  }
}

const openaiFamily = { retries: 2, midStream: openai.APIError, serverError: openai.InternalServerError }
const anthropicFamily = { retries: 2, midStream: anthropic.APIError, serverError: anthropic.InternalServerError }
// Its class for a status is not exported.
const ollamaFamily = { retries: 0, midStream: Error, serverError: Error }

const openaiClient = (url: string, apiKey: string, fetch: typeof globalThis.fetch) => new openai.OpenAI({ apiKey, baseURL: `${url}/v1`, fetch })
const ollamaClient = (host: string, key: string, fetch: typeof globalThis.fetch) => new Ollama({ host, fetch, headers: { authorization: `Bearer ${key}` } })
/** A stream that breaks shall end so, and not go on at another host. */
const alone = { triforce: { continuation: false } }
const messagesOf = (content: string) => [{ role: 'user' as const, content }]

export const endpoints: Readonly<Record<string, Endpoint>> = {
  'openai chat completions': endpoint(openaiFamily, async function* (url, key, fetch, { model, content, stream }) {
    const { completions } = openaiClient(url, key, fetch).chat
    if (!stream) yield (await completions.create({ model, messages: messagesOf(content), ...alone })).choices[0]!.message.content ?? ''
    else for await (const chunk of await completions.create({ model, messages: messagesOf(content), stream, ...alone })) yield chunk.choices[0]?.delta.content ?? ''
  }),
  'openai completions': endpoint(openaiFamily, async function* (url, key, fetch, { model, content, stream }) {
    const { completions } = openaiClient(url, key, fetch)
    const body = { model, prompt: content, max_tokens: 500, ...alone }
    if (!stream) yield (await completions.create(body)).choices[0]!.text ?? ''
    else for await (const chunk of await completions.create({ ...body, stream })) yield chunk.choices[0]?.text ?? ''
  }),
  'openai responses': endpoint(openaiFamily, async function* (url, key, fetch, { model, content, stream }) {
    const { responses } = openaiClient(url, key, fetch)
    if (!stream) yield (await responses.create({ model, input: content, ...alone })).output_text
    else for await (const event of await responses.create({ model, input: content, stream, ...alone })) if (event.type === 'response.output_text.delta') yield event.delta
  }),
  'anthropic messages': endpoint(anthropicFamily, async function* (url, key, fetch, { model, content, stream }) {
    const { messages } = new anthropic.Anthropic({ apiKey: key, baseURL: url, fetch })
    const body = { model, messages: messagesOf(content), max_tokens: 500, ...alone }
    if (!stream) yield (await messages.create(body)).content.map((block) => block.type === 'text' ? block.text : '').join('')
    else for await (const event of await messages.create({ ...body, stream })) if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') yield event.delta.text
  }),
  'ollama chat': endpoint(ollamaFamily, async function* (url, key, fetch, { model, content, stream }) {
    const client = ollamaClient(url, key, fetch)
    if (!stream) yield (await client.chat({ model, messages: messagesOf(content), ...alone })).message.content
    else for await (const frame of await client.chat({ model, messages: messagesOf(content), stream, ...alone })) yield frame.message.content
  }),
  'ollama generate': endpoint(ollamaFamily, async function* (url, key, fetch, { model, content, stream }) {
    const client = ollamaClient(url, key, fetch)
    if (!stream) yield (await client.generate({ model, prompt: content, ...alone })).response ?? ''
    else for await (const frame of await client.generate({ model, prompt: content, stream, ...alone })) yield frame.response ?? ''
  }),
}

/** Vectors, told as JSON text. */
export const embeddingEndpoints: Readonly<Record<string, Endpoint>> = {
  'openai embeddings': endpoint(openaiFamily, async function* (url, key, fetch, { model, content }) {
    yield JSON.stringify((await openaiClient(url, key, fetch).embeddings.create({ model, input: content })).data.map(({ embedding }) => embedding))
  }, false),
  'ollama embed': endpoint(ollamaFamily, async function* (url, key, fetch, { model, content }) {
    yield JSON.stringify((await ollamaClient(url, key, fetch).embed({ model, input: content })).embeddings)
  }, false),
}
