/** Hubs that check, accounts, ordinary jobs, and machines that lend: in this process, or each in its own. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { composeNode, startNode } from '../../bootstrap/compose.ts'
import { createNodeConfig, type NodeConfig } from '../../bootstrap/config.ts'
import { openGenerationFile } from '../../bootstrap/generation-file.ts'
import { openVendors } from '../../bootstrap/hub-vendors.ts'
import { openOwnKeys } from '../../bootstrap/own-key-file.ts'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { createClock, createRandom, type System } from '../../bootstrap/system.ts'
import { devicesOf } from '../../node/capacity/devices.ts'
import { probeRequest } from '../../node/honesty/prompts.ts'
import { accountIdOf, apiKeyFromSeed } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { textOf, type ChatMessage } from '../../protocol/completion.ts'
import type { Federation } from '../../protocol/federation.ts'
import { testFederation, testKey, type TestKey } from './federation.ts'
import { freePorts } from './free-ports.ts'
import { temporaryDir } from './ledger-world.ts'
import { createPlayedProvider, PLAYED_MODEL, playedGpus, type CheatKind } from './played-model.ts'
import { quietLog } from './quiet-log.ts'
import { seededRandom } from './seeded-random.ts'
import { until } from './until.ts'

const TOKEN = 'admin-token-of-a-test'

export interface Lender {
  readonly peer: string
  readonly kind: CheatKind
  readonly apiKey: string
  /** How its process ended where nobody stopped it. */
  readonly gone: () => string | undefined
  stop(): Promise<void>
}

export interface MachineCheck {
  readonly node: string
  readonly state: string
  readonly failed_by: string | null
  readonly other_hubs_say: string | null
  readonly text: string
  readonly checks_in_state: number
  readonly tallies: Readonly<Record<string, { readonly good: number; readonly bad: number }>>
}

export interface CheatFederation {
  readonly hubs: readonly RunningNode[]
  lend(kind: CheatKind): Promise<Lender>
  /** One ordinary job at that machine, of a user like any other; gives the headers. */
  job(lender: Lender, order: { readonly allowsChecks: boolean }): Promise<Headers>
  checkOf(lender: Lender, hub?: number): Promise<MachineCheck | undefined>
  /** What its account was paid for lending so far, µcr. */
  paid(lender: Lender): Promise<bigint>
  get(path: string, key?: string, hub?: number): Promise<unknown>
  post(path: string, body: object, key?: string, hub?: number): Promise<unknown>
  stop(): Promise<void>
}

/** Waits between checks that fit a test: a second stands for some minutes. A machine that runs all tests at once is overloaded by design. */
const checks = { asks: true, mustPass: true, seriesMs: 300, drawnMs: 200, idleMs: 2_000, lookMs: 50, spellMs: 500, incidents: { lagMsMax: 60_000 } } as const

/** As the waits between checks, much shorter than it is. */
export const PAY_MS = 2_000

/** A hub takes so many orders about machines in a minute and no more. */
export const POLL_MS = 500

export async function startCheatFederation({ processes, seed = 1 }: { readonly processes: boolean; readonly seed?: number }): Promise<CheatFederation> {
  const dir = await temporaryDir()
  const ports = await freePorts(3)
  const { federation, text, hubs: keys } = testFederation({ addresses: ports.map((port) => `/ip4/127.0.0.1/tcp/${port}`) })
  const federationPath = join(dir.path, 'federation.json')
  writeFileSync(federationPath, text)
  const system = testSystem()
  const random = seededRandom(seed)
  const hubs = await Promise.all(keys.map((key, index) => {
    const config = createNodeConfig(
      { mode: 'hub', dir: join(dir.path, `hub${index}`), apiPort: 0, embedded: false, demoModel: false }, { federation, identity: key, adminToken: TOKEN },
    )
    return startNode({ ...config, checks, payEveryMs: PAY_MS }, system)
  }))
  const lenders: Lender[] = []

  async function ask(path: string, { key = TOKEN, hub = 0, body }: { readonly key?: string | undefined; readonly hub?: number | undefined; readonly body?: object }): Promise<Response> {
    const response = await fetch(hubs[hub]!.api + path, {
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response
  }

  async function account(name: string): Promise<TestKey> {
    const key = testKey()
    const publicKey = toHex(key.signer.publicKey)
    await ask('/v1/admin/accounts', { body: { public_key: publicKey, name, tier: 'unlimited' } })
    await ask('/v1/admin/keys', { body: { public_key: publicKey, account: toHex(accountIdOf(key.signer.publicKey)), name: 'key' } })
    await until('every hub knows the account', async () => (await Promise.all(hubs.map((_, hub) => ask('/v1/credits', { key: apiKeyFromSeed(key.seed), hub }).then(() => true, () => false)))).every(Boolean))
    return key
  }

  await until('the hubs write', async () => await ask('/v1/admin/accounts', { body: { public_key: toHex(testKey().signer.publicKey), name: 'first', tier: 'free' } }).then(() => true, () => false), 60_000)
  const users = await Promise.all(['ada', 'ben', 'cleo'].map(account))

  return {
    hubs,
    async lend(kind) {
      const owner = await account(`lender ${lenders.length}`)
      const key = testKey()
      const folder = join(dir.path, `lender${lenders.length}`)
      mkdirSync(folder)
      const order: LenderOrder = { kind, dir: folder, federationPath, seed: toHex(key.seed), apiKey: apiKeyFromSeed(owner.seed) }
      const running = processes ? await forkLender(order) : await startLender(order, federation)
      const lender: Lender = { kind, peer: key.peerId, apiKey: order.apiKey, gone: running.gone, stop: running.stop }
      lenders.push(lender)
      await until('the hubs hear of it', async () => (await Promise.all(hubs.map(async (_, hub) => {
        const { data } = await (await ask('/v1/contributor/registrations', { key: order.apiKey, hub })).json() as { data: readonly { connected: boolean }[] }
        return data.length === 1 && data[0]!.connected
      }))).every(Boolean), 60_000, POLL_MS)
      return lender
    },
    async job(lender, { allowsChecks }) {
      const user = users[Math.floor(random.unit() * users.length)]!
      const isGreedy = allowsChecks || random.unit() < 0.5
      const response = await ask('/v1/chat/completions', {
        key: apiKeyFromSeed(user.seed), body: {
          model: PLAYED_MODEL, messages: [{ role: 'user', content: `Our warehouse has ${Math.floor(random.unit() * 1e9)} shelves; which of them do we count first, and why?` }],
          max_tokens: 64, temperature: isGreedy ? 0 : 0.8, provider: { only: [lender.peer] }, ...(allowsChecks ? { triforce: { checks: true } } : {}),
        },
      })
      await response.text()
      return response.headers
    },
    async checkOf({ peer }, hub = 0) {
      const { data } = await (await ask('/v1/admin/checks', { hub })).json() as { data: readonly MachineCheck[] }
      return data.find(({ node }) => node === peer)
    },
    async paid({ apiKey }) {
      const { money } = await (await ask('/v1/contributor/status', { key: apiKey })).json() as { money: { paid_micro_credits: string } }
      return BigInt(money.paid_micro_credits)
    },
    get: async (path, key, hub) => await (await ask(path, { key, hub })).json(),
    post: async (path, body, key, hub) => await (await ask(path, { key, hub, body })).json(),
    async stop() {
      await Promise.all(lenders.map((lender) => lender.stop()))
      await Promise.all(hubs.map((hub) => hub.stop({ signal: AbortSignal.timeout(10_000) })))
      await dir.remove()
    },
  }
}

export interface LenderOrder {
  readonly kind: CheatKind
  readonly dir: string
  readonly federationPath: string
  /** Hexadecimal. */
  readonly seed: string
  readonly apiKey: string
}

function testSystem(): System {
  return { clock: createClock(), random: createRandom(), log: quietLog(), addresses: () => ['127.0.0.1'] }
}

/** A contributor like any other but for its provider and what it says of its hardware. */
export async function startLender({ kind, dir, seed, apiKey }: Omit<LenderOrder, 'federationPath'>, federation: Federation): Promise<Pick<Lender, 'gone' | 'stop'>> {
  const system = testSystem()
  const config: NodeConfig = createNodeConfig(
    { mode: 'contributor', dir, apiPort: 0, embedded: false, demoModel: false, ollama: 'off', apiKey, name: kind.replaceAll(' ', '-') },
    { federation, identity: testKey(new Uint8Array(Buffer.from(seed, 'hex'))), adminToken: undefined },
  )
  const { clouds, admin: vendorAdmin } = await openVendors(config, system)
  const gpus = playedGpus(kind)
  const node = await composeNode(config, system, {
    provider: createPlayedProvider(kind, { isCheck: looksMadeUp }), clouds, vendorAdmin, ownKeys: await openOwnKeys(config, system), generations: await openGenerationFile(system, { dir }),
    hardware: {
      gpus: () => gpus, devices: () => devicesOf(gpus).map(({ device }) => device), limitVram: () => undefined, engines: () => ['llama.cpp'],
      machine: () => Promise.resolve({ gpus, cpu: 'played', cores: 8, ramBytes: 64e9, diskFreeBytes: 1e12, platform: 'linux x64', driver: '', cuda: '', slowTools: [] }) as never,
    },
  })
  return { gone: () => undefined, stop: () => node.stop({ signal: AbortSignal.timeout(10_000) }) }
}

async function forkLender(order: LenderOrder): Promise<Pick<Lender, 'gone' | 'stop'>> {
  const child: ChildProcess = fork(fileURLToPath(new URL('process-lender.ts', import.meta.url)), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ended = once(child, 'exit')
  child.send(order)
  // One that ends before it is ready says so by its end.
  const [ready] = await Promise.race([once(child, 'message'), ended]) as [unknown]
  if (ready !== 'ready') throw new Error(`a machine did not start: ${String(ready)}`)
  let stopped = false
  return {
    gone: () => stopped || (child.exitCode === null && child.signalCode === null) ? undefined : `the process of "${order.kind}" ended by itself: ${child.signalCode ?? `code ${child.exitCode}`}`,
    stop: async () => {
      stopped = true
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** A cheat has the source too: it knows the parts of which questions are made. */
const parts = new Set(Array.from({ length: 400 }, (_, seed) => textOf(probeRequest('x', { system: false, turns: 1, tier: 'free' }, seededRandom(seed)).messages.at(-1)!)).flatMap((text) => text.split(/\W+/)))

function looksMadeUp(messages: readonly ChatMessage[]): boolean {
  const words = textOf(messages.find(({ role }) => role === 'user') ?? { content: '' }).split(/\W+/)
  return words.filter((word) => parts.has(word)).length > words.length * 0.9
}
