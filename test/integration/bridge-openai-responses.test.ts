/** `/v1/responses` through the official `openai` client, and its events byte by byte. */
import { expect } from 'chai'
import { APIError, BadRequestError, OpenAI } from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import type { ResponseInput, ResponseStreamEvent } from 'openai/resources/responses/responses'
import { z } from 'zod'
import { settledEvent, TEST_KEY, textEvent, type ScriptedRun } from '../support/bridge-gateway.ts'
import { collect, endEvent, errorOf, PNG, reasoningEvent, toolEvent } from '../support/bridge-sdk.ts'
import { postJson, startTestBridge, type TestBridge } from '../support/bridge-server.ts'

const weather = {
  type: 'function' as const, name: 'weather', description: 'how it is', strict: true,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
}

/** Thinks, says, and calls twice, the second call within the first. */
function everything(run: ScriptedRun): void {
  run.emit(
    reasoningEvent('h'), reasoningEvent('m', { signature: 's1' }), reasoningEvent('c1pher', { redacted: true }),
    textEvent('Let me '), textEvent('look.'),
    toolEvent(0, '', { id: 'call_a', name: 'weather' }), toolEvent(0, '{"city":'), toolEvent(1, '{"city":"Rome"}', { id: 'call_b', name: 'weather' }), toolEvent(0, '"Ulm"}'),
    endEvent('toolCalls', { promptTokens: 7, completionTokens: 9, cachedPromptTokens: 4, reasoningTokens: 2 }), settledEvent,
  )
}

describe('bridge: responses with the openai client', () => {
  let test: TestBridge
  let client: OpenAI

  beforeEach(async () => {
    test = await startTestBridge()
    client = new OpenAI({ apiKey: TEST_KEY, baseURL: `${test.url}/v1`, maxRetries: 0 })
  })
  afterEach(() => test.stop())

  it('gives a whole answer with its items, usage and receipt', async () => {
    test.gateway.script = everything
    const answer = await client.responses.create({ model: 'demo', input: 'How is it?', instructions: 'be brief', tools: [weather], max_output_tokens: 50 })
    expect(answer).to.include({ object: 'response', status: 'completed', model: 'demo', output_text: 'Let me look.', instructions: 'be brief', store: false })
    expect(answer.id).to.equal(`resp_${answer._request_id?.slice(4)}`)
    expect(answer.output.map(({ type }) => type)).to.deep.equal(['reasoning', 'reasoning', 'message', 'function_call', 'function_call'])
    expect(answer.output[0]).to.deep.include({ summary: [{ type: 'summary_text', text: 'hm' }], encrypted_content: 's1' })
    expect(answer.output[1]).to.deep.include({ summary: [], encrypted_content: 'c1pher' })
    expect(answer.output[3]).to.deep.include({ call_id: 'call_a', name: 'weather', arguments: '{"city":"Ulm"}', status: 'completed' })
    expect(new Set(answer.output.map((item) => item.id)).size).to.equal(5)
    expect(answer.usage).to.deep.equal({
      input_tokens: 7, input_tokens_details: { cached_tokens: 4, cache_write_tokens: 0 }, output_tokens: 9, output_tokens_details: { reasoning_tokens: 2 },
      total_tokens: 16,
    })
    expect(answer).to.have.nested.property('triforce.receipt', `rcpt_${'ab'.repeat(16)}`)
    expect(test.gateway.runs[0]!.request).to.deep.include({
      messages: [{ role: 'system', content: 'be brief' }, { role: 'user', content: 'How is it?' }], maxTokens: 50, continueLast: false,
    })
  })

  it('streams the whole sequence of events, numbered, and the client rebuilds the same answer', async () => {
    test.gateway.script = everything
    const whole = await client.responses.create({ model: 'demo', input: 'How is it?', tools: [weather] })
    const stream = client.responses.stream({ model: 'demo', input: 'How is it?', tools: [weather] })
    const events: ResponseStreamEvent[] = await collect(stream)
    const final = await stream.finalResponse()
    expect(events.map(({ type }) => type.replace('response.', ''))).to.deep.equal([
      'created', 'in_progress',
      'output_item.added', 'reasoning_summary_part.added', 'reasoning_summary_text.delta', 'reasoning_summary_text.delta',
      'reasoning_summary_text.done', 'reasoning_summary_part.done', 'output_item.done',
      'output_item.added', 'output_item.done',
      'output_item.added', 'content_part.added', 'output_text.delta', 'output_text.delta',
      'output_text.done', 'content_part.done', 'output_item.done',
      'output_item.added', 'function_call_arguments.delta', 'output_item.added', 'function_call_arguments.delta', 'function_call_arguments.delta',
      'function_call_arguments.done', 'output_item.done', 'function_call_arguments.done', 'output_item.done',
      'completed',
    ])
    expect(events.map((event) => event.sequence_number)).to.deep.equal(events.map((_, index) => index))
    expect(withoutIds(final.output)).to.deep.equal(withoutIds(whole.output))
    expect(final.usage).to.deep.equal(whole.usage)
    expect(final).to.have.nested.property('triforce.host_name', 'lender')
  })

  it('says why an answer is incomplete', async () => {
    for (const [finish, reason] of [['length', 'max_output_tokens'], ['filtered', 'content_filter']] as const) {
      test.gateway.script = (run) => run.emit(textEvent('half'), endEvent(finish), settledEvent)
      const answer = await client.responses.create({ model: 'demo', input: 'x' })
      expect(answer).to.deep.include({ status: 'incomplete', incomplete_details: { reason }, output_text: 'half' })
      const events = await collect(await client.responses.create({ model: 'demo', input: 'x', stream: true }))
      expect(events.at(-1)).to.include({ type: 'response.incomplete' })
    }
  })

  it('reads a conversation as agents send it back: one message for each turn of the assistant', async () => {
    test.gateway.script = everything
    const first = await client.responses.create({ model: 'demo', input: 'How is it?', tools: [weather] })
    const input: ResponseInput = [
      { role: 'developer', content: 'be brief' },
      { role: 'user', content: [{ type: 'input_text', text: 'How is it?' }, { type: 'input_image', image_url: `data:image/png;base64,${PNG}`, detail: 'auto' }] },
      ...first.output as ResponseInput,
      { type: 'function_call_output', call_id: 'call_a', output: 'cold' },
      { type: 'function_call_output', call_id: 'call_b', output: [{ type: 'input_text', text: 'warm' }] },
      { role: 'assistant', content: 'Cold and warm.' },
      { role: 'user', content: 'thanks' },
    ]
    await client.responses.create({ model: 'demo', input, tools: [weather], tool_choice: { type: 'function', name: 'weather' }, parallel_tool_calls: false })
    const { messages, toolChoice, parallelToolCalls } = test.gateway.runs[1]!.request
    expect(messages[1]!.content).to.deep.equal([{ type: 'text', text: 'How is it?' }, { type: 'image', mediaType: 'image/png', data: new Uint8Array(Buffer.from(PNG, 'base64')) }])
    expect([messages[0], ...messages.slice(2)]).to.deep.equal([
      { role: 'system', content: 'be brief' },
      {
        role: 'assistant', content: 'Let me look.', reasoning: [{ text: 'hm', signature: 's1' }, { text: 'c1pher', redacted: true }],
        toolCalls: [{ id: 'call_a', name: 'weather', arguments: '{"city":"Ulm"}' }, { id: 'call_b', name: 'weather', arguments: '{"city":"Rome"}' }],
      },
      { role: 'tool', toolCallId: 'call_a', content: 'cold' }, { role: 'tool', toolCallId: 'call_b', content: 'warm' },
      { role: 'assistant', content: 'Cold and warm.' }, { role: 'user', content: 'thanks' },
    ])
    expect({ toolChoice, parallelToolCalls }).to.deep.equal({ toolChoice: { type: 'tool', name: 'weather' }, parallelToolCalls: false })

    const later = { ...weather, name: 'later' }
    const answer = await client.responses.create({ model: 'demo', input: 'hi', tools: [weather, later], tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'later' }] } })
    expect(test.gateway.runs[2]!.request).to.deep.include({ toolChoice: { type: 'required' } }).and.to.have.nested.property('tools[0].name', 'later')
    expect([test.gateway.runs[2]!.request.tools!.length, answer.tools.length]).to.deep.equal([1, 2])
  })

  it('parses structured output of a zod schema', async () => {
    test.gateway.script = (run) => run.answer('{"city":', '"Ulm"}')
    const answer = await client.responses.parse({ model: 'demo', input: 'Where?', text: { format: zodTextFormat(z.object({ city: z.string() }), 'place') } })
    expect(answer.output_parsed).to.deep.equal({ city: 'Ulm' })
    expect(test.gateway.runs[0]!.request.responseFormat).to.include({ type: 'json_schema', name: 'place', strict: true })
  })

  it('serves what Codex sends: no store, tools of all kinds, free text for a custom tool', async () => {
    test.gateway.script = (run) => run.emit(
      toolEvent(0, '{"input":"*** Begin', { id: 'call_p', name: 'apply_patch' }), toolEvent(0, ' Patch"}'), endEvent('toolCalls'), settledEvent,
    )
    const asked = {
      model: 'demo', input: 'fix it', store: false, stream: true as const, include: ['reasoning.encrypted_content' as const], reasoning: { summary: 'auto' as const },
      prompt_cache_key: 'k', text: { verbosity: 'low' as const },
      tools: [
        weather, { type: 'custom' as const, name: 'apply_patch', description: 'edits files', format: { type: 'grammar' as const, syntax: 'lark' as const, definition: 'start: "x"' } },
        { type: 'web_search' as const }, { type: 'web_search_preview' as const },
      ],
    }
    const events = await collect(await client.responses.create(asked))
    expect(test.gateway.runs[0]!.request.tools).to.deep.equal([
      { name: 'weather', description: 'how it is', parameters: JSON.stringify(weather.parameters), strict: true },
      {
        name: 'apply_patch', description: 'edits files\n\nThe input must fit this grammar (lark):\nstart: "x"',
        parameters: '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}',
      },
    ])
    const last = events.at(-1) as ResponseStreamEvent & { type: 'response.completed' }
    expect(last.response.output[0]).to.deep.include({ type: 'custom_tool_call', call_id: 'call_p', name: 'apply_patch', input: '*** Begin Patch' })
    expect(events.find(({ type }) => type === 'response.custom_tool_call_input.done')).to.include({ input: '*** Begin Patch' })
    // What nobody here runs is left out, and said to be.
    expect(last.response).to.have.deep.nested.property('triforce.tools_left_out', ['web_search', 'web_search_preview'])
    expect(last.response.tools.map(({ type }) => type)).to.deep.equal(['function', 'custom'])

    await client.responses.create({ model: 'demo', tools: asked.tools, input: [
      last.response.output[0]!, { type: 'custom_tool_call_output', call_id: 'call_p', output: 'done' },
    ] as ResponseInput })
    expect(test.gateway.runs[1]!.request.messages).to.deep.equal([
      { role: 'assistant', content: '', toolCalls: [{ id: 'call_p', name: 'apply_patch', arguments: '{"input":"*** Begin Patch"}' }] },
      { role: 'tool', toolCallId: 'call_p', content: 'done' },
    ])
  })

  it('ends a stream that broke with response.failed, and the client raises it', async () => {
    test.gateway.script = (run) => {
      run.emit(textEvent('half'))
      run.fail('HOST_LOST')
    }
    const seen: ResponseStreamEvent[] = []
    const error = await errorOf((async () => {
      for await (const event of await client.responses.create({ model: 'demo', input: 'x', stream: true })) seen.push(event)
    })())
    expect(error).to.be.instanceOf(APIError)
    expect(error).to.include({ code: 'host_lost' })
    const failed = seen.at(-1) as ResponseStreamEvent & { type: 'response.failed' }
    expect(failed.type).to.equal('response.failed')
    expect(failed.response).to.deep.include({ status: 'failed', error: { code: 'host_lost', message: 'the host of the stream died' } })
    expect(failed.sequence_number).to.equal(seen.length - 1)
    expect(await errorOf(client.responses.stream({ model: 'demo', input: 'x' }).finalResponse())).to.be.instanceOf(Error)
  })

  it('refuses what would need a memory, and names the field', async () => {
    const least = { model: 'demo', input: 'x' }
    const cases: readonly (readonly [object, string])[] = [
      [{ store: true }, 'store'], [{ previous_response_id: 'resp_1' }, 'previous_response_id'], [{ conversation: 'conv_1' }, 'conversation'],
      [{ background: true }, 'background'], [{ prompt: { id: 'p' } }, 'prompt'], [{ truncation: 'auto' }, 'truncation'], [{ include: ['file_search_call.results'] }, 'include[0]'],
      [{ input: [] }, 'input'], [{ input: 5 }, 'input'], [{ input: [{ type: 'item_reference', id: 'x' }] }, 'input[0].type'],
      [{ input: [{ role: 'king', content: 'x' }] }, 'input[0].role'], [{ input: [{ type: 'web_search_call' }] }, 'input[0].type'],
      [{ input: [{ role: 'user', content: [{ type: 'input_file' }] }] }, 'input[0].content[0].type'],
      [{ input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] }, 'input[0].content[0].image_url'],
      [{ input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'https://example.com/x.png' }] }] }, 'input[0].content[0].image_url'],
      [{ input: [{ type: 'function_call', call_id: 'c', name: 'f' }] }, 'input[0].arguments'], [{ input: [{ type: 'function_call_output', output: 'x' }] }, 'input[0].call_id'],
      [{ tools: [{ type: 'telepathy' }] }, 'tools[0].type'], [{ tools: [{ type: 'function' }] }, 'tools[0].name'],
      [{ tool_choice: 'required', tools: [{ type: 'web_search' }] }, 'tool_choice'], [{ tool_choice: { type: 'web_search' } }, 'tool_choice.type'],
      [{ text: { format: { type: 'json_schema', name: 'x' } } }, 'text.format.schema'], [{ max_output_tokens: 0 }, 'max_output_tokens'],
    ]
    for (const [more, param] of cases) {
      const answer = await fetch(`${test.url}/v1/responses`, postJson({ ...least, ...more }))
      expect(answer.status, param).to.equal(400)
      expect((await answer.json() as { error: { param: string } }).error.param).to.equal(param)
    }
    expect(await errorOf(client.responses.create({ model: 'demo', input: 'x', store: true }))).to.be.instanceOf(BadRequestError)
    expect(test.gateway.runs).to.have.length(0)
  })
})

function withoutIds(items: readonly object[]): unknown[] {
  return items.map((item) => ({ ...item, id: undefined, parsed_arguments: undefined, ...('content' in item ? { content: (item.content as object[]).map((part) => ({ ...part, parsed: undefined })) } : {}) }))
}
