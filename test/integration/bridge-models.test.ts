/** Lists of models, in OpenAI's form and in Anthropic's. */
import { expect } from 'chai'
import Anthropic from '@anthropic-ai/sdk'
import { OpenAI } from 'openai'
import { TEST_KEY } from '../support/bridge-gateway.ts'
import { collect } from '../support/bridge-sdk.ts'
import { authorized, startTestBridge, type TestBridge } from '../support/bridge-server.ts'

describe('bridge: lists of models', () => {
  let test: TestBridge

  beforeEach(async () => {
    test = await startTestBridge()
  })
  afterEach(() => test.stop())

  it("tells OpenAI's clients what a model reads, writes, takes and costs", async () => {
    test.gateway.models = () => Promise.resolve([
      { id: 'llama', hosts: 2, contextTokens: 8_192, capabilities: ['chat', 'json', 'tools', 'vision'], quantizations: ['Q4_K_M'], demo: false, firstSeenAt: 1_700_000_000_000 },
      { id: 'nomic', hosts: 1, contextTokens: 2_048, capabilities: ['embedding'], quantizations: [], demo: false, firstSeenAt: 1_700_000_000_000 },
      {
        id: 'openai/gpt-4o', hosts: 1, contextTokens: 128_000, capabilities: ['chat', 'logprobs'], quantizations: [], demo: false, firstSeenAt: 1_700_000_000_000,
        vendor: 'openai', name: 'GPT-4o', outputTokensMax: 16_384, price: { promptMicroCredits: 2n ** 60n, completionMicroCredits: 5_000_000n },
      },
    ])
    const client = new OpenAI({ apiKey: TEST_KEY, baseURL: `${test.url}/v1` })
    const [llama, nomic, cloud] = await collect(await client.models.list())
    expect(llama).to.deep.include({ object: 'model', owned_by: 'triforce', name: 'llama', context_length: 8_192, max_completion_tokens: null, architecture: { input_modalities: ['text', 'image'], output_modalities: ['text'] } })
    expect(llama).to.have.property('supported_parameters').that.includes.members(['temperature', 'tools', 'response_format']).and.not.includes('logprobs')
    expect(nomic).to.deep.include({ architecture: { input_modalities: ['text'], output_modalities: ['embeddings'] }, supported_parameters: ['dimensions'] })
    expect(cloud).to.deep.include({ owned_by: 'openai', name: 'GPT-4o', max_completion_tokens: 16_384 })
    expect(cloud).to.have.deep.nested.property('triforce.price_micro_credits_per_1000_tokens', { prompt: '1152921504606846976', completion: '5000000' })
  })

  it("pages Anthropic's list as its client reads it, forwards and backwards", async () => {
    const ids = Array.from({ length: 5 }, (_, index) => `m${index}`)
    test.gateway.models = () => Promise.resolve(ids.map((id) => ({ id, hosts: 1, contextTokens: 1, capabilities: ['chat'], quantizations: [], demo: false, firstSeenAt: 1_700_000_000_000 })))
    const client = new Anthropic({ apiKey: TEST_KEY, baseURL: test.url })
    expect((await collect(client.models.list({ limit: 2 }))).map(({ id }) => id)).to.deep.equal(ids)
    const first = await client.models.list({ limit: 2 })
    expect(first).to.deep.include({ has_more: true, first_id: 'm0', last_id: 'm1' })
    expect(first.data[0]).to.deep.equal({ type: 'model', id: 'm0', display_name: 'm0', created_at: '2023-11-14T22:13:20.000Z' })
    const before = await client.models.list({ limit: 2, before_id: 'm3' })
    expect([before.data.map(({ id }) => id), before.has_more]).to.deep.equal([['m1', 'm2'], true])
    expect(await client.models.retrieve('m4')).to.include({ id: 'm4', type: 'model' })
    const wrong = await fetch(`${test.url}/v1/models?after_id=nowhere`, authorized({ headers: { 'anthropic-version': '2023-06-01' } }))
    expect([wrong.status, (await wrong.json() as { type: string }).type]).to.deep.equal([400, 'error'])
  })
})
