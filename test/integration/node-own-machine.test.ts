/** A hybrid node over whole nodes: what its operator asks is answered within its own process, and no hub reads it. */
import { expect } from 'chai'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { getJson } from '../support/chat-client.ts'
import { testKey } from '../support/federation.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'
import { until } from '../support/until.ts'

describe('a machine that lends and asks', function () {
  this.timeout(60_000)
  const key = testKey()
  let nodes: TestNodes
  let hybrid: RunningNode

  before(async () => {
    nodes = await startNodes({ tier: 'unlimited' })
    hybrid = await nodes.start('hybrid', key, { mode: 'hybrid', apiKey: nodes.key }, { benchSource: true })
    for (const hub of nodes.hubs) await until('the model is offered', () => hub.status().models.some(({ id }) => id === 'bench-source'), 15_000)
    await until('the machine is the account\'s own at every hub', async () => (await Promise.all(nodes.hubs.map(async ({ api }) => {
      const { text } = await getJson(api, nodes.key, '/v1/route?model=bench-source&privacy=own')
      return (JSON.parse(text) as { candidates: unknown[] }).candidates.length === 1
    }))).every(Boolean), 20_000, 100)
  })
  after(() => nodes.stop())

  async function ask(privacy: string, stream = false): Promise<{ readonly status: number; readonly host: string | null; readonly text: string }> {
    const response = await fetch(`${hybrid.api}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${nodes.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'bench-source', stream, messages: [{ role: 'user', content: 'tokens=40' }], triforce: { privacy } }),
    })
    return { status: response.status, host: response.headers.get('x-triforce-host'), text: await response.text() }
  }

  it('answers its own questions, also those that only own machines may see, with a receipt and without a hub on the way', async () => {
    for (const privacy of ['own', 'cloud']) {
      const { status, host, text } = await ask(privacy)
      expect([status, host]).to.deep.equal([200, key.peerId])
      const { choices, triforce } = JSON.parse(text) as { choices: { message: { content: string } }[]; triforce: { receipt: string } }
      expect(choices[0]!.message.content.trim().split(' ')).to.have.length(40)
      await until('its receipt is on every hub', async () => (await Promise.all(nodes.hubs.map(({ api }) => getJson(api, nodes.key, `/v1/receipts/${triforce.receipt}`)))).every((answer) => answer.status === 200), 20_000)
    }
    expect((await ask('own', true)).text).to.include('data: [DONE]')
    const { traffic } = JSON.parse((await getJson(hybrid.api, nodes.key, '/v1/status')).text) as { traffic: Record<string, { jobs: number }> }
    expect([traffic['direct']!.jobs, traffic['relayed']!.jobs, traffic['proxied']!.jobs]).to.deep.equal([3, 0, 0])
  })
})
