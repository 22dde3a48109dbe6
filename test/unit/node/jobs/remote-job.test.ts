import { expect } from 'chai'
import type { CompletionEvent } from '../../../../node/gateway.ts'
import { ANSWER_MS_MAX } from '../../../../node/jobs/job-run.ts'
import { createRemoteJobs } from '../../../../node/jobs/remote-job.ts'
import type { Channel } from '../../../../node/net/channel.ts'
import { createTraffic } from '../../../../node/net/traffic.ts'
import type { AccountClient } from '../../../../node/settlement/account-client.ts'
import { decode } from '../../../../protocol/codec.ts'
import { completionRequestSchema, type CompletionRequest } from '../../../../protocol/completion.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import type { RoutingWishes } from '../../../../protocol/routing.ts'
import type { JobAsk } from '../../../../protocol/messages/job.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { aRequest } from '../../../support/completions.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { testFederation, testKey } from '../../../support/federation.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { scriptedHost, type ScriptedHost } from '../../../support/scripted-host.ts'
import { seededRandom } from '../../../support/seeded-random.ts'
import { issuedNow } from '../../../support/issued-ticket.ts'

const { federation, hubs } = testFederation()
const contributors = [testKey(), testKey()]
const user = testKey()
type Behaviour = (host: ScriptedHost, ask: JobAsk) => void

const answer = (text: string, relayed = false): Behaviour => (host) => {
  host.tell({ t: 'accept' })
  host.tell({ t: 'chunk', text, tokens: 1 })
  host.tell({
    t: 'end', finish: 'stop', usage: { promptTokens: 1, completionTokens: 1 },
    ...(relayed ? { relayed: { receiptId: new Uint8Array(16), host: 'H', hostName: 'far', hub: 'hub1', durability: 'replicated' as const, costMicroCredits: 3, model: 'tiny', attempts: 1 } } : {}),
  })
}

/** `ticketCodes`: what the n-th ticket request fails with; undefined gives a ticket for the n-th contributor. */
function setUp(options: { reachable?: boolean; peers: Readonly<Record<string, Behaviour>>; ticketCodes?: readonly (string | undefined)[]; settle?: () => Promise<void> }) {
  const clock = fakeClock()
  const random = seededRandom(3)
  const asked: { action: string; body: Record<string, unknown> }[] = []
  const opened: string[] = []
  const ends: string[] = []
  let tickets = 0
  const ask = async (_signer: unknown, action: string, body: Record<string, unknown>) => {
    asked.push({ action, body })
    if (action === 'ticket') {
      const index = tickets++
      const code = options.ticketCodes?.[index]
      if (code !== undefined) throw new TriforceError(code as 'NO_HOST')
      const { signed } = issuedNow({ signer: hubs[0]!.signer, clock, random }, federation.network, {
        contributor: contributors[index % 2]!.signer.publicKey, account: new Uint8Array(16), model: 'tiny', requestHash: new Uint8Array(32), priority: 1, tokensMax: 100,
      })
      return { hub: federation.hubs[0]!, answer: { ticket: signed, hostName: `c${index}`, addresses: ['/ip4/10.0.0.1/tcp/1'] } }
    }
    await options.settle?.()
    return { hub: federation.hubs[0]!, answer: { receiptId: new Uint8Array(16).fill(9), durability: 'local', costMicroCredits: '5' } }
  }
  const client: AccountClient = {
    ask: ask as unknown as AccountClient['ask'],
    authorize: (signer) => signDocument(signer, 'accountRequest', {}),
    hubs: () => [...federation.hubs],
  }
  const hosts: ScriptedHost[] = []
  const jobs = createRemoteJobs({
    reach: { to: () => Promise.resolve(options.reachable ?? true) },
    traffic: createTraffic(),
    pool: {
      lease(peer) {
        opened.push(peer)
        const behaviour = options.peers[peer]
        if (behaviour === undefined) return Promise.reject(new TriforceError('NO_HOST'))
        const host = scriptedHost(peer)
        hosts.push(host)
        void host.asked().then((frame) => behaviour(host, frame), () => {})
        return Promise.resolve(host.channel)
      },
      giveBack: (channel: Channel) => void ends.push(`clean ${channel.peer}`),
      discard: (channel: Channel) => void ends.push(`discarded ${channel.peer}`),
    },
    client, clock, log: quietLog(),
  })
  function run(routing?: RoutingWishes, part: Partial<CompletionRequest> = { responseFormat: { type: 'json_object' } }) {
    const leaving = new AbortController()
    const events: CompletionEvent[] = []
    const outcome = { code: undefined as string | undefined }
    void (async () => {
      try {
        for await (const event of jobs.run(user.signer, aRequest(part), { signal: leaving.signal, ...(routing === undefined ? {} : { routing }) })) events.push(event)
      } catch (error) {
        outcome.code = (error as TriforceError).code
      }
    })()
    return { leaving, events, outcome, text: () => events.map((event) => event.type === 'text' ? event.text : '').join(''), last: () => events.at(-1) as Extract<CompletionEvent, { type: 'settled' }> }
  }
  return { clock, asked, opened, ends, hosts, jobs, run }
}

const [first, second] = contributors.map((key) => key.peerId) as [string, string]
const [hub1, hub2] = federation.hubs.map((hub) => hub.peerId) as [string, string]

describe('node/jobs/remote-job', () => {
  it('streams straight from the contributor and has the hub settle what it saw', async () => {
    const { asked, opened, ends, jobs, run } = setUp({ peers: { [first]: answer('Hi') } })
    const job = run()
    await settled()
    expect(job.text()).to.equal('Hi')
    expect(job.last().served).to.deep.include({ host: first, hostName: 'c0', hub: federation.hubs[0]!.name, durability: 'local', costMicroCredits: 5n, attempts: 1 })
    expect(asked.map((one) => one.action)).to.deep.equal(['ticket', 'settle'])
    expect(asked[0]!.body['needs'], 'the hub does not see the request').to.deep.equal(['chat', 'json'])
    expect(asked[1]!.body).to.deep.include({ finish: 'stop', observedUsage: { promptTokens: 1, completionTokens: 1 } })
    expect([opened, ends]).to.deep.equal([[first], [`clean ${first}`]])
    expect(jobs.counts).to.deep.equal({ running: 0, served: 1, failed: 0 })
  })

  it('asks for another host where the first does not answer, and excludes it', async () => {
    const { asked, opened, run } = setUp({ peers: { [first]: (host) => void host.tell({ t: 'reject', code: 'QUEUE_FULL', detail: '' }), [second]: answer('Yo') } })
    const job = run()
    await settled()
    expect(job.last().served.attempts).to.equal(2)
    expect(opened).to.deep.equal([first, second])
    expect((asked[1]!.body['exclude'] as Uint8Array[]).map((key) => Buffer.from(key))).to.deep.equal([Buffer.from(contributors[0]!.signer.publicKey)])
  })

  it('tells the hub which host broke off, and does not wait long for one that says nothing', async () => {
    const broken = setUp({ peers: { [first]: (host) => host.serving.close(), [second]: answer('Yo') } })
    broken.run()
    await settled()
    expect((broken.asked[1]!.body['unanswered'] as Uint8Array[]).map((key) => Buffer.from(key))).to.deep.equal([Buffer.from(contributors[0]!.signer.publicKey)])
    const { asked, clock, run } = setUp({ peers: { [first]: () => {}, [second]: answer('Yo') } })
    const job = run()
    await settled()
    clock.advance(ANSWER_MS_MAX)
    await settled()
    expect([job.text(), asked[1]!.body['unanswered']]).to.deep.include('Yo').and.to.have.nested.property('[1].length', 1)
  })

  it('has a hub relay where the only contributor cannot be reached', async () => {
    const { opened, run } = setUp({ reachable: false, ticketCodes: [undefined, 'NO_HOST'], peers: { [hub1]: answer('Via hub', true) } })
    const job = run()
    await settled()
    expect(job.text()).to.equal('Via hub')
    expect(job.last().served).to.deep.include({ host: 'H', costMicroCredits: 3n })
    expect(opened).to.deep.equal([hub1])
  })

  it('goes to the next hub where one cannot relay', async () => {
    const { opened, run } = setUp({ ticketCodes: ['NO_HUB'], peers: { [hub2]: answer('Via two', true) } })
    const job = run()
    await settled()
    expect([job.text(), opened]).to.deep.equal(['Via two', [hub1, hub2]])
  })

  it('takes an end of a relayed job without its receipt for a breach', async () => {
    const { run } = setUp({ ticketCodes: ['NO_HUB'], peers: Object.fromEntries(federation.hubs.map((hub) => [hub.peerId, (host: ScriptedHost) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'end', finish: 'stop', usage: { promptTokens: 0, completionTokens: 0 } })
    }])) })
    const job = run()
    await settled()
    expect(job.outcome.code).to.equal('PROTOCOL_VIOLATION')
  })

  it('asks no further where the account or the request is the reason', async () => {
    for (const code of ['INVALID_API_KEY', 'MODEL_NOT_FOUND', 'INSUFFICIENT_CREDITS']) {
      const { opened, run } = setUp({ ticketCodes: [code], peers: {} })
      const job = run()
      await settled()
      expect([job.outcome.code, opened]).to.deep.equal([code, []])
    }
    const { opened, run } = setUp({ peers: { [first]: (host) => void host.tell({ t: 'reject', code: 'CONTEXT_LENGTH_EXCEEDED', detail: '' }) } })
    const job = run()
    await settled()
    expect([job.outcome.code, opened]).to.deep.equal(['CONTEXT_LENGTH_EXCEEDED', [first]])
  })

  it('does not believe a contributor that speaks of the account', async () => {
    const { opened, run } = setUp({ peers: { [first]: (host) => void host.tell({ t: 'reject', code: 'INVALID_API_KEY', detail: '' }), [second]: answer('Yo') } })
    const job = run()
    await settled()
    expect([job.text(), opened]).to.deep.equal(['Yo', [first, second]])
  })

  const broken: Behaviour = (host) => {
    host.tell({ t: 'accept' })
    host.tell({ t: 'chunk', text: 'Hal', tokens: 2, ids: [7, 8] })
    host.serving.abort(new TriforceError('HOST_LOST'))
  }

  it('goes on at another contributor where one breaks off, and settles both: one answer, one bill', async () => {
    let begun: CompletionRequest | undefined
    const { asked, opened, ends, run } = setUp({ peers: { [first]: broken, [second]: (host, ask) => {
      begun = decode(completionRequestSchema, (ask as Extract<JobAsk, { t: 'open' }>).request)
      answer('lo')(host, ask)
    } } })
    const job = run(undefined, { maxTokens: 10 })
    await settled()
    expect([job.text(), job.outcome.code, opened, ends]).to.deep.equal(['Hallo', undefined, [first, second], [`discarded ${first}`, `clean ${second}`]])
    expect(begun).to.deep.include({ continueLast: true, maxTokens: 8, begun: { chars: 3, tokens: 2, ids: [7, 8] } })
    expect(begun!.messages.at(-1)).to.deep.equal({ role: 'assistant', content: 'Hal' })
    expect(asked.map(({ action }) => action)).to.have.members(['ticket', 'settle', 'ticket', 'settle'])
    const again = asked.filter(({ action }) => action === 'ticket')[1]!.body
    expect([again['needs'], (again['unanswered'] as Uint8Array[]).length]).to.deep.equal([['chat', 'continue'], 1])
    expect(job.events.findLast(({ type }) => type === 'text')).to.deep.include({ tokens: 3 })
    expect(job.events.find(({ type }) => type === 'finish')).to.deep.include({ usage: { promptTokens: 1, completionTokens: 3 } })
    const { served } = job.last()
    expect(served).to.deep.include({ host: second, attempts: 2, costMicroCredits: 10n })
    expect(served.parts).to.deep.equal([{ host: first, hostName: 'c0', completionTokens: 2, receiptId: new Uint8Array(16).fill(9) }])
  })

  it('has a hub go on where no other contributor is left', async () => {
    const { opened, run } = setUp({ ticketCodes: [undefined, 'NO_HOST'], peers: { [first]: broken, [hub1]: answer('lo', true) } })
    const job = run(undefined, {})
    await settled()
    expect([job.text(), opened]).to.deep.equal(['Hallo', [first, hub1]])
    expect(job.last().served.parts).to.have.length(1)
  })

  it('goes on by way of another hub where the one that relays is lost, and not where that one says that nobody can', async () => {
    const lost = setUp({ ticketCodes: ['NO_HUB', 'NO_HUB'], peers: { [hub1]: broken, [hub2]: answer('lo', true) } })
    const job = lost.run(undefined, {})
    await settled()
    expect(job.outcome.code).to.equal(undefined)
    expect(job.text()).to.match(/^Hal/)
    const said = setUp({ ticketCodes: ['NO_HUB'], peers: { [hub1]: (host) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'chunk', text: 'Hal', tokens: 2 })
      host.tell({ t: 'fail', code: 'HOST_LOST', detail: '', usage: { promptTokens: 0, completionTokens: 2 } })
    }, [hub2]: answer('never', true) } })
    const failed = said.run(undefined, {})
    await settled()
    expect([failed.outcome.code, said.opened]).to.deep.equal(['HOST_LOST', [hub1]])
  })

  it('does not go on where the client does not wish it: tells the failure after text, once, and settles what came', async () => {
    const { asked, opened, ends, run } = setUp({ peers: { [first]: (host) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'chunk', text: 'Hal', tokens: 0 })
      host.serving.abort(new TriforceError('HOST_LOST'))
    }, [second]: answer('never'), [hub1]: answer('never', true) } })
    const job = run({ continuation: false })
    await settled()
    expect([job.text(), job.outcome.code, opened, ends]).to.deep.equal(['Hal', 'HOST_LOST', [first], [`discarded ${first}`]])
    expect(asked.at(-1)!.action).to.equal('settle')
  })

  it('cancels, settles the exact usage in the background, and then says CANCELLED', async () => {
    const { asked, hosts, jobs, run } = setUp({ peers: { [first]: (host) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'chunk', text: 'a', tokens: 1 })
    } } })
    const job = run()
    await settled()
    job.leaving.abort()
    expect((await hosts[0]!.asked()).t).to.equal('cancel')
    hosts[0]!.tell({ t: 'end', finish: 'cancelled', usage: { promptTokens: 1, completionTokens: 1 } })
    await settled()
    expect(job.outcome.code).to.equal('CANCELLED')
    expect(asked.at(-1)).to.deep.include({ action: 'settle' })
    expect(asked.at(-1)!.body['finish']).to.equal('cancelled')
    expect(jobs.counts).to.deep.equal({ running: 0, served: 0, failed: 0 })
  })

  it('says `settled` only after the hub has', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { run } = setUp({ peers: { [first]: answer('Hi') }, settle: () => promise })
    const job = run()
    await settled()
    expect(job.events.map((event) => event.type)).to.deep.equal(['placed', 'text', 'finish'])
    resolve()
    await settled()
    expect(job.last().type).to.equal('settled')
  })
})
