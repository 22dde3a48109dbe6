/** What an account, an admin and a supervisor ask of the bridge. */
import { expect } from 'chai'
import { Registry } from 'prom-client'
import type { AdminGateway } from '../../node/gateway.ts'
import { toHex } from '../../protocol/bytes.ts'
import { TEST_KEY, testStatus } from '../support/bridge-gateway.ts'
import { authorized, chatBody, postJson, startTestBridge, type TestBridge } from '../support/bridge-server.ts'

const ADMIN_TOKEN = 'tfa-admin'

function createAdminGateway(calls: unknown[]): AdminGateway {
  const account = { account: new Uint8Array(16).fill(2), name: 'ann', tier: 'free', balanceMicroCredits: 5n }
  const record = (name: string) => async (value: object) => {
    const fields = Object.entries(value).map(([key, part]: [string, unknown]) => [key, part instanceof Uint8Array ? toHex(part) : part])
    calls.push([name, Object.fromEntries(fields)])
  }
  return {
    accounts: () => [account],
    async openAccount(value) {
      await record('open')(value)
      return account
    },
    addKey: record('add'),
    revokeKey: record('revoke'),
    grant: record('grant'),
  }
}

describe('bridge: account, admin, supervision', () => {
  const adminCalls: unknown[] = []
  const registry = new Registry()
  let test: TestBridge

  before(async () => {
    test = await startTestBridge({ corsOrigins: ['https://chat.example'] }, {
      admin: { gateway: createAdminGateway(adminCalls), token: ADMIN_TOKEN }, metrics: registry,
    })
    test.gateway.script = (run) => run.answer('ok')
  })
  after(() => test.stop())
  beforeEach(() => {
    adminCalls.length = 0
    test.gateway.currentStatus = testStatus
  })

  const get = (path: string) => fetch(test.url + path, authorized())
  const admin = (method: string, path: string, body?: unknown) => fetch(`${test.url}/v1/admin/${path}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })

  it('asks for a key everywhere under /v1 but for the status', async () => {
    for (const path of ['/v1/models', '/v1/models/demo', '/v1/credits', '/v1/receipts', '/v1/receipts/rcpt_x', '/v1/admin/accounts']) {
      const response = await fetch(test.url + path)
      expect(response.status, path).to.equal(401)
      expect(await response.json(), path).to.have.nested.property('error.code', 'invalid_api_key')
    }
  })

  it('takes the key as x-api-key too', async () => {
    expect((await fetch(`${test.url}/v1/credits`, { headers: { 'x-api-key': TEST_KEY } })).status).to.equal(200)
  })

  it('tells the credits, exact to the microcredit', async () => {
    expect(await (await get('/v1/credits')).json()).to.deep.equal({
      object: 'credits', account: '01'.repeat(16), name: 'local', tier: 'unlimited', balance_micro_credits: '1000500000',
      balance_credits: '1000.5',
    })
  })

  it('lists receipts page by page', async () => {
    const ids: string[] = []
    let before: number | null = null
    for (let page = 0; page < 3; page++) {
      const query: string = before === null ? '' : `&before=${before}`
      const body = await (await get(`/v1/receipts?limit=2${query}`)).json() as { data: { id: string }[]; next_before: number | null }
      ids.push(...body.data.map((receipt) => receipt.id))
      before = body.next_before
    }
    expect(before).to.equal(null)
    expect(ids).to.have.length(5)
    expect(new Set(ids).size).to.equal(5)
    for (const query of ['limit=0', 'limit=101', 'limit=x', 'before=-1', 'before=x']) {
      expect((await get(`/v1/receipts?${query}`)).status, query).to.equal(400)
    }
  })

  it('gives a receipt file byte for byte, and 404 for every other id', async () => {
    const response = await get(`/v1/receipts/rcpt_${'ab'.repeat(16)}`)
    expect(response.headers.get('content-type')).to.equal('application/json; charset=utf-8')
    expect(await response.text()).to.equal('{ "receipt":  "exactly as given" }\n')
    for (const id of [`rcpt_${'00'.repeat(16)}`, 'rcpt_', `rcpt_${'AB'.repeat(16)}`, 'x']) {
      expect(await (await get(`/v1/receipts/${id}`)).json()).to.have.nested.property('error.code', 'receipt_not_found')
    }
  })

  it('tells the status without a key, also while no hub is there to check one', async () => {
    test.gateway.failure = 'NO_HUB'
    const response = await fetch(`${test.url}/v1/status`)
    expect([response.status, (await response.json() as { name: string }).name]).to.deep.equal([200, 'alpha'])
  })

  it('tells the status of the node', async () => {
    const logs = [{ hub: 'alpha', epoch: 1, frames: 2, entries: 3, hash: 'ff' }]
    test.gateway.currentStatus = { ...testStatus, logs }
    expect(await (await get('/v1/status')).json()).to.deep.include({
      object: 'status', name: 'alpha', peer_id: '12D3KooWAlpha', uptime_ms: 1_000, ready: true, waiting_for: [],
      hubs: [{ name: 'alpha', peer_id: '12D3KooWAlpha', connected: true }], jobs: { running: 0, queued: 0, served: 0, failed: 0 }, logs,
    })
  })

  it('lives while it is not ready, and says what it waits for', async () => {
    test.gateway.currentStatus = { ...testStatus, ready: false, waitingFor: ['two hubs'] }
    test.gateway.failure = 'NO_HUB'
    expect((await fetch(`${test.url}/health`)).status).to.equal(200)
    const ready = await fetch(`${test.url}/ready`)
    expect(ready.status).to.equal(503)
    expect(await ready.json()).to.deep.equal({ ready: false, waiting_for: ['two hubs'] })
    test.gateway.currentStatus = testStatus
    test.gateway.failure = undefined
    expect((await fetch(`${test.url}/ready`)).status).to.equal(200)
  })

  it('greets at / with headers for browsers', async () => {
    const response = await fetch(`${test.url}/`)
    expect(await response.text()).to.include('TriForce 0.1.0').and.to.include('/v1/chat/completions')
    expect(response.headers.get('x-frame-options')).to.equal('SAMEORIGIN')
    expect(response.headers.get('content-security-policy')).to.include("script-src 'self'")
    expect((await fetch(`${test.url}/`, { method: 'HEAD' })).status).to.equal(200)
  })

  it('counts in the registry that it was given, with labels from closed lists', async () => {
    await fetch(`${test.url}/v1/chat/completions`, postJson(chatBody))
    for (const path of ['/a', '/b', '/v1/models/x', '/v1/models/y']) await get(path)
    const text = await registry.metrics()
    expect(text).to.include('triforce_bridge_requests_total{route="/v1/chat/completions",status="2xx"} 1')
    expect(text).to.include('triforce_bridge_requests_total{route="none",status="4xx"} 2')
    expect(text).to.include('triforce_bridge_requests_total{route="/v1/models/*",status="4xx"}')
    expect(text).to.include('triforce_bridge_first_text_seconds_count 1')
    expect(text).to.include('triforce_bridge_completion_tokens_total 3')
    expect(await (await fetch(`${test.url}/metrics`)).text()).to.include('triforce_bridge_requests_total')
  })

  it('lets pages of an allowed origin read, and no others', async () => {
    const asked = (origin: string) => fetch(`${test.url}/v1/chat/completions`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,x-stainless-os' },
    })
    const allowed = await asked('https://chat.example')
    expect(allowed.status).to.equal(204)
    expect(allowed.headers.get('access-control-allow-origin')).to.equal('https://chat.example')
    expect(allowed.headers.get('access-control-allow-headers')).to.equal('authorization,x-stainless-os')
    expect((await asked('https://evil.example')).headers.get('access-control-allow-origin')).to.equal(null)
    const post = postJson({ ...chatBody, stream: true })
    const streamed = await fetch(`${test.url}/v1/chat/completions`, { ...post, headers: { ...post.headers, origin: 'https://chat.example' } })
    expect(streamed.headers.get('access-control-allow-origin')).to.equal('https://chat.example')
    await streamed.text()
  })

  it('administers accounts, keys and grants', async () => {
    const publicKey = 'ab'.repeat(32)
    const account = '02'.repeat(16)
    expect(await (await admin('GET', 'accounts')).json()).to.deep.equal({
      object: 'list', data: [{ account, name: 'ann', tier: 'free', balance_micro_credits: '5', balance_credits: '0.000005' }],
    })
    const opened = await admin('POST', 'accounts', { public_key: publicKey, name: 'ann', tier: 'free' })
    expect(await opened.json()).to.have.property('account', account)
    expect((await admin('POST', 'keys', { public_key: publicKey, account, name: 'laptop' })).status).to.equal(200)
    expect((await admin('DELETE', `keys/${publicKey}`)).status).to.equal(200)
    expect((await admin('POST', 'grants', { account, amount_micro_credits: '9007199254740993', source: 'order-1' })).status).to.equal(200)
    expect(adminCalls).to.deep.equal([
      ['open', { publicKey, name: 'ann', tier: 'free' }],
      ['add', { publicKey, account, name: 'laptop' }],
      ['revoke', { publicKey }],
      ['grant', { account, amountMicroCredits: 9_007_199_254_740_993n, source: 'order-1' }],
    ])
  })

  it('refuses a wrong admin token, an API key in its place, and fields that are not right', async () => {
    const wrong = await fetch(`${test.url}/v1/admin/accounts`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}x` } })
    expect(wrong.status).to.equal(401)
    expect((await get('/v1/admin/accounts')).status).to.equal(401)
    const account = '02'.repeat(16)
    for (const [path, body, param] of [
      ['accounts', { public_key: 'AB'.repeat(32), name: 'a', tier: 'free' }, 'public_key'],
      ['accounts', { public_key: 'ab'.repeat(31), name: 'a', tier: 'free' }, 'public_key'],
      ['keys', { public_key: 'ab'.repeat(32), account: '00', name: 'a' }, 'account'],
      ['grants', { account, amount_micro_credits: '-5', source: 's' }, 'amount_micro_credits'],
      ['grants', { account, amount_micro_credits: 5, source: 's' }, 'amount_micro_credits'],
      ['grants', { account, amount_micro_credits: '5', source: '' }, 'source'],
    ] as const) {
      const response = await admin('POST', path, body)
      expect(response.status).to.equal(400)
      expect(await response.json()).to.have.nested.property('error.param', param)
    }
    expect(adminCalls).to.deep.equal([])
  })
})
