/** Every error in each of the three shapes: what the official clients make of it, and how often they ask again. */
import * as anthropic from '@anthropic-ai/sdk'
import { expect } from 'chai'
import { Ollama } from 'ollama'
import * as openai from 'openai'
import { errorTable, type ErrorCode } from '../../protocol/errors.ts'
import { TEST_KEY } from '../support/bridge-gateway.ts'
import { rawConnection, startTestBridge, type TestBridge } from '../support/bridge-server.ts'
import { errorOf, failing } from '../support/bridge-sdk.ts'
import { expectShape } from '../support/error-shape.ts'

const messages = [{ role: 'user' as const, content: 'hi' }]
type ErrorClass = new (...args: never[]) => Error

/** The rest of 5xx is InternalServerError in both. */
const openaiClasses: Readonly<Record<number, ErrorClass>> = {
  400: openai.BadRequestError, 401: openai.AuthenticationError, 403: openai.PermissionDeniedError, 404: openai.NotFoundError, 409: openai.ConflictError,
  429: openai.RateLimitError, 500: openai.InternalServerError, 502: openai.InternalServerError, 503: openai.InternalServerError, 504: openai.InternalServerError,
}
const anthropicClasses: Readonly<Record<number, ErrorClass>> = {
  400: anthropic.BadRequestError, 401: anthropic.AuthenticationError, 402: anthropic.PaymentRequiredError, 403: anthropic.PermissionDeniedError,
  404: anthropic.NotFoundError, 409: anthropic.ConflictError, 413: anthropic.ContentTooLargeError, 429: anthropic.RateLimitError,
  500: anthropic.InternalServerError, 502: anthropic.InternalServerError, 503: anthropic.ServiceUnavailableError, 504: anthropic.GatewayTimeoutError,
}

/** OpenRouter's table of what its errors are in Anthropic's words, with our code for each of its own. */
const anthropicTypes: readonly (readonly [ErrorCode, string])[] = [
  ['INVALID_API_KEY', 'authentication_error'], ['INSUFFICIENT_CREDITS', 'billing_error'], ['ACCOUNT_IN_DEBT', 'billing_error'], ['FORBIDDEN', 'permission_error'],
  ['MODEL_NOT_FOUND', 'not_found_error'], ['RATE_LIMITED', 'rate_limit_error'], ['QUOTA_EXCEEDED', 'rate_limit_error'], ['NO_HOST', 'overloaded_error'],
  ['FIRST_TOKEN_TIMEOUT', 'timeout_error'], ['BAD_REQUEST', 'invalid_request_error'], ['CONTEXT_LENGTH_EXCEEDED', 'invalid_request_error'],
  ['CAPABILITY_MISSING', 'invalid_request_error'], ['BODY_TOO_LARGE', 'request_too_large'], ['HOST_LOST', 'api_error'], ['ENGINE_FAILED', 'api_error'], ['INTERNAL', 'api_error'],
]

// The client's own leaving is told to nobody.
const codes = (Object.keys(errorTable) as ErrorCode[]).filter((code) => code !== 'CANCELLED')

describe('bridge: errors in three shapes', () => {
  let test: TestBridge

  beforeEach(async () => { test = await startTestBridge({ bodyBytesMax: 4_096 }) })
  afterEach(() => test.stop())

  it('are the class of their status in each client, which asks again only where that may help', async function () {
    // The clients wait 2 s and 2 s where they are told to come back; all codes of all clients wait at the same time.
    this.timeout(30_000)
    const attempts = new Map<string, number>()
    test.gateway.script = ({ request }) => {
      attempts.set(request.model, (attempts.get(request.model) ?? 0) + 1)
      return failing(request.model.split('-')[0] as ErrorCode)
    }
    const openaiClient = new openai.OpenAI({ apiKey: TEST_KEY, baseURL: `${test.url}/v1` })
    const anthropicClient = new anthropic.Anthropic({ apiKey: TEST_KEY, baseURL: test.url })
    const ollamaClient = new Ollama({ host: test.url, headers: { authorization: `Bearer ${TEST_KEY}` } })
    await Promise.all(codes.flatMap((code, index) => {
      const { http, retry, type, text } = errorTable[code]
      const stream = index % 2 === 0
      const ofOpenai = async (): Promise<void> => {
        const error = await errorOf(openaiClient.chat.completions.create({ model: `${code}-openai`, messages, stream }))
        expect(error, code).to.be.instanceOf(openaiClasses[http] ?? openai.APIError)
        expect(error, code).to.include({ status: http, type })
        expect(attempts.get(`${code}-openai`), `attempts of ${code}`).to.equal(retry ? 3 : 1)
      }
      const ofAnthropic = async (): Promise<void> => {
        const error = await errorOf(anthropicClient.messages.create({ model: `${code}-anthropic`, messages, max_tokens: 9, stream }))
        expect(error, code).to.be.instanceOf(anthropicClasses[http] ?? anthropic.APIError)
        expect(error, code).to.include({ status: http, apiMessage: text })
        expect(attempts.get(`${code}-anthropic`), `attempts of ${code}`).to.equal(retry ? 3 : 1)
      }
      const ofOllama = async (): Promise<void> => {
        const error = await errorOf(ollamaClient.chat({ model: `${code}-ollama`, messages, stream: stream as true }))
        expect(error, code).to.include({ name: 'ResponseError', status_code: http, message: text })
        expect(attempts.get(`${code}-ollama`), `attempts of ${code}`).to.equal(1)
      }
      return [ofOpenai(), ofAnthropic(), ofOllama()]
    }))
    for (const code of ['INSUFFICIENT_CREDITS', 'ACCOUNT_IN_DEBT', 'QUOTA_EXCEEDED'] as const) {
      expect([attempts.get(`${code}-openai`), attempts.get(`${code}-anthropic`)], code).to.deep.equal([1, 1])
    }
  })

  it('have in Anthropic\'s dialect the types of OpenRouter\'s table', async () => {
    test.gateway.script = ({ request }) => failing(request.model as ErrorCode)
    for (const [code, type] of anthropicTypes) {
      const response = await post('/v1/messages', { model: code, messages, max_tokens: 9 })
      const body = await response.json() as Record<string, unknown>
      expect(body, code).to.have.nested.property('error.type', type)
      expect(body['request_id']).to.equal(response.headers.get('request-id')).and.equal(response.headers.get('x-request-id'))
    }
  })

  const addresses = [
    ['openai', '/v1/chat/completions', '/v1/nothing', 'GET'], ['anthropic', '/v1/messages?beta=true', '/v1/messages/batches', 'GET'], ['ollama', '/api/chat', '/api/nothing', 'GET'],
  ] as const
  for (const [shape, known, unknown, wrongMethod] of addresses) {
    it(`are of ${shape}'s shape where no route is, the method is wrong, the key or the body`, async () => {
      const answers: [Response, number][] = [
        [await fetch(test.url + unknown), 404],
        [await fetch(test.url + known, { method: wrongMethod }), 405],
        [await post(known, {}, { authorization: 'Bearer tf-wrong' }), 401],
        [await post(known, {}), 400],
        [await post(known, '{'), 400],
        [await post(known, { model: 'x'.repeat(5_000) }), 413],
        [await post(known, {}, { 'content-encoding': 'gzip' }), 415],
        [await post(`${known.split('?')[0]}/%`, {}), 400],
      ]
      for (const [response, status] of answers) {
        expect(response.status).to.equal(status)
        expectShape(shape, await response.json())
        if (shape === 'anthropic') expect(response.headers.get('request-id'), String(status)).to.match(/^req_[0-9a-f]{24}$/)
      }
    })

    it(`are of ${shape}'s shape where Node's parser refuses, and where a body is late`, async () => {
      await test.stop()
      test = await startTestBridge({ headersMsMax: 200, requestMsMax: 200, arrivalCheckMs: 20 })
      const path = known.split('?')[0]
      const key = `authorization: Bearer ${TEST_KEY}\r\n`
      const starts: [string, number][] = [
        [`POST ${path} HTTP/1.1\r\nhost: localhost\r\n${key}content-type: application/json\r\ncontent-length: 10\r\n\r\n{`, 408],
        [`POST ${path} HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
        [`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: nonsense\r\n\r\n`, 400],
      ]
      for (const [text, status] of starts) {
        const connection = rawConnection(test.port)
        connection.send(text)
        const answer = await connection.closed
        expect(answer).to.match(new RegExp(`^HTTP/1\\.1 ${status} `))
        expectShape(shape, JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)))
        if (shape === 'anthropic') expect(answer).to.match(/\r\nrequest-id: req_[0-9a-f]{24}\r\n/)
      }
    })
  }

  it('are of Anthropic\'s shape at OpenAI\'s address too for a client that names its version', async () => {
    const client = new anthropic.Anthropic({ apiKey: 'tf-wrong', baseURL: test.url })
    expect(await errorOf(client.models.list())).to.be.instanceOf(anthropic.AuthenticationError).and.to.include({ type: 'authentication_error' })
  })

  function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(test.url + path, {
      method: 'POST', headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  }
})
