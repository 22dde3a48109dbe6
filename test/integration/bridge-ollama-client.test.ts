/** The official `ollama` client against the bridge over real HTTP. */
import { expect } from 'chai'
import { Ollama } from 'ollama'
import { settledEvent, TEST_KEY, textEvent } from '../support/bridge-gateway.ts'
import { startTestBridge, type TestBridge } from '../support/bridge-server.ts'
import { collect, endEvent, errorOf, PNG, reasoningEvent, started, toolEvent } from '../support/bridge-sdk.ts'

const messages = [{ role: 'user', content: 'What is TriForce?' }]
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const tools = [{ type: 'function', function: { name: 'weather', description: 'of a city', parameters: schema } }]

describe('bridge: the ollama client', () => {
  let test: TestBridge
  let client: Ollama

  beforeEach(async () => {
    test = await startTestBridge({ keepAliveMs: 20 })
    client = new Ollama({ host: test.url, headers: { authorization: `Bearer ${TEST_KEY}` } })
  })
  afterEach(() => test.stop())

  it('chats, and gets the counts and times that it shows', async () => {
    test.gateway.script = (run) => run.emit(reasoningEvent('hm'), textEvent('A '), textEvent('federation.'), endEvent('stop'), settledEvent)
    const answer = await client.chat({ model: 'demo', messages })
    expect(answer.message).to.deep.equal({ role: 'assistant', content: 'A federation.', thinking: 'hm' })
    expect(answer).to.deep.include({ model: 'demo', done: true, done_reason: 'stop', prompt_eval_count: 7, eval_count: 3 })
    expect(answer.total_duration).to.be.greaterThan(0).and.at.least(answer.eval_duration)
    expect(Date.parse(String(answer.created_at))).to.be.closeTo(Date.now(), 60_000)
    expect(answer).to.have.nested.property('triforce.receipt', `rcpt_${'ab'.repeat(16)}`)
  })

  it('streams a line for each piece, and whole tool calls in the order in which they were begun', async () => {
    test.gateway.script = (run) => run.emit(
      reasoningEvent('hm'), textEvent('Let me look.'), toolEvent(0, '', { id: 'call_a', name: 'weather' }), toolEvent(0, '{"city":'), toolEvent(0, '"Bonn"}'),
      toolEvent(1, '{}', { id: 'call_b', name: 'clock' }), endEvent('toolCalls'), settledEvent,
    )
    const frames = await collect(await client.chat({ model: 'demo', messages, stream: true }))
    expect(frames.map(({ message, done }) => ({ ...message, done }))).to.deep.equal([
      { role: 'assistant', content: '', thinking: 'hm', done: false },
      { role: 'assistant', content: 'Let me look.', done: false },
      { role: 'assistant', content: '', tool_calls: [{ id: 'call_a', function: { index: 0, name: 'weather', arguments: { city: 'Bonn' } } }], done: false },
      { role: 'assistant', content: '', tool_calls: [{ id: 'call_b', function: { index: 1, name: 'clock', arguments: {} } }], done: false },
      { role: 'assistant', content: '', done: true },
    ])
    expect(frames.at(-1)).to.include({ done_reason: 'stop', eval_count: 3, prompt_eval_count: 7 })
    expect((await client.chat({ model: 'demo', messages })).message.tool_calls).to.have.length(2)
  })

  it('makes vectors, in the form of today and in the older one', async () => {
    const answer = await client.embed({ model: 'demo', input: ['one', 'three'] })
    expect(answer).to.deep.include({ model: 'demo', embeddings: [[3, 0, Math.fround(0.1)], [5, 1, Math.fround(0.1)]], prompt_eval_count: 5 })
    expect(answer.total_duration).to.be.greaterThan(0)
    expect((await client.embed({ model: 'demo', input: 'one' })).embeddings).to.have.length(1)
    expect((await client.embeddings({ model: 'demo', prompt: 'one' })).embedding).to.deep.equal([3, 0, Math.fround(0.1)])
    expect(await errorOf(client.embed({ model: 'demo', input: '' }))).to.have.property('status_code', 400)
  })

  it('gives log probabilities as Ollama does', async () => {
    const logprobs = [{ token: 'é', logprob: -0.5, top: [{ token: 'e', logprob: -1 }] }]
    test.gateway.script = (run) => run.emit({ type: 'text', text: 'é', tokens: 1, logprobs }, endEvent('length'), settledEvent)
    const [frame] = await collect(await client.chat({ model: 'demo', messages, logprobs: true, top_logprobs: 1, stream: true }))
    expect(frame?.logprobs).to.deep.equal([{ token: 'é', logprob: -0.5, bytes: [0xc3, 0xa9], top_logprobs: [{ token: 'e', logprob: -1, bytes: [0x65] }] }])
    expect(test.gateway.runs[0]?.request.logprobs).to.equal(1)
  })

  it('generates from a prompt, streaming and not', async () => {
    test.gateway.script = (run) => run.answer('A', ' B')
    const answer = await client.generate({ model: 'demo', prompt: 'hi', system: 'be brief', images: [PNG] })
    expect(answer).to.include({ response: 'A B', done: true })
    expect(test.gateway.runs[0]?.request.messages).to.deep.equal([
      { role: 'system', content: 'be brief' },
      { role: 'user', content: [{ type: 'text', text: 'hi' }, { type: 'image', mediaType: 'image/png', data: new Uint8Array(Buffer.from(PNG, 'base64')) }] },
    ])
    const frames = await collect(await client.generate({ model: 'demo', prompt: 'hi', stream: true }))
    expect(frames.map(({ response, done }) => [response, done])).to.deep.equal([['A', false], [' B', false], ['', true]])
  })

  it('hands a whole conversation with tools, options and a schema to the gateway', async () => {
    test.gateway.script = (run) => run.answer('{}')
    await client.chat({
      model: 'demo', tools, format: schema, think: 'low', keep_alive: '5m',
      options: {
        num_predict: 50_000, temperature: 0.5, top_p: 0.9, top_k: 40, seed: 42, stop: ['END'], presence_penalty: 1, frequency_penalty: -1,
        num_ctx: 4_096, num_gpu: 1, num_thread: 8, repeat_penalty: 1.1, min_p: 0,
      },
      messages: [
        { role: 'system', content: 'be brief' },
        ...messages,
        { role: 'assistant', content: '', thinking: 'hm', tool_calls: [{ function: { name: 'weather', arguments: { city: 'Bonn' } } }, { function: { name: 'clock', arguments: {} } }] },
        { role: 'tool', content: '12:00', tool_name: 'clock' },
        { role: 'tool', content: 'rain' },
        { role: 'assistant', content: 'It' },
      ],
    })
    expect(test.gateway.runs[0]?.request).to.deep.equal({
      model: 'demo', continueLast: true, maxTokens: 32_768, temperature: 0.5, topP: 0.9, topK: 40, frequencyPenalty: -1, presencePenalty: 1, seed: 42, stop: ['END'],
      responseFormat: { type: 'json_schema', schema: JSON.stringify(schema) }, reasoning: { effort: 'low' },
      tools: [{ name: 'weather', description: 'of a city', parameters: JSON.stringify(schema) }],
      messages: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'What is TriForce?' },
        {
          role: 'assistant', content: '', reasoning: [{ text: 'hm' }],
          toolCalls: [{ id: 'call_2_0', name: 'weather', arguments: '{"city":"Bonn"}' }, { id: 'call_2_1', name: 'clock', arguments: '{}' }],
        },
        { role: 'tool', toolCallId: 'call_2_1', content: '12:00' },
        { role: 'tool', toolCallId: 'call_2_0', content: 'rain' },
        { role: 'assistant', content: 'It' },
      ],
    })
  })

  it('says with three words whether to think', async () => {
    test.gateway.script = (run) => run.answer('x')
    for (const think of [true, false, undefined]) await client.chat({ model: 'demo', messages, ...(think === undefined ? {} : { think }) })
    expect(test.gateway.runs.map(({ request }) => request.reasoning)).to.deep.equal([{}, { effort: 'none' }, undefined])
  })

  it('lists and shows models, and finds one by its name without a tag', async () => {
    test.gateway.script = (run) => run.answer('x')
    expect((await client.list()).models.map(({ name }) => name)).to.deep.equal(['demo', 'hf.co/org/model:Q4_K_M'])
    expect((await client.list()).models[0]?.digest).to.match(/^[0-9a-f]{64}$/)
    expect((await client.ps()).models.map(({ name }) => name)).to.deep.equal(['demo', 'hf.co/org/model:Q4_K_M'])
    expect(await client.show({ model: 'demo' })).to.deep.include({ capabilities: ['completion'], model_info: { 'general.architecture': 'triforce', 'general.basename': 'demo', 'triforce.context_length': 512 } })
    expect((await client.chat({ model: 'demo:latest', messages })).model).to.equal('demo:latest')
    expect(test.gateway.runs[0]?.request.model).to.equal('demo')
    expect(await errorOf(client.show({ model: 'nowhere' }))).to.include({ status_code: 404, message: "model 'nowhere' not found; GET /api/tags lists what the federation offers" })
    expect((await client.version()).version).to.match(/^\d+\.\d+\.\d+$/)
  })

  it('is answered where it only loads or unloads a model', async () => {
    expect(await client.generate({ model: 'demo', prompt: '' })).to.include({ done: true, done_reason: 'load', response: '' })
    expect(await client.chat({ model: 'demo', messages: [], keep_alive: 0 })).to.include({ done: true, done_reason: 'unload' })
    expect(await errorOf(client.generate({ model: 'nowhere', prompt: '' }))).to.include({ status_code: 404 })
    expect(test.gateway.runs).to.have.length(0)
  })

  it('raises an error that comes in the middle of a stream, and keeps the text before it', async () => {
    test.gateway.script = (run) => {
      run.emit(textEvent('half'))
      run.fail('HOST_LOST')
    }
    let text = ''
    const error = await errorOf((async () => {
      for await (const frame of await client.chat({ model: 'demo', messages, stream: true })) text += frame.message.content
    })())
    expect(error.message).to.equal('the host of the stream died')
    expect(text).to.equal('half')
  })

  it('gets empty lines while it waits, and takes them for no text', async () => {
    const asked = client.chat({ model: 'demo', messages, stream: true })
    const run = await started(asked, test)
    run.emit({ type: 'waiting', state: 'loading', at: 0.4 })
    const frames: string[] = []
    for await (const frame of await asked) {
      frames.push(frame.message.content)
      if (frames.length === 3) run.answer('late')
    }
    expect(frames.slice(0, 3)).to.deep.equal(['', '', ''])
    expect(frames.join('')).to.equal('late')
  })

  it('stops the engine when it aborts', async () => {
    const asked = client.chat({ model: 'demo', messages, stream: true })
    const run = await started(asked, test)
    run.emit(textEvent('begin'))
    const stream = await asked
    setImmediate(() => stream.abort())
    await errorOf(collect(stream))
    await run.aborted
  })

  it('needs a key, which may stand in the address where a client has no other place', async () => {
    test.gateway.script = (run) => run.answer('x')
    expect(await errorOf(new Ollama({ host: test.url }).chat({ model: 'demo', messages }))).to.include({
      status_code: 401, message: 'no API key was sent; send it as `Authorization: Bearer YOUR_KEY` or as `x-api-key`',
    })
    const base = `${test.url}/key/${TEST_KEY}`
    const keyed = new Ollama({ host: base })
    expect((await keyed.chat({ model: 'demo', messages })).message.content).to.equal('x')
    expect(await collect(await keyed.chat({ model: 'demo', messages, stream: true }))).to.have.length(2)
    expect((await keyed.list()).models).to.have.length(2)
    for (const address of [base, `${base}/`]) expect(await (await fetch(address)).text()).to.equal('Ollama is running')
    expect((await fetch(base, { method: 'HEAD' })).status).to.equal(200)
    expect(await errorOf(new Ollama({ host: `${test.url}/key/tf-wrong` }).list())).to.include({ status_code: 401 })
    // Only Ollama's addresses are there.
    expect((await fetch(`${base}/v1/models`)).status).to.equal(404)
    expect(JSON.stringify(test.logLines)).to.not.include(TEST_KEY)
  })

  it('is understood whatever type it gives its JSON, as `curl -d` does', async () => {
    test.gateway.script = (run) => run.answer('x')
    for (const type of ['application/x-www-form-urlencoded', 'text/plain']) {
      const response = await fetch(`${test.url}/api/chat`, {
        method: 'POST', headers: { 'content-type': type, authorization: `Bearer ${TEST_KEY}` }, body: JSON.stringify({ model: 'demo', messages }),
      })
      expect(response.headers.get('content-type')).to.equal('application/x-ndjson')
      expect((await response.text()).split('\n')).to.have.length(3)
    }
  })

  it('is told that models are managed elsewhere', async () => {
    const why = /models are managed on the machines that lend them: run `ollama` there/
    for (const asked of [client.pull({ model: 'x' }), client.push({ model: 'x' }), client.create({ model: 'x' }), client.copy({ source: 'x', destination: 'y' }), client.delete({ model: 'x' })]) {
      const error = await errorOf(asked)
      expect(error).to.include({ status_code: 400 })
      expect(error.message).to.match(why)
    }
  })

  const refusals = [
    ['chat', 'an image that is none', { messages: [{ role: 'user', content: 'x', images: ['aGk='] }] }, /^messages\[0\]\.images\[0\]: must be a PNG/],
    ['chat', 'an image of the assistant', { messages: [{ role: 'assistant', content: 'x', images: [PNG] }] }, /^messages\[0\]\.images/],
    ['chat', 'a result that answers nothing', { messages: [{ role: 'tool', content: 'x' }] }, /^messages\[0\]: answers no tool call/],
    ['chat', 'a role that is none', { messages: [{ role: 'king', content: 'x' }] }, /^messages\[0\]\.role/],
    ['chat', 'an option that no host takes', { options: { mirostat: 2 } }, /^options\.mirostat: /],
    ['chat', 'a format that is none', { format: 'xml' }, /^format: must be "json" or a JSON schema/],
    ['generate', 'a prompt as the model sees it', { prompt: 'x', raw: true }, /^raw: /],
    ['generate', 'a template', { prompt: 'x', template: '{{ .Prompt }}' }, /^template: /],
    ['generate', 'a text to go in between', { prompt: 'x', suffix: 'y' }, /^suffix: /],
    ['generate', 'a picture to be painted', { prompt: 'x', width: 512 }, /^width: /],
  ] as const
  for (const [path, what, fields, message] of refusals) {
    it(`is refused ${what} at ${path}, with the name of the field`, async () => {
      const response = await fetch(`${test.url}/api/${path}`, {
        method: 'POST', headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' }, body: JSON.stringify({ model: 'demo', messages, ...fields }),
      })
      expect(response.status).to.equal(400)
      const body = await response.json() as { error: string }
      expect(Object.keys(body)).to.deep.equal(['error'])
      expect(body.error).to.match(message)
    })
  }
})
