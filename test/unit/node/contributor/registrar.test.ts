import { expect } from 'chai'
import { createOrderWriter } from '../../../../node/contributor/orders.ts'
import { createRegistrar } from '../../../../node/contributor/registrar.ts'
import { changed, type LendingSettings } from '../../../../node/lending/settings.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { errorTell } from '../../../../node/net/requests.ts'
import type { ControlTell } from '../../../../protocol/messages/control.ts'
import { encode } from '../../../../protocol/codec.ts'
import { codeOf } from '../../../support/code-of.ts'
import { settled } from '../../../support/fake-clock.ts'
import { testKey } from '../../../support/federation.ts'
import { aMachine, lendingWorld } from '../../../support/lending-world.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const hubs = ['alpha', 'beta', 'gamma'].map((name) => ({ name, peerId: testKey().peerId, addresses: [] }))

/** A registrar whose three hubs share one desk, since all that matters here is what each is told and when. */
async function setUp(options: { readonly withKey?: boolean } = {}) {
  const world = await lendingWorld()
  const { clock, ask, owner } = world
  const node = testKey()
  const connected = new Set(hubs.map(({ peerId }) => peerId))
  const asked: string[] = []
  let left = 0
  let settings: LendingSettings = { availability: {}, models: [], controls: {} }
  const failing = new Map<string, TriforceError>()
  const registrar = createRegistrar({
    clock, signer: node.signer, writer: createOrderWriter({ clock }, { network: 'net' }), random: seededRandom(3), log: quietLog(),
    isConnected: (peer) => connected.has(peer), onLeft: () => { left += 1 },
    measure: () => Promise.resolve({ hardware: aMachine(), models: ['tiny'] }),
    store: { get settings() { return settings }, change: (change) => { settings = changed(settings, change); return Promise.resolve() } },
    requests: {
      async ask(peer, question): Promise<ControlTell> {
        const { name } = hubs.find(({ peerId }) => peerId === peer)!
        asked.push(name)
        try {
          if (question.t !== 'contributor') throw new TriforceError('PROTOCOL_VIOLATION')
          const error = failing.get(name)
          if (error !== undefined) throw error
          const act = wasUnregister(question.order.body) ? 'unregister' : 'register'
          return { t: 'ok', body: encode(await ask(act, question.order, question.consent)) }
        } catch (reason) {
          return errorTell(reason as TriforceError)
        }
      },
    },
  }, { name: 'gpu-box', hubs, account: options.withKey === false ? undefined : owner.signer })
  async function pass(ms: number): Promise<void> {
    clock.advance(ms)
    await settled()
  }
  return { ...world, node, connected, asked, registrar, failing, pass, leftTimes: () => left, wishes: () => ({ availability: settings.availability, models: settings.models }) }
}

function wasUnregister(body: Uint8Array): boolean {
  return Buffer.from(body).includes('unregister')
}

describe('node/contributor/registrar', () => {
  it('registers at every connected hub, one after the other, and again every ten minutes or so', async () => {
    const { registrar, asked, pass } = await setUp()
    registrar.start()
    await pass(0)
    expect(asked).to.deep.equal(['alpha', 'beta', 'gamma'])
    expect((await registrar.first).info?.accountName).to.equal('alice')
    expect(registrar.answers.map(({ hub, error }) => [hub, error])).to.deep.equal([['alpha', undefined], ['beta', undefined], ['gamma', undefined]])
    await pass(479_999)
    expect(asked.length).to.equal(3)
    await pass(240_001)
    expect(asked.length).to.equal(6)
    registrar.stop()
    await pass(3_600_000)
    expect(asked.length).to.equal(6)
  })

  it('tries again with growing pauses where a hub refuses or none is there, and says why', async () => {
    const { registrar, asked, pass, failing, connected } = await setUp()
    failing.set('alpha', new TriforceError('INVALID_API_KEY'))
    connected.clear()
    registrar.start()
    await pass(0)
    expect(asked).to.deep.equal([])
    connected.add(hubs[0]!.peerId)
    await pass(4_000)
    expect(asked).to.deep.equal(['alpha'])
    expect(registrar.answers[0]?.error?.code).to.equal('INVALID_API_KEY')
    await pass(7_999)
    expect(asked.length).to.equal(1)
    await pass(1)
    expect(asked.length).to.equal(2)
    failing.clear()
    await pass(16_000)
    expect(registrar.answers[0]?.error).to.equal(undefined)
  })

  it('tells changes that come together once', async () => {
    const { registrar, asked, pass } = await setUp()
    registrar.start()
    await pass(0)
    for (let change = 0; change < 5; change += 1) registrar.changed()
    await pass(1_000)
    expect(asked.length).to.equal(6)
  })

  it('registers with an agreement that comes later, keeps what is wished, and adds to it', async () => {
    const { registrar, pass, owner, wishes } = await setUp({ withKey: false })
    registrar.start()
    await pass(0)
    expect(registrar.answers[0]?.error?.message).to.contain('--key')
    const info = await registrar.register({ availability: { schedule: '18:00-02:00' }, models: ['tiny', 'big'] }, owner.signer)
    expect(info).to.deep.include({ accountName: 'alice', availability: { schedule: '18:00-02:00' }, models: ['tiny', 'big'] })
    await pass(10)
    const more = await registrar.register({ availability: { hoursPerDay: 8 } })
    expect(more.availability).to.deep.equal({ hoursPerDay: 8, schedule: '18:00-02:00' })
    expect(wishes()).to.deep.equal({ availability: { hoursPerDay: 8, schedule: '18:00-02:00' }, models: ['tiny', 'big'] })
  })

  it('gives the refusal of the hub, and NO_HUB where none is there', async () => {
    const { registrar, connected, failing } = await setUp()
    failing.set('alpha', new TriforceError('ENTRY_INVALID')).set('beta', new TriforceError('STARTING')).set('gamma', new TriforceError('STARTING'))
    expect(await codeOf(registrar.register({}))).to.equal('ENTRY_INVALID')
    failing.delete('gamma')
    expect((await registrar.register({})).name).to.equal('gpu-box')
    connected.clear()
    expect(await codeOf(registrar.register({}))).to.equal('NO_HUB')
    expect(await codeOf(registrar.unregister({ revoke: false }))).to.equal('NO_HUB')
  })

  it('leaves once: by itself, or since the account said so elsewhere', async () => {
    for (const elsewhere of [false, true]) {
      const { registrar, pass, leftTimes, asked, ask, writer, owner } = await setUp()
      registrar.start()
      await pass(0)
      await pass(1_000)
      if (elsewhere) {
        await ask('unregister', writer.order(owner.signer, { do: 'unregister', id: registrar.id, revoke: false }))
        registrar.changed()
        await pass(1_000)
      } else {
        await registrar.unregister({ revoke: false })
      }
      expect([registrar.left, leftTimes()]).to.deep.equal([true, 1])
      const before = asked.length
      registrar.changed()
      await pass(3_600_000)
      expect(asked.length).to.equal(before)
      expect(await codeOf(registrar.register({}))).to.equal('UNREGISTERED')
    }
  })
})
