import { toolClients } from '../support/tool-clients.ts'
import { expect } from 'chai'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { testKey } from '../support/federation.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'
import { startOllamaServer, type OllamaServer } from '../support/ollama-server.ts'
import { until } from '../support/until.ts'

const MODEL = 'able:8b'

/** The official clients, the bridge, libp2p, and a contributor with Ollama; every part but Ollama is the real one. */
describe('clients of a contributor over whole nodes', function () {
  this.timeout(30_000)
  let ollama: OllamaServer
  let nodes: TestNodes
  let consumer: RunningNode

  before(async () => {
    ollama = await startOllamaServer([{ name: MODEL, capabilities: ['completion', 'tools'] }])
    nodes = await startNodes()
    await nodes.start('contributor', testKey(), { mode: 'contributor', ollama: { url: ollama.host } })
    consumer = await nodes.start('consumer', testKey(), { mode: 'consumer', apiKey: nodes.key })
    await until('it has reached the hub', async () => (await fetch(`${consumer.api}/ready`)).status === 200)
    for (const hub of nodes.hubs) await until('the model is offered', () => hub.status().models.some(({ id, hosts }) => id === MODEL && hosts === 1), 15_000)
  })
  after(async () => {
    await nodes.stop()
    await ollama.stop()
  })

  const call = (city: string) => ({ tool_calls: [{ function: { name: 'weather', arguments: { city } } }] })

  for (const [name, connect] of Object.entries(toolClients)) {
    for (const where of ['a hub', 'a consumer'] as const) {
      it(`${name} at ${where}: two calls and an answer from their results, streamed and whole, keep ids, order and usage`, async () => {
        const client = connect(where === 'a hub' ? nodes.hubs[0]!.api : consumer.api, nodes.key)
        for (const stream of [true, false]) {
          ollama.behaviour.messages = [{ content: 'Let me' }, { content: ' look.' }, call('Paris'), call('Rome')]
          const first = await client.first(MODEL, stream)
          expect(first).to.deep.include({ text: 'Let me look.', usage: { prompt: 26, completion: 39 } })
          expect(first.calls.map(({ name: tool, input }) => ({ tool, input }))).to.deep.equal([{ tool: 'weather', input: { city: 'Paris' } }, { tool: 'weather', input: { city: 'Rome' } }])

          ollama.behaviour.messages = [{ content: 'Rain in Paris,' }, { content: ' and sun in Rome.' }]
          expect((await client.second(MODEL, stream, first)).text).to.equal('Rain in Paris, and sun in Rome.')
          const messages = ollama.chats.at(-1)!['messages'] as { role: string; tool_call_id?: string; tool_calls?: { id: string }[] }[]
          const [paris, rome] = first.calls.map(({ id }) => id)
          expect(messages.flatMap(({ tool_calls: calls }) => calls?.map(({ id }) => id) ?? [])).to.deep.equal([paris, rome])
          expect(messages.flatMap(({ tool_call_id: id }) => id ?? [])).to.deep.equal([rome, paris])
        }
      })
    }
  }
})
