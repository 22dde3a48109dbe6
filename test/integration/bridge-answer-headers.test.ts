/** Headers of answers, generations and Idempotency-Key, over HTTP in every dialect. */
import { expect } from 'chai'
import OpenAI from 'openai'
import type { PlacedEvent } from '../../node/gateway.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { finishEvent, settledEvent, testServed, textEvent, TEST_KEY, type ScriptedRun } from '../support/bridge-gateway.ts'
import { authorized, chatBody, postJson, startTestBridge, type TestBridge } from '../support/bridge-server.ts'
import { until } from '../support/until.ts'

const placed: PlacedEvent = {
  type: 'placed', host: '12D3KooWHost', hostName: 'lender', attempts: 2, model: 'openai/gpt', vendor: 'openai', digest: 'ab'.repeat(32), after: 'HOST_LOST',
  price: { promptMicroCredits: 10_000_000n, completionMicroCredits: 2_500_000n }, remainingMicroCredits: 7_500_000n,
}
const settledPaid = { ...settledEvent, served: { ...testServed, costMicroCredits: 1_234n, attempts: 2, model: 'openai/gpt', remainingMicroCredits: 7_498_766n } }

async function* paidAnswer() {
  // What the node itself takes before it has a host.
  await new Promise((resolve) => { setTimeout(resolve, 20) })
  yield { ...placed, attempts: 1, host: '12D3KooWOther' }
  yield placed
  yield textEvent('Hi')
  yield finishEvent()
  yield settledPaid
}

const dialects: Readonly<Record<string, readonly [path: string, body: object]>> = {
  'chat completions': ['/v1/chat/completions', chatBody],
  'Anthropic messages': ['/v1/messages', { model: 'demo', max_tokens: 9, messages: chatBody.messages }],
  'Ollama chat': ['/api/chat', { model: 'demo', messages: chatBody.messages }],
}

describe('node/bridge: headers of answers', () => {
  let bridge: TestBridge
  beforeEach(async () => {
    bridge = await startTestBridge()
    bridge.gateway.script = () => paidAnswer()
  })
  afterEach(() => bridge.stop())

  const post = (path: string, body: object, headers: Record<string, string> = {}) =>
    fetch(`${bridge.url}${path}`, authorized({ method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }))

  for (const [name, [path, body]] of Object.entries(dialects)) {
    for (const stream of [false, true]) {
      it(`tell host, attempts, price, cost and overhead: ${name}${stream ? ', stream' : ''}`, async () => {
        const { headers, status } = await post(path, { ...body, stream })
        expect(status).to.equal(200)
        expect(headers.get('x-triforce-host')).to.equal('12D3KooWHost')
        expect(headers.get('x-triforce-attempts')).to.equal('2')
        expect(headers.get('x-triforce-model')).to.equal('openai/gpt')
        expect([headers.get('x-triforce-price-prompt'), headers.get('x-triforce-price-completion')]).to.deep.equal(['10', '2.5'])
        expect(Number(headers.get('x-triforce-overhead-ms'))).to.be.within(15, 5_000)
        expect(headers.get('x-request-id')).to.match(/^req_[0-9a-f]{24}$/)
        // A stream's head leaves before the end is known.
        expect([headers.get('x-triforce-cost'), headers.get('x-triforce-remaining')]).to.deep.equal(stream ? [null, '7.5'] : ['0.001234', '7.498766'])
      })
    }
  }

  it('are readable for pages of an allowed origin', async () => {
    const open = await startTestBridge({ corsOrigins: ['https://chat.example'] })
    open.gateway.script = () => paidAnswer()
    const { headers } = await fetch(`${open.url}/v1/chat/completions`, authorized({ method: 'POST', headers: { 'content-type': 'application/json', origin: 'https://chat.example' }, body: JSON.stringify(chatBody) }))
    expect(headers.get('access-control-expose-headers')).to.include('x-triforce-cost')
    await open.stop()
  })
})

describe('node/bridge: generations', () => {
  let bridge: TestBridge
  beforeEach(async () => { bridge = await startTestBridge() })
  afterEach(() => bridge.stop())

  const find = (id: string) => fetch(`${bridge.url}/v1/generations/${id}`, authorized())

  it('show every attempt, tokens, cost and receipt, by any id that the client has', async () => {
    bridge.gateway.script = () => paidAnswer()
    const answer = await fetch(`${bridge.url}/v1/chat/completions`, postJson(chatBody))
    const { id } = await answer.json() as { id: string }
    const digits = id.slice('chatcmpl-'.length)
    for (const name of [id, `gen_${digits}`, `req_${digits}`, digits]) {
      const shown = await (await find(name)).json() as Record<string, unknown>
      expect(shown).to.deep.include({
        id: `gen_${digits}`, object: 'generation', state: 'completed', path: '/v1/chat/completions', stream: false, model: 'demo', served_model: 'openai/gpt', finish: 'stop',
        cost_micro_credits: '1234', cost_credits: '0.001234', receipt: `rcpt_${'ab'.repeat(16)}`, hub: 'alpha', error: null, replayed: false, client_retries: 0,
      })
      const [first, second] = shown['attempts'] as Record<string, unknown>[]
      expect(first).to.include({ host: '12D3KooWOther', error: 'HOST_LOST' })
      expect(second).to.deep.include({
        host: '12D3KooWHost', error: null, vendor: 'openai', model_digest: 'ab'.repeat(32),
        price: { prompt_micro_credits_per_1k: '10000000', completion_micro_credits_per_1k: '2500000' },
      })
    }
  })

  it('are there while they run, and say why they failed', async () => {
    const answering = fetch(`${bridge.url}/v1/chat/completions`, postJson(chatBody))
    const run = await bridge.gateway.nextRun()
    run.emit(placed)
    const { headers } = await (run.fail('QUEUE_FULL'), answering)
    const shown = await (await find(headers.get('x-request-id')!)).json() as Record<string, unknown>
    expect(shown).to.include({ state: 'failed', error: 'QUEUE_FULL', receipt: null, cost_micro_credits: null })
    expect((shown['attempts'] as { error: string }[])[0]!.error).to.equal('QUEUE_FULL')
  })

  it('are of embeddings too, in both dialects, with the hosts that were asked', async () => {
    const embed = bridge.gateway.embedScript
    bridge.gateway.embedScript = (who, request, options) => {
      options.onPlaced?.(placed)
      return request.inputs[0] === 'no' ? Promise.reject(new TriforceError('NO_HOST')) : embed(who, request, options)
    }
    for (const [path, body] of [['/v1/embeddings', { model: 'demo', input: 'x' }], ['/api/embed', { model: 'demo', input: 'x' }]] as const) {
      const { headers } = await fetch(bridge.url + path, postJson(body))
      expect(headers.get('x-triforce-overhead-ms')).to.match(/^\d/)
      const shown = await (await find(headers.get('x-request-id')!)).json() as Record<string, unknown>
      expect(shown).to.deep.include({ state: 'completed', path, stream: false, model: 'demo', receipt: `rcpt_${'ab'.repeat(16)}` })
      expect(shown).to.have.nested.property('usage.prompt_tokens', 5)
      expect((shown['attempts'] as { host: string }[]).map(({ host }) => host)).to.deep.equal([placed.host])
      const refused = await fetch(bridge.url + path, postJson({ ...body, input: 'no' }))
      expect(await (await find(refused.headers.get('x-request-id')!)).json()).to.include({ state: 'failed', error: 'NO_HOST' })
    }
  })

  it('are unknown to strangers, after others came, and where the id is none', async () => {
    for (const id of ['gen_000000000000000000000000', 'x', '..%2f..', 'req_' + 'f'.repeat(25)]) expect((await find(id)).status, id).to.equal(404)
    expect((await fetch(`${bridge.url}/v1/generations/gen_1`)).status).to.equal(401)
  })
})

describe('node/bridge: Idempotency-Key', () => {
  let bridge: TestBridge
  beforeEach(async () => { bridge = await startTestBridge() })
  afterEach(() => bridge.stop())

  const post = (key: string, body: object = chatBody, path = '/v1/chat/completions') =>
    fetch(`${bridge.url}${path}`, authorized({ method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': key }, body: JSON.stringify(body) }))

  it('joins two requests in flight, and gives the finished answer again, also as a stream', async () => {
    const [one, two] = [post('k1'), post('k1')]
    const run = await bridge.gateway.nextRun()
    run.answer('Hel', 'lo')
    const [first, second] = await Promise.all([one, two])
    const late = await post('k1', { ...chatBody, stream: true })
    expect(bridge.gateway.runs).to.have.length(1)
    expect([first, second, late].map(({ headers }) => headers.get('idempotent-replayed'))).to.have.members([null, 'true', 'true'])
    for (const answer of [first, second]) expect((await answer.json() as { choices: { message: { content: string } }[] }).choices[0]!.message.content).to.equal('Hello')
    const text = await late.text()
    expect(text).to.include('"content":"Hel"')
    expect(text.trimEnd().endsWith('data: [DONE]')).to.equal(true)
  })

  it('refuses another body under the same key, and a key that is none; without one every request runs', async () => {
    const first = post('k2')
    const run = await bridge.gateway.nextRun()
    const other = await post('k2', { ...chatBody, max_tokens: 5 })
    expect([other.status, other.headers.get('x-should-retry'), (await other.json() as { error: { code: string } }).error.code]).to.deep.equal([409, 'false', 'idempotency_conflict'])
    expect((await post('two words')).status).to.equal(400)
    run.answer('x')
    expect((await first).status).to.equal(200)
    bridge.gateway.script = (one: ScriptedRun) => { one.answer('y') }
    await Promise.all([1, 2].map(() => fetch(`${bridge.url}/v1/chat/completions`, postJson(chatBody))))
    expect(bridge.gateway.runs).to.have.length(3)
  })

  it('makes one of two embeddings, in flight and after, and keeps keys apart from those of completions', async () => {
    const free = Promise.withResolvers<void>()
    let asked = 0
    const embed = bridge.gateway.embedScript
    bridge.gateway.embedScript = async (...all) => {
      asked += 1
      await free.promise
      return embed(...all)
    }
    const body = { model: 'demo', input: ['one', 'three'] }
    const both = [post('e1', body, '/v1/embeddings'), post('e1', body, '/v1/embeddings')]
    await until('the first is asked', () => asked === 1)
    free.resolve()
    const answers = await Promise.all(both)
    const late = await post('e1', { ...body, encoding_format: 'base64' }, '/v1/embeddings')
    expect([...answers, late].map(({ headers, status }) => [status, headers.get('idempotent-replayed')])).to.have.deep.members([[200, null], [200, 'true'], [200, 'true']])
    expect([asked, await answers[0]!.text() === await answers[1]!.text()]).to.deep.equal([1, true])
    expect((await post('e1', { ...body, input: 'another' }, '/v1/embeddings')).status).to.equal(409)
    expect((await post('e1')).status).to.equal(409)
  })

  it('counts the repetitions of OpenAI\'s client, and runs each: only a key makes them one', async () => {
    let tries = 0
    bridge.gateway.script = (run) => {
      tries += 1
      if (tries < 3) run.fail('NO_HOST')
      else run.answer('third')
    }
    const client = new OpenAI({ apiKey: TEST_KEY, baseURL: `${bridge.url}/v1`, maxRetries: 2 })
    const answer = await client.chat.completions.create({ model: 'demo', messages: [{ role: 'user', content: 'x' }] })
    const shown = await (await fetch(`${bridge.url}/v1/generations/${answer.id}`, authorized())).json() as { client_retries: number }
    expect([tries, shown.client_retries]).to.deep.equal([3, 2])
  }).timeout(15_000)
})
