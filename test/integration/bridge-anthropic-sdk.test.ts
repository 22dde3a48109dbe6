/** The official `@anthropic-ai/sdk` client against the bridge over real HTTP. */
import Anthropic, { APIError, BadRequestError } from '@anthropic-ai/sdk'
import { expect } from 'chai'
import { settledEvent, TEST_KEY, textEvent } from '../support/bridge-gateway.ts'
import { startTestBridge, type TestBridge } from '../support/bridge-server.ts'
import { collect, endEvent, errorOf, PNG, reasoningEvent, started, toolEvent } from '../support/bridge-sdk.ts'

const messages = [{ role: 'user' as const, content: 'What is TriForce?' }]
const least = { model: 'demo', max_tokens: 100, messages }

describe('bridge: the @anthropic-ai/sdk client', () => {
  let test: TestBridge
  let client: Anthropic

  beforeEach(async () => {
    test = await startTestBridge({ keepAliveMs: 20 })
    client = new Anthropic({ apiKey: TEST_KEY, baseURL: test.url })
  })
  afterEach(() => test.stop())

  it('gets a whole answer with thinking, text and a tool call, and usage that counts the cache once', async () => {
    test.gateway.script = (run) => run.emit(
      reasoningEvent('hm'), reasoningEvent('m', { signature: 'sig' }), reasoningEvent('cipher', { redacted: true }), textEvent('A '), textEvent('federation.'),
      toolEvent(0, '{"city":', { id: 'toolu_1', name: 'weather' }), toolEvent(0, '"Bonn"}'),
      endEvent('toolCalls', { promptTokens: 100, completionTokens: 30, cachedPromptTokens: 60, cacheWriteTokens: 30, reasoningTokens: 20 }), settledEvent,
    )
    const answer = await client.messages.create(least)
    expect(answer.content).to.deep.equal([
      { type: 'thinking', thinking: 'hmm', signature: 'sig' }, { type: 'redacted_thinking', data: 'cipher' }, { type: 'text', text: 'A federation.' },
      { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Bonn' } },
    ])
    expect(answer).to.deep.include({ type: 'message', role: 'assistant', model: 'demo', stop_reason: 'tool_use', stop_sequence: null })
    expect(answer.usage).to.deep.equal({
      input_tokens: 10, cache_read_input_tokens: 60, cache_creation_input_tokens: 30, output_tokens: 30, output_tokens_details: { thinking_tokens: 20 },
    })
    expect(answer).to.have.nested.property('triforce.receipt', `rcpt_${'ab'.repeat(16)}`)
    expect(answer._request_id).to.match(/^req_[0-9a-f]{24}$/)
    expect(answer.id).to.equal(`msg_${answer._request_id?.slice(4)}`)
  })

  it('streams blocks one after the other, each opened, filled and closed under its own index', async () => {
    test.gateway.script = (run) => run.emit(
      reasoningEvent('hm'), reasoningEvent('', { signature: 'sig' }), textEvent('Let me '), textEvent('look.'),
      toolEvent(0, '', { id: 'toolu_1', name: 'weather' }), toolEvent(0, '{"city":'), toolEvent(0, '"Bonn"}'),
      toolEvent(1, '{}', { id: 'toolu_2', name: 'clock' }), endEvent('toolCalls'), settledEvent,
    )
    const events = await collect(await client.messages.create({ ...least, stream: true }))
    expect(events.map((event) => 'index' in event ? `${event.type} ${event.index}` : event.type)).to.deep.equal([
      'message_start',
      'content_block_start 0', 'content_block_delta 0', 'content_block_delta 0', 'content_block_stop 0',
      'content_block_start 1', 'content_block_delta 1', 'content_block_delta 1', 'content_block_stop 1',
      'content_block_start 2', 'content_block_delta 2', 'content_block_delta 2', 'content_block_stop 2',
      'content_block_start 3', 'content_block_delta 3', 'content_block_stop 3',
      'message_delta', 'message_stop',
    ])
    expect(events.find((event) => event.type === 'message_delta')).to.deep.include({
      delta: { stop_reason: 'tool_use', stop_sequence: null }, usage: { input_tokens: 7, cache_read_input_tokens: 0, cache_creation_input_tokens: 0, output_tokens: 3 },
    })
  })

  it('lets the helper of the client put a stream together again', async () => {
    test.gateway.script = (run) => run.emit(
      reasoningEvent('hm'), reasoningEvent('', { signature: 'sig' }), textEvent('Let me look.'), toolEvent(0, '{"city":"Bonn"}', { id: 'toolu_1', name: 'weather' }),
      endEvent('toolCalls'), settledEvent,
    )
    const message = await client.messages.stream(least).finalMessage()
    expect(message.content).to.deep.equal([
      { type: 'thinking', thinking: 'hm', signature: 'sig' }, { type: 'text', text: 'Let me look.' },
      { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Bonn' } },
    ])
    expect(message.stop_reason).to.equal('tool_use')
    expect(message.usage).to.include({ input_tokens: 7, output_tokens: 3 })
  })

  it('names every end as Anthropic does', async () => {
    for (const [finish, stop_reason] of [['stop', 'end_turn'], ['length', 'max_tokens'], ['filtered', 'refusal']] as const) {
      test.gateway.script = (run) => run.emit(textEvent('x'), endEvent(finish), settledEvent)
      expect((await client.messages.create(least)).stop_reason).to.equal(stop_reason)
    }
  })

  it('keeps the signature and leaves the text of thinking out where the client wants it so', async () => {
    test.gateway.script = (run) => run.emit(reasoningEvent('secret'), reasoningEvent('', { signature: 'sig' }), textEvent('x'), endEvent('stop'), settledEvent)
    const thinking = { type: 'enabled' as const, budget_tokens: 1_024, display: 'omitted' as const }
    expect((await client.messages.create({ ...least, thinking })).content[0]).to.deep.equal({ type: 'thinking', thinking: '', signature: 'sig' })
    expect((await client.messages.stream({ ...least, thinking }).finalMessage()).content[0]).to.deep.equal({ type: 'thinking', thinking: '', signature: 'sig' })
  })

  it('hands a whole conversation with tools, images and thinking to the gateway', async () => {
    test.gateway.script = (run) => run.answer('{}')
    const schema = { type: 'object' as const, properties: { city: { type: 'string' } } }
    await client.messages.create({
      model: 'demo', max_tokens: 50_000, system: [{ type: 'text', text: 'be brief', cache_control: { type: 'ephemeral' } }, { type: 'text', text: 'be kind' }],
      stop_sequences: ['END'], metadata: { user_id: 'someone' }, thinking: { type: 'enabled', budget_tokens: 2_000 },
      tools: [{ name: 'weather', description: 'of a city', input_schema: schema, strict: true, input_examples: [{ city: 'Bonn' }] }],
      tool_choice: { type: 'tool', name: 'weather', disable_parallel_tool_use: true },
      output_config: { effort: 'max', format: { type: 'json_schema', schema } },
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'what is this?' }, { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }] },
        {
          role: 'assistant', content: [
            { type: 'thinking', thinking: 'hm', signature: 'sig' }, { type: 'redacted_thinking', data: 'cipher' }, { type: 'text', text: 'let me look' },
            { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Bonn' } }, { type: 'tool_use', id: 'toolu_2', name: 'weather', input: {} },
          ],
        },
        {
          role: 'user', content: [
            { type: 'tool_result', tool_use_id: 'toolu_1', content: [{ type: 'text', text: 'rain' }] }, { type: 'tool_result', tool_use_id: 'toolu_2', is_error: true, content: 'no city' },
            { type: 'text', text: 'go on' },
          ],
        },
        { role: 'system', content: 'stay brief' },
        { role: 'assistant', content: 'It' },
      ],
    }, { timeout: 10_000 })
    expect(test.gateway.runs.at(-1)?.request).to.deep.equal({
      model: 'demo', continueLast: true, maxTokens: 32_768, stop: ['END'],
      responseFormat: { type: 'json_schema', schema: JSON.stringify(schema), strict: true },
      tools: [{ name: 'weather', description: 'of a city\nExample of its input: {"city":"Bonn"}', parameters: JSON.stringify(schema), strict: true }],
      toolChoice: { type: 'tool', name: 'weather' }, parallelToolCalls: false, reasoning: { effort: 'high', tokensMax: 2_000 },
      messages: [
        { role: 'system', content: [{ type: 'text', text: 'be brief' }, { type: 'text', text: 'be kind' }] },
        { role: 'user', content: [{ type: 'text', text: 'what is this?' }, { type: 'image', mediaType: 'image/png', data: new Uint8Array(Buffer.from(PNG, 'base64')) }] },
        {
          role: 'assistant', content: 'let me look', reasoning: [{ text: 'hm', signature: 'sig' }, { text: 'cipher', redacted: true }],
          toolCalls: [{ id: 'toolu_1', name: 'weather', arguments: '{"city":"Bonn"}' }, { id: 'toolu_2', name: 'weather', arguments: '{}' }],
        },
        { role: 'tool', toolCallId: 'toolu_1', content: 'rain' },
        { role: 'tool', toolCallId: 'toolu_2', content: 'no city', toolFailed: true },
        { role: 'user', content: 'go on' },
        { role: 'system', content: 'stay brief' },
        { role: 'assistant', content: 'It' },
      ],
    })
  })

  it('takes the key in both headers and the address with a query', async () => {
    test.gateway.script = (run) => run.answer('x')
    const bearer = new Anthropic({ apiKey: null, authToken: TEST_KEY, baseURL: test.url })
    expect((await bearer.messages.create(least)).content).to.deep.equal([{ type: 'text', text: 'x' }])
    expect((await client.beta.messages.create({ ...least, betas: ['interleaved-thinking-2025-05-14'] })).content).to.deep.include({ type: 'text', text: 'x' })
  })

  it('counts the tokens of a prompt roughly, and says so', async () => {
    const count = await client.messages.countTokens({ model: 'demo', system: 'x'.repeat(400), messages, tools: [{ name: 'weather', input_schema: { type: 'object' } }] })
    expect(count.input_tokens).to.equal(3 * 4 + 400 / 4 + Math.ceil(17 / 4) + (7 + 17) / 4)
    expect(count).to.have.nested.property('triforce.estimated', true)
    expect(test.gateway.runs).to.have.length(0)
  })

  it('raises an error that comes in the middle of a stream, and keeps the text before it', async () => {
    test.gateway.script = (run) => {
      run.emit(textEvent('half'))
      run.fail('HOST_LOST')
    }
    let text = ''
    const error = await errorOf((async () => {
      for await (const event of await client.messages.create({ ...least, stream: true })) {
        if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') text += event.delta.text
      }
    })())
    expect(error).to.be.instanceOf(APIError)
    expect(error).to.include({ type: 'api_error', apiMessage: 'the host of the stream died' })
    expect(text).to.equal('half')
  })

  it('is not given the pieces of two tool calls mixed up', async () => {
    test.gateway.script = (run) => run.emit(toolEvent(0, '{', { id: 'toolu_1', name: 'a' }), toolEvent(1, '{}', { id: 'toolu_2', name: 'b' }), toolEvent(0, '}'), endEvent('toolCalls'), settledEvent)
    expect(await errorOf(client.messages.stream(least).finalMessage())).to.include({ apiMessage: 'the host mixed the pieces of two tool calls' })
    expect((await client.messages.create(least)).content).to.have.length(2)
  })

  it('is told that a broken tool call is an error, and not half a call', async () => {
    test.gateway.script = (run) => run.emit(toolEvent(0, '{"city":', { id: 'toolu_1', name: 'weather' }), endEvent('toolCalls'), settledEvent)
    const error = await errorOf(client.messages.create(least, { maxRetries: 0 }))
    expect(error).to.include({ status: 502, type: 'api_error', apiMessage: 'the model wrote a tool call whose arguments are no JSON object' })
  })

  it('is pinged while it waits, and passes that over', async () => {
    const asked = client.messages.create({ ...least, stream: true })
    const run = await started(asked, test)
    run.emit({ type: 'waiting', state: 'queued', at: 3 })
    const raw = await (await asked.asResponse()).body!.pipeThrough(new TextDecoderStream()).getReader().read()
    expect(raw.value).to.equal(': queued 3\nevent: ping\ndata: {"type":"ping"}\n\n')
    run.answer('late')
  })

  it('stops the engine when it aborts', async () => {
    const asked = client.messages.create({ ...least, stream: true })
    const run = await started(asked, test)
    run.emit(textEvent('begin'))
    for await (const event of await asked) if (event.type === 'content_block_delta') break
    await run.aborted
  })

  it('finds the bridge alive before it asks', async () => {
    expect((await fetch(`${test.url}/`, { method: 'HEAD' })).status).to.equal(200)
  })

  const refusals = [
    ['an image by its address', { messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'url', url: 'http://10.0.0.1/x.png' } }] }] }, 'messages[0].content[0].source.type'],
    ['something that is no image', { messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aGk=' } }] }] }, 'messages[0].content[0].source.data'],
    ['a tool that runs at Anthropic', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools[0].type'],
    ['a block of an unknown kind', { messages: [{ role: 'user', content: [{ type: 'container_upload', file_id: 'x' }] }] }, 'messages[0].content[0].type'],
    ['a result of a tool in the words of the assistant', { messages: [{ role: 'assistant', content: [{ type: 'tool_result', tool_use_id: 'x' }] }] }, 'messages[0].content[0].type'],
    ['a choice of a tool that is not there', { tools: [{ name: 'a', input_schema: {} }], tool_choice: { type: 'tool', name: 'b' } }, 'tool_choice.name'],
    ['a tool without a schema', { tools: [{ name: 'a' }] }, 'tools[0].input_schema'],
    ['a server of tools', { mcp_servers: [{ type: 'url', url: 'http://x', name: 'x' }] }, 'mcp_servers'],
    ['no bound of tokens', { max_tokens: null }, 'max_tokens'],
    ['content of another type', { messages: [{ role: 'user', content: 7 }] }, 'messages[0].content'],
  ] as const
  for (const [what, fields, param] of refusals) {
    it(`is refused ${what}, with the name of the field`, async () => {
      const error = await errorOf(client.post('/v1/messages', { body: { ...least, ...fields } }))
      expect(error).to.be.instanceOf(BadRequestError)
      expect(error).to.have.nested.property('error.error.param', param)
      expect(error).to.include({ status: 400, type: 'invalid_request_error' })
      expect((error as APIError).requestID).to.match(/^req_/)
    })
  }
})
