/** Tools, structured output, reasoning and log probabilities through the official `openai` client. */
import { expect } from 'chai'
import { OpenAI } from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import type { CompletionEvent } from '../../node/gateway.ts'
import type { GoodFinish } from '../../protocol/completion.ts'
import { settledEvent, TEST_KEY, textEvent, type ScriptedRun } from '../support/bridge-gateway.ts'
import { endEvent } from '../support/bridge-sdk.ts'
import { startTestBridge, type TestBridge } from '../support/bridge-server.ts'

const messages = [{ role: 'user' as const, content: 'How is the weather in Ulm and Rome?' }]
const tools = [{
  type: 'function' as const,
  function: { name: 'weather', description: 'how it is', parameters: { type: 'object', properties: { city: { type: 'string' } } }, strict: true },
}]

const finish = (reason: GoodFinish) => endEvent(reason, { promptTokens: 7, completionTokens: 9, cachedPromptTokens: 4, reasoningTokens: 2 })

/** Two calls whose arguments come in pieces, after a word of text. */
function callTwice(run: ScriptedRun): void {
  run.emit(
    textEvent('Let me look.'),
    { type: 'toolCall', index: 0, id: 'call_a', name: 'weather', arguments: '', tokens: 2 },
    { type: 'toolCall', index: 0, arguments: '{"city":', tokens: 3 }, { type: 'toolCall', index: 0, arguments: '"Ulm"}', tokens: 4 },
    { type: 'toolCall', index: 1, id: 'call_b', name: 'weather', arguments: '{"city":"Rome"}', tokens: 5 },
    finish('toolCalls'), settledEvent,
  )
}

describe('bridge: tools and more with the openai client', () => {
  let test: TestBridge
  let client: OpenAI

  beforeEach(async () => {
    test = await startTestBridge()
    client = new OpenAI({ apiKey: TEST_KEY, baseURL: `${test.url}/v1`, maxRetries: 0 })
  })
  afterEach(() => test.stop())

  it('gives calls in one body with their ids, in order, and the usage with its parts', async () => {
    test.gateway.script = callTwice
    const answer = await client.chat.completions.create({ model: 'demo', messages, tools, tool_choice: 'required' })
    expect(answer.choices[0]).to.deep.include({ finish_reason: 'tool_calls' })
    expect(answer.choices[0]!.message.content).to.equal('Let me look.')
    expect(answer.choices[0]!.message.tool_calls).to.deep.equal([
      { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Ulm"}' } },
      { id: 'call_b', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
    ])
    expect(answer.usage).to.deep.equal({
      prompt_tokens: 7, completion_tokens: 9, total_tokens: 16, prompt_tokens_details: { cached_tokens: 4 }, completion_tokens_details: { reasoning_tokens: 2 },
    })
  })

  it('tells the model of the allowed tools only', async () => {
    test.gateway.script = (run) => run.answer('ok')
    const now = { type: 'function' as const, function: { name: 'now' } }
    await client.chat.completions.create({ model: 'demo', messages, tools: [...tools, now], tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'now' } }] } } })
    expect(test.gateway.runs[0]!.request.tools!.map(({ name }) => name)).to.deep.equal(['now'])
  })

  it('streams calls piece by piece; the client puts them together', async () => {
    test.gateway.script = callTwice
    const stream = client.chat.completions.stream({ model: 'demo', messages, tools })
    const done: string[] = []
    stream.on('tool_calls.function.arguments.done', ({ name, arguments: json }) => done.push(`${name} ${json}`))
    const answer = await stream.finalChatCompletion()
    expect(done).to.deep.equal(['weather {"city":"Ulm"}', 'weather {"city":"Rome"}'])
    expect(answer.choices[0]!.message.tool_calls!.map(({ id }) => id)).to.deep.equal(['call_a', 'call_b'])
    expect(answer.choices[0]!.finish_reason).to.equal('tool_calls')
  })

  it('carries a whole loop of the tools runner: the results come back as messages of tools', async () => {
    test.gateway.script = (run) => {
      if (run.request.messages.some(({ role }) => role === 'tool')) run.emit(textEvent('Ulm 3 degrees, Rome 20.'), finish('stop'), settledEvent)
      else callTwice(run)
    }
    const runner = client.chat.completions.runTools({
      model: 'demo', messages, stream: true,
      tools: [{ type: 'function', function: { name: 'weather', description: 'how it is', parse: JSON.parse, parameters: tools[0]!.function.parameters, function: ({ city }: { city: string }) => `${city}!` } }],
    })
    expect(await runner.finalContent()).to.equal('Ulm 3 degrees, Rome 20.')
    expect(test.gateway.runs).to.have.length(2)
    expect(test.gateway.runs[1]!.request.messages).to.deep.equal([
      messages[0],
      {
        role: 'assistant', content: 'Let me look.',
        toolCalls: [{ id: 'call_a', name: 'weather', arguments: '{"city":"Ulm"}' }, { id: 'call_b', name: 'weather', arguments: '{"city":"Rome"}' }],
      },
      { role: 'tool', content: 'Ulm!', toolCallId: 'call_a' }, { role: 'tool', content: 'Rome!', toolCallId: 'call_b' },
    ])
  })

  it('parses structured output of a zod schema', async () => {
    test.gateway.script = (run) => run.answer('{"city":', '"Ulm"}')
    const answer = await client.chat.completions.parse({ model: 'demo', messages, response_format: zodResponseFormat(z.object({ city: z.string() }), 'place') })
    expect(answer.choices[0]!.message.parsed).to.deep.equal({ city: 'Ulm' })
    expect(test.gateway.runs[0]!.request.responseFormat).to.include({ type: 'json_schema', name: 'place', strict: true })
  })

  it('shows what the model thinks, and takes it back unchanged', async () => {
    const thinking: readonly CompletionEvent[] = [
      { type: 'reasoning', text: 'h', tokens: 1 }, { type: 'reasoning', text: 'm', tokens: 2, signature: 's1' },
      { type: 'reasoning', text: 'c1pher', tokens: 2, redacted: true }, textEvent('So.'), finish('stop'), settledEvent,
    ]
    test.gateway.script = (run) => run.emit(...thinking)
    const whole = await client.chat.completions.create({ model: 'demo', messages, reasoning_effort: 'low' })
    const details = [{ type: 'reasoning.text', index: 0, text: 'hm', signature: 's1' }, { type: 'reasoning.encrypted', index: 1, data: 'c1pher' }]
    expect(whole.choices[0]!.message).to.deep.include({ content: 'So.', reasoning_content: 'hm', reasoning_details: details })
    expect(test.gateway.runs[0]!.request.reasoning).to.deep.equal({ effort: 'low' })

    const pieces: object[] = []
    for await (const chunk of await client.chat.completions.create({ model: 'demo', messages, stream: true })) pieces.push(chunk.choices[0]?.delta ?? {})
    expect(pieces.slice(1, 4)).to.deep.equal([
      { reasoning_content: 'h', reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'h' }] },
      { reasoning_content: 'm', reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'm', signature: 's1' }] },
      { reasoning_details: [{ type: 'reasoning.encrypted', index: 1, data: 'c1pher' }] },
    ])

    await client.chat.completions.create({ model: 'demo', messages: [...messages, whole.choices[0]!.message, ...messages] })
    expect(test.gateway.runs[2]!.request.messages[1]).to.deep.equal({
      role: 'assistant', content: 'So.', reasoning: [{ text: 'hm', signature: 's1' }, { text: 'c1pher', redacted: true }],
    })

    const hidden = await client.chat.completions.create({ model: 'demo', messages, reasoning: { exclude: true } } as OpenAI.ChatCompletionCreateParamsNonStreaming)
    expect(hidden.choices[0]!.message).to.not.have.any.keys('reasoning_content', 'reasoning_details')
  })

  it('gives log probabilities with their bytes, whole and in a stream', async () => {
    test.gateway.script = (run) => run.emit(
      { type: 'text', text: 'é', tokens: 1, logprobs: [{ token: 'é', logprob: -0.25, top: [{ token: 'e', logprob: -2 }] }] }, finish('filtered'), settledEvent,
    )
    const expected = [{ token: 'é', logprob: -0.25, bytes: [195, 169], top_logprobs: [{ token: 'e', logprob: -2, bytes: [101] }] }]
    const whole = await client.chat.completions.create({ model: 'demo', messages, logprobs: true, top_logprobs: 1 })
    expect(whole.choices[0]!.logprobs!.content).to.deep.equal(expected)
    expect(whole.choices[0]!.finish_reason).to.equal('content_filter')
    const streamed: unknown[] = []
    for await (const chunk of await client.chat.completions.create({ model: 'demo', messages, logprobs: true, top_logprobs: 1, stream: true })) {
      streamed.push(...chunk.choices[0]?.logprobs?.content ?? [])
    }
    expect(streamed).to.deep.equal(expected)
    expect(test.gateway.runs.map(({ request }) => request.logprobs)).to.deep.equal([1, 1])
  })

  it('passes wishes for a host on to the gateway, beside the request', async () => {
    test.gateway.script = (run) => run.answer('ok')
    const wished = { model: 'demo', messages, models: ['other'], provider: { sort: 'price' } } as OpenAI.ChatCompletionCreateParamsNonStreaming
    await client.chat.completions.create(wished, { headers: { 'x-triforce-privacy': 'own' } })
    expect(test.gateway.runs[0]!.routing).to.deep.equal({ fallbackModels: ['other'], sort: 'price', privacy: 'own' })
    expect(test.gateway.runs[0]!.request).to.not.have.any.keys('models', 'provider')
  })
})
