/**
 * Three hubs in one process, with real libp2p, ledgers and bridges, that reach vendors played by local servers; and the
 * accounts that spend there. What an account was charged is read from the hubs, what it should be from the vendors' bills.
 */
import { plan } from '../../ledger/tables/plan.ts'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { startNode } from '../../bootstrap/compose.ts'
import { createNodeConfig, type NodeConfig } from '../../bootstrap/config.ts'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { createClock, createRandom, type System } from '../../bootstrap/system.ts'
import { apiKeyFromSeed } from '../../protocol/api-key.ts'
import type { CloudAccess } from '../../providers/cloud/clouds.ts'
import { testFederation, testKey } from './federation.ts'
import { freePorts } from './free-ports.ts'
import { temporaryDir } from './ledger-world.ts'
import { quietLog } from './quiet-log.ts'
import { until } from './until.ts'

export interface CloudFederation {
  /** HTTP addresses of the hubs. */
  readonly apis: readonly string[]
  readonly nodes: readonly RunningNode[]
  /** A new account that every hub knows, with credits (µcr) and without quota left where `quota` is false. */
  account(microCredits: bigint): Promise<SpendingAccount>
  /** A consumer of that account. */
  consumer(account: SpendingAccount): Promise<RunningNode>
  /** A contributor with one slot for the bench source. */
  contributor(): Promise<RunningNode>
  /** The ledgers' own word: totals and problems of a fold of everything from one hub's disk. */
  audit(hub: number): Promise<{ readonly problems: readonly string[]; readonly totals_micro_credits: Readonly<Record<string, string>> }>
  /** Stops a hub without waiting for anything that runs there. */
  kill(hub: number): Promise<void>
  stop(): Promise<void>
}

export interface SpendingAccount {
  readonly apiKey: string
  readonly seed: Uint8Array
  readonly id: string
  /** As a hub tells it. */
  credits(hub?: number): Promise<CreditsView>
  lines(hub?: number): Promise<readonly LineView[]>
}

export interface CreditsView {
  readonly balance_micro_credits: string
  readonly held_micro_credits: string
  readonly on_its_way_micro_credits: string
  readonly quota: { readonly used_tokens: number }
}

export interface LineView {
  readonly kind: string
  readonly amount_micro_credits: string
  readonly quota_tokens: number
  readonly hold: string | null
  readonly receipt: string | null
}

const TOKEN = 'admin-token-of-a-test'

/** `access`: vendors' keys of each hub. */
export async function startCloudFederation(
  access: readonly [readonly CloudAccess[], readonly CloudAccess[], readonly CloudAccess[]], { vendorTransport }: Pick<NodeConfig, 'vendorTransport'> = {},
): Promise<CloudFederation> {
  const dir = await temporaryDir()
  const ports = await freePorts(3)
  const { federation, hubs } = testFederation({ addresses: ports.map((port) => `/ip4/127.0.0.1/tcp/${port}`) })
  const system: System = { clock: createClock(), random: createRandom(), log: quietLog(), addresses: () => ['127.0.0.1'] }
  const nodes = await Promise.all(hubs.map((key, index) => startNode({ ...createNodeConfig(
    { mode: 'hub', dir: join(dir.path, `hub${index}`), apiPort: 0, embedded: false, demoModel: false },
    { federation, identity: key, adminToken: TOKEN, cloudAccess: access[index]! },
  ), ...(vendorTransport === undefined ? {} : { vendorTransport }) }, system)))
  /** Nodes that are no hubs. */
  const consumers: RunningNode[] = []
  const apis = nodes.map(({ api }) => api)

  async function ask(api: string, path: string, key: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${api}${path}`, {
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
    return JSON.parse(text)
  }

  // Free accounts may ask as much at once as the tests want to; everything else of their tier stays.
  const rows = plan.tiers.rows.map((row) => ({ ...row, requestsPerMinute: null, concurrentMax: 1_000 }))
  let change: { id: string } | undefined
  await until('the first hub takes a change of the tiers', async () => {
    change = await ask(apis[0]!, '/v1/admin/changes', TOKEN, { type: 'table', table: 'tiers', rev: 1, content: { rows } }).catch(() => undefined) as typeof change
    return change !== undefined
  }, 20_000)
  await until('a second hub signs it', async () => await ask(apis[1]!, `/v1/admin/changes/${change!.id}/approve`, TOKEN, {}).then(() => true, () => false))
  await until('every hub goes by it', async () => (await Promise.all(apis.map((api) => ask(api, '/v1/admin/tables/tiers', TOKEN) as Promise<{ rev: number }>))).every(({ rev }) => rev === 1))

  return {
    apis, nodes,
    async account(microCredits) {
      const { seed, signer } = testKey()
      const publicKey = Buffer.from(signer.publicKey).toString('hex')
      const { account: id } = await ask(apis[0]!, '/v1/admin/accounts', TOKEN, { public_key: publicKey, name: 'spender', tier: 'free' }) as { account: string }
      await ask(apis[0]!, '/v1/admin/keys', TOKEN, { public_key: publicKey, account: id, name: 'key' })
      if (microCredits > 0n) await ask(apis[0]!, '/v1/admin/grants', TOKEN, { account: id, amount_micro_credits: microCredits.toString(), source: randomBytes(4).toString('hex') })
      const apiKey = apiKeyFromSeed(seed)
      const credits = async (hub = 0) => await ask(apis[hub]!, '/v1/credits', apiKey) as CreditsView
      await until('every hub knows the account and its credits', async () => {
        const told = await Promise.all(apis.map((_, hub) => credits(hub).catch(() => undefined)))
        return told.every((one) => one?.balance_micro_credits === microCredits.toString())
      })
      return {
        apiKey, seed, id, credits,
        async lines(hub = 0) {
          const all: LineView[] = []
          let cursor: string | null = ''
          while (cursor !== null) {
            const page = await ask(apis[hub]!, `/v1/statement?limit=100${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`, apiKey) as { data: LineView[]; next_cursor: string | null }
            all.push(...page.data)
            cursor = page.next_cursor
          }
          return all
        },
      }
    },
    async consumer({ apiKey }) {
      const node = await startNode(createNodeConfig(
        { mode: 'consumer', dir: join(dir.path, `consumer${consumers.length}`), apiPort: 0, apiKey },
        { federation, identity: testKey(), adminToken: undefined },
      ), system)
      consumers.push(node)
      return node
    },
    async contributor() {
      const node = await startNode(createNodeConfig(
        { mode: 'contributor', dir: join(dir.path, `contributor${consumers.length}`), apiPort: 0, embedded: false, demoModel: false, ollama: 'off', benchSource: true, slots: 1 },
        { federation, identity: testKey(), adminToken: undefined },
      ), system)
      consumers.push(node)
      return node
    },
    audit: async (hub) => await ask(apis[hub]!, '/v1/admin/audit', TOKEN, {}) as Awaited<ReturnType<CloudFederation['audit']>>,
    kill: (hub) => nodes[hub]!.stop({ signal: AbortSignal.abort() }),
    async stop() {
      await Promise.all(consumers.map((node) => node.stop({ signal: AbortSignal.timeout(10_000) })))
      await Promise.all(nodes.map((node) => node.stop({ signal: AbortSignal.timeout(10_000) })))
      await dir.remove()
    },
  }
}
