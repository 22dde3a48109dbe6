import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { startNode } from '../../bootstrap/compose.ts'
import { createNodeConfig, type NodeConfig } from '../../bootstrap/config.ts'
import { identityOf } from '../../bootstrap/identity.ts'
import type { NodeSettings } from '../../bootstrap/option-table.ts'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { createClock, createRandom, type System } from '../../bootstrap/system.ts'
import { accountIdOf, apiKeyFromSeed } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { chat, getJson } from '../support/chat-client.ts'
import { testFederation, testKey, type TestKey } from '../support/federation.ts'
import { freePorts } from '../support/free-ports.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'
import { removeDir, temporaryDir } from '../support/up.ts'

/** Nodes with all their parts, in this process: the hubs, a contributor that listens on nothing, and consumers. */
describe('a contributor that only dials out', function () {
  this.timeout(30_000)
  const dir = temporaryDir()
  const nodes: RunningNode[] = []
  const system: System = { clock: createClock(), random: createRandom(), log: quietLog(), addresses: () => [] }
  const account = testKey()
  const key = apiKeyFromSeed(account.seed)
  let hubs: readonly RunningNode[]
  let contributor: RunningNode
  let start: (name: string, key: TestKey, settings: NodeSettings, part?: Partial<NodeConfig>) => Promise<RunningNode>

  before(async () => {
    const made = testFederation({ addresses: (await freePorts(3)).map((port) => `/ip4/127.0.0.1/tcp/${port}`) })
    const { federation } = made
    start = async (name, { seed }, settings, part = {}) => {
      mkdirSync(join(dir, name))
      const config = createNodeConfig({ dir: join(dir, name), apiPort: 0, ollama: 'off', embedded: false, demoModel: false, ...settings }, {
        federation, identity: identityOf(seed), adminToken: 'tfa-test',
      })
      const node = await startNode({ ...config, ...part }, system)
      nodes.push(node)
      return node
    }
    // Each writes for the first time only when the two others say that it never did.
    hubs = await Promise.all(made.hubs.map((one, index) => start(`hub${index}`, one, { mode: 'hub' })))
    const publicKey = toHex(account.signer.publicKey)
    await admin('/v1/admin/accounts', { public_key: publicKey, name: 'ada', tier: 'free' })
    await admin('/v1/admin/keys', { public_key: publicKey, account: toHex(accountIdOf(account.signer.publicKey)), name: 'laptop' })
    for (const hub of hubs) await until('each hub knows the account', async () => (await getJson(hub.api, key, '/v1/credits')).status === 200)
    contributor = await start('contributor', testKey(), { mode: 'contributor', benchSource: true }, { p2pAddresses: [] })
    await until('it is reachable through all hubs', () => contributor.status().reachableThrough.length === 3, 15_000)
  })
  after(async () => {
    for (const node of nodes.toReversed()) await node.stop({ signal: AbortSignal.timeout(8_000) })
    removeDir(dir)
  })

  async function admin(path: string, body: object): Promise<void> {
    const answer = await fetch(hubs[0]!.api + path, {
      method: 'POST', headers: { authorization: 'Bearer tfa-test', 'content-type': 'application/json' }, body: JSON.stringify(body),
    })
    expect(answer.status, path).to.equal(200)
  }

  async function ask(node: RunningNode, tokens: number) {
    const seen = await chat({ api: node.api, apiKey: key, model: 'bench-source', content: `tokens=${tokens}` })
    expect(seen.error).to.equal(undefined)
    expect(seen.text.trim().split(' ')).to.have.length(tokens)
    const { text } = await getJson(node.api, key, `/v1/receipts/${seen.receipt}`)
    return /"path":\s*"(\w+)"/.exec(text)?.[1]
  }

  it('serves a consumer over a circuit: the receipt says relay, and all three count the same job', async () => {
    const consumer = await start('consumer', testKey(), { mode: 'consumer', apiKey: key })
    await until('it has reached the hub', async () => (await fetch(`${consumer.api}/ready`)).status === 200)
    expect(await ask(consumer, 100)).to.equal('relay')
    const hub = hubs.find((one) => one.status().relay!.opened > 0)!
    for (const node of [consumer, contributor, hub]) {
      const { traffic } = node.status()
      expect([traffic.relayed.jobs, traffic.direct.jobs, traffic.proxied.jobs], node.name).to.deep.equal([1, 0, 0])
      expect(traffic.relayed.bytes).to.be.above(500)
    }
    expect(hub.status().relay).to.deep.include({ reservations: 1, circuits: 1, opened: 1 })
    // The next one needs no new circuit.
    expect(await ask(consumer, 10)).to.equal('relay')
    expect(hubs.map((one) => one.status().relay!.opened).reduce((sum, opened) => sum + opened)).to.equal(1)
    const metrics = await (await fetch(`${hub.api}/metrics`)).text()
    expect(metrics).to.include('triforce_jobs_total{path="relayed"} 2').and.to.include('triforce_relay_circuits 1').and.to.include('triforce_relay_reservations 1')
    expect(metrics).to.match(/triforce_job_bytes_total\{path="relayed"\} [1-9]\d{3,}/)
  })

  it('serves by proxy where it holds no place at a hub: the receipt says hub', async () => {
    const shy = await start('shy', testKey(), { mode: 'contributor', benchSource: true, relay: false }, { p2pAddresses: [] })
    await contributor.stop({ signal: AbortSignal.timeout(8_000) })
    await until('the hubs hear of it, and that the other has left', () => hubs.every((hub) => hub.status().models.some(({ hosts }) => hosts === 1)))
    const consumer = nodes.find(({ mode }) => mode === 'consumer')!
    let path: string | undefined
    await until('an answer', async () => {
      path = await ask(consumer, 20).catch(() => undefined)
      return path === 'hub'
    })
    expect(shy.status().reachableThrough).to.deep.equal([])
    for (const counted of [[shy], [consumer], hubs]) expect(counted.reduce((sum, node) => sum + node.status().traffic.proxied.jobs, 0)).to.equal(1)
  })
})
