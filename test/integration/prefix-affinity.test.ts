/** Conversations over whole nodes: three contributors with one model, and a hub that remembers which of them has read what. */
import { expect } from 'chai'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { getJson } from '../support/chat-client.ts'
import { testKey } from '../support/federation.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'
import { until } from '../support/until.ts'

type Message = { readonly role: string; readonly content: string }

const LENDERS = 3
const about = (subject: number): Message => ({ role: 'system', content: `You know all there is to know about subject ${subject}. `.repeat(16) })

describe('conversations stay with the host that knows their beginning', function () {
  this.timeout(60_000)
  let nodes: TestNodes
  let consumer: RunningNode

  before(async () => {
    nodes = await startNodes({ tier: 'unlimited' })
    await Promise.all(Array.from({ length: LENDERS }, (_, index) => nodes.start(`lender${index}`, testKey(), { mode: 'contributor' }, { benchSource: true })))
    for (const hub of nodes.hubs) await until('the model is offered', () => hub.status().models.some(({ id, hosts }) => id === 'bench-source' && hosts === LENDERS), 15_000)
    consumer = await nodes.start('consumer', testKey(), { mode: 'consumer', apiKey: nodes.key })
    await until('the consumer reached a hub', async () => (await fetch(`${consumer.api}/ready`)).status === 200, 30_000)
  })
  after(() => nodes.stop())

  async function answer(messages: readonly Message[], api = nodes.hubs[0]!.api): Promise<{ readonly host: string; readonly reply: Message }> {
    const response = await fetch(`${api}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${nodes.key}`, 'content-type': 'application/json' }, body: JSON.stringify({ model: 'bench-source', messages }),
    })
    expect(response.status).to.equal(200)
    const { choices } = await response.json() as { choices: { message: Message }[] }
    return { host: response.headers.get('x-triforce-host')!, reply: choices[0]!.message }
  }

  async function knownAt(): Promise<number> {
    const { status, text } = await getJson(nodes.hubs[0]!.api, nodes.key, '/v1/route?model=bench-source')
    expect(status).to.equal(200)
    return (JSON.parse(text) as { candidates: { because: string }[] }).candidates.filter(({ because }) => /has \d+ beginnings? of your prompts in its memory/.test(because)).length
  }

  /** Hosts of five turns. */
  async function converse(subject: number, api?: string): Promise<readonly string[]> {
    let messages: readonly Message[] = [about(subject), { role: 'user', content: 'tokens=8' }]
    const hosts: string[] = []
    for (let turn = 0; turn < 5; turn += 1) {
      const { host, reply } = await answer(messages, api)
      hosts.push(host)
      messages = [...messages, { role: 'assistant', content: reply.content }, { role: 'user', content: `tokens=8 ${turn}` }]
    }
    return hosts
  }

  it('turn after turn, while other conversations go to others, and the route says so', async () => {
    expect(await knownAt()).to.equal(0)
    const first = new Map<number, string>()
    for (let subject = 0; subject < 12; subject += 1) {
      const hosts = await converse(subject)
      expect(new Set(hosts).size, `hosts of conversation ${subject}`).to.equal(1)
      first.set(subject, hosts[0]!)
    }
    // By chance alone all twelve would meet one host once in 100,000 times.
    expect(new Set(first.values()).size).to.be.above(1)
    expect(await knownAt()).to.equal(new Set(first.values()).size)
    // A new conversation with a system message that is known goes where that was read.
    for (const [subject, host] of first) expect((await answer([about(subject), { role: 'user', content: 'tokens=2 anew' }])).host).to.equal(host)
  })

  it('of a consumer that streams on its own too, though no hub sees its prompts', async () => {
    const before = await knownAt()
    for (let subject = 100; subject < 106; subject += 1) expect(new Set(await converse(subject, consumer.api)).size, `hosts of conversation ${subject}`).to.equal(1)
    expect(await knownAt()).to.equal(before)
  })

  it('and each short question goes anywhere', async () => {
    const hosts = new Set<string>()
    for (let n = 0; n < 24; n += 1) hosts.add((await answer([{ role: 'user', content: 'tokens=2' }])).host)
    expect(hosts.size).to.be.above(1)
  })
})
