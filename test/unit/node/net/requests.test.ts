import { expect } from 'chai'
import type { Channel } from '../../../../node/net/channel.ts'
import { createChannelPool } from '../../../../node/net/channel-pool.ts'
import { createLocalChannels } from '../../../../node/net/local-channel.ts'
import { createRequestHandler, createRequests, errorTell } from '../../../../node/net/requests.ts'
import { encode } from '../../../../protocol/codec.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import type { ControlAsk } from '../../../../protocol/messages/control.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { codeOf, watched } from '../../../support/code-of.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { fakeHost } from '../../../support/fake-host.ts'
import { testKey } from '../../../support/federation.ts'

const question: ControlAsk = { t: 'account', authorization: signDocument(testKey().signer, 'accountRequest', {}), body: Uint8Array.of(1) }

function setUp(serve: (channel: Channel) => void) {
  const clock = fakeClock()
  const host = fakeHost()
  const opened: Channel[] = []
  host.onOpen = (peer) => {
    const [near, far] = createLocalChannels(peer)
    opened.push(near)
    serve(far)
    return Promise.resolve(near)
  }
  const pool = createChannelPool({ host }, { protocol: '/x' })
  return { clock, host, opened, requests: createRequests({ pool, clock }) }
}

/** Serves with the real handler. */
function answering(answer: () => Promise<Uint8Array>) {
  const handler = createRequestHandler(answer)
  return (channel: Channel) => void handler(channel).catch((error: unknown) => channel.abort(error as TriforceError))
}

describe('node/net/requests', () => {
  it('answers a ping, and asks many questions over one channel', async () => {
    const { requests, opened } = setUp(answering(() => Promise.resolve(Uint8Array.of(5))))
    expect(await requests.ask('a', { t: 'ping' }, { waitMsMax: 100 })).to.deep.equal({ t: 'pong' })
    expect(await requests.ask('a', question, { waitMsMax: 100 })).to.deep.equal({ t: 'ok', body: Uint8Array.of(5) })
    expect(opened).to.have.length(1)
  })

  it('uses the channel again after an answer that says no', async () => {
    const { requests, opened } = setUp(answering(() => Promise.reject(new TriforceError('RATE_LIMITED', {}, { retryAfterMs: 7 }))))
    const answer = await requests.ask('a', question, { waitMsMax: 100 })
    expect(answer).to.include({ t: 'error', code: 'RATE_LIMITED', retryAfterMs: 7 })
    await requests.ask('a', { t: 'ping' }, { waitMsMax: 100 })
    expect(opened).to.have.length(1)
  })

  it('gives up at waitMsMax and not one millisecond earlier, and does not use the channel again', async () => {
    const { requests, clock, opened } = setUp(() => {})
    const asking = watched(requests.ask('a', { t: 'ping' }, { waitMsMax: 1_000 }))
    await settled()
    clock.advance(999)
    await settled()
    expect(asking.state).to.equal('pending')
    clock.advance(1)
    await settled()
    expect(asking.code).to.equal('HOST_SILENT')
    expect(opened[0]!.closed.aborted).to.equal(true)
  })

  it('counts the time that opening the channel takes, and keeps a channel that comes late', async () => {
    const { requests, clock, host } = setUp(() => {})
    const [near] = createLocalChannels('a')
    const { promise, resolve } = Promise.withResolvers<Channel>()
    host.onOpen = () => promise
    const asking = watched(requests.ask('a', { t: 'ping' }, { waitMsMax: 1_000 }))
    await settled()
    clock.advance(1_000)
    await settled()
    expect(asking.code).to.equal('HOST_SILENT')
    resolve(near)
    await settled()
    expect(near.closed.aborted).to.equal(false)
  })

  it('tells a lost channel from a frame that cannot be read', async () => {
    const lost = setUp((channel) => channel.close())
    expect(await codeOf(lost.requests.ask('a', { t: 'ping' }, { waitMsMax: 100 }))).to.equal('HOST_LOST')
    const odd = setUp((channel) => void channel.send(encode({ t: 'nonsense' })))
    expect(await codeOf(odd.requests.ask('a', { t: 'ping' }, { waitMsMax: 100 }))).to.equal('FRAME_MALFORMED')
    expect(odd.opened[0]!.closed.aborted).to.equal(true)
  })

  it('breaks off a peer that asks nonsense', async () => {
    const [near, far] = createLocalChannels('a')
    near.send(Uint8Array.of(0xff))
    expect(await codeOf(createRequestHandler(() => Promise.resolve(new Uint8Array()))(far))).to.equal('FRAME_MALFORMED')
  })

  it('says nothing of inner errors but their code', () => {
    expect(errorTell(new TriforceError('INTERNAL', {}, { detail: 'a secret path' }))).to.deep.equal({ t: 'error', code: 'INTERNAL', detail: '' })
    expect(errorTell(new TriforceError('NO_HOST', {}, { detail: 'x'.repeat(5_000) })).detail).to.have.length(1_024)
  })
})
