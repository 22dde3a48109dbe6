import { expect } from 'chai'
import * as fc from 'fast-check'
import { createOpenAIChatWriter } from '../../../../../node/bridge/openai/chat-answer.ts'
import { TriforceError } from '../../../../../protocol/errors.ts'
import { testServed } from '../../../../support/bridge-gateway.ts'
import { SEED } from '../../../../support/seed.ts'

const answer = { id: 'chatcmpl-1', createdAtSeconds: 1_700_000_000, model: 'demo', includeUsage: false }
const end = { finish: 'stop', usage: { promptTokens: 7, completionTokens: 3 }, served: testServed } as const
const head = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"demo"'
const triforce = '"triforce":{"host":"12D3KooWHost","host_name":"lender","hub":"alpha","receipt":"rcpt_abababababababababababababababab",'
  + '"durability":"replicated","cost_micro_credits":"0","attempts":1,"model":"demo"}'

describe('node/bridge/openai/chat-answer', () => {
  it('writes the exact events of a stream', () => {
    const writer = createOpenAIChatWriter(answer)
    expect(writer.begin()).to.equal(
      `data: {${head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},`
      + '"logprobs":null,"finish_reason":null}]}\n\n')
    expect(writer.delta({ type: 'text', text: 'a"\n', tokens: 1 })).to.equal(
      `data: {${head},"choices":[{"index":0,"delta":{"content":"a\\"\\n"},"logprobs":null,"finish_reason":null}]}\n\n`)
    expect(writer.end(end)).to.equal(
      `data: {${head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],${triforce}}\n\ndata: [DONE]\n\n`)
    expect(writer.comment('queued 3')).to.equal(': queued 3\n\n')
  })

  it('adds usage null to each event and one event with the usage, only where asked', () => {
    const writer = createOpenAIChatWriter({ ...answer, includeUsage: true })
    for (const text of [writer.begin(), writer.delta({ type: 'text', text: 'a', tokens: 1 }), writer.failed(new TriforceError('HOST_LOST'))]) {
      expect(JSON.parse(text.slice('data: '.length))).to.have.property('usage', null)
    }
    const [finished, counted, done] = writer.end(end).split('\n\n')
    expect(JSON.parse(finished!.slice('data: '.length))).to.have.property('usage', null)
    expect(counted).to.equal(`data: {${head},"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`)
    expect(done).to.equal('data: [DONE]')
  })

  it('ends a broken stream with an error that nobody takes for an end', () => {
    const text = createOpenAIChatWriter(answer).failed(new TriforceError('HOST_LOST'))
    expect(text).to.equal(`data: {${head},"choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"error"}],`
      + '"error":{"message":"the host of the stream died","type":"server_error","param":null,"code":"host_lost",'
      + '"metadata":{"error_type":"server_error","status":502}}}\n\n')
  })

  it('keeps every text, one event in one block, also halves of a surrogate pair', () => {
    const seed = SEED
    console.log(`      seed ${seed}`)
    const writer = createOpenAIChatWriter(answer)
    fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.nat(0xffff), (start, unit) => {
      const text = start + String.fromCharCode(unit)
      const event = writer.delta({ type: 'text', text, tokens: 1 })
      expect(event.indexOf('\n\n')).to.equal(event.length - 2)
      const utf8 = Buffer.from(event, 'utf8').toString('utf8')
      const chunk = JSON.parse(utf8.slice('data: '.length)) as { choices: [{ delta: { content: string } }] }
      expect(chunk.choices[0].delta.content).to.equal(text)
    }), { seed, numRuns: 100 })
  })
})
