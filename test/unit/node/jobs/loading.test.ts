/** A model that takes 90 s to be loaded: hub, contributor and engine process with all their bounds, on one clock that the test moves. */
import { join } from 'node:path'
import { expect } from 'chai'
import { createCapacityTable } from '../../../../node/capacity/table.ts'
import { createDispatcher } from '../../../../node/jobs/dispatcher.ts'
import { createExecutor } from '../../../../node/jobs/executor.ts'
import { createHostRecord } from '../../../../node/jobs/host-record.ts'
import { createJobQueue } from '../../../../node/jobs/job-queue.ts'
import { createJobServer } from '../../../../node/jobs/job-server.ts'
import { createLiveness } from '../../../../node/jobs/liveness.ts'
import { createTicketGate } from '../../../../node/jobs/tickets.ts'
import type { JobEvent } from '../../../../node/jobs/vectors.ts'
import { createLocalChannels } from '../../../../node/net/local-channel.ts'
import { decode } from '../../../../protocol/codec.ts'
import { receiptHalfSchema } from '../../../../protocol/messages/receipt.ts'
import { findEngine } from '../../../../providers/embedded/engine-install.ts'
import { createEmbeddedProvider } from '../../../../providers/embedded/provider.ts'
import type { ProviderState } from '../../../../providers/interface.ts'
import { noClouds } from '../../../support/cloud-market.ts'
import { aCapacity, aModel, aRequest } from '../../../support/completions.ts'
import { fakeClock, settled, type FakeClock } from '../../../support/fake-clock.ts'
import { fakeLedger } from '../../../support/fake-ledger.ts'
import { testFederation, testKey } from '../../../support/federation.ts'
import { turnSignerOf } from '../../../support/issued-ticket.ts'
import { collect, chatRequest } from '../../../support/provider-world.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { handFed, scriptedProvider } from '../../../support/scripted-provider.ts'
import { fixedRandom, seededRandom } from '../../../support/seeded-random.ts'
import { noLimits, planTiers } from '../../../support/tiers.ts'
import { until } from '../../../support/until.ts'

const LOAD_S = 90

/** A hub with one contributor, whose engine does what the test says. */
function setUp() {
  const { federation, hubs: [hub] } = testFederation()
  const lender = testKey()
  const clock: FakeClock = fakeClock()
  const ledger = fakeLedger()
  const engine = handFed()
  const table = createCapacityTable({ clock }, { demoAllowed: true })
  // The node of a machine that loads answers pings.
  const liveness = createLiveness({ clock, ping: () => Promise.resolve(), isConnected: () => true, log: quietLog() })
  const record = createHostRecord({ clock, liveness })
  const announce = () => table.put(aCapacity({ peer: lender.signer.publicKey, models: [aModel({ loaded: false })] }, clock.now()))
  announce()
  liveness.heard(lender.peerId)
  const provider = scriptedProvider(engine.script)
  const executor = createExecutor({
    provider, queue: createJobQueue({ clock }, { slots: () => 1, waitingMax: 1 }), signer: lender.signer, turnSigner: turnSignerOf(lender.signer), clock, log: quietLog(),
    boot: new Uint8Array(16), devices: () => ['cpu'], gate: createTicketGate({ clock }, { federation, publicKey: lender.signer.publicKey }),
  })
  const serve = createJobServer({ serveOpen: executor.serveOpen })
  const ends: unknown[] = []
  const dispatcher = createDispatcher({
    table, record, ledger, clock, random: fixedRandom(0), log: quietLog(), signer: turnSignerOf(hub!.signer), tierOf: planTiers, limits: noLimits,
    modelHosts: { find: () => Promise.resolve([]) }, isConnected: () => true, isSelf: () => false, privacyOf: () => () => 'any', clouds: noClouds,
    lease: () => {
      const [near, far] = createLocalChannels(lender.peerId)
      serve(far).then(() => ends.push('served'), (reason: unknown) => ends.push(reason))
      return Promise.resolve(near)
    },
    giveBack: () => {},
  }, { network: federation.network, hubName: 'hub1' })

  const events: JobEvent[] = []
  let error: unknown
  const leaving = new AbortController()
  void (async () => {
    try {
      for await (const event of dispatcher.run({ account: new Uint8Array(16), request: aRequest(), tier: 'pro', signal: leaving.signal })) events.push(event)
    } catch (reason) {
      error = reason
    }
  })()

  /** One second after the other, as a machine lives them: it announces, and its engine says what `state` says. */
  async function load(seconds: number, state: (part: number) => ProviderState): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      engine.give({ type: 'state', state: state(second / seconds) })
      for (let step = 0; step < 4; step += 1) {
        clock.advance(250)
        await settled()
      }
      if (second % 10 === 0) announce()
      expect([liveness.silent(lender.peerId), record.coolingDown(lender.peerId), provider.aborted, error], `after ${second + 1} s`).to.deep.equal([false, false, false, undefined])
    }
  }
  const halves = () => ledger.appended.map(({ half }) => decode(receiptHalfSchema, half!.body))
  const finish = async () => {
    for (let turn = 0; turn < 20; turn += 1) {
      clock.advance(10)
      await settled()
    }
  }
  return { clock, engine, events, load, halves, finish, leaving, provider, stop: () => liveness.stop(), failure: () => error }
}

describe('a model that loads for 90 s', () => {
  const loads: Readonly<Record<string, (part: number) => ProviderState>> = {
    'and says how far it is': (part) => ({ state: 'loading', part }),
    'and cannot say how far it is, as with Ollama': () => ({ state: 'loading' }),
  }
  for (const [name, state] of Object.entries(loads)) {
    it(`${name}: its host is asked once, stays in the routing, answers, and is paid for the answer alone`, async () => {
      const { engine, events, load, halves, finish, stop, failure } = setUp()
      await settled()
      await load(LOAD_S, state)
      expect(halves()).to.deep.equal([])
      engine.give({ type: 'state', state: { state: 'running' } })
      engine.give({ type: 'text', text: 'Hello', tokens: 1 })
      engine.give({ type: 'end', finish: 'stop', usage: { promptTokens: 3, completionTokens: 1 } })
      engine.end()
      await finish()
      stop()
      expect(failure()).to.equal(undefined)
      expect(events.map((event) => event.type === 'text' ? event.text : '').join('')).to.equal('Hello')
      expect(events.findLast((event) => event.type === 'settled')).to.deep.include({ type: 'settled' })
      expect(events.filter((event) => event.type === 'placed')).to.have.length(1)
      const [half, ...others] = halves()
      expect(others).to.deep.equal([])
      expect(half!.usage).to.deep.equal({ promptTokens: 3, completionTokens: 1 })
      expect(half!.endMs - half!.startMs, 'paid milliseconds').to.be.below(250)
    })
  }

  it('pays nothing where the client leaves before it is loaded', async () => {
    const { load, halves, finish, leaving, stop } = setUp()
    await settled()
    await load(30, (part) => ({ state: 'loading', part }))
    leaving.abort()
    await finish()
    stop()
    expect(halves().map(({ startMs, endMs, usage }) => [endMs - startMs, usage])).to.deep.equal([[0, { promptTokens: 5, completionTokens: 0 }]])
  })

  it('is loaded by an engine process that nobody kills meanwhile', async function () {
    this.timeout(60_000)
    const clock = fakeClock()
    const engine = await findEngine({ enginesDir: '/nowhere' })
    const provider = createEmbeddedProvider({ clock, random: seededRandom(1), log: quietLog() }, {
      engine, threads: 1, gpu: false, models: [{ path: join(import.meta.dirname, '..', '..', '..', '..', 'providers', 'demo-model', 'triforce-demo.gguf') }],
    })
    await provider.start()
    const states: string[] = []
    const run = collect(provider, chatRequest('triforce-demo', { maxTokens: 4, temperature: 0 }), { onEvent: (event) => { if (event.type === 'state') states.push(event.state.state) } })
    await until('it loads', () => Promise.resolve(states.includes('loading')), 30_000, 1)
    // The process is starting: for all bounds of the node these are 90 s.
    for (let second = 0; second < LOAD_S; second += 1) clock.advance(1_000)
    expect((await run).end.usage.completionTokens).to.equal(4)
    expect(states.filter((state) => state !== 'loading')).to.deep.equal(['running'])
    await provider.close()
  })
})
