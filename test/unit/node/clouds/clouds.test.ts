import { expect } from 'chai'
import { createCapacityTable } from '../../../../node/capacity/table.ts'
import { createCloudHosts } from '../../../../node/clouds/cloud-hosts.ts'
import { createOwnClouds, ownIdOf, vendorOfModel } from '../../../../node/clouds/own-clouds.ts'
import { modelKin } from '../../../../node/clouds/same-model.ts'
import { catalogueAnswer } from '../../../../node/clouds/serve-clouds.ts'
import type { Requests } from '../../../../node/net/requests.ts'
import { decode, encode } from '../../../../protocol/codec.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { CATALOGUE_PAGE_MAX, COMPLETION_TOKENS_MAX } from '../../../../protocol/limits.ts'
import { capacitySchema, writeAnnouncement } from '../../../../protocol/messages/capacity.ts'
import { cataloguePageSchema, catalogueRevision, type CatalogueAsk } from '../../../../protocol/messages/catalogue.ts'
import { codeOf } from '../../../support/code-of.ts'
import { aCapacity, aRequest } from '../../../support/completions.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { testFederation, testKey } from '../../../support/federation.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { cloudSource, scriptedCloud } from '../../../support/scripted-cloud.ts'

const { federation, hubs } = testFederation()
const [here, away] = hubs as [typeof hubs[0], typeof hubs[0]]

/** Two hubs: this one, and one that is asked. */
function setUp(awayModels: number, ownModels: readonly string[] = []) {
  const clock = fakeClock()
  const table = createCapacityTable({ clock }, { demoAllowed: true, isHub: (peer) => federation.hubs.some((hub) => hub.peerId === peer) })
  const openai = scriptedCloud('openai', Array.from({ length: awayModels }, (_, index) => `openai/gpt-${String(index).padStart(4, '0')}`))
  const theirs = createOwnClouds(cloudSource([openai]))
  const own = createOwnClouds(cloudSource(ownModels.length === 0 ? [] : [scriptedCloud('groq', ownModels)]))
  const asked: CatalogueAsk[] = []
  const world = { lie: undefined as undefined | ((body: Uint8Array) => Uint8Array), fails: 0 }
  const requests: Requests = {
    async ask(_peer, question) {
      asked.push(question as CatalogueAsk)
      if (world.fails > 0) {
        world.fails -= 1
        throw new TriforceError('HOST_SILENT')
      }
      const body = await catalogueAnswer(theirs, federation, here.peerId, question as CatalogueAsk).catch((error: unknown) => error as TriforceError)
      if (body instanceof TriforceError) return { t: 'error', code: body.code, detail: '' }
      return { t: 'ok', body: world.lie?.(body) ?? body }
    },
  }
  const hosts = createCloudHosts({ table, own, requests, isSelf: (peer) => peer === here.peerId, clock, log: quietLog() }, { hubs: federation.hubs.map((hub) => hub.peerId) })
  let seq = 0
  async function announce(draining = false) {
    seq += 1
    table.put(aCapacity({ peer: here.signer.publicKey, mode: 'hub', models: [], seq, clouds: [...own.offers()] }, clock.now()))
    table.put(aCapacity({ peer: away.signer.publicKey, mode: 'hub', name: 'away', models: [], seq, clouds: [...theirs.offers()], draining }, clock.now()))
    await settled()
  }
  return { clock, table, own, theirs, openai, hosts, asked, world, announce }
}

describe('node/clouds', () => {
  it('announces vendors in a few bytes, and lists what their catalogues have, page by page and each catalogue once', async () => {
    const { hosts, asked, announce, theirs, own } = setUp(CATALOGUE_PAGE_MAX + 20, ['groq/llama'])
    const offer = theirs.offers()[0]!
    expect(offer).to.deep.include({ vendor: 'openai', models: CATALOGUE_PAGE_MAX + 20, keepsPrompts: false })
    expect(encode(offer).byteLength).to.be.below(100)
    await announce()
    await announce()
    expect(asked.map(({ from }) => from)).to.deep.equal([0, CATALOGUE_PAGE_MAX])
    expect(hosts.models()).to.have.length(CATALOGUE_PAGE_MAX + 21)
    expect(hosts.models(), 'the same list until something changes').to.equal(hosts.models())
    expect(hosts.find('openai/gpt-0519').map(({ row, offer: { vendor } }) => [row.capacity.name, vendor])).to.deep.equal([['away', 'openai']])
    expect(hosts.find('groq/llama')[0]!.row.peer).to.equal(here.peerId)
    expect(hosts.find('gpt-0519')).to.deep.equal([])
    expect(own.catalogue('openai')).to.equal(undefined)
  })

  it('asks anew for a catalogue that changed, and forgets a hub that leaves or falls silent', async () => {
    const { clock, hosts, openai, announce } = setUp(2)
    await announce()
    openai.offer(['openai/new'])
    await announce()
    expect(hosts.models().map(({ model }) => model.id)).to.deep.equal(['openai/new'])
    await announce(true)
    expect(hosts.models()).to.deep.equal([])
    await announce()
    expect(hosts.find('openai/new')).to.have.length(1)
    clock.advance(60_000)
    expect(hosts.find('openai/new')).to.deep.equal([])
  })

  it('takes no catalogue that is not the announced one, and asks again with the next announcement', async () => {
    const { hosts, asked, world, announce } = setUp(3)
    world.lie = (body) => {
      const page = decode(cataloguePageSchema, body)
      return encode({ ...page, models: page.models.map((model) => ({ ...model, contextTokens: 1 })) })
    }
    await announce()
    expect(hosts.models()).to.deep.equal([])
    world.lie = (body) => encode({ ...decode(cataloguePageSchema, body), models: [] })
    await announce()
    world.lie = () => Uint8Array.of(1)
    await announce()
    world.lie = undefined
    world.fails = 1
    await announce()
    expect(hosts.models()).to.deep.equal([])
    await announce()
    expect(hosts.models()).to.have.length(3)
    expect(asked.length).to.be.below(8)
  })

  it('leaves out models that another hub would not take, or that are another vendor\'s', () => {
    const own = createOwnClouds(cloudSource([scriptedCloud('openai', ['openai/good', 'openai/with space', 'groq/other', 'openai/good', `openai/${'x'.repeat(200)}`, 'openai/a'])]))
    expect(own.catalogue('openai')!.map(({ id }) => id)).to.deep.equal(['openai/a', 'openai/good'])
    expect(own.offers()[0]!.revision).to.deep.equal(catalogueRevision(own.catalogue('openai')!))
  })

  it('gives pages to hubs only, and only of the catalogue that it has now', async () => {
    const { theirs } = setUp(1)
    const ask = { t: 'catalogue' as const, vendor: 'openai', revision: theirs.offers()[0]!.revision, from: 0 }
    expect(decode(cataloguePageSchema, await catalogueAnswer(theirs, federation, away.peerId, ask))).to.deep.include({ total: 1 })
    expect(await codeOf(catalogueAnswer(theirs, federation, testKey().peerId, ask))).to.equal('NOT_A_HUB')
    expect(await codeOf(catalogueAnswer(theirs, federation, away.peerId, { ...ask, vendor: 'groq' }))).to.equal('NOT_FOUND')
    expect(await codeOf(catalogueAnswer(theirs, federation, away.peerId, { ...ask, revision: new Uint8Array(16) }))).to.equal('NOT_FOUND')
  })

  it('takes vendors from hubs alone: gossip refuses a contributor that claims one', () => {
    const { table, clock, theirs } = setUp(1)
    const contributor = testKey()
    const judge = (key: typeof contributor, clouds: ReturnType<typeof theirs.offers>) => table.judge(writeAnnouncement(key.signer, aCapacity({ peer: key.signer.publicKey, clouds: [...clouds] }, clock.now()))).verdict
    expect(judge(contributor, theirs.offers())).to.equal('reject')
    expect(judge(contributor, [])).to.equal('accept')
    expect(judge(away, theirs.offers())).to.equal('accept')
    expect(capacitySchema.safeParse(aCapacity({ peer: away.signer.publicKey, clouds: Array.from({ length: 33 }, () => theirs.offers()[0]!) }, 1)).success).to.equal(false)
  })

  it('asks a vendor for no more than its model can write, and for no limit where the client gave none', async () => {
    const openai = scriptedCloud('openai', ['openai/gpt'])
    const { source } = createOwnClouds(cloudSource([openai]))
    const signal = new AbortController().signal
    for (const maxTokens of [COMPLETION_TOKENS_MAX, 9_000, 7]) for await (const _ of source.run(aRequest({ model: 'openai/gpt', maxTokens }), { signal })) { /* to its end */ }
    expect(openai.requests.map(({ maxTokens }) => maxTokens)).to.deep.equal([undefined, 4_096, 7])
    expect(source.models()[0]).to.include({ id: 'openai/gpt', loaded: true })
    expect(source.models()[0]!.digest).to.match(/^[0-9a-f]{64}$/)
  })

  it('parts ids', () => {
    expect([vendorOfModel('openrouter/meta/llama'), ownIdOf('openrouter/meta/llama'), vendorOfModel('tiny')]).to.deep.equal(['openrouter', 'meta/llama', ''])
  })

  it('knows the same weights under other names, and takes nothing for them that has another size or family', () => {
    const kin = new Set(['llama3.3:70b', 'groq/llama-3.3-70b-versatile', 'together/meta-llama/Llama-3.3-70B-Instruct-Turbo', 'hf.co/bartowski/Llama-3.3-70B-Instruct-GGUF:Q4_K_M'].map(modelKin))
    expect([...kin]).to.deep.equal(['llama3.3/70b'])
    expect(modelKin('llama3.1:8b')).to.not.equal(modelKin('llama3.3:70b'))
    expect(modelKin('qwen2.5-coder:7b')).to.not.equal(modelKin('qwen2.5:7b'))
    expect(modelKin('deepseek-r1-distill-llama-70b')).to.not.equal(modelKin('llama-70b'))
    expect(modelKin('openai/gpt-4o')).to.equal(undefined)
    expect(modelKin('llama3.2-vision:11b')).to.not.equal(modelKin('llama3.2:11b'))
  })
})
