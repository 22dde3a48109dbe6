import { expect } from 'chai'
import { createCapacityTable, type CapacityTable } from '../../../../node/capacity/table.ts'
import type { CompletionEvent } from '../../../../node/gateway.ts'
import { createDispatcher, type DispatcherOptions } from '../../../../node/jobs/dispatcher.ts'
import type { JobOrder } from '../../../../node/jobs/job-order.ts'
import { ANSWER_MS_MAX } from '../../../../node/jobs/job-run.ts'
import { goOnDefaults } from '../../../../node/jobs/go-on.ts'
import { createHostRecord } from '../../../../node/jobs/host-record.ts'
import type { CloudMarket, HostCandidate } from '../../../../node/jobs/candidates.ts'
import type { JobEvent } from '../../../../node/jobs/vectors.ts'
import type { Channel } from '../../../../node/net/channel.ts'
import { decode } from '../../../../protocol/codec.ts'
import { completionRequestSchema, type CompletionRequest, type EmbeddingRequest, type JobRequest } from '../../../../protocol/completion.ts'
import { TriforceError, type ErrorCode } from '../../../../protocol/errors.ts'
import { JOB_BEAT_MS, JOB_MS_MAX, JOB_SILENCE_MS_MAX } from '../../../../protocol/limits.ts'
import type { OfferedModel } from '../../../../protocol/messages/capacity.ts'
import type { JobAsk } from '../../../../protocol/messages/job.ts'
import { ticketSchema } from '../../../../protocol/messages/ticket.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { noClouds } from '../../../support/cloud-market.ts'
import { codeOf } from '../../../support/code-of.ts'
import { aCapacity, aModel, aRequest } from '../../../support/completions.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { fakeLedger } from '../../../support/fake-ledger.ts'
import type { TierLimits } from '../../../../node/settlement/tier-limits.ts'
import { noLimits, planTiers } from '../../../support/tiers.ts'
import { testKey } from '../../../support/federation.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { honestHalf, scriptedHost, type ScriptedHost } from '../../../support/scripted-host.ts'
import { fixedRandom } from '../../../support/seeded-random.ts'
import { turnSignerOf } from '../../../support/issued-ticket.ts'

type Open = Extract<JobAsk, { t: 'open' }>
/** What a host does with a job. */
type Behaviour = (host: ScriptedHost, open: Open, index: number) => Promise<void> | void

const keys = Array.from({ length: 6 }, () => testKey())
const good = honest('Hello world')

function honest(text: string): Behaviour {
  return (host, open, index) => {
    host.tell({ t: 'accept' })
    host.tell({ t: 'chunk', text, tokens: 2 })
    const usage = { promptTokens: 3, completionTokens: 2 }
    host.tell({ t: 'end', finish: 'stop', usage, half: honestHalf(keys[index]!.signer, open.ticket, { text, usage, finish: 'stop' }) })
  }
}

const refusing = (code: string): Behaviour => (host) => void host.tell({ t: 'reject', code, detail: '' })
const usageOf = (completionTokens: number) => ({ promptTokens: 0, completionTokens })

/** Hosts are asked in the order of `behaviours`: each later one is busier. */
function setUp(behaviours: readonly Behaviour[], options: { dispatcher?: Partial<DispatcherOptions>; models?: readonly OfferedModel[]; clouds?: (table: CapacityTable) => CloudMarket; limits?: TierLimits } = {}) {
  const clock = fakeClock()
  const ledger = fakeLedger()
  const table = createCapacityTable({ clock }, { demoAllowed: true })
  const record = createHostRecord({ clock })
  behaviours.forEach((_, index) => {
    table.put(aCapacity({ peer: keys[index]!.signer.publicKey, name: `host${index}`, models: [...(options.models ?? [aModel()])], slots: { total: 100, busy: index, queued: 0 } }, clock.now()))
  })
  const asked: number[] = []
  const returned: Channel[] = []
  const hosts: ScriptedHost[] = []
  const dispatcher = createDispatcher({
    table, record, ledger, clock, random: fixedRandom(0), log: quietLog(), signer: turnSignerOf(testKey().signer), tierOf: planTiers, limits: options.limits ?? noLimits,
    modelHosts: { find: () => Promise.resolve([]) },
    isConnected: () => true, isSelf: () => false, privacyOf: () => () => 'any', clouds: options.clouds?.(table) ?? noClouds,
    lease(candidate: HostCandidate) {
      const index = keys.findIndex((key) => key.peerId === candidate.row.peer)
      asked.push(index)
      const host = scriptedHost(candidate.row.peer)
      hosts.push(host)
      void host.asked().then(async (open) => { await behaviours[index]!(host, open as Open, index) }).catch(() => {})
      return Promise.resolve(host.channel)
    },
    giveBack: (channel) => void returned.push(channel),
  }, { network: 'net', hubName: 'hub1', ...options.dispatcher })

  function run(part: Partial<JobOrder<JobRequest>> = {}) {
    const leaving = new AbortController()
    const events: JobEvent[] = []
    const outcome = { code: undefined as string | undefined, isOver: false }
    void (async () => {
      try {
        for await (const event of dispatcher.run({ account: new Uint8Array(16), request: aRequest(), tier: 'pro', signal: leaving.signal, ...part })) events.push(event)
      } catch (error) {
        outcome.code = (error as TriforceError).code
      }
      outcome.isOver = true
    })()
    return { leaving, events, outcome, text: () => events.map((event) => event.type === 'text' ? event.text : '').join(''), types: () => events.map((event) => event.type).filter((type) => type !== 'waiting' && type !== 'placed') }
  }
  async function pass(ms: number): Promise<void> {
    clock.advance(ms)
    await settled()
  }
  return { clock, ledger, table, record, asked, returned, hosts, dispatcher, run, pass }
}

describe('node/jobs/dispatcher', () => {
  it('streams from the best host, settles, and says who served', async () => {
    const { ledger, dispatcher, returned, run } = setUp([good, good])
    const job = run()
    await settled()
    expect(job.types()).to.deep.equal(['text', 'finish', 'settled'])
    expect(job.events.at(-1)).to.deep.include({ type: 'settled' })
    const { served } = job.events.at(-1) as Extract<CompletionEvent, { type: 'settled' }>
    expect(served).to.deep.include({ host: keys[0]!.peerId, hostName: 'host0', hub: 'hub1', attempts: 1, durability: 'replicated', costMicroCredits: 0n })
    expect(ledger.appended).to.have.length(1)
    expect(ledger.appended[0]!.half).to.not.equal(undefined)
    expect(ledger.appended[0]!.observation).to.deep.include({ usage: { promptTokens: 3, completionTokens: 2 }, finish: 'stop', path: 'hub' })
    expect(returned).to.have.length(1)
    expect(dispatcher.counts).to.deep.equal({ running: 0, served: 1, failed: 0 })
  })

  const silentlyRetried: Readonly<Record<string, Behaviour>> = {
    'is full': refusing('QUEUE_FULL'),
    'stops': refusing('STOPPING'),
    'does not know the model any more': refusing('MODEL_NOT_FOUND'),
    'has an inner failure': refusing('INTERNAL'),
    'claims that the key is wrong': refusing('INVALID_API_KEY'),
    'claims that the client has left': refusing('CANCELLED'),
    'claims that credits are missing': refusing('INSUFFICIENT_CREDITS'),
    'says something of the future': refusing('NEW_CODE'),
    'breaks off': (host) => host.serving.abort(new TriforceError('HOST_LOST')),
    'ends without an end': (host) => host.serving.close(),
    'talks nonsense': (host) => void host.serving.send(Uint8Array.of(0xff)),
    'fails before any text': (host) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'fail', code: 'ENGINE_FAILED', detail: '', usage: usageOf(0) })
    },
  }
  for (const [name, behaviour] of Object.entries(silentlyRetried)) {
    it(`goes on to the next host where one ${name}, and avoids it for a while`, async () => {
      const { asked, record, ledger, dispatcher, run } = setUp([behaviour, good])
      const job = run()
      await settled()
      expect(asked).to.deep.equal([0, 1])
      expect(job.text()).to.equal('Hello world')
      expect((job.events.at(-1) as Extract<CompletionEvent, { type: 'settled' }>).served.attempts).to.equal(2)
      expect([record.coolingDown(keys[0]!.peerId), record.coolingDown(keys[1]!.peerId)]).to.deep.equal([true, false])
      expect(ledger.appended).to.have.length(1)
      expect(dispatcher.counts.failed).to.equal(0)
      run()
      await settled()
      expect(asked[2]).to.equal(1)
    })
  }

  it('has embeddings made by a host that can, and by no other', async () => {
    const values = new Uint8Array(8).fill(1)
    const embed: Behaviour = (host, open, index) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'vectors', dimensions: 2, values })
      const usage = { promptTokens: 3, completionTokens: 0 }
      host.tell({ t: 'end', finish: 'stop', usage, half: honestHalf(keys[index]!.signer, open.ticket, { text: '', usage, finish: 'stop' }) })
    }
    const request: EmbeddingRequest = { kind: 'embedding', model: 'tiny', inputs: ['a'] }
    const able = setUp([embed], { models: [aModel({ capabilities: ['embedding'] })] })
    const job = able.run({ request })
    await settled()
    expect(job.types()).to.deep.equal(['vectors', 'finish', 'settled'])
    expect(job.events.find(({ type }) => type === 'vectors')).to.deep.equal({ type: 'vectors', dimensions: 2, values })
    expect(able.ledger.receipts).to.have.length(1)
    const unable = setUp([embed]).run({ request })
    await settled()
    expect(unable.outcome.code).to.equal('CAPABILITY_MISSING')
  })

  it('refuses a request that fits no frame, and asks nobody', async () => {
    const { asked, run } = setUp([good], { models: [aModel({ capabilities: ['chat', 'vision'] })] })
    const image = { type: 'image' as const, mediaType: 'image/png' as const, data: new Uint8Array(1_500_000) }
    const job = run({ request: aRequest({ messages: [{ role: 'user', content: [image, image, image] }] }) })
    await settled()
    expect(job.outcome.code).to.equal('BODY_TOO_LARGE')
    expect(asked).to.deep.equal([])
  })

  it('goes on where a host is silent, after ANSWER_MS_MAX where another is there, and JOB_SILENCE_MS_MAX at the last', async () => {
    const last = setUp([() => {}])
    const alone = last.run()
    await settled()
    await last.pass(JOB_SILENCE_MS_MAX - 1)
    expect(alone.outcome.isOver).to.equal(false)
    await last.pass(1)
    expect(alone.outcome.code).to.equal('HOST_SILENT')

    const { asked, run, pass } = setUp([() => {}, good])
    const job = run()
    await settled()
    await pass(ANSWER_MS_MAX - 1)
    expect(asked).to.deep.equal([0])
    await pass(1)
    expect(asked).to.deep.equal([0, 1])
    expect(job.text()).to.equal('Hello world')
  })

  for (const code of ['BAD_REQUEST', 'CONTEXT_LENGTH_EXCEEDED', 'CAPABILITY_MISSING'] satisfies ErrorCode[]) {
    it(`asks nobody else after ${code}, and does not blame the host`, async () => {
      const { asked, record, run } = setUp([refusing(code), good])
      const job = run()
      await settled()
      expect([job.outcome.code, asked, record.coolingDown(keys[0]!.peerId)]).to.deep.equal([code, [0], false])
    })
  }

  it('asks at most attemptsMax hosts, and then tells the last reason, never an accusation of the client', async () => {
    const { asked, run, dispatcher } = setUp([refusing('QUEUE_FULL'), refusing('QUEUE_FULL'), refusing('INVALID_API_KEY'), good], { dispatcher: { attemptsMax: 3 } })
    const job = run()
    await settled()
    expect(asked).to.have.length(3)
    expect(job.outcome.code).to.equal('ENGINE_FAILED')
    expect(dispatcher.counts.failed).to.equal(1)
  })

  describe('an answer whose host breaks off', () => {
    const able = { models: [aModel({ capabilities: ['chat', 'continue'] })] }
    const breaking = (text: string, tokens: number): Behaviour => (host, open, index) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'chunk', text: text.slice(0, -1), tokens: tokens - 1, ids: Array.from({ length: tokens - 1 }, (_, id) => id) })
      host.tell({
        t: 'progress', note: signDocument(keys[index]!.signer, 'progress', {}),
        half: honestHalf(keys[index]!.signer, open.ticket, { text: text.slice(0, -1), usage: usageOf(tokens - 1), finish: 'error' }),
      })
      host.tell({ t: 'chunk', text: text.slice(-1), tokens, ids: [99] })
      host.serving.abort(new TriforceError('HOST_LOST'))
    }
    /** Keeps what it is asked, and gives the rest. */
    const going = (asked: CompletionRequest[], text: string): Behaviour => (host, open, index) => {
      asked.push(decode(completionRequestSchema, open.request))
      void honest(text)(host, open, index)
    }

    it('goes on at another, and the client sees one answer with one bill; each host has its receipt, with what it signed', async () => {
      const requests: CompletionRequest[] = []
      const { asked, ledger, record, dispatcher, run } = setUp([breaking('Hel', 3), going(requests, 'lo')], able)
      const job = run({ request: aRequest({ maxTokens: 50 }) })
      await settled()
      expect([asked, job.text(), job.outcome.code, job.types()]).to.deep.equal([[0, 1], 'Hello', undefined, ['text', 'text', 'text', 'finish', 'settled']])
      expect(requests[0]).to.deep.include({ continueLast: true, maxTokens: 47, begun: { chars: 3, tokens: 3, ids: [0, 1, 99] } })
      expect(job.events.filter(({ type }) => type === 'placed').map((event) => (event as Extract<CompletionEvent, { type: 'placed' }>).after)).to.deep.equal([undefined, 'HOST_LOST'])
      expect(job.events.find(({ type }) => type === 'finish')).to.deep.include({ finish: 'stop', usage: { promptTokens: 3, completionTokens: 5 } })
      const { served } = job.events.at(-1) as Extract<CompletionEvent, { type: 'settled' }>
      expect(served).to.deep.include({ host: keys[1]!.peerId, attempts: 2 })
      expect(served.parts!.map(({ host, completionTokens }) => [host, completionTokens])).to.deep.equal([[keys[0]!.peerId, 3]])
      expect(ledger.appended.map(({ half, observation }) => [half !== undefined, observation.finish, observation.usage.completionTokens])).to.deep.equal([[true, 'error', 2], [true, 'stop', 2]])
      expect([record.coolingDown(keys[0]!.peerId), dispatcher.counts]).to.deep.equal([true, { running: 0, served: 1, failed: 0 }])
    })

    it('goes on at the third where the second breaks off too, and at none after that', async () => {
      const requests: CompletionRequest[] = []
      const twice = setUp([breaking('He', 2), breaking('ll', 2), going(requests, 'o')], able)
      const job = twice.run()
      await settled()
      expect([job.text(), requests[0]!.begun!.tokens, twice.ledger.appended.length]).to.deep.equal(['Hello', 4, 3])
      const killer = setUp([breaking('ab', 2), breaking('cd', 2), breaking('ef', 2), good], able)
      const killed = killer.run()
      await settled()
      expect([killed.text(), killed.outcome.code, killer.asked]).to.deep.equal(['abcdef', 'HOST_LOST', [0, 1, 2]])
      expect(killer.ledger.appended).to.have.length(3)
    })

    it('waits some seconds for a host, asks the one that is back, and tells the first error where none comes', async () => {
      let calls = 0
      const back = setUp([(host, open, index) => {
        calls += 1
        return (calls === 1 ? breaking('Hel', 3) : honest('lo'))(host, open, index)
      }], able)
      const job = back.run()
      await settled()
      expect(job.outcome.isOver).to.equal(false)
      await back.pass(goOnDefaults.lookMs)
      expect([job.text(), job.outcome.code, back.asked]).to.deep.equal(['Hello', undefined, [0, 0]])
      calls = 0
      const gone = setUp([(host, open, index) => {
        calls += 1
        return (calls === 1 ? breaking('Hel', 3) : refusing('STOPPING'))(host, open, index)
      }, refusing('QUEUE_FULL')], able)
      const lost = gone.run()
      for (let ms = 0; ms <= goOnDefaults.waitMsMax + goOnDefaults.lookMs; ms += goOnDefaults.lookMs) await gone.pass(goOnDefaults.lookMs)
      expect([lost.text(), lost.outcome.code]).to.deep.equal(['Hel', 'HOST_LOST'])
      expect(gone.asked.length).to.be.within(3, 12)
    })

    it('ends with length where all tokens were there, and asks nobody', async () => {
      const { asked, run } = setUp([breaking('Hel', 3), good], able)
      const job = run({ request: aRequest({ maxTokens: 3 }) })
      await settled()
      expect([asked, job.text(), job.types().slice(-2)]).to.deep.equal([[0], 'Hel', ['finish', 'settled']])
      expect(job.events.find(({ type }) => type === 'finish')).to.deep.include({ finish: 'length' })
    })

    it('does not go on where the client does not wish it', async () => {
      const { asked, run } = setUp([breaking('Hel', 3), good], able)
      const job = run({ routing: { continuation: false } })
      await settled()
      expect([asked, job.text(), job.outcome.code]).to.deep.equal([[0], 'Hel', 'HOST_LOST'])
    })
  })

  it('asks nobody else once text was delivered where no host can go on, and settles what was', async () => {
    const { asked, ledger, run } = setUp([(host) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'chunk', text: 'Hel', tokens: 1 })
      host.serving.abort(new TriforceError('HOST_LOST'))
    }, good])
    const job = run()
    await settled()
    expect([asked, job.text(), job.outcome.code]).to.deep.equal([[0], 'Hel', 'HOST_LOST'])
    expect(ledger.appended).to.have.length(1)
    expect(ledger.appended[0]).to.not.have.property('half')
    expect(ledger.appended[0]!.observation).to.deep.include({ finish: 'error', usage: usageOf(1) })
  })

  it('never sends a second answer after text for which the host counted no tokens', async () => {
    const { asked, run } = setUp([(host) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'chunk', text: 'Hel', tokens: 0 })
      host.tell({ t: 'fail', code: 'ENGINE_FAILED', detail: '', usage: usageOf(0) })
    }, good])
    const job = run()
    await settled()
    expect([asked, job.text(), job.outcome.code]).to.deep.equal([[0], 'Hel', 'ENGINE_FAILED'])
  })

  it('ends a job whose host claims more tokens than the ticket allows, and does not log the claim', async () => {
    const { ledger, run } = setUp([(host) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'chunk', text: 'a', tokens: 1 })
      host.tell({ t: 'end', finish: 'stop', usage: usageOf(1_000) })
    }])
    const job = run({ request: aRequest({ maxTokens: 10 }) })
    await settled()
    expect(job.outcome.code).to.equal('PROTOCOL_VIOLATION')
    expect(ledger.appended[0]!.observation.usage.completionTokens).to.equal(1)
  })

  it('leaves out a half that says something else than was seen', async () => {
    for (const lie of [{ text: 'other' }, { usage: usageOf(9) }, { finish: 'length' as const }]) {
      const { ledger, run } = setUp([(host, open) => {
        host.tell({ t: 'accept' })
        host.tell({ t: 'chunk', text: 'Hello', tokens: 2 })
        host.tell({ t: 'end', finish: 'stop', usage: usageOf(2), half: honestHalf(keys[0]!.signer, open.ticket, { text: 'Hello', usage: usageOf(2), finish: 'stop', ...lie }) })
      }])
      const job = run()
      await settled()
      expect(job.types().at(-1)).to.equal('settled')
      expect(ledger.appended[0]).to.not.have.property('half')
    }
  })

  it('says `settled` only when the receipt is durable, and `finish` before', async () => {
    const { ledger, run } = setUp([good])
    const { promise, resolve } = Promise.withResolvers<void>()
    ledger.onAppend = () => promise
    const job = run()
    await settled()
    expect(job.types()).to.deep.equal(['text', 'finish'])
    expect(job.outcome.isOver).to.equal(false)
    resolve()
    await settled()
    expect(job.types()).to.deep.equal(['text', 'finish', 'settled'])
  })

  it('fails the job where the receipt cannot be logged', async () => {
    const { ledger, run } = setUp([good])
    ledger.onAppend = () => { throw new TriforceError('LEDGER_READ_ONLY') }
    const job = run()
    await settled()
    expect(job.outcome.code).to.equal('LEDGER_READ_ONLY')
  })

  it('cancels the host, follows it to its exact end in the background and settles it', async () => {
    let host: ScriptedHost | undefined
    let ticket: Open['ticket'] | undefined
    const { ledger, dispatcher, returned, run } = setUp([(one, open) => {
      host = one
      ticket = open.ticket
      one.tell({ t: 'accept' })
      one.tell({ t: 'chunk', text: 'a', tokens: 1 })
    }])
    const job = run()
    await settled()
    job.leaving.abort()
    expect((await host!.asked()).t).to.equal('cancel')
    expect(ledger.appended).to.have.length(0)
    const usage = usageOf(2)
    host!.tell({ t: 'chunk', text: 'b', tokens: 2 })
    host!.tell({ t: 'end', finish: 'cancelled', usage, half: honestHalf(keys[0]!.signer, ticket!, { text: 'ab', usage, finish: 'cancelled' }) })
    await settled()
    expect(job.outcome.code).to.equal('CANCELLED')
    expect(job.text()).to.equal('a')
    expect(ledger.appended[0]!.half).to.not.equal(undefined)
    expect(ledger.appended[0]!.observation).to.deep.include({ finish: 'cancelled', usage })
    expect(returned).to.have.length(1)
    expect(dispatcher.counts).to.deep.equal({ running: 0, served: 0, failed: 0 })
  })

  it('cancels where the consumer just stops to iterate', async () => {
    let host: ScriptedHost | undefined
    const { dispatcher } = setUp([(one) => {
      host = one
      one.tell({ t: 'accept' })
      one.tell({ t: 'chunk', text: 'a', tokens: 1 })
    }])
    for await (const event of dispatcher.run({ account: new Uint8Array(16), request: aRequest(), tier: 'pro', signal: new AbortController().signal })) {
      if (event.type === 'text') break
    }
    expect((await host!.asked()).t).to.equal('cancel')
  })

  it('counts a job that was cancelled and whose host then died as cancelled', async () => {
    const { dispatcher, run, pass } = setUp([(host) => void host.tell({ t: 'accept' })])
    const job = run()
    await settled()
    job.leaving.abort()
    await pass(5_000)
    expect(job.outcome.code).to.equal('CANCELLED')
    expect(dispatcher.counts.failed).to.equal(0)
  })

  it('holds the host back while the consumer does not read', async () => {
    let told = 0
    let isFull = false
    const { dispatcher } = setUp([async (host) => {
      host.tell({ t: 'accept' })
      while (told < 2_000) {
        told += 1
        if (!host.tell({ t: 'chunk', text: 'x'.repeat(1_000), tokens: 1 })) {
          isFull = true
          await host.serving.drained()
          isFull = false
        }
      }
    }])
    const leaving = new AbortController()
    dispatcher.run({ account: new Uint8Array(16), request: aRequest(), tier: 'pro', signal: leaving.signal })
    await settled()
    expect(isFull).to.equal(true)
    expect(told).to.be.below(200)
    leaving.abort()
  })

  it('ends a job whose consumer stays but does not read, after JOB_MS_MAX', async () => {
    let host: ScriptedHost | undefined
    const { dispatcher, clock } = setUp([(one) => { host = one }])
    dispatcher.run({ account: new Uint8Array(16), request: aRequest(), tier: 'pro', signal: new AbortController().signal })
    await settled()
    host!.tell({ t: 'accept' })
    for (let n = 0; n < 40; n += 1) host!.tell({ t: 'chunk', text: 'x', tokens: 1 })
    await settled()
    clock.advance(JOB_MS_MAX - 1)
    await settled()
    expect(dispatcher.counts.running).to.equal(1)
    clock.advance(1)
    expect((await host!.asked()).t).to.equal('cancel')
    clock.advance(5_000)
    await settled()
    expect(dispatcher.counts.running).to.equal(0)
  })

  it('tells every JOB_BEAT_MS that the job lives, also while the host is looked for and the receipt is logged', async () => {
    const { ledger, run, pass } = setUp([() => {}, good])
    ledger.onAppend = () => new Promise(() => {})
    const job = run()
    await settled()
    for (let n = 0; n < 4; n += 1) await pass(JOB_BEAT_MS)
    expect(job.events.filter((event) => event.type === 'waiting')).to.have.length.at.least(4)
    await pass(JOB_BEAT_MS)
    const before = job.events.length
    for (let n = 0; n < 3; n += 1) await pass(JOB_BEAT_MS)
    expect(job.events.length - before).to.be.at.least(3)
  })

  it('passes on what the host says while it loads, the loaded part as 0 to 1', async () => {
    const { run } = setUp([(host) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'beat', state: 'loading', at: 500 })
    }])
    const job = run()
    await settled()
    expect(job.events).to.deep.include({ type: 'waiting', state: 'loading', at: 0.5 })
  })

  it('tells a model that nobody offers from one that nobody can serve now', async () => {
    const { run, dispatcher } = setUp([good])
    const unknown = run({ request: aRequest({ model: 'unknown' }) })
    const unable = run({ request: aRequest({ messages: [{ role: 'assistant', content: 'x' }], continueLast: true }) })
    await settled()
    expect([unknown.outcome.code, unable.outcome.code]).to.deep.equal(['MODEL_NOT_FOUND', 'CAPABILITY_MISSING'])
    const order = { account: new Uint8Array(16), model: 'tiny', requestHash: new Uint8Array(32), tier: 'pro', needs: [] }
    expect(await codeOf(dispatcher.place({ ...order, exclude: [keys[0]!.peerId] }))).to.equal('NO_HOST')
    expect(await codeOf(dispatcher.place({ ...order, exclude: [], needs: ['vision'] }))).to.equal('CAPABILITY_MISSING')
    const { issued, host } = (await dispatcher.place({ ...order, exclude: [] }))!
    expect(host.row.peer).to.equal(keys[0]!.peerId)
    expect(Buffer.from(decode(ticketSchema, issued.signed.body).contributor)).to.deep.equal(Buffer.from(keys[0]!.signer.publicKey))
  })

  it('refuses more jobs than runningMax, and is idle when the last has ended', async () => {
    const { dispatcher, run } = setUp([() => {}], { dispatcher: { runningMax: 1 } })
    const first = run()
    const second = run()
    let isIdle = false
    void dispatcher.idle().then(() => { isIdle = true })
    await settled()
    expect(second.outcome.code).to.equal('QUEUE_FULL')
    expect(isIdle).to.equal(false)
    first.leaving.abort()
    await settled()
    expect(dispatcher.counts.running, 'the host has 5 s to end').to.equal(1)
  })
})
