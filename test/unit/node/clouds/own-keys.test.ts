import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { openOwnKeyFile } from '../../../../bootstrap/own-key-file.ts'
import { createOwnKeys, type OwnKey } from '../../../../node/clouds/own-keys.ts'
import type { CompletionEvent, Gateway, Principal } from '../../../../node/gateway.ts'
import { withOwnKeys } from '../../../../node/own-key-gateway.ts'
import type { EmbeddingRequest } from '../../../../protocol/completion.ts'
import { TriforceError, type ErrorCode } from '../../../../protocol/errors.ts'
import type { CloudProvider } from '../../../../providers/interface.ts'
import type { PrivacyClass, RoutingWishes } from '../../../../protocol/routing.ts'
import { finishEvent, settledEvent, textEvent } from '../../../support/bridge-gateway.ts'
import { codeOf } from '../../../support/code-of.ts'
import { aRequest } from '../../../support/completions.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { testKey } from '../../../support/federation.ts'
import { scriptedCloud } from '../../../support/scripted-cloud.ts'

const me = new Uint8Array(16).fill(1)
const you = new Uint8Array(16).fill(2)
const SECRET = 'sk-secret-of-me-1234'
const noStore = { save: () => Promise.resolve() }

/** A vendor that fails before its first byte. */
function failing(code: ErrorCode): AsyncIterable<never> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new TriforceError(code)) }) }
}

describe('own keys at vendors', () => {
  describe('on disk', () => {
    let dir: string
    const { seed } = testKey()
    beforeEach(async () => { dir = await mkdtemp(join(tmpdir(), 'triforce-own-keys-')) })
    afterEach(() => rm(dir, { recursive: true, force: true }))

    it('are sealed, come back after a restart, and show their last four characters only', async () => {
      const opened = await openOwnKeyFile(dir, seed)
      const keys = createOwnKeys({ store: opened.store, clock: fakeClock(5) }, opened.loaded)
      expect(await keys.put(me, { vendor: 'openai', key: SECRET, mode: 'priority' })).to.deep.equal({ vendor: 'openai', mode: 'priority', addedAt: 5, lastFour: '1234' })
      await Promise.all([keys.put(me, { vendor: 'groq', key: 'gsk-other-key', mode: 'fallback' }), keys.put(you, { vendor: 'openai', key: 'sk-of-you-99', mode: 'priority' })])
      const text = await readFile(join(dir, 'vendor-keys.json'), 'utf8')
      for (const secret of ['sk-', SECRET, 'openai']) expect(text).to.not.include(secret)
      const again = createOwnKeys({ store: noStore, clock: fakeClock() }, (await openOwnKeyFile(dir, seed)).loaded)
      expect(again.list(me).map(({ vendor }) => vendor)).to.have.members(['openai', 'groq'])
      expect(again.find(me, 'openai')!.key).to.equal(SECRET)
      expect(JSON.stringify(again.list(me))).to.not.include('secret')
      expect([await keys.remove(you, 'openai'), await keys.remove(you, 'openai')]).to.deep.equal([true, false])
      expect((await openOwnKeyFile(dir, seed)).loaded).to.have.length(2)
    })

    it('are not opened by another node, nor where a byte was changed, and the file stays as it is', async () => {
      const { store } = await openOwnKeyFile(dir, seed)
      await store.save([{ account: '01'.repeat(16), vendor: 'openai', key: SECRET, mode: 'priority', addedAt: 1 }])
      const path = join(dir, 'vendor-keys.json')
      const text = await readFile(path, 'utf8')
      expect(await codeOf(openOwnKeyFile(dir, testKey().seed))).to.equal('CONFIG_INVALID')
      expect(await readFile(path, 'utf8')).to.equal(text)
      for (const broken of ['', '{', text.replace(/"box":"./, '"box":"~'), text.replace('"v":1', '"v":2')]) {
        await writeFile(path, broken)
        expect(await codeOf(openOwnKeyFile(dir, seed)), broken.slice(0, 20)).to.equal('CONFIG_INVALID')
      }
    })
  })

  it('are not kept where the disk does not take them', async () => {
    const keys = createOwnKeys({ store: { save: () => Promise.reject(new Error('full')) }, clock: fakeClock() }, [])
    expect(await keys.put(me, { vendor: 'openai', key: SECRET, mode: 'priority' }).then(() => 'kept', (error: Error) => error.message)).to.equal('full')
    expect(keys.list(me)).to.deep.equal([])
  })

  it('are bounded for each account', async () => {
    const keys = createOwnKeys({ store: noStore, clock: fakeClock() }, [])
    for (let n = 0; n < 32; n += 1) await keys.put(me, { vendor: `v${n}`, key: SECRET, mode: 'priority' })
    expect(await codeOf(keys.put(me, { vendor: 'one-more', key: SECRET, mode: 'priority' }))).to.equal('RATE_LIMITED')
    await keys.put(me, { vendor: 'v0', key: 'another-key', mode: 'fallback' })
    await keys.put(you, { vendor: 'v0', key: SECRET, mode: 'priority' })
  })

  /** A gateway whose federation answers `hub`, or fails with the code. */
  function setUp(mode: OwnKey['mode'], options: { hubFails?: ErrorCode; keepsPrompts?: boolean } = {}) {
    const cloud = scriptedCloud('openai', [])
    const asked: string[] = []
    const behind = {
      async* complete(): AsyncIterable<CompletionEvent> {
        asked.push('hub')
        if (options.hubFails !== undefined) throw new TriforceError(options.hubFails)
        yield textEvent('hub')
        yield finishEvent()
        yield settledEvent
      },
    } as unknown as Gateway
    const keys = createOwnKeys({ store: noStore, clock: fakeClock() }, [{ account: '01'.repeat(16), vendor: 'openai', key: SECRET, mode, addedAt: 1 }])
    const vendor = options.keepsPrompts === true ? { ...cloud, keepsPrompts: true } : cloud
    const gateway = withOwnKeys(behind, { keys, vendor: (id) => id === 'openai' ? vendor : undefined, clock: fakeClock() }, { peerId: 'self', name: 'home' })
    async function ask(part: { model?: string; routing?: RoutingWishes; account?: Uint8Array; privacy?: PrivacyClass; models?: string[] } = {}) {
      const events: CompletionEvent[] = []
      const principal = { account: part.account ?? me, terms: { ...(part.privacy === undefined ? {} : { privacy: part.privacy }), ...(part.models === undefined ? {} : { models: part.models }) } } as Principal
      const code = await codeOf((async () => {
        for await (const event of gateway.complete(principal, aRequest({ model: part.model ?? 'openai/gpt-4o' }), { signal: new AbortController().signal, ...(part.routing === undefined ? {} : { routing: part.routing }) })) events.push(event)
      })()).catch(() => undefined)
      return { code, events, text: events.map((event) => event.type === 'text' ? event.text : '').join('') }
    }
    return { cloud, asked, ask }
  }

  it('answer first with `priority`: nothing is asked of the federation, nothing is charged, no receipt is made', async () => {
    const { cloud, asked, ask } = setUp('priority')
    const { text, events } = await ask()
    expect([text, asked, cloud.ownKeys]).to.deep.equal(['Hello', [], [SECRET]])
    expect(events[0]).to.deep.include({ type: 'placed', host: 'self', vendor: 'openai', attempts: 1 })
    const { served } = events.at(-1) as Extract<CompletionEvent, { type: 'settled' }>
    expect(served).to.deep.equal({ host: 'self', hostName: 'home', hub: '', durability: 'none', costMicroCredits: 0n, attempts: 1, model: 'openai/gpt-4o' })
  })

  it('give way to the federation where the vendor refuses them before the first byte, unless fallbacks are off', async () => {
    const { cloud, asked, ask } = setUp('priority')
    cloud.script = () => failing('ENGINE_FAILED')
    expect((await ask()).text).to.equal('hub')
    expect((await ask({ routing: { allowFallbacks: false } })).code).to.equal('ENGINE_FAILED')
    cloud.script = async function* () {
      yield { type: 'text', text: 'Hel', tokens: 1 }
      throw new TriforceError('ENGINE_FAILED')
    }
    const broken = await ask()
    expect([broken.text, broken.code, asked.length]).to.deep.equal(['Hel', 'ENGINE_FAILED', 1])
    cloud.script = () => failing('CONTEXT_LENGTH_EXCEEDED')
    expect((await ask()).code).to.equal('CONTEXT_LENGTH_EXCEEDED')
  })

  it('step in with `fallback` where the federation cannot or the account cannot pay', async () => {
    const rich = setUp('fallback')
    expect([(await rich.ask()).text, rich.cloud.requests.length]).to.deep.equal(['hub', 0])
    const poor = setUp('fallback', { hubFails: 'INSUFFICIENT_CREDITS' })
    expect([(await poor.ask()).text, poor.cloud.ownKeys]).to.deep.equal(['Hello', [SECRET]])
  })

  it('make vectors too, by the same rules', async () => {
    const request = { kind: 'embedding', model: 'openai/text-embedding-3-small', inputs: ['a', 'b'] } as unknown as EmbeddingRequest
    const { usage } = finishEvent() as Extract<CompletionEvent, { type: 'finish' }>
    const served = (settledEvent as Extract<CompletionEvent, { type: 'settled' }>).served
    for (const [mode, fails, expected] of [
      ['priority', 'none', ['own']], ['priority', 'own', ['own', 'hub']], ['fallback', 'none', ['hub']], ['fallback', 'hub', ['hub', 'own']],
    ] as const) {
      const asked: string[] = []
      const behind = {
        embed: () => {
          asked.push('hub')
          return fails === 'hub' ? Promise.reject(new TriforceError('INSUFFICIENT_CREDITS')) : Promise.resolve({ vectors: [], usage, served })
        },
      } as unknown as Gateway
      const vendor: CloudProvider = {
        ...scriptedCloud('openai', []),
        embed: ({ inputs }, { ownKey }) => {
          asked.push(ownKey === SECRET ? 'own' : 'another key')
          return fails === 'own' ? Promise.reject(new TriforceError('VENDOR_FAILED')) : Promise.resolve({ vectors: inputs.map(() => Float32Array.of(1)), usage })
        },
      }
      const keys = createOwnKeys({ store: noStore, clock: fakeClock() }, [{ account: '01'.repeat(16), vendor: 'openai', key: SECRET, mode, addedAt: 1 }])
      const gateway = withOwnKeys(behind, { keys, vendor: () => vendor, clock: fakeClock() }, { peerId: 'self', name: 'home' })
      const principal = { account: me, terms: {} } as Principal
      const placed: string[] = []
      const answer = await gateway.embed(principal, request, { signal: new AbortController().signal, onPlaced: ({ host }) => { placed.push(host) } })
      expect(asked, `${mode}, ${fails} fails`).to.deep.equal(expected)
      const byOwn = asked.at(-1) === 'own'
      expect([answer.vectors.length, answer.served.costMicroCredits, answer.served.durability]).to.deep.equal(byOwn ? [2, 0n, 'none'] : [0, served.costMicroCredits, served.durability])
      expect(placed).to.deep.equal(asked.includes('own') ? ['self'] : [])
      const once = await codeOf(gateway.embed(principal, request, { signal: new AbortController().signal, routing: { allowFallbacks: false } }))
      expect(once).to.equal(fails === 'none' ? 'none' : fails === 'own' ? 'VENDOR_FAILED' : 'INSUFFICIENT_CREDITS')
    }
  })

  it('serve their account, their vendor and its wishes alone', async () => {
    const { cloud, ask } = setUp('priority')
    for (const part of [
      { account: you }, { model: 'groq/llama' }, { model: 'gpt-4o' }, { privacy: 'any' as const }, { models: ['anthropic/*'] }, { routing: { privacy: 'verified' as const } },
      { routing: { ignore: ['OpenAI'] } }, { routing: { only: ['groq'] } },
    ]) expect((await ask(part)).text, JSON.stringify(part)).to.equal('hub')
    expect(cloud.requests).to.have.length(0)
    expect((await ask({ routing: { only: ['openai'] } })).text).to.equal('Hello')
    const keeping = setUp('priority', { keepsPrompts: true })
    expect((await keeping.ask({ routing: { dataCollection: 'deny' } })).text).to.equal('hub')
  })
})
