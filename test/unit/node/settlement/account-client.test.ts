import { expect } from 'chai'
import { createAccountClient } from '../../../../node/settlement/account-client.ts'
import type { Requests } from '../../../../node/net/requests.ts'
import { encode } from '../../../../protocol/codec.ts'
import { sha256 } from '../../../../protocol/crypto.ts'
import { TriforceError, type ErrorCode } from '../../../../protocol/errors.ts'
import type { ControlTell } from '../../../../protocol/messages/control.ts'
import { accountRequestSchema } from '../../../../protocol/messages/job.ts'
import { publicKeyOf } from '../../../../protocol/peer-key.ts'
import { openDocument } from '../../../../protocol/signed.ts'
import { codeOf } from '../../../support/code-of.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { testFederation, testKey } from '../../../support/federation.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const { federation } = testFederation()
const { signer } = testKey()
const ok: ControlTell = { t: 'ok', body: encode({ models: [] }) }
const says = (code: string): ControlTell => ({ t: 'error', code, detail: '' })

function setUp(answers: readonly (ControlTell | ErrorCode)[], connected: readonly number[] = [0, 1, 2]) {
  const asked: { hub: number; question: Parameters<Requests['ask']>[1] }[] = []
  const client = createAccountClient({
    requests: {
      ask(peer, question) {
        const hub = federation.hubs.findIndex((one) => one.peerId === peer)
        asked.push({ hub, question })
        const answer = answers[hub]!
        return typeof answer === 'string' ? Promise.reject(new TriforceError(answer)) : Promise.resolve(answer)
      },
    },
    isConnected: (peer) => connected.some((index) => federation.hubs[index]!.peerId === peer),
    clock: fakeClock(), random: seededRandom(4),
  }, { network: federation.network, hubs: federation.hubs })
  return { client, asked, hubs: () => asked.map((one) => one.hub) }
}

describe('node/settlement/account-client', () => {
  it('signs each question for one hub and one body', async () => {
    const { client, asked } = setUp([ok, ok, ok])
    expect((await client.ask(signer, 'models', {})).answer).to.deep.equal({ models: [] })
    const { question } = asked[0]!
    if (question.t !== 'account') throw new Error('no account question')
    const request = openDocument('accountRequest', accountRequestSchema, question.authorization)
    expect(request).to.deep.include({ network: federation.network, action: 'models' })
    expect(Buffer.from(request.hub)).to.deep.equal(Buffer.from(publicKeyOf(federation.hubs[0]!.peerId)!))
    expect(Buffer.from(request.bodyHash)).to.deep.equal(Buffer.from(sha256(question.body)))
  })

  it('passes over a hub that is dead, silent, starting or read-only', async () => {
    for (const first of ['NO_HOST', 'HOST_LOST', 'HOST_SILENT', says('STARTING'), says('STOPPING'), says('LEDGER_READ_ONLY')] as const) {
      const { client, hubs } = setUp([first, ok, ok])
      expect((await client.ask(signer, 'models', {})).hub).to.equal(federation.hubs[1])
      expect(hubs()).to.deep.equal([0, 1])
      await client.ask(signer, 'models', {})
      expect(hubs(), 'the one that answered is asked first').to.deep.equal([0, 1, 1])
    }
  })

  it('takes a refusal for final', async () => {
    const { client, hubs } = setUp([says('INVALID_API_KEY'), ok, ok])
    expect(await codeOf(client.ask(signer, 'models', {}))).to.equal('INVALID_API_KEY')
    expect(hubs()).to.deep.equal([0])
  })

  it('asks only connected hubs, or the one that is named', async () => {
    const some = setUp([ok, ok, ok], [2])
    await some.client.ask(signer, 'models', {})
    await some.client.ask(signer, 'models', {}, federation.hubs[1])
    expect(some.hubs()).to.deep.equal([2, 1])
    expect(some.client.hubs()).to.deep.equal([federation.hubs[2]])
  })

  it('tells where no hub can be reached from where the hubs have no host', async () => {
    expect(await codeOf(setUp([], []).client.ask(signer, 'models', {}))).to.equal('NO_HUB')
    expect(await codeOf(setUp(['HOST_SILENT', 'HOST_LOST', 'NO_HOST']).client.ask(signer, 'models', {}))).to.equal('NO_HUB')
    expect(await codeOf(setUp([says('NO_HOST'), says('NO_HOST'), says('NO_HOST')]).client.ask(signer, 'models', {}))).to.equal('NO_HOST')
  })

  it('refuses an answer that does not fit the question', async () => {
    expect(await codeOf(setUp([{ t: 'pong' }]).client.ask(signer, 'models', {}))).to.equal('PROTOCOL_VIOLATION')
    expect(await codeOf(setUp([{ t: 'ok', body: encode({ models: 'none' }) }]).client.ask(signer, 'models', {}))).to.equal('FRAME_MALFORMED')
  })
})
