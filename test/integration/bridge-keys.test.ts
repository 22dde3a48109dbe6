/** An account's own keys and its use over HTTP, against the scripted gateway. */
import { expect } from 'chai'
import { apiKeySigner } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { KeyTerms } from '../../protocol/key-terms.ts'
import { TEST_KEY } from '../support/bridge-gateway.ts'
import { startTestBridge, type TestBridge } from '../support/bridge-server.ts'

describe('bridge: keys of an account', () => {
  let bridge: TestBridge

  async function ask(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(`${bridge.url}${path}`, {
      method, headers: { authorization: `Bearer ${TEST_KEY}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: response.status, body: await response.json() as Record<string, unknown> }
  }

  function limitKey(terms: KeyTerms): void {
    bridge.gateway.terms = terms
  }

  beforeEach(async () => { bridge = await startTestBridge() })
  afterEach(async () => { await bridge.stop() })

  it('makes a key at this node, shows it once, and tells its public half only', async () => {
    const { status, body } = await ask('POST', '/v1/keys', {
      name: 'ci', scopes: ['inference'], models: ['openai/*'], day_budget_micro_credits: '5000000', expires_at: 4_000_000_000_000, privacy: 'verified',
    })
    expect(status).to.equal(201)
    const [added] = bridge.gateway.addedKeys
    expect(toHex(added!.publicKey)).to.equal(toHex(apiKeySigner(String(body['api_key']))!.publicKey)).and.to.equal(body['public_key'])
    expect(added).to.deep.include({
      name: 'ci', terms: { scopes: ['inference'], models: ['openai/*'], dayBudget: 5_000_000n, expiresAt: 4_000_000_000_000, privacy: 'verified' },
    })
  })

  it('refuses a key without a name, with an unknown limit, with an expiry in the past, and one of no scope', async () => {
    for (const [body, param] of [
      [{}, 'name'], [{ name: 'a', scopes: ['admin'] }, 'scopes[0]'], [{ name: 'a', scopes: [] }, 'scopes'], [{ name: 'a', expires_at: 5 }, 'expires_at'],
      [{ name: 'a', day_budget_micro_credits: 5 }, 'day_budget_micro_credits'],
    ] as const) {
      const answer = await ask('POST', '/v1/keys', body)
      expect([answer.status, (answer.body['error'] as { param: string }).param]).to.deep.equal([400, param])
    }
    expect((await ask('POST', '/v1/keys', { name: 'a', limits: {} })).status).to.equal(400)
    expect(bridge.gateway.addedKeys).to.deep.equal([])
  })

  it('lists, revokes, and tells of itself', async () => {
    const { body } = await ask('GET', '/v1/keys')
    expect((body['data'] as Record<string, unknown>[])[0]).to.deep.include({ name: 'work', day_budget_micro_credits: '5000000', used_today_micro_credits: '1', used_total_micro_credits: '2', models: null })
    expect((await ask('DELETE', `/v1/keys/${'ab'.repeat(32)}`)).body).to.deep.include({ revoked: true })
    expect(bridge.gateway.revokedKeys.map(toHex)).to.deep.equal(['ab'.repeat(32)])
    expect((await ask('DELETE', '/v1/keys/nonsense')).status).to.equal(400)
    expect((await ask('GET', '/v1/key')).body).to.deep.include({ object: 'key', account_name: 'local', tier: 'unlimited', scopes: ['inference', 'account', 'keys'], models: null })
  })

  it('shows use by day, model and key, and bounds the time', async () => {
    const { body } = await ask('GET', '/v1/usage?from=2026-11-01&to=2026-11-02')
    expect(bridge.gateway.usageAsked).to.deep.equal([{ from: Date.UTC(2026, 10, 1), to: Date.UTC(2026, 10, 3) }])
    expect((body['data'] as unknown[])[0]).to.deep.equal({
      day: '2024-10-04', model: 'openai/gpt-4o', key: 'work', requests: 2, prompt_tokens: 10, completion_tokens: 20, cost_micro_credits: '300000', cost_credits: '0.3',
    })
    for (const query of ['from=2026-11-03&to=2026-11-01', 'from=2020-01-01&to=2026-11-01', 'from=yesterday']) expect((await ask('GET', `/v1/usage?${query}`)).status).to.equal(400)
  })

  it('keeps a key to its scopes', async () => {
    limitKey({ scopes: ['account'] })
    expect((await ask('GET', '/v1/usage')).status).to.equal(200)
    for (const [method, path, body] of [
      ['GET', '/v1/keys', undefined], ['POST', '/v1/keys', { name: 'a' }], ['POST', '/v1/chat/completions', { model: 'demo', messages: [{ role: 'user', content: 'hi' }] }],
    ] as const) {
      const answer = await ask(method, path, body)
      expect([answer.status, (answer.body['error'] as { code: string }).code], path).to.deep.equal([403, 'forbidden'])
    }
    // What a key may do is remembered for some seconds; another start knows nothing.
    await bridge.stop()
    bridge = await startTestBridge()
    limitKey({ scopes: ['inference'] })
    expect((await ask('GET', '/v1/credits')).status).to.equal(403)
    expect((await ask('GET', '/v1/key')).body['scopes']).to.deep.equal(['inference'])
  })
})
