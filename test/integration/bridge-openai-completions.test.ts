/** OpenAI's old `/v1/completions` through the official `openai` client. */
import { expect } from 'chai'
import { APIError, OpenAI } from 'openai'
import { settledEvent, TEST_KEY, textEvent } from '../support/bridge-gateway.ts'
import { collect, endEvent, errorOf, reasoningEvent } from '../support/bridge-sdk.ts'
import { postJson, startTestBridge, type TestBridge } from '../support/bridge-server.ts'

describe('bridge: old completions with the openai client', () => {
  let test: TestBridge
  let client: OpenAI

  beforeEach(async () => {
    test = await startTestBridge()
    client = new OpenAI({ apiKey: TEST_KEY, baseURL: `${test.url}/v1`, maxRetries: 0 })
  })
  afterEach(() => test.stop())

  it('makes one message of the prompt and gives the text without what was thought', async () => {
    test.gateway.script = (run) => run.emit(reasoningEvent('hm'), textEvent('once '), textEvent('upon'), endEvent('length'), settledEvent)
    const answer = await client.completions.create({ model: 'demo', prompt: 'Tell', max_tokens: 5, temperature: 0, presence_penalty: 0.5, seed: 1, stop: '\n' })
    expect(answer).to.deep.include({ object: 'text_completion', model: 'demo', choices: [{ index: 0, text: 'once upon', logprobs: null, finish_reason: 'length' }] })
    expect(answer.usage).to.deep.equal({ prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 })
    expect(answer).to.have.nested.property('triforce.host_name', 'lender')
    expect(test.gateway.runs[0]!.request).to.deep.equal({
      model: 'demo', messages: [{ role: 'user', content: 'Tell' }], continueLast: false, maxTokens: 5, temperature: 0, presencePenalty: 0.5, seed: 1, stop: ['\n'],
      responseFormat: { type: 'text' },
    })
    await client.completions.create({ model: 'demo', prompt: ['Tell'] })
    expect(test.gateway.runs[1]!.request).to.deep.include({ messages: [{ role: 'user', content: 'Tell' }], maxTokens: 16 })
  })

  it('streams pieces, then the finish, then the usage where it is asked for', async () => {
    test.gateway.script = (run) => run.emit(reasoningEvent('hm'), textEvent('once '), textEvent('upon'), endEvent('stop'), settledEvent)
    const chunks = await collect(await client.completions.create({ model: 'demo', prompt: 'Tell', stream: true, stream_options: { include_usage: true } }))
    expect(chunks.map(({ choices }) => choices[0]?.text)).to.deep.equal(['once ', 'upon', '', undefined])
    expect(chunks[2]!.choices[0]!.finish_reason).to.equal('stop')
    expect(chunks[3]!.usage).to.include({ total_tokens: 10 })
  })

  it('streams an answer that has only thoughts', async () => {
    test.gateway.script = (run) => run.emit(reasoningEvent('hm'), endEvent('length'), settledEvent)
    const chunks = await collect(await client.completions.create({ model: 'demo', prompt: 'Tell', stream: true }))
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason)).to.deep.equal(['length'])
  })

  it('gives log probabilities in the old form, with offsets over the whole answer', async () => {
    const piece = (token: string) => ({ type: 'text' as const, text: token, tokens: 1, logprobs: [{ token, logprob: -1, top: [{ token: 'x', logprob: -2 }] }] })
    test.gateway.script = (run) => run.emit(piece('once'), piece(' upon'), endEvent('stop'), settledEvent)
    const expected = { tokens: ['once', ' upon'], token_logprobs: [-1, -1], top_logprobs: [{ x: -2 }, { x: -2 }], text_offset: [0, 4] }
    expect((await client.completions.create({ model: 'demo', prompt: 'Tell', logprobs: 1 })).choices[0]!.logprobs).to.deep.equal(expected)
    const chunks = await collect(await client.completions.create({ model: 'demo', prompt: 'Tell', logprobs: 1, stream: true }))
    expect(chunks.flatMap(({ choices }) => choices[0]?.logprobs?.text_offset ?? [])).to.deep.equal([0, 4])
  })

  it('raises an error in the middle of a stream', async () => {
    test.gateway.script = (run) => {
      run.emit(textEvent('half'))
      run.fail('HOST_LOST')
    }
    const error = await errorOf(collect(await client.completions.create({ model: 'demo', prompt: 'Tell', stream: true })))
    expect(error).to.be.instanceOf(APIError)
    expect(error).to.include({ code: 'host_lost' })
  })

  it('refuses what it cannot do, by name', async () => {
    const cases: readonly (readonly [object, string])[] = [
      [{ suffix: 'end' }, 'suffix'], [{ echo: true }, 'echo'], [{ best_of: 2 }, 'best_of'], [{ n: 2 }, 'n'], [{ logit_bias: { 1: 2 } }, 'logit_bias'],
      [{ prompt: ['a', 'b'] }, 'prompt'], [{ prompt: [1, 2] }, 'prompt'], [{ prompt: [[1, 2]] }, 'prompt'], [{ prompt: '' }, 'prompt'], [{ prompt: [] }, 'prompt'],
      [{ logprobs: 21 }, 'logprobs'], [{ provider: { what: 1 } }, 'provider.what'],
    ]
    for (const [more, param] of cases) {
      const answer = await fetch(`${test.url}/v1/completions`, postJson({ model: 'demo', prompt: 'Tell', ...more }))
      expect([answer.status, (await answer.json() as { error: { param: string } }).error.param]).to.deep.equal([400, param])
    }
    expect(test.gateway.runs).to.have.length(0)
  })
})
