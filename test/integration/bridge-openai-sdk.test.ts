/** The official `openai` client against the bridge over real HTTP. */
import { expect } from 'chai'
import { APIError, AuthenticationError, NotFoundError, OpenAI } from 'openai'
import { finishEvent, settledEvent, TEST_KEY, textEvent } from '../support/bridge-gateway.ts'
import { startTestBridge, type TestBridge } from '../support/bridge-server.ts'
import { until } from '../support/until.ts'

const messages = [{ role: 'user' as const, content: 'What is TriForce?' }]

describe('bridge: the openai client', () => {
  let test: TestBridge
  let client: OpenAI

  beforeEach(async () => {
    test = await startTestBridge()
    client = new OpenAI({ apiKey: TEST_KEY, baseURL: `${test.url}/v1` })
  })
  afterEach(() => test.stop())

  it('gets a whole answer with usage, and the receipt in the extra field', async () => {
    test.gateway.script = (run) => run.answer('A federation', ' for AI.')
    const answer = await client.chat.completions.create({ model: 'demo', messages })
    expect(answer.choices[0]?.message.content).to.equal('A federation for AI.')
    expect(answer.choices[0]?.finish_reason).to.equal('stop')
    expect(answer.usage).to.deep.equal({ prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 })
    expect(answer).to.have.nested.property('triforce.receipt', `rcpt_${'ab'.repeat(16)}`)
    expect(answer._request_id).to.match(/^req_[0-9a-f]{24}$/)
    expect(answer.id).to.equal(`chatcmpl-${answer._request_id?.slice(4)}`)
  })

  it('streams, and gets the usage chunk only where it asks', async () => {
    test.gateway.script = (run) => run.answer('one', ' two', ' three')
    for (const include_usage of [false, true]) {
      const stream = await client.chat.completions.create({ model: 'demo', messages, stream: true, stream_options: { include_usage } })
      const chunks = await collect(stream)
      expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).to.equal('one two three')
      expect(chunks[0]?.choices[0]?.delta.role).to.equal('assistant')
      expect(new Set(chunks.map((chunk) => chunk.id)).size).to.equal(1)
      const finished = chunks.filter((chunk) => chunk.choices[0]?.finish_reason === 'stop')
      expect(finished).to.have.length(1)
      expect(finished[0]).to.have.nested.property('triforce.host_name', 'lender')
      const counted = chunks.filter((chunk) => chunk.usage !== undefined && chunk.usage !== null)
      expect(counted).to.have.length(include_usage ? 1 : 0)
      if (include_usage) {
        expect(counted[0]?.choices).to.deep.equal([])
        expect(counted[0]).to.equal(chunks.at(-1))
        expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).to.equal(true)
      }
    }
  })

  it('passes its settings on to the gateway', async () => {
    test.gateway.script = (run) => run.answer('{}')
    const schema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'], additionalProperties: false }
    await client.chat.completions.create({
      model: 'demo', messages: [{ role: 'developer', content: 'be brief' }, ...messages], stop: ['\n', 'END'],
      max_completion_tokens: 20, temperature: 0, top_p: 0.5, seed: 7, user: 'someone', store: false, metadata: { a: 'b' },
      response_format: { type: 'json_schema', json_schema: { name: 'person', strict: true, schema } },
    })
    expect(test.gateway.runs.at(-1)?.request).to.deep.equal({
      model: 'demo', messages: [{ role: 'system', content: 'be brief' }, ...messages], continueLast: false, maxTokens: 20,
      temperature: 0, topP: 0.5, seed: 7, stop: ['\n', 'END'], responseFormat: { type: 'json_schema', schema: JSON.stringify(schema), name: 'person', strict: true },
    })
  })

  it('lists models and finds one whose id has slashes and colons', async () => {
    const list = await collect(await client.models.list())
    expect(list.map((model) => model.id)).to.deep.equal(['demo', 'hf.co/org/model:Q4_K_M'])
    const model = await client.models.retrieve('hf.co/org/model:Q4_K_M')
    expect(model).to.deep.include({ id: 'hf.co/org/model:Q4_K_M', object: 'model', created: 1_700_000_000, owned_by: 'triforce' })
  })

  it('raises its own classes for 401 and 404', async () => {
    const stranger = new OpenAI({ apiKey: 'tf-wrong', baseURL: `${test.url}/v1` })
    const refused = await errorOf(stranger.chat.completions.create({ model: 'demo', messages }))
    expect(refused).to.be.instanceOf(AuthenticationError)
    expect(refused).to.include({ status: 401, code: 'invalid_api_key', type: 'authentication_error' })
    const missing = await errorOf(client.models.retrieve('nowhere'))
    expect(missing).to.be.instanceOf(NotFoundError)
    expect(missing).to.include({ status: 404, code: 'model_not_found' })
  })

  it('raises an error that comes in the middle of a stream, and keeps the text before it', async () => {
    test.gateway.script = (run) => {
      run.emit(textEvent('half'))
      run.fail('HOST_LOST')
    }
    const stream = await client.chat.completions.create({ model: 'demo', messages, stream: true })
    let text = ''
    const error = await errorOf((async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    })())
    expect(error).to.be.instanceOf(APIError)
    expect(error).to.include({ code: 'host_lost', message: 'the host of the stream died' })
    expect(text).to.equal('half')
  })

  it('stops the engine when it aborts', async () => {
    const asked = client.chat.completions.create({ model: 'demo', messages, stream: true })
    const run = await started(asked, test)
    run.emit(textEvent('begin'))
    for await (const chunk of await asked) if (chunk.choices[0]?.delta.content === 'begin') break
    await run.aborted
  })

  it('carries 500 streams at once, each with its own words', async function () {
    this.timeout(60_000)
    const all = Array.from({ length: 500 }, async (_, number) => {
      const stream = await client.chat.completions.create({ model: 'demo', messages: [{ role: 'user', content: `stream ${number}` }], stream: true })
      return (await collect(stream)).map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')
    })
    // None ends before all have begun.
    await until('all run', () => test.gateway.runs.length === 500, 40_000)
    for (const run of test.gateway.runs) for (const word of ['words', ' of ', run.request.messages[0]!.content as string]) run.emit(textEvent(word))
    for (const run of test.gateway.runs) run.emit(finishEvent(), settledEvent)
    expect(await Promise.all(all)).to.deep.equal(all.map((_, number) => `words of stream ${number}`))
  })

  it('gets a stream that begins late', async () => {
    const asked = client.chat.completions.create({ model: 'demo', messages, stream: true })
    const run = await started(asked, test)
    run.emit({ type: 'waiting', state: 'queued', at: 3 }, { type: 'waiting', state: 'loading' })
    run.emit(textEvent('late'), finishEvent('length'), settledEvent)
    const chunks = await collect(await asked)
    expect(chunks.at(-1)?.choices[0]?.finish_reason).to.equal('length')
  })
})

/** The client sends its request only when somebody asks for the answer. */
async function started(asked: PromiseLike<unknown>, test: TestBridge) {
  void asked.then(() => undefined)
  return test.gateway.nextRun()
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

async function errorOf(promise: PromiseLike<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('did not fail')
}
