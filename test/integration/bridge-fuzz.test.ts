/**
 * Spoiled and huge bodies in the shape of every dialect: always a 4xx in that dialect's own shape, never a word from inside,
 * and memory that does not grow. `npm run test:thorough` sends 10,000 to each endpoint.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import * as fc from 'fast-check'
import type { DialectName } from '../../node/bridge/dialect-of.ts'
import { TEST_KEY } from '../support/bridge-gateway.ts'
import { PNG } from '../support/bridge-sdk.ts'
import { postJson, rawConnection, startTestBridge, type TestBridge } from '../support/bridge-server.ts'
import { expectShape } from '../support/error-shape.ts'
import { times } from '../support/thorough.ts'
import { SEED } from '../support/seed.ts'

const MIB = 1024 * 1024
const parameters = { type: 'object', properties: { city: { type: 'string' } } }
const routing = { models: ['other'], provider: { order: ['openai'], max_price: { prompt: 1 }, sort: 'price' }, triforce: { privacy: 'any' } }

interface Target {
  readonly dialect: DialectName
  /** Everything that the endpoint takes, so that each of its fields is spoiled. */
  readonly body: Readonly<Record<string, unknown>>
  /** The field that has the conversation, and one item of it. */
  readonly many: readonly [field: string, item: unknown]
}

const targets: Readonly<Record<string, Target>> = {
  '/v1/chat/completions': {
    dialect: 'openai', many: ['messages', { role: 'user', content: 'hi' }],
    body: {
      model: 'demo', stop: ['x'], max_tokens: 5, temperature: 1, top_p: 0.5, top_k: 3, seed: 7, logprobs: true, top_logprobs: 2, reasoning_effort: 'low', ...routing,
      messages: [
        { role: 'system', content: 'be brief' }, { role: 'user', content: [{ type: 'text', text: 'hi' }, { type: 'image_url', image_url: { url: `data:image/png;base64,${PNG}` } }] },
        { role: 'assistant', content: null, reasoning_content: 'hm', tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{' } }] },
        { role: 'tool', tool_call_id: 'c1', content: 'sun' },
      ],
      tools: [{ type: 'function', function: { name: 'f', parameters, strict: true } }], tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'f' } }] } },
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema: parameters } },
    },
  },
  '/v1/completions': { dialect: 'openai', many: ['prompt', 'hi'], body: { model: 'demo', prompt: 'hi', max_tokens: 3, stop: 'x', logprobs: 2, seed: 1, ...routing } },
  '/v1/responses': {
    dialect: 'openai', many: ['input', { role: 'user', content: 'hi' }],
    body: {
      model: 'demo', instructions: 'be brief', max_output_tokens: 9, metadata: { a: 'b' }, reasoning: { effort: 'low' }, text: { format: { type: 'json_schema', name: 'x', schema: parameters } }, ...routing,
      input: [
        { role: 'user', content: [{ type: 'input_text', text: 'hi' }, { type: 'input_image', image_url: `data:image/png;base64,${PNG}` }] },
        { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'hm' }], encrypted_content: 'c1' },
        { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}' }, { type: 'function_call_output', call_id: 'c1', output: 'sun' },
      ],
      tools: [{ type: 'function', name: 'f', parameters }, { type: 'custom', name: 'g', format: { type: 'grammar', syntax: 'lark', definition: 'x' } }, { type: 'web_search' }],
      tool_choice: { type: 'function', name: 'f' }, include: ['reasoning.encrypted_content'],
    },
  },
  '/v1/embeddings': { dialect: 'openai', many: ['input', 'hi'], body: { model: 'demo', input: ['a', 'b'], encoding_format: 'float', dimensions: 3, ...routing } },
  '/v1/messages': {
    dialect: 'anthropic', many: ['messages', { role: 'user', content: 'hi' }],
    body: {
      model: 'demo', max_tokens: 9, system: [{ type: 'text', text: 'be brief' }], temperature: 1, top_k: 3, stop_sequences: ['x'], ...routing,
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'hi' }, { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }] },
        { role: 'assistant', content: [{ type: 'thinking', thinking: 'hm', signature: 's' }, { type: 'tool_use', id: 'c1', name: 'f', input: { city: 'Ulm' } }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c1', content: [{ type: 'text', text: 'sun' }], is_error: false }] },
      ],
      tools: [{ name: 'f', input_schema: parameters }], tool_choice: { type: 'tool', name: 'f' }, thinking: { type: 'adaptive' },
    },
  },
  '/v1/messages/count_tokens': { dialect: 'anthropic', many: ['messages', { role: 'user', content: 'hi' }], body: { model: 'demo', messages: [{ role: 'user', content: 'hi' }], tools: [{ name: 'f', input_schema: parameters }] } },
  '/api/chat': {
    dialect: 'ollama', many: ['messages', { role: 'user', content: 'hi' }],
    body: {
      model: 'demo', stream: false, format: parameters, think: false, options: { num_predict: 5, temperature: 1, stop: ['x'], seed: 3 }, ...routing,
      messages: [
        { role: 'user', content: 'hi', images: [PNG] }, { role: 'assistant', content: '', thinking: 'hm', tool_calls: [{ function: { name: 'f', arguments: { city: 'Ulm' } } }] },
        { role: 'tool', tool_name: 'f', content: 'sun' },
      ],
      tools: [{ type: 'function', function: { name: 'f', parameters } }],
    },
  },
  '/api/generate': { dialect: 'ollama', many: ['images', PNG], body: { model: 'demo', prompt: 'hi', system: 'be brief', images: [PNG], stream: false, format: 'json', options: { num_predict: 5 }, ...routing } },
  '/api/embed': { dialect: 'ollama', many: ['input', 'hi'], body: { model: 'demo', input: ['a', 'b'], dimensions: 3, truncate: false } },
}

/** Sent at once. */
const BATCH = 50

describe('bridge: spoiled bodies in every dialect', function () {
  this.timeout(600_000)
  let test: TestBridge

  before(async () => {
    test = await startTestBridge()
    test.gateway.script = (run) => run.answer('ok')
  })
  after(() => test.stop())

  const post = (path: string, body: string | Uint8Array<ArrayBuffer>) =>
    fetch(test.url + path, { method: 'POST', headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' }, body })

  /** Refused in shape, or taken; gives the status. */
  async function answered(path: string, body: string | Uint8Array<ArrayBuffer>): Promise<number> {
    const response = await post(path, body)
    const text = await response.text()
    if (response.status !== 200) {
      expect(response.status, text).to.be.within(400, 499)
      expectShape(targets[path]!.dialect, JSON.parse(text))
    }
    return response.status
  }

  /** A node of this test keeps what it was asked; a real one does not. */
  function forget(): void {
    (test.gateway.runs as unknown[]).length = 0;
    (test.logLines as unknown[]).length = 0
  }

  for (const [path, { dialect, body, many: [field, item] }] of Object.entries(targets)) {
    it(`${path}: a 4xx in ${dialect}'s shape, whatever is spoiled`, async () => {
      expect(await answered(path, JSON.stringify(body)), 'the body is good before it is spoiled').to.equal(200)
      const seed = SEED
      const seen: Record<number, number> = {}
      await fc.assert(fc.asyncProperty(fc.array(spoiled(body), { minLength: BATCH, maxLength: BATCH }), async (bodies) => {
        for (const status of await Promise.all(bodies.map((sent) => answered(path, sent)))) seen[status] = (seen[status] ?? 0) + 1
        expect(test.logLines.filter((line) => line.level === 'error')).to.deep.equal([])
        forget()
      }), { seed, numRuns: times(2, 10_000 / BATCH), endOnFailure: true })
      console.log(`      seed ${seed}, statuses ${JSON.stringify(seen)}`)
      expect(seen[400]).to.be.greaterThan(BATCH / 2)
    })

    it(`${path}: refuses 10 MB, 100 levels, and 10,000 of what it takes some of`, async () => {
      const text = JSON.stringify(body)
      expect(await answered(path, `${text.slice(0, -1)},"x":"${'x'.repeat(10_000_000)}"}`)).to.equal(413)
      for (const name of ['x', field, ...Object.keys(body)]) {
        const nested = `${text.slice(0, -1)},${JSON.stringify(name)}:${'['.repeat(100)}${']'.repeat(100)}}`
        expect(await answered(path, nested), name).to.equal(400)
      }
      expect(await answered(path, JSON.stringify({ ...body, [field]: Array.from({ length: 10_000 }, () => item) }))).to.equal(400)
    })
  }

  it('grows by nothing: 10 MB bodies with and without a length, and thousands of bodies that are refused', async function () {
    const big = JSON.stringify({ ...targets['/v1/chat/completions']!.body, x: 'x'.repeat(10_000_000) })
    const chunked = `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TEST_KEY}\r\ncontent-type: application/json\r\n`
      + `transfer-encoding: chunked\r\nconnection: close\r\n\r\n${big.length.toString(16)}\r\n${big}\r\n0\r\n\r\n`
    let peak = 0
    const watching = setInterval(() => { peak = Math.max(peak, process.memoryUsage().rss) }, 5)
    const round = async (): Promise<void> => {
      await Promise.all(Array.from({ length: 4 }, async () => {
        expect((await post('/v1/chat/completions', big)).status).to.equal(413)
        const connection = rawConnection(test.port)
        connection.send(chunked)
        expect(await connection.closed).to.match(/^HTTP\/1\.1 413 /)
      }))
      await Promise.all(Array.from({ length: 200 }, () => fetch(`${test.url}/v1/messages`, postJson({ model: 'x'.repeat(1_000), messages: [] }))))
      forget()
    }
    try {
      // What is loaded and made once.
      for (let warm = 0; warm < 2; warm += 1) await round()
      const [held, rss] = [heldBytes(), process.memoryUsage().rss]
      peak = 0
      for (let again = 0; again < times(2, 40); again += 1) await round()
      const grown = heldBytes() - held
      console.log(`      kept ${(grown / MIB).toFixed(1)} MiB more, at most ${((peak - rss) / MIB).toFixed(0)} MiB more while 8 bodies of 10 MB came at once`)
      expect(grown).to.be.below(16 * MIB)
      // The sender of all of them is this very process.
      expect(peak - rss).to.be.below(256 * MIB)
    } finally {
      clearInterval(watching)
    }
  })
})

/** Bytes that are still held when all that can be is collected. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** The text of a body with some of it replaced, left out, doubled, cut or made into noise. */
function spoiled(body: Readonly<Record<string, unknown>>): fc.Arbitrary<string | Uint8Array<ArrayBuffer>> {
  const text = JSON.stringify(body)
  const places = placesOf(body)
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }), fc.string({ unit: 'binary' }), fc.double({ noNaN: true }), fc.constantFrom(null, '', [], {}, [[]], -1, 1e308, '__proto__', 'x'.repeat(2_000), '\ud800', '\u0000'),
    fc.constantFrom(...places.map((place) => at(body, place))),
  )
  const swap = fc.tuple(fc.constantFrom(...places), value).map(([place, other]) => (copy: unknown) => { put(copy, place, other) })
  const drop = fc.constantFrom(...places).map((place) => (copy: unknown) => { put(copy, place, undefined) })
  const add = fc.tuple(fc.constantFrom(...places), fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toString')), value).map(([place, name, other]) => (copy: unknown) => { put(copy, [...place, name], other) })
  const changed = fc.array(fc.oneof(swap, drop, add), { minLength: 1, maxLength: 3 }).map((changes) => {
    const copy = structuredClone(body) as unknown
    for (const change of changes) change(copy)
    return JSON.stringify(copy)
  })
  return fc.oneof(
    { weight: 8, arbitrary: changed }, { weight: 1, arbitrary: fc.nat(text.length - 1).map((length) => text.slice(0, length)) }, { weight: 1, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((array) => new Uint8Array(array)) },
  )
}

type Place = readonly (string | number)[]

function placesOf(value: unknown, above: Place = []): Place[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => {
    const place = [...above, Array.isArray(value) ? Number(name) : name]
    return [place, ...placesOf(inner, place)]
  })
}

function at(value: unknown, place: Place): unknown {
  return place.reduce<unknown>((inner, name) => (inner as Record<string | number, unknown> | undefined)?.[name], value)
}

/** Nothing where an earlier change took the place away. A copy of the value: a later change inside of it must not reach the good body. */
function put(value: unknown, place: Place, other: unknown): void {
  const parent = at(value, place.slice(0, -1))
  if (typeof parent !== 'object' || parent === null || Array.isArray(parent) && place.at(-1) === 'length') return
  Object.defineProperty(parent, place.at(-1)!, { value: structuredClone(other), enumerable: true, configurable: true, writable: true })
}
