import { expect } from 'chai'
import { createClouds, type Clouds } from '../../providers/cloud/clouds.ts'
import { errorOf } from '../support/error-of.ts'
import { chatRequest, collect, fixedRandom, realClock } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { startOpenAiVendor, type OpenAiVendorId, type OpenAiVendorServer } from '../support/vendors/openai-vendor.ts'

type Fields = NonNullable<Parameters<typeof chatRequest>[1]>

const VENDORS = ['openai', 'gemini', 'groq', 'cerebras', 'mistral', 'together', 'openrouter', 'deepseek', 'xai'] as const satisfies readonly OpenAiVendorId[]
const weather = { name: 'weather', parameters: '{"type":"object","properties":{"city":{"type":"string"}}}', strict: true }
const schema = '{"type":"object","properties":{"a":{"type":"number"}}}'
const image = { type: 'image' as const, mediaType: 'image/png' as const, data: Uint8Array.of(1, 2, 3) }

describe('providers/cloud, requests to the OpenAI family', () => {
  const servers = {} as Record<OpenAiVendorId, OpenAiVendorServer>
  let clouds: Clouds

  before(async () => {
    const ids = [...VENDORS, 'custom'] as const
    for (const id of ids) servers[id] = await startOpenAiVendor(id)
    clouds = createClouds({ clock: realClock(), random: fixedRandom(), log: quietLog('clouds') }, {
      access: ids.map((vendor) => ({ vendor, key: `key-of-${vendor}`, baseUrl: `${servers[vendor].origin}/v1` })),
    })
    await clouds.start()
  })
  after(async () => {
    await clouds.close()
    for (const server of Object.values(servers)) await server.stop()
  })

  async function ask(model: string, fields: Fields = {}): Promise<Record<string, unknown>> {
    const vendor = model.split('/')[0] as OpenAiVendorId
    const asked = servers[vendor].requests.length
    await collect(clouds.vendor(vendor)!, chatRequest(model, fields))
    expect(servers[vendor].requests.length - asked).to.equal(1)
    return servers[vendor].requests.at(-1)!.body
  }
  const refusal = async (model: string, fields: Fields) => {
    const vendor = model.split('/')[0]!
    const asked = servers[vendor as OpenAiVendorId].requests.length
    const error = await errorOf(collect(clouds.vendor(vendor)!, chatRequest(model, fields)))
    expect(servers[vendor as OpenAiVendorId].requests.length, 'asks nothing').to.equal(asked)
    return `${error.code} ${String(error.context['param'])}`
  }

  it('hold every setting that a vendor takes, under OpenAI\'s names', async () => {
    const body = await ask('openai/gpt-4o', {
      maxTokens: 50, temperature: 0.2, topP: 0.9, frequencyPenalty: 0.5, presencePenalty: -0.5, seed: 7, stop: ['A', 'B'], logprobs: 3,
      tools: [weather], toolChoice: { type: 'tool', name: 'weather' }, parallelToolCalls: false,
    })
    expect(body).to.deep.include({
      model: 'gpt-4o', stream: true, stream_options: { include_usage: true }, max_completion_tokens: 50, temperature: 0.2, top_p: 0.9, frequency_penalty: 0.5, presence_penalty: -0.5,
      seed: 7, stop: ['A', 'B'], logprobs: true, top_logprobs: 3, parallel_tool_calls: false, tool_choice: { type: 'function', function: { name: 'weather' } },
      tools: [{ type: 'function', function: { name: 'weather', strict: true, parameters: JSON.parse(weather.parameters) as unknown } }],
    })
  })

  it('hold nothing that was not asked for', async () => {
    expect(Object.keys(await ask('openai/gpt-4o')).sort()).to.deep.equal(['messages', 'model', 'stream', 'stream_options'])
  })

  it('hold a conversation with images, calls, results and what a tool failed with', async () => {
    const body = await ask('openai/gpt-4o', {
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: [{ type: 'text', text: 'What?' }, image] },
        { role: 'assistant', content: '', toolCalls: [{ id: 'c1', name: 'weather', arguments: '{"city":"Paris"}' }, { id: 'c2', name: 'weather', arguments: '' }] },
        { role: 'tool', content: [{ type: 'text', text: 'see' }, image], toolCallId: 'c1' },
        { role: 'tool', content: 'no city', toolCallId: 'c2', toolFailed: true },
        { role: 'user', content: 'So?' },
      ],
      tools: [weather],
    })
    const url = 'data:image/png;base64,AQID'
    expect(body['messages']).to.deep.equal([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'What?' }, { type: 'image_url', image_url: { url } }] },
      {
        role: 'assistant', content: null,
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } }, { id: 'c2', type: 'function', function: { name: 'weather', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c1', content: 'see' },
      { role: 'tool', tool_call_id: 'c2', content: 'The tool failed: no city' },
      // Tool messages of this family hold text only.
      { role: 'user', content: [{ type: 'text', text: 'Images of the tool results above:' }, { type: 'image_url', image_url: { url } }] },
      { role: 'user', content: 'So?' },
    ])
  })

  it('hold JSON schemas with their name', async () => {
    expect((await ask('openai/gpt-4o', { responseFormat: { type: 'json_schema', schema, name: 'thing', strict: true } }))['response_format'])
      .to.deep.equal({ type: 'json_schema', json_schema: { name: 'thing', schema: JSON.parse(schema) as unknown, strict: true } })
    expect((await ask('groq/llama-3.3-70b-versatile', { responseFormat: { type: 'json_object' } }))['response_format']).to.deep.equal({ type: 'json_object' })
    expect(await refusal('openai/gpt-4o', { responseFormat: { type: 'json_schema', schema: 'no json' } })).to.equal('BAD_REQUEST response_format')
    expect(await refusal('openai/gpt-4o', { tools: [{ name: 'x', parameters: '[]' }] })).to.equal('BAD_REQUEST tools')
  })

  it('say how much to think in each vendor\'s way', async () => {
    expect(await ask('openai/gpt-5', { reasoning: { effort: 'minimal' } })).to.include({ reasoning_effort: 'minimal' })
    expect(await ask('openai/gpt-5', { reasoning: { tokensMax: 9_000 } })).to.include({ reasoning_effort: 'medium' })
    expect(await ask('gemini/gemini-2.5-flash', { reasoning: { effort: 'low' } })).to.include({ reasoning_effort: 'low' })
    expect(await ask('gemini/gemini-2.5-flash', { reasoning: { tokensMax: 500 } })).to.deep.include({ extra_body: { google: { thinking_config: { thinking_budget: 500 } } } })
    expect(await ask('openrouter/anthropic/claude-sonnet-4.5', { reasoning: { tokensMax: 500 } })).to.deep.include({ reasoning: { max_tokens: 500 } })
    expect(await ask('openrouter/anthropic/claude-sonnet-4.5', { reasoning: { effort: 'none' } })).to.deep.include({ reasoning: { enabled: false } })
    expect(await ask('deepseek/deepseek-chat', { reasoning: { effort: 'high' } })).to.deep.include({ thinking: { type: 'enabled' } })
    expect(await ask('groq/qwen/qwen3-32b', { reasoning: { effort: 'none' } })).to.include({ reasoning_effort: 'none', reasoning_format: 'parsed' })
  })

  it('go to Mistral with its names, ids of nine letters and its prefix', async () => {
    const toolCalls = [{ id: 'call_abcdefghijklmnop', name: 'weather', arguments: '{}' }, { id: 'abcDEF123', name: 'weather', arguments: '{}' }]
    const body = await ask('mistral/mistral-large-latest', {
      seed: 3, tools: [weather], toolChoice: { type: 'required' }, continueLast: true,
      messages: [
        { role: 'user', content: 'x' }, { role: 'assistant', content: '', toolCalls }, { role: 'tool', content: 'r', toolCallId: 'call_abcdefghijklmnop' }, { role: 'tool', content: 's', toolCallId: 'abcDEF123' },
        { role: 'assistant', content: 'Well' },
      ],
    })
    const [, calls, result, kept, last] = body['messages'] as { tool_calls?: { id: string }[]; tool_call_id?: string; prefix?: boolean }[]
    expect(body).to.include({ random_seed: 3, tool_choice: 'any' })
    expect(calls!.tool_calls![0]!.id).to.match(/^[A-Za-z0-9]{9}$/)
    expect(result!.tool_call_id).to.equal(calls!.tool_calls![0]!.id)
    expect(kept!.tool_call_id).to.equal('abcDEF123')
    expect(last!.prefix).to.equal(true)
  })

  it('bring back to Gemini the signature of its call, and the word for none where it is not known', async () => {
    servers.gemini.script.push(servers.gemini.reply({ toolCalls: [{ id: 'call_g', name: 'weather', arguments: ['{}'] }], finish: 'tool_calls', usage: { prompt: 5, completion: 5 } }))
    await ask('gemini/gemini-3-pro-preview', { tools: [weather] })
    const messages: Fields['messages'] = [
      { role: 'user', content: 'x' },
      { role: 'assistant', content: '', toolCalls: [{ id: 'call_g', name: 'weather', arguments: '{}' }, { id: 'of-another', name: 'weather', arguments: '{}' }] },
      { role: 'tool', content: 'r', toolCallId: 'call_g' }, { role: 'tool', content: 'r', toolCallId: 'of-another' },
    ]
    const sent = (await ask('gemini/gemini-3-pro-preview', { tools: [weather], messages }))['messages'] as { tool_calls?: { extra_content?: { google: { thought_signature: string } } }[] }[]
    expect(sent[1]!.tool_calls!.map((call) => call.extra_content?.google.thought_signature)).to.deep.equal(['sig-of-call_g', 'skip_thought_signature_validator'])
  })

  it('bring back to DeepSeek what it thought before its calls', async () => {
    const messages: Fields['messages'] = [
      { role: 'user', content: 'x' },
      { role: 'assistant', content: 'a', reasoning: [{ text: 'not this' }] },
      { role: 'user', content: 'y' },
      { role: 'assistant', content: '', reasoning: [{ text: 'this ' }, { text: 'one' }], toolCalls: [{ id: 'c', name: 'weather', arguments: '{}' }] },
      { role: 'tool', content: 'r', toolCallId: 'c' },
    ]
    const sent = (await ask('deepseek/deepseek-chat', { tools: [weather], messages }))['messages'] as { reasoning_content?: string }[]
    expect(sent.map(({ reasoning_content: thought }) => thought)).to.deep.equal([undefined, undefined, undefined, 'this one', undefined])
  })

  for (const [model, fields, refused] of [
    ['openai/gpt-4o', { topK: 5 }, 'top_k'], ['openai/o3', { temperature: 0.2 }, 'temperature'], ['openai/gpt-5', { frequencyPenalty: 1 }, 'frequency_penalty'],
    ['openai/gpt-4o', { reasoning: { effort: 'high' } }, 'reasoning_effort'], ['groq/llama-3.3-70b-versatile', { logprobs: 1 }, 'logprobs'],
    ['cerebras/llama3.1-8b', { presencePenalty: 1 }, 'presence_penalty'], ['mistral/mistral-large-latest', { topK: 4 }, 'top_k'],
    ['deepseek/deepseek-chat', { responseFormat: { type: 'json_schema', schema } }, 'response_format'], ['deepseek/deepseek-reasoner', { logprobs: 0 }, 'logprobs'],
    ['xai/grok-4', { stop: ['x'] }, 'stop'], ['xai/grok-4', { reasoning: { effort: 'low' } }, 'reasoning_effort'], ['gemini/gemini-2.5-pro', { topK: 4 }, 'top_k'],
    ['together/meta-llama/Llama-3.3-70B-Instruct-Turbo', { logprobs: 0 }, 'logprobs'],
  ] satisfies [string, Fields, string][]) {
    it(`are refused where ${model} cannot ${refused}`, async () => {
      expect(await refusal(model, fields)).to.equal(`CAPABILITY_MISSING ${refused}`)
    })
  }

  it('pass where the value is what the vendor does anyway', async () => {
    await ask('openai/o3', { temperature: 1, topP: 1, frequencyPenalty: 0 })
    await ask('xai/grok-3', { reasoning: { effort: 'none' } })
  })

  it('pass at a vendor of which nothing is known', async () => {
    const body = await ask('custom/my-model', { topK: 3, logprobs: 0, seed: 1, frequencyPenalty: 1, maxTokens: 5 })
    expect(body).to.include({ top_k: 3, logprobs: true, seed: 1, frequency_penalty: 1, max_tokens: 5 })
  })

  it('take an answer without usage from such a vendor, counted from its text', async () => {
    const events = servers.custom.events({ text: ['aaaa', 'bbbb', 'c'], finish: 'stop', usage: { prompt: 1, completion: 1 } })
    servers.custom.script.push({ headers: { 'content-type': 'text/event-stream' }, parts: events.filter((event) => !event.includes('prompt_tokens')) })
    const result = await collect(clouds.vendor('custom')!, chatRequest('custom/my-model'))
    expect(result.end.usage).to.deep.equal({ promptTokens: 6, completionTokens: 3 })
  })

  it('of embeddings give the vectors in order and the vendor\'s count, as base64 or as numbers', async () => {
    for (const [vendor, model, encoding] of [['openai', 'openai/text-embedding-3-small', 'base64'], ['mistral', 'mistral/mistral-embed', 'float'], ['gemini', 'gemini/gemini-embedding-001', 'float']] as const) {
      const answer = await clouds.vendor(vendor)!.embed!({ kind: 'embedding', model, inputs: ['a', 'bcd'], dimensions: 3 }, { signal: new AbortController().signal })
      expect(answer.vectors.map((vector) => [...vector]), vendor).to.deep.equal([[1, 0.5, -0.25], [3, 0.5, -0.25]])
      expect(answer.usage).to.deep.equal({ promptTokens: 6, completionTokens: 0 })
      expect(servers[vendor].requests.at(-1)!.body).to.include({ encoding_format: encoding, dimensions: 3 })
    }
    expect(clouds.vendor('groq')!.embed).to.equal(undefined)
  })
})
