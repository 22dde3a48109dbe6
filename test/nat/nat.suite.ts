/**
 * `npm run test:nat`: a federation whose machines stand behind real NAT. Needs root on Linux with iproute2 and nftables;
 * elsewhere it says why it is skipped. Nodes are the real program in their own processes.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { StatusView } from '../../bootstrap/api-schemas.ts'
import { toHex } from '../../protocol/bytes.ts'
import { testFederation, type TestFederation } from '../support/federation.ts'
import { until } from '../support/until.ts'
import { removeDir, temporaryDir } from '../support/up.ts'
import { killNodes, startAgentIn, startNodeIn, startUpnpIn, triforceIn, type Agent, type NodeProcess } from './in-namespace.ts'
import { createInternet, problemWithNamespaces, type Internet } from './namespaces.ts'

// Addresses that the software takes for public ones; nothing leaves the namespaces.
const HUBS = ['5.9.1.11', '5.9.1.12', '5.9.1.13'] as const
const HUB_PORT = 4330
const ROUTER_A = '5.9.1.21'
const API = 'http://127.0.0.1:8330'
const SECRET = 'marmalade-on-the-moon'
/** What the bench source answers with; a piece of it that always leaves in one frame. */
const ANSWER = 't3 t4 t5 t6 t7 t8 '

describe('behind NAT', function () {
  // Seven processes start one after the other; a machine that is busy otherwise takes long for that.
  this.timeout(240_000)
  let dir = ''
  let internet: Internet
  let federation: TestFederation
  let key = ''
  const nodes = new Map<string, NodeProcess>()
  const agents = new Map<string, Agent>()
  let outer: string = ROUTER_A
  let home = '192.168.1.2'

  const hubApi = (index: number) => `http://127.0.0.1:${8330 + index}`
  const agent = (machine: string) => agents.get(machine)!

  function startHub(index: number): Promise<NodeProcess> {
    return startNodeIn(internet.nameOf('hubs'), join(dir, `hub${index}`), [
      '--mode', 'hub', '--federation', join(dir, 'federation.json'), '--api-port', String(8330 + index), '--p2p', `/ip4/${HUBS[index]}/tcp/${HUB_PORT}`,
    ], { NODE_OPTIONS: `--import ${join(import.meta.dirname, 'tap.ts')}`, TRIFORCE_TEST_TAP: join(dir, `tap${index}`) })
  }

  async function start(machine: string, mode: 'contributor' | 'consumer', ...args: readonly string[]): Promise<void> {
    nodes.set(machine, await startNodeIn(internet.nameOf(machine), join(dir, machine), [
      '--mode', mode, '--federation', join(dir, 'federation.json'), ...(mode === 'consumer' ? ['--key', key] : ['--bench-source', 'on']), ...args,
    ]))
    if (!agents.has(machine)) agents.set(machine, await startAgentIn(internet.nameOf(machine)))
    await until(`${machine} is ready`, async () => (await agent(machine).get(`${API}/ready`)).status === 200, 20_000)
  }

  async function status(machine: string, api = API): Promise<StatusView> {
    return JSON.parse((await agent(machine).get(`${api}/v1/status`)).text) as StatusView
  }

  /** The consumers stay from test to test. */
  async function consumer(machine: string): Promise<void> {
    if (!nodes.has(machine)) await start(machine, 'consumer')
  }

  async function lendAgain(...args: readonly string[]): Promise<void> {
    await nodes.get('lender')!.kill('SIGTERM')
    await start('lender', 'contributor', ...args)
    await until('the hubs hear of it', async () => (await status('hubs', hubApi(0))).models.some(({ id }) => id === 'bench-source'), 20_000)
  }

  async function ask(machine: string, api = API, tokens = 60) {
    const seen = await agent(machine).chat({ api, apiKey: key, model: 'bench-source', content: `tokens=${tokens} ${SECRET}` })
    expect(seen.error).to.equal(undefined)
    expect(seen.done).to.equal(true)
    expect(seen.text).to.equal(Array.from({ length: tokens }, (_, index) => `t${index} `).join(''))
    const receipt = JSON.parse((await agent(machine).get(`${api}/v1/receipts/${seen.receipt}`, key)).text) as { observation?: { path?: string } }
    const path = /"path":\s*"(\w+)"/.exec(JSON.stringify(receipt))?.[1]
    return { ...seen, path }
  }

  /** Asks until an answer comes on this path: the first ones may go another way, or fail, while connections are being made. */
  async function askUntil(path: string, machine: string, waitMsMax = 30_000): Promise<void> {
    let last = 'nothing'
    await until(`an answer by ${path} at ${machine}`, async () => {
      last = await ask(machine).then((seen) => String(seen.path), (error: Error) => error.message)
      return last === path
    }, waitMsMax).catch((error: Error) => {
      throw new Error(`${error.message}; the last was ${last}`)
    })
  }

  const reserved = async () => (await status('lender')).reachable_through.length === 3

  before(async function () {
    const problem = await problemWithNamespaces()
    if (problem !== undefined) {
      process.stdout.write(`  skipped: ${problem}\n`)
      this.skip()
    }
    dir = temporaryDir()
    internet = await createInternet()
    federation = testFederation({ addresses: HUBS.map((address) => `/ip4/${address}/tcp/${HUB_PORT}`) })
    writeFileSync(join(dir, 'federation.json'), federation.text)
    await internet.machine('hubs', ...HUBS)
    await internet.machine('public', '5.9.1.41')
    await internet.router('routera', ROUTER_A)
    await internet.router('routerb', '5.9.1.31')
    await internet.behind('routera', 'lender', '192.168.1.2')
    await internet.behind('routera', 'flatmate', '192.168.1.4')
    // The same private network as at the lender's home.
    await internet.behind('routerb', 'guest', '192.168.1.3')
    for (const [index, hub] of federation.hubs.entries()) {
      mkdirSync(join(dir, `hub${index}`), { mode: 0o700 })
      writeFileSync(join(dir, `hub${index}`, 'node.key'), JSON.stringify({ v: 1, peerId: hub.peerId, key: { type: 'plain', seed: toHex(hub.seed) } }), { mode: 0o600 })
    }
    for (const [index, node] of (await Promise.all([0, 1, 2].map(startHub))).entries()) nodes.set(`hub${index}`, node)
    agents.set('hubs', await startAgentIn(internet.nameOf('hubs')))
    for (const index of [0, 1, 2]) await until('the hubs are ready', async () => (await agent('hubs').get(`${hubApi(index)}/ready`)).status === 200, 20_000)
    const made = await triforceIn(internet.nameOf('hubs'), 'key', 'create', '--name', 'ada', '--credits', '100', '--dir', join(dir, 'hub0')) as { apiKey: string }
    key = made.apiKey
    await start('lender', 'contributor')
    await until('the lender is reachable through all three hubs', reserved, 20_000)
  })
  after(async () => {
    for (const one of agents.values()) one.stop()
    killNodes()
    await Promise.all([...nodes.values()].map((node) => node.kill('SIGKILL')))
    await internet?.remove()
    if (dir !== '' && process.env['TRIFORCE_TEST_KEEP'] === undefined) removeDir(dir)
  })

  it('a contributor behind a router serves what is asked at each hub', async () => {
    for (const index of [0, 1, 2]) expect((await ask('hubs', hubApi(index))).path).to.equal('hub')
    const { traffic } = await status('lender')
    expect(traffic.proxied.jobs).to.equal(3)
    expect(traffic.proxied.bytes).to.be.above(500)
  })

  it('and a consumer with a public address, by a circuit through a hub that cannot read it', async () => {
    await consumer('public')
    await askUntil('relay', 'public')
    const before = { lender: (await status('lender')).traffic, hub: await Promise.all([0, 1, 2].map(async (index) => (await status('hubs', hubApi(index))).traffic)) }
    expect((await ask('public')).path).to.equal('relay')
    const { traffic } = await status('lender')
    expect(traffic.relayed.jobs).to.equal(before.lender.relayed.jobs + 1)
    const bytes = traffic.relayed.bytes - before.lender.relayed.bytes
    expect(bytes).to.be.above(500)
    const carried = (await Promise.all([0, 1, 2].map(async (index) => (await status('hubs', hubApi(index))).traffic.relayed.bytes - before.hub[index]!.relayed.bytes)))
      .reduce((sum, one) => sum + one, 0)
    expect(carried, 'what the hub carried: the same bytes, and two layers of encryption').to.be.above(bytes)

    const tapped = (kind: string) => Buffer.concat([0, 1, 2].map((index) => {
      try {
        return readFileSync(join(dir, `tap${index}.${kind}`))
      } catch {
        return Buffer.alloc(0)
      }
    }))
    // The hubs read the jobs of the test before, which shows that the tap works.
    expect(tapped('job').includes(SECRET)).to.equal(true)
    expect(tapped('job').includes(ANSWER)).to.equal(true)
    expect(tapped('circuit').byteLength).to.be.above(2 * bytes)
    expect(tapped('circuit').includes(SECRET)).to.equal(false)
    expect(tapped('circuit').includes(ANSWER)).to.equal(false)
    const metrics = (await agent('public').get(`${API}/metrics`)).text
    expect(metrics).to.match(/triforce_jobs_total\{path="relayed"\} [1-9]/)
  })

  it('and a consumer behind another router with the same private network', async () => {
    await consumer('guest')
    await askUntil('relay', 'guest')
    expect((await ask('guest')).path).to.equal('relay')
  })

  it('and a consumer in the same home, directly', async () => {
    await consumer('flatmate')
    await askUntil('direct', 'flatmate')
    const before = (await status('flatmate')).traffic
    expect((await ask('flatmate')).path).to.equal('direct')
    const { traffic } = await status('flatmate')
    expect([traffic.direct.jobs, traffic.relayed.jobs]).to.deep.equal([before.direct.jobs + 1, before.relayed.jobs])
    expect(traffic.direct.bytes).to.be.above(before.direct.bytes + 500)
  })

  it('a killed hub that comes back carries circuits again', async () => {
    await consumer('guest')
    await nodes.get('hub0')!.kill('SIGKILL')
    // The others go on meanwhile.
    await askUntil('relay', 'guest')
    nodes.set('hub0', await startHub(0))
    const startMs = performance.now()
    await until('the lender is reachable through all three hubs again', reserved, 40_000)
    process.stdout.write(`      reachable through the restarted hub after ${Math.round(performance.now() - startMs)} ms\n`)
    await askUntil('relay', 'guest')
  })

  it('the lender gets another address at home, and is back within seconds', async () => {
    await consumer('guest')
    await internet.changeAddress('lender', home, '192.168.1.50')
    home = '192.168.1.50'
    const startMs = performance.now()
    // What is asked meanwhile fails, or waits for a dead connection.
    await until('a hub reaches it', async () => (await agent('hubs').chat({ api: hubApi(1), apiKey: key, model: 'bench-source', content: 'tokens=20' })).done, 30_000)
    process.stdout.write(`      served again after ${Math.round(performance.now() - startMs)} ms\n`)
    expect(readFileSync(join(dir, 'lender.log'), 'utf8')).to.include('addresses of this machine have changed')
    await until('and through all of them', reserved, 30_000)
    await askUntil('relay', 'guest')
  })

  it('the lender sleeps while its router gets another address, and is back within seconds of waking up', async () => {
    nodes.get('lender')!.process.kill('SIGSTOP')
    await consumer('guest')
    await internet.changeRouter('routera', outer, '5.9.1.22')
    outer = '5.9.1.22'
    await new Promise((resolve) => setTimeout(resolve, 12_000))
    nodes.get('lender')!.process.kill('SIGCONT')
    const startMs = performance.now()
    await until('a hub reaches it', async () => (await agent('hubs').chat({ api: hubApi(2), apiKey: key, model: 'bench-source', content: 'tokens=20' })).done, 30_000)
    process.stdout.write(`      served again after ${Math.round(performance.now() - startMs)} ms\n`)
    expect(readFileSync(join(dir, 'lender.log'), 'utf8')).to.include('this machine was asleep')
    await until('and through all of them', reserved, 30_000)
    await askUntil('relay', 'guest')
  })

  it('a port that the router opens by UPnP makes it direct for those outside too', async () => {
    for (const machine of ['public', 'guest']) await consumer(machine)
    const stopUpnp = await startUpnpIn(internet.nameOf('routera'), '192.168.1.1', outer)
    await lendAgain('--upnp', 'on')
    await askUntil('direct', 'public', 60_000)
    await askUntil('direct', 'guest')
    await until('what came of it is said', () => readFileSync(join(dir, 'lender.log'), 'utf8').includes('the router opened a port'), 20_000)
    stopUpnp()
  })

  it('and so does a port that was opened by hand and is announced', async () => {
    await consumer('public')
    await internet.forward('routera', 4_001, home, 4_001)
    await lendAgain('--p2p', '/ip4/0.0.0.0/tcp/4001', '--announce', `/ip4/${outer}/tcp/4001`)
    await askUntil('direct', 'public')
  })

  it('without places at the hubs, a hub passes on what it reads', async () => {
    await consumer('guest')
    await lendAgain('--relay', 'off')
    await askUntil('hub', 'guest')
    const { traffic } = await status('guest')
    expect(traffic.proxied.jobs).to.be.above(0)
  })
})
