/** A contributor with all its parts that its operator pauses, drains and resumes while it answers, through three hubs. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { chat, type ChatSeen } from '../support/chat-client.ts'
import { testKey } from '../support/federation.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'
import { until } from '../support/until.ts'

const STREAMS = 8
const TOKENS = 120

describe('a machine that is lent, and its operator', function () {
  this.timeout(60_000)
  let nodes: TestNodes
  let lender: RunningNode
  let settingsPath: string
  before(async () => {
    nodes = await startNodes()
    lender = await nodes.start('lender', testKey(), { mode: 'contributor', benchSource: true, slots: STREAMS })
    settingsPath = join(nodes.dirOf('lender'), 'lending.json')
    await offered(true)
  })
  after(async () => { await nodes.stop() })

  /** Until all hubs place jobs here, or none does. */
  async function offered(wanted: boolean): Promise<void> {
    for (const hub of nodes.hubs) {
      await until(`${hub.name} ${wanted ? 'offers' : 'does not offer'} it`, () => hub.status().models.some(({ id }) => id === 'bench-source') === wanted, 15_000)
    }
  }
  async function control(method: string, path: string, body: object = {}): Promise<Record<string, unknown>> {
    const response = await fetch(`${lender.api}/v1/contributor/${path}`, {
      method, headers: { authorization: 'Bearer tfa-test', 'content-type': 'application/json' }, ...(method === 'GET' ? {} : { body: JSON.stringify(body) }),
    })
    expect(response.status, path).to.equal(200)
    return await response.json() as Record<string, unknown>
  }
  const ask = (hub: number, content: string, onText?: (text: string) => void): Promise<ChatSeen> =>
    chat({ api: nodes.hubs[hub % 3]!.api, apiKey: nodes.key, model: 'bench-source', content, ...(onText === undefined ? {} : { onText }) })

  it('finishes 8 running streams when it is drained, word for word, and takes no ninth', async () => {
    let begun = 0
    const streams = Array.from({ length: STREAMS }, (_, index) => {
      let isFirst = true
      return ask(index, `tokens=${TOKENS} batch=1 gapMs=25`, () => {
        if (isFirst) begun += 1
        isFirst = false
      })
    })
    await until('all streams have begun', () => begun === STREAMS, 20_000)
    const drained = await control('POST', 'drain')
    expect([drained['lending'], drained['running']]).to.deep.equal([false, STREAMS])
    expect((drained['explanation'] as string[])[0]).to.contain('8 answers are still being finished')
    // At once, before any hub can have heard of it, and when all have.
    const early = await ask(0, 'tokens=3')
    await offered(false)
    const late = await ask(1, 'tokens=3')
    for (const ninth of [early, late]) expect([ninth.status, ninth.text], ninth.error).to.deep.equal([503, ''])
    const words = Array.from({ length: TOKENS }, (_, index) => `t${index}`).join(' ')
    for (const seen of await Promise.all(streams)) expect([seen.text.trim(), seen.finish, seen.done, seen.error]).to.deep.equal([words, 'stop', true, undefined])
    expect((await control('GET', 'controls'))['running']).to.equal(0)
    await control('POST', 'resume')
    await offered(true)
    // Nobody blames it for what its operator did.
    expect((await ask(0, 'tokens=3')).text).to.equal('t0 t1 t2 ')
  })

  it('goes away for the hubs at once when it is paused, and says why; comes back when it is resumed', async () => {
    await control('POST', 'pause', { for_minutes: 90 })
    await offered(false)
    const words = (await (await fetch(`${lender.api}/v1/contributor/status`)).json() as { explanation: string[] }).explanation.join('\n')
    expect(words).to.match(/It does not lend now: it is paused until \d\d:\d\d.*It lends again at/)
    await control('POST', 'resume')
    await offered(true)
  })

  it('obeys its settings file while it runs, and stops lending rather than to misread it', async () => {
    const file = () => JSON.parse(readFileSync(settingsPath, 'utf8')) as { controls: object }
    await control('PATCH', 'controls', { friends: ['ab'.repeat(16)] })
    expect(file().controls).to.deep.equal({ friends: ['ab'.repeat(16)] })
    writeFileSync(settingsPath, JSON.stringify({ v: 1, controls: { pause: { sinceMs: 1 } } }))
    await offered(false)
    writeFileSync(settingsPath, JSON.stringify({ v: 1, controls: { uploadMbit: 2 } }))
    await until('the mistake is told', async () => JSON.stringify(await control('GET', 'controls')).includes('uploadMbit'))
    expect((await control('GET', 'controls'))['lending']).to.equal(false)
    writeFileSync(settingsPath, JSON.stringify({ v: 1 }))
    await offered(true)
  })
})
