/** Nodes with all their parts in this process: three hubs that know one account, and what a test adds. */
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
import { getJson } from './chat-client.ts'
import { testFederation, testKey, type TestFederation, type TestKey } from './federation.ts'
import { freePorts } from './free-ports.ts'
import { quietLog } from './quiet-log.ts'
import { until } from './until.ts'
import { removeDir, temporaryDir } from './up.ts'

export interface TestNodes {
  readonly hubs: readonly RunningNode[]
  readonly made: TestFederation
  /** API key of the account. */
  readonly key: string
  /** State folder of a node by its name. */
  dirOf(name: string): string
  start(name: string, key: TestKey, settings: NodeSettings, part?: Partial<NodeConfig>): Promise<RunningNode>
  stop(): Promise<void>
}

export interface StartNodesOptions {
  readonly tier?: string
  /** Of the hubs, beside what every node of a test has. */
  readonly hubPart?: Partial<NodeConfig>
}

export async function startNodes({ tier = 'free', hubPart }: StartNodesOptions = {}): Promise<TestNodes> {
  const dir = temporaryDir()
  const nodes: RunningNode[] = []
  const system: System = { clock: createClock(), random: createRandom(), log: quietLog(), addresses: () => [] }
  const account = testKey()
  const key = apiKeyFromSeed(account.seed)
  const made = testFederation({ addresses: (await freePorts(3)).map((port) => `/ip4/127.0.0.1/tcp/${port}`) })

  async function start(name: string, { seed }: TestKey, settings: NodeSettings, part: Partial<NodeConfig> = {}): Promise<RunningNode> {
    mkdirSync(join(dir, name))
    const config = createNodeConfig({ dir: join(dir, name), apiPort: 0, ollama: 'off', embedded: false, demoModel: false, ...settings }, {
      federation: made.federation, identity: identityOf(seed), adminToken: 'tfa-test',
    })
    const node = await startNode({ ...config, ...part }, system)
    nodes.push(node)
    return node
  }

  // Each hub writes for the first time only when the two others say that it never did.
  const hubs = await Promise.all(made.hubs.map((one, index) => start(`hub${index}`, one, { mode: 'hub' }, hubPart)))
  const publicKey = toHex(account.signer.publicKey)
  for (const [path, body] of [
    ['/v1/admin/accounts', { public_key: publicKey, name: 'ada', tier }],
    ['/v1/admin/keys', { public_key: publicKey, account: toHex(accountIdOf(account.signer.publicKey)), name: 'laptop' }],
  ] as const) {
    const answer = await fetch(hubs[0]!.api + path, {
      method: 'POST', headers: { authorization: 'Bearer tfa-test', 'content-type': 'application/json' }, body: JSON.stringify(body),
    })
    expect(answer.status, path).to.equal(200)
  }
  for (const hub of hubs) await until('each hub knows the account', async () => (await getJson(hub.api, key, '/v1/credits')).status === 200)

  return {
    made, hubs, key, start, dirOf: (name) => join(dir, name),
    async stop() {
      for (const node of nodes.toReversed()) await node.stop({ signal: AbortSignal.timeout(8_000) })
      removeDir(dir)
    },
  }
}
