import { expect } from 'chai'
import { BadRequestError, OpenAI } from 'openai'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { getJson } from '../support/chat-client.ts'
import { testKey } from '../support/federation.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'
import { startOllamaServer, type OllamaServer } from '../support/ollama-server.ts'
import { until } from '../support/until.ts'

const MODEL = 'nomic-embed-text:latest'

/** The official client, the bridge, libp2p, and a contributor with Ollama; every part but Ollama is the real one. */
describe('embeddings over whole nodes', function () {
  this.timeout(30_000)
  let ollama: OllamaServer
  let nodes: TestNodes
  let consumer: RunningNode

  before(async () => {
    ollama = await startOllamaServer([{ name: MODEL, capabilities: ['embedding'] }, { name: 'llama3.2:latest' }])
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

  const clientOf = (node: RunningNode) => new OpenAI({ apiKey: nodes.key, baseURL: `${node.api}/v1`, maxRetries: 0 })

  /** As test/support/ollama-server.ts makes them. */
  function expected(inputs: readonly string[], dimensions: number): number[][] {
    return inputs.map((input) => Array.from({ length: dimensions }, (_, index) => Math.fround(input.length / (index + 1))))
  }

  it('gives through a hub and straight from the contributor the very vectors of the engine, with a receipt', async () => {
    // 100 vectors of 1,024 numbers are 400 KB: many frames.
    const inputs = Array.from({ length: 100 }, (_, index) => 'x'.repeat(index + 1))
    for (const node of [nodes.hubs[0]!, consumer]) {
      const answer = await clientOf(node).embeddings.create({ model: MODEL, input: inputs, dimensions: 1_024 })
      expect(answer.data.map(({ embedding }) => embedding)).to.deep.equal(expected(inputs, 1_024))
      expect(answer.usage.prompt_tokens).to.be.above(0)
      const { receipt, cost_micro_credits: cost } = (answer as unknown as { triforce: { receipt: string; cost_micro_credits: string } }).triforce
      expect(cost).to.equal('0')
      const { text } = await getJson(node.api, nodes.key, `/v1/receipts/${receipt}`)
      expect(text).to.match(/"completionTokens":\s*0\b/).and.to.match(node === consumer ? /"path":\s*"direct"/ : /"path":\s*"hub"/)
      // Both sides hashed the same bytes, so the contributor's half stands in the receipt.
      const { text: list } = await getJson(node.api, nodes.key, '/v1/receipts?limit=1')
      expect((JSON.parse(list) as { data: { signed_by: string[] }[] }).data[0]!.signed_by).to.have.members(['contributor', 'hub'])
    }
  })

  it('refuses a model that makes none, and a chat with one that makes only those', async () => {
    const client = clientOf(nodes.hubs[1]!)
    const noEmbedding = await client.embeddings.create({ model: 'llama3.2:latest', input: 'x' }).then(() => undefined, (error: unknown) => error)
    const noChat = await client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: 'x' }] }).then(() => undefined, (error: unknown) => error)
    for (const error of [noEmbedding, noChat]) {
      expect(error).to.be.instanceOf(BadRequestError)
      expect(error).to.include({ code: 'capability_missing' })
    }
  })
})
