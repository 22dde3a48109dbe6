import { expect } from 'chai'
import { createAdminClient, type AdminClient } from '../../bootstrap/admin-client.ts'
import { createVendorAdmin, mergedAccess } from '../../bootstrap/vendor-admin.ts'
import { createVendorFile, type VendorFile } from '../../bootstrap/vendor-file.ts'
import { createClouds, type CloudAccess, type Clouds } from '../../providers/cloud/clouds.ts'
import type { AdminGateway } from '../../node/gateway.ts'
import { startTestBridge, type TestBridge } from '../support/bridge-server.ts'
import { errorOf } from '../support/error-of.ts'
import { chatRequest, collect, fixedRandom, realClock, tempFolder } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { until } from '../support/until.ts'
import { startOpenAiVendor, type OpenAiVendorServer } from '../support/vendors/openai-vendor.ts'

const KEY = 'sk-of-the-environment-1234'

describe('providers of a hub, over its admin routes', () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>
  let server: OpenAiVendorServer
  let clouds: Clouds
  let file: VendorFile
  let bridge: TestBridge
  let admin: AdminClient
  let environment: CloudAccess[]

  beforeEach(async () => {
    folder = await tempFolder()
    server = await startOpenAiVendor('openai')
    environment = [{ vendor: 'openai', key: KEY, baseUrl: `${server.origin}/v1` }]
    file = createVendorFile(folder.path, new Uint8Array(32).fill(3))
    clouds = createClouds({ clock: realClock(), random: fixedRandom(), log: quietLog('clouds') }, { access: environment })
    await clouds.start()
    // No ledger is asked by these routes.
    bridge = await startTestBridge({}, { admin: { gateway: {} as AdminGateway, token: 'the-token', vendors: createVendorAdmin({ clouds, file, environment }) } })
    admin = createAdminClient(bridge.url, 'the-token')
  })
  afterEach(async () => {
    await bridge.stop()
    await clouds.close()
    await server.stop()
    await folder.remove()
  })

  const mine = (key = 'a-long-enough-key-wxyz') => ({ name: 'mine', key, baseUrl: `${server.origin}/v1`, allowPrivate: true })

  it('list what the environment gave, with the last 4 characters of its key', async () => {
    expect(await admin.providers()).to.deep.equal([
      { name: 'openai', key_end: '1234', source: 'environment', base_url: `${server.origin}/v1`, models: 7, ok: true, health: 'OpenAI: 7 models' },
    ])
  })

  it('want the admin token', async () => {
    const wrong = createAdminClient(bridge.url, 'another-token')
    for (const work of [wrong.providers(), wrong.addProvider(mine()), wrong.removeProvider('openai'), wrong.testProvider('openai')]) {
      expect((await errorOf(work)).code).to.equal('INVALID_API_KEY')
    }
    expect(await file.read()).to.deep.equal([])
  })

  it('add one that answers at once, is kept, and goes again', async () => {
    const added = await admin.addProvider(mine())
    expect(added).to.include({ name: 'mine', key_end: 'wxyz', source: 'added', models: 9, ok: true })
    expect((await collect(clouds.vendor('mine')!, chatRequest('mine/gpt-4o', { maxTokens: 2 }))).text).to.equal('000 001 ')
    expect(server.requests.at(-1)!.headers.authorization).to.equal('Bearer a-long-enough-key-wxyz')
    // As after a new start of the hub.
    expect(mergedAccess(environment, await file.read()).map(({ vendor }) => vendor)).to.deep.equal(['openai', 'mine'])
    await admin.removeProvider('mine')
    expect(clouds.vendor('mine')).to.equal(undefined)
    expect(await file.read()).to.deep.equal([])
  })

  it('never give a key out, in no answer and no log', async () => {
    const secret = 'never-to-be-seen-5678'
    const answers = [await admin.addProvider(mine(secret)), await admin.providers(), await admin.testProvider('mine')]
    server.script.push({ status: 401, parts: [JSON.stringify({ error: { message: `Incorrect API key: ${secret}` } })] })
    answers.push(await admin.testProvider('mine'))
    expect(answers.at(-1)).to.include({ ok: false })
    expect(JSON.stringify([answers, bridge.logLines])).not.to.include('never-to-be-seen').and.not.to.include(KEY)
  })

  it('put what was added before the environment, and go back to it', async () => {
    await admin.addProvider({ name: 'openai', key: 'another-long-key-abcd', baseUrl: `${server.origin}/v1`, allowPrivate: true })
    expect((await admin.providers()).map(({ key_end: end, source }) => [end, source])).to.deep.equal([['abcd', 'added']])
    await admin.removeProvider('openai')
    expect((await admin.providers()).map(({ key_end: end, source }) => [end, source])).to.deep.equal([['1234', 'environment']])
    expect((await errorOf(admin.removeProvider('openai'))).message).to.include('environment')
  })

  it('let answers that run go on with the old key when it is replaced', async () => {
    server.behaviour.words = 30
    server.behaviour.gapMs = 3
    let replacing: Promise<unknown> | undefined
    const result = await collect(clouds.vendor('openai')!, chatRequest('openai/gpt-4o'), {
      onEvent: (event) => {
        if (event.type === 'text' && replacing === undefined) replacing = admin.addProvider({ ...mine(), name: 'openai' })
      },
    })
    await replacing
    expect([result.end.finish, result.end.usage.completionTokens]).to.deep.equal(['stop', 30])
  })

  for (const [what, provider, says] of [
    ['an address inside, without a word of the admin', { baseUrl: 'https://10.1.2.3/v1', allowPrivate: false }, '--allow-private'],
    ['plain http', { baseUrl: 'http://api.example.com/v1', allowPrivate: false }, 'https://'],
    ['an unknown vendor without an address', { baseUrl: undefined }, 'base URL'],
    ['a name with a slash', { name: 'a/b' }, 'name'],
    ['a key with a line feed', { key: 'abc\ndef' }, 'key'],
  ] satisfies [string, Partial<Parameters<AdminClient['addProvider']>[0]>, string][]) {
    it(`refuse ${what}, and keep nothing of it`, async () => {
      const error = await errorOf(admin.addProvider({ ...mine(), ...provider }))
      expect([error.code, error.message.includes(says)], error.message).to.deep.equal(['BAD_REQUEST', true])
      expect(await file.read()).to.deep.equal([])
      expect(await admin.providers()).to.have.length(1)
    })
  }

  it('say what they do not know', async () => {
    expect((await errorOf(admin.testProvider('nope'))).code).to.equal('NOT_FOUND')
    expect((await errorOf(admin.removeProvider('nope'))).code).to.equal('NOT_FOUND')
  })

  it('take changes one after the other', async () => {
    await Promise.all(['one', 'two', 'three'].map(async (name) => admin.addProvider({ ...mine(), name })))
    expect((await file.read()).map(({ vendor }) => vendor).sort()).to.deep.equal(['one', 'three', 'two'])
  })

  it('tell of each change, so that it is announced', async () => {
    let changes = 0
    clouds.onChange(() => { changes += 1 })
    await admin.addProvider(mine())
    await until('the models are there', () => clouds.models().some(({ id }) => id === 'mine/gpt-4o'))
    const before = changes
    expect(before).to.be.above(0)
    await admin.removeProvider('mine')
    expect(changes).to.be.above(before)
  })
})
