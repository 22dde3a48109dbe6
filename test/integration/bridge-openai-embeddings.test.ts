/** `/v1/embeddings` through the official `openai` client. */
import { expect } from 'chai'
import { NotFoundError, OpenAI } from 'openai'
import { TriforceError } from '../../protocol/errors.ts'
import type { EmbeddingRequest } from '../../protocol/completion.ts'
import type { RoutingWishes } from '../../protocol/routing.ts'
import { TEST_KEY, testServed } from '../support/bridge-gateway.ts'
import { errorOf } from '../support/bridge-sdk.ts'
import { postJson, startTestBridge, type TestBridge } from '../support/bridge-server.ts'

describe('bridge: embeddings with the openai client', () => {
  let test: TestBridge
  let client: OpenAI

  beforeEach(async () => {
    test = await startTestBridge()
    client = new OpenAI({ apiKey: TEST_KEY, baseURL: `${test.url}/v1`, maxRetries: 0 })
  })
  afterEach(() => test.stop())

  it('gives the same vectors as numbers and in base64, which the client asks for by itself', async () => {
    const expected = [Float32Array.of(3, 0, 0.1), Float32Array.of(5, 1, 0.1)].map((vector) => [...vector])
    for (const encoding_format of [undefined, 'float', 'base64'] as const) {
      const answer = await client.embeddings.create({ model: 'demo', input: ['one', 'three'], ...(encoding_format === undefined ? {} : { encoding_format }) })
      expect(answer).to.deep.include({ object: 'list', model: 'demo', usage: { prompt_tokens: 5, total_tokens: 5 } })
      expect(answer.data.map(({ index }) => index)).to.deep.equal([0, 1])
      const vectors = answer.data.map(({ embedding }) => typeof embedding === 'string' ? floatsOf(embedding) : embedding)
      expect(vectors).to.deep.equal(expected)
      expect(answer).to.have.nested.property('triforce.host_name', 'lender')
    }
  })

  it('passes text, dimensions and wishes on', async () => {
    const asked: { request: EmbeddingRequest; routing: RoutingWishes | undefined }[] = []
    const before = test.gateway.embedScript
    test.gateway.embedScript = (who, request, options) => {
      asked.push({ request, routing: options.routing })
      return before(who, request, options)
    }
    await client.embeddings.create({ model: 'demo', input: 'one\ud800', dimensions: 3, provider: { only: ['lender'] } } as OpenAI.EmbeddingCreateParams)
    expect(asked).to.deep.equal([{ request: { kind: 'embedding', model: 'demo', inputs: ['one\ufffd'], dimensions: 3 }, routing: { only: ['lender'] } }])
  })

  it('refuses by name what is no text', async () => {
    const cases: readonly (readonly [object, string])[] = [
      [{ input: [1, 2] }, 'input[0]'], [{ input: [[1, 2]] }, 'input[0]'], [{ input: '' }, 'input'], [{ input: ['a', ''] }, 'input[1]'], [{ input: [] }, 'input'], [{ input: 5 }, 'input'],
      [{ input: 'x', dimensions: 0 }, 'dimensions'], [{ input: 'x', encoding_format: 'int8' }, 'encoding_format'], [{ input: Array.from({ length: 2_049 }, () => 'x') }, 'input'],
    ]
    for (const [more, param] of cases) {
      const answer = await fetch(`${test.url}/v1/embeddings`, postJson({ model: 'demo', ...more }))
      expect([answer.status, (await answer.json() as { error: { param: string } }).error.param]).to.deep.equal([400, param])
    }
    const long = await fetch(`${test.url}/v1/embeddings`, postJson({ model: 'demo', input: ['x'.repeat(600_000), 'x'.repeat(400_001)] }))
    expect((await long.json() as { error: { code: string } }).error.code).to.equal('context_length_exceeded')
  })

  it('raises what the gateway throws', async () => {
    test.gateway.embedScript = () => Promise.reject(new TriforceError('MODEL_NOT_FOUND'))
    expect(await errorOf(client.embeddings.create({ model: 'demo', input: 'x' }))).to.be.instanceOf(NotFoundError)
  })

  it('stops the engine when the client leaves', async () => {
    const started = Promise.withResolvers<void>()
    const aborted = Promise.withResolvers<void>()
    test.gateway.embedScript = (_who, _request, { signal }) => new Promise((_resolve, reject) => {
      started.resolve()
      signal.addEventListener('abort', () => {
        aborted.resolve()
        reject(new TriforceError('CANCELLED'))
      })
    })
    const leaving = new AbortController()
    const asked = client.embeddings.create({ model: 'demo', input: 'x' }, { signal: leaving.signal })
    const failed = errorOf(asked)
    await started.promise
    leaving.abort()
    await aborted.promise
    expect(await failed).to.have.property('name', 'Error')
  })

  it('sends a large answer whole', async () => {
    const vectors = Array.from({ length: 200 }, (_, index) => new Float32Array(1_024).fill(index / 7))
    test.gateway.embedScript = () => Promise.resolve({ vectors, usage: { promptTokens: 200, completionTokens: 0 }, served: testServed })
    const answer = await client.embeddings.create({ model: 'demo', input: Array.from({ length: 200 }, () => 'x'), encoding_format: 'float' })
    expect(answer.data.map(({ embedding }) => embedding.length)).to.deep.equal(Array.from({ length: 200 }, () => 1_024))
    expect(answer.data[199]!.embedding[1_023]).to.equal(vectors[199]![1_023])
  })
})

function floatsOf(base64: string): number[] {
  const bytes = Buffer.from(base64, 'base64')
  return [...new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))]
}
