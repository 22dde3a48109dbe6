/** What an account, an admin and a supervisor ask of the bridge. */
import { expect } from 'chai'
import { Registry } from 'prom-client'
import type { AdminGateway } from '../../node/gateway.ts'
import { toHex } from '../../protocol/bytes.ts'
import { TEST_KEY, testStatus } from '../support/bridge-gateway.ts'
import { authorized, chatBody, postJson, startTestBridge, type TestBridge } from '../support/bridge-server.ts'

const ADMIN_TOKEN = 'tfa-admin'

const tableChange = { type: 'table', table: 'prices', rev: 1, content: { rows: [] } } as const

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
    keys: (id) => [{ publicKey: new Uint8Array(32).fill(7), account: id, name: 'laptop', createdAt: 12 }],
    async grant(value) {
      await record('grant')(value)
      return { hub: 1, epoch: 1, seq: 4, durability: 'replicated', known: false }
    },
    async setTier(value) {
      await record('tier')(value)
      return { hub: 1, epoch: 1, seq: 4, durability: 'replicated', known: false }
    },
    async audit({ heads = [{ hub: 0, epoch: 1, frames: 3 }] }) {
      const none = { available: 0n, held: 0n, inflight: 0n, frozen: 0n, back: 0n, debt: 0n }
      return { heads, root: new Uint8Array(32).fill(3), accounts: 1, entries: 2, totals: { ...none, available: 2n ** 60n, minted: 2n ** 60n, spent: 0n }, problems: [] }
    },
    async seal(hub, { forced, signal }) {
      calls.push(['seal', { hub, forced }])
      signal.throwIfAborted()
    },
    async propose(change) {
      await record('propose')(change)
      return { id: new Uint8Array(16).fill(0xcd), change, createdAt: 5, hubs: [0] }
    },
    async approve(id) {
      calls.push(['approve', toHex(id)])
      return { id, change: tableChange, createdAt: 5, hubs: [0, 1] }
    },
    changes: () => [{ id: new Uint8Array(16).fill(0xcd), change: { type: 'grant', account: new Uint8Array(16).fill(2), amountMicroCredits: 1_500_000n, source: 's' }, createdAt: 5, hubs: [2] }],
    table: (table) => ({ table, rev: 0, content: { cpuMicroCreditsPerHour: 1_000_000n } }),
    hubNames: ['alpha', 'beta', 'gamma'],
    hubIndex: 0,
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
      object: 'credits', account: '01'.repeat(16), name: 'local', tier: 'pro', balance_micro_credits: '1000500002', balance_credits: '1000.500002',
      held_micro_credits: '1', held_credits: '0.000001', on_its_way_micro_credits: '2', on_its_way_credits: '0.000002',
      frozen_micro_credits: '3', frozen_credits: '0.000003', held_back_micro_credits: '4', held_back_credits: '0.000004',
      debt_micro_credits: '0', debt_credits: '0', earned_today_micro_credits: '5', earned_today_credits: '0.000005',
      earned_unpaid_micro_credits: '6', earned_unpaid_credits: '0.000006',
      earned_paid_micro_credits: '4611686018427387904', earned_paid_credits: '4611686018427.387904',
      quota: { day: '2024-10-04', tokens_per_day: 250_000, used_tokens: 260_000, left_tokens: 0 },
    })
    expect(await (await get('/v1/account')).json()).to.deep.equal({
      object: 'account', account: '01'.repeat(16), name: 'local', tier: 'unlimited', balance_micro_credits: '1000500000', balance_credits: '1000.5',
    })
  })

  it('lists the statement page by page, also within one millisecond', async () => {
    const lines: { id: string; amount_micro_credits: string; receipt: string | null }[] = []
    let cursor: string | null = null
    for (let page = 0; page < 3; page++) {
      const query: string = cursor === null ? '' : `&cursor=${cursor}`
      const body = await (await get(`/v1/statement?limit=2${query}`)).json() as { data: typeof lines; next_cursor: string | null }
      lines.push(...body.data)
      cursor = body.next_cursor
    }
    expect([cursor, lines.length, new Set(lines.map((line) => line.id)).size]).to.deep.equal([null, 5, 5])
    expect(lines[0]).to.deep.include({ amount_micro_credits: '-1500000', amount_credits: '-1.5', receipt: `rcpt_${'ab'.repeat(16)}`, hold: null })
    expect(await (await get('/v1/statement?from=5001')).json()).to.deep.equal({ object: 'list', data: [], next_cursor: null })
    for (const query of ['limit=0', 'from=x', 'cursor=', 'cursor=12', `cursor=5.${'AB'.repeat(16)}`, `cursor=1e3.${'ab'.repeat(16)}`]) {
      const answer = await get(`/v1/statement?${query}`)
      expect([answer.status, (await answer.json() as { error: { type: string } }).error.type], query).to.deep.equal([400, 'invalid_request_error'])
    }
    const file = await get('/v1/statement/file')
    expect([file.headers.get('content-type'), await file.text()]).to.deep.equal(['application/json; charset=utf-8', '{ "statement":  "exactly as given" }\n'])
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
    for (const query of ['limit=0', 'limit=101', 'limit=x', 'before=-1', 'before=x', 'cursor=x']) {
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

  it('shows keys, checks the ledger, seals, and passes on changes of rules for a second signature', async () => {
    const account = '02'.repeat(16)
    const jsonOf = async (method: string, path: string, body?: unknown) => {
      const response = await admin(method, path, body)
      return [response.status, await response.json()]
    }
    expect(await jsonOf('GET', `keys?account=${account}`)).to.deep.equal([200, {
      object: 'list', data: [{ public_key: '07'.repeat(32), account, name: 'laptop', created_at: 12 }],
    }])
    const id = `chg_${'cd'.repeat(16)}`
    expect(await jsonOf('POST', 'grants', { account, amount_micro_credits: '5', source: 's', approved: id })).to.deep.equal([200, {
      ok: true, hub: 'beta', durability: 'replicated', known: false,
    }])
    expect(await jsonOf('POST', `accounts/${account}/tier`, { tier: 'pro' })).to.deep.equal([200, { ok: true, known: false }])
    const heads = [{ hub: 2, epoch: 7, frames: 9 }]
    expect(await jsonOf('POST', 'audit', { heads })).to.deep.equal([200, {
      object: 'audit', hub: 'alpha', root: '03'.repeat(32), heads: [{ hub: 2, name: 'gamma', epoch: 7, frames: 9 }], accounts: 1, entries: 2, problems: [],
      totals_micro_credits: {
        minted: '1152921504606846976', spent: '0', available: '1152921504606846976', held: '0', on_its_way: '0', frozen: '0', held_back: '0', debt: '0',
      },
    }])
    expect(await jsonOf('POST', 'seals', { hub: 'gamma' })).to.deep.equal([200, { ok: true, hub: 'gamma' }])
    const content = { rows: [{ row: 'groq', promptMicroCredits: '9007199254740993' }] }
    expect(await jsonOf('POST', 'changes', { type: 'table', table: 'prices', rev: 1, content })).to.deep.equal([200, {
      id, object: 'change', created_at: 5, signed_by: ['alpha'], holds: false, type: 'table', table: 'prices', rev: 1, content,
    }])
    expect(await jsonOf('GET', 'changes')).to.deep.equal([200, {
      object: 'list', data: [{
        id, object: 'change', created_at: 5, signed_by: ['gamma'], holds: false, type: 'grant', account, amount_micro_credits: '1500000', amount_credits: '1.5', source: 's',
      }],
    }])
    const [, approved] = await jsonOf('POST', `changes/${id}/approve`) as [number, { holds: boolean; signed_by: string[] }]
    expect([approved.holds, approved.signed_by]).to.deep.equal([true, ['alpha', 'beta']])
    expect(await jsonOf('GET', 'tables/tiers')).to.deep.equal([200, { object: 'table', table: 'tiers', rev: 0, content: { cpuMicroCreditsPerHour: '1000000' } }])
    expect(adminCalls).to.deep.equal([
      ['grant', { account, amountMicroCredits: 5n, source: 's', approved: 'cd'.repeat(16) }],
      ['tier', { account, tier: 'pro' }],
      ['seal', { hub: 2, forced: false }],
      ['propose', { type: 'table', table: 'prices', rev: 1, content: { rows: [{ row: 'groq', promptMicroCredits: 9_007_199_254_740_993n }] } }],
      ['approve', 'cd'.repeat(16)],
    ])
    adminCalls.length = 0
    expect((await admin('GET', 'tables/hubs')).status).to.equal(400)
    expect((await admin('GET', 'keys?account=2')).status).to.equal(400)
    expect((await admin('POST', 'changes/chg_12/approve')).status).to.equal(400)
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
      ['grants', { account, amount_micro_credits: '5', source: 's', approved: 'chg_' }, 'approved'],
      ['seals', { hub: 'delta' }, 'hub'],
      ['seals', { hub: 'alpha' }, 'hub'],
      ['audit', { heads: [{ hub: 3, epoch: 0, frames: 0 }] }, 'heads[0].hub'],
      ['changes', { type: 'table', table: 'prices', rev: 0, content: {} }, 'rev'],
      ['changes', { type: 'table', table: 'prices', rev: 1, content: { rows: [{ promptMicroCredits: 5 }] } }, 'content.rows[0].promptMicroCredits'],
      ['changes', { type: 'table', table: 'users', rev: 1, content: {} }, 'table'],
      ['changes', { type: 'grant', account, amount_micro_credits: '0', source: 's' }, 'amount_micro_credits'],
    ] as const) {
      const response = await admin('POST', path, body)
      expect(response.status).to.equal(400)
      expect(await response.json()).to.have.nested.property('error.param', param)
    }
    expect(adminCalls).to.deep.equal([])
  })
})
