import { expect } from 'chai'
import { createForwarding, type Forwarding } from '../../../ledger/forwarding.ts'
import type { HubMessage } from '../../../ledger/hub/events.ts'
import { TriforceError } from '../../../protocol/errors.ts'
import type { HubAnswer, HubRequest } from '../../../protocol/messages/ledger-rights.ts'
import { fakeClock, settled } from '../../support/fake-clock.ts'
import { cryptoRandom } from '../../support/ledger-world.ts'

const request: HubRequest = { do: 'grant', account: new Uint8Array(16), amount: 5n, source: 'welcome' }
const done: HubAnswer = { hub: 1, epoch: 7, frame: 3, seq: 9, known: false }

/** Hub 0 asks hub 1; `lost` drops what hub 1 says. */
function pair({ asksMax = 2, serve = (): Promise<HubAnswer> => Promise.resolve(done) } = {}) {
  const clock = fakeClock()
  const link = { up: true, lost: false }
  const served: HubRequest[] = []
  const sides = new Map<number, Forwarding>()
  const side = (me: number, other: number) => createForwarding({
    clock, random: cryptoRandom, hubNames: ['one', 'two', 'three'], connected: (hub) => hub === other && link.up,
    send: (hub: number, message: HubMessage) => {
      if (message.t !== 'ask' && message.t !== 'answer') throw new Error('another message')
      if (message.t === 'answer' && link.lost) return
      void Promise.resolve().then(() => sides.get(hub)!.receive(me, message))
    },
    serve: (wanted) => {
      served.push(wanted)
      return serve()
    },
  }, { asksMax })
  sides.set(0, side(0, 1))
  sides.set(1, side(1, 0))
  return { asker: sides.get(0)!, link, clock, served }
}

const codeOf = (promise: Promise<unknown>) => promise.then(() => 'none', (error: TriforceError) => error.code)

describe('ledger/forwarding', () => {
  it('brings the order to the other hub and its answer back', async () => {
    const { asker, served } = pair()
    expect(await asker.ask(1, request)).to.deep.equal(done)
    expect(served).to.deep.equal([request])
  })

  it('gives the other hub\'s refusal to the caller, with its words and its time', async () => {
    const { asker } = pair({ serve: () => Promise.reject(new TriforceError('ENTRY_CONFLICT', {}, { detail: 'another one is there', retryAfterMs: 7 })) })
    const error = await asker.ask(1, request).catch((thrown: unknown) => thrown as TriforceError)
    expect(error).to.include({ code: 'ENTRY_CONFLICT', message: 'another one is there', retryAfterMs: 7 })
  })

  it('tells nobody what went wrong inside', async () => {
    const { asker } = pair({ serve: () => Promise.reject(new TypeError('secret')) })
    const error = await asker.ask(1, request).catch((thrown: unknown) => thrown as TriforceError) as TriforceError
    expect(error.code).to.equal('INTERNAL')
    expect(error.message).to.not.include('secret')
  })

  it('says NOT_HOME at once where the hub is not connected, and where it leaves', async () => {
    const { asker, link } = pair({ serve: () => new Promise(() => {}) })
    const waiting = codeOf(asker.ask(1, request))
    await settled()
    link.up = false
    asker.disconnected(2)
    asker.disconnected(1)
    expect(await waiting).to.equal('NOT_HOME')
    const error = await asker.ask(1, request).catch((thrown: unknown) => thrown as TriforceError) as TriforceError
    expect(error).to.include({ code: 'NOT_HOME' })
    expect(error.message).to.include('"two"')
  })

  it('gives up after 5 s, not one millisecond earlier, and a late answer changes nothing', async () => {
    const { asker, link, clock } = pair()
    link.lost = true
    let outcome = 'waiting'
    void codeOf(asker.ask(1, request)).then((code) => { outcome = code })
    clock.advance(4_999)
    await settled()
    expect(outcome).to.equal('waiting')
    clock.advance(1)
    await settled()
    expect(outcome).to.equal('HUB_ISOLATED')
    asker.receive(1, { t: 'answer', id: new Uint8Array(16), done })
  })

  it('has a bounded number on the way, and serves a bounded number', async () => {
    const { asker } = pair({ serve: () => new Promise(() => {}) })
    void asker.ask(1, request).catch(() => {})
    void asker.ask(1, request).catch(() => {})
    expect(await codeOf(asker.ask(1, request))).to.equal('QUEUE_FULL')

    const { asker: server } = pair({ asksMax: 1, serve: () => new Promise(() => {}) })
    server.receive(1, { t: 'ask', id: new Uint8Array(16), request })
    // The second one is answered with QUEUE_FULL; nothing throws.
    server.receive(1, { t: 'ask', id: new Uint8Array(16).fill(1), request })
    await settled()
  })

  it('believes an answer only from the hub that was asked', async () => {
    const sent: HubMessage[] = []
    const clock = fakeClock()
    const asker = createForwarding({
      clock, random: cryptoRandom, hubNames: [], connected: () => true, send: (_, message) => sent.push(message), serve: () => Promise.reject(new Error('not asked')),
    })
    let answer: HubAnswer | undefined
    void asker.ask(1, request).then((result) => { answer = result })
    const [ask] = sent
    if (ask?.t !== 'ask') throw new Error('no ask')
    asker.receive(2, { t: 'answer', id: ask.id, done })
    await settled()
    expect(answer).to.equal(undefined)
    asker.receive(1, { t: 'answer', id: ask.id, done })
    await settled()
    expect(answer).to.deep.equal(done)
  })
})
