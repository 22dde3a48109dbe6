/** The privacy class `friends` over whole nodes: a key names accounts, and what is sent with it reaches their machines and the own ones only. */
import { expect } from 'chai'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { getJson } from '../support/chat-client.ts'
import { testKey } from '../support/federation.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'
import { until } from '../support/until.ts'

describe('friends', function () {
  this.timeout(60_000)
  const bob = testKey()
  const bobsAccount = toHex(accountIdOf(bob.signer.publicKey))
  let nodes: TestNodes
  let consumer: RunningNode

  before(async () => {
    nodes = await startNodes({ tier: 'unlimited' })
    await post('/v1/admin/accounts', 'tfa-test', { public_key: toHex(bob.signer.publicKey), name: 'bob', tier: 'free' })
    // The machine has the very key of the account.
    await post('/v1/admin/keys', 'tfa-test', { public_key: toHex(bob.signer.publicKey), account: bobsAccount, name: 'machine' })
    await nodes.start('of-bob', bob, { mode: 'contributor' }, { benchSource: true })
    consumer = await nodes.start('consumer', testKey(), { mode: 'consumer', apiKey: nodes.key })
    for (const hub of nodes.hubs) await until('the model is offered', () => hub.status().models.some(({ id, hosts }) => id === 'bench-source' && hosts === 1), 15_000)
  })
  after(() => nodes.stop())

  async function post(path: string, key: string, body: object, api = nodes.hubs[0]!.api): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(api + path, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify(body) })
    return { status: response.status, body: await response.json() as Record<string, unknown> }
  }

  async function keyWith(terms: object): Promise<string> {
    const { status, body } = await post('/v1/keys', nodes.key, { name: 'with terms', ...terms })
    expect(status, JSON.stringify(body)).to.equal(201)
    const key = body['api_key'] as string
    for (const hub of nodes.hubs) await until('each hub knows the key', async () => (await getJson(hub.api, key, '/v1/key')).status === 200)
    return key
  }

  const ask = (key: string, api: string, more: object = {}) => post('/v1/chat/completions', key, { model: 'bench-source', messages: [{ role: 'user', content: 'tokens=3' }], ...more }, api)

  it('reach the machine of an account that the key names, from a hub and from a consumer, and no other key does', async () => {
    const named = await keyWith({ privacy: 'friends', friends: [bobsAccount] })
    expect(JSON.parse((await getJson(nodes.hubs[1]!.api, named, '/v1/key')).text)).to.deep.include({ privacy: 'friends', friends: [bobsAccount] })
    for (const api of [nodes.hubs[0]!.api, nodes.hubs[2]!.api, consumer.api]) expect((await ask(named, api)).status, api).to.equal(200)
    // The class of a key is what it may at most; its friends count where a request asks for them too.
    const free = await keyWith({ friends: [bobsAccount] })
    expect((await ask(free, consumer.api, { triforce: { privacy: 'friends' } })).status).to.equal(200)

    for (const key of [await keyWith({ privacy: 'friends' }), await keyWith({ privacy: 'friends', friends: ['0'.repeat(32)] })]) {
      for (const api of [nodes.hubs[0]!.api, consumer.api]) {
        const { status, body } = await ask(key, api)
        expect([status, (body['error'] as { code: string }).code]).to.deep.equal([404, 'no_allowed_host'])
      }
    }
    expect((await ask(named, consumer.api, { triforce: { privacy: 'own' } })).status, 'a wish narrows').to.equal(404)
  })

  it('are accounts, at most 32', async () => {
    for (const friends of [['bob'], [], Array.from({ length: 33 }, (_, index) => index.toString(16).padStart(32, '0'))]) {
      const { status, body } = await post('/v1/keys', nodes.key, { name: 'x', friends })
      expect([status, (body['error'] as { param: string }).param.startsWith('friends')]).to.deep.equal([400, true])
    }
  })
})
