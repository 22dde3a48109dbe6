/** What a vendor's answer costs, and where a request goes next: the dispatcher with vendors. */
import { expect } from 'chai'
import { createCapacityTable } from '../../../../node/capacity/table.ts'
import type { CompletionEvent, PlacedEvent } from '../../../../node/gateway.ts'
import type { HostCandidate } from '../../../../node/jobs/candidates.ts'
import { createDispatcher } from '../../../../node/jobs/dispatcher.ts'
import { createHostRecord } from '../../../../node/jobs/host-record.ts'
import type { JobOrder } from '../../../../node/jobs/job-order.ts'
import { decode } from '../../../../protocol/codec.ts'
import { completionRequestSchema } from '../../../../protocol/completion.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import type { JobAsk } from '../../../../protocol/messages/job.ts'
import { ticketSchema } from '../../../../protocol/messages/ticket.ts'
import { aCloudModel, cloudMarket } from '../../../support/cloud-market.ts'
import { aCapacity, aModel, aRequest } from '../../../support/completions.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { fakeLedger } from '../../../support/fake-ledger.ts'
import { noLimits, planTiers } from '../../../support/tiers.ts'
import { testKey } from '../../../support/federation.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { scriptedHost, type ScriptedHost } from '../../../support/scripted-host.ts'
import { fixedRandom } from '../../../support/seeded-random.ts'
import { turnSignerOf } from '../../../support/issued-ticket.ts'

type Open = Extract<JobAsk, { t: 'open' }>
type Behaviour = (host: ScriptedHost, open: Open) => Promise<void> | void

const GPT = 'openai/gpt'
const payer = testKey()

/** Tokens are words; the vendor counts 5 prompt tokens and what `counted` says. */
function says(words: readonly string[], counted: number = words.length, extra: { reasoningTokens?: number } = {}): Behaviour {
  return (host) => {
    host.tell({ t: 'accept' })
    words.forEach((text, index) => host.tell({ t: 'chunk', text, tokens: index + 1 }))
    host.tell({ t: 'end', finish: 'stop', usage: { promptTokens: 5, completionTokens: counted, ...extra } })
  }
}

const refuses = (code: string): Behaviour => (host) => void host.tell({ t: 'reject', code, detail: '' })

/** Hubs that reach GPT at a vendor, in the order of `hubs`, and a host of `llama3.3:70b`. */
function setUp(hubs: readonly Behaviour[], options: { llama?: Behaviour; llamaBusy?: number; vendorOf?: (index: number) => string } = {}) {
  const clock = fakeClock()
  const ledger = fakeLedger()
  const account = ledger.addAccount(payer.signer.publicKey, { balanceMicroCredits: 77n }).id
  const table = createCapacityTable({ clock }, { demoAllowed: true })
  const keys = hubs.map(() => testKey())
  const llama = testKey()
  if (options.llama !== undefined) {
    table.put(aCapacity({ peer: llama.signer.publicKey, name: 'llama', models: [aModel({ id: 'llama3.3:70b' })], slots: { total: 1, busy: options.llamaBusy ?? 0, queued: 0 } }, clock.now()))
  }
  const rows = keys.map((key, index) => ({ peer: key.peerId, contributor: '', capacity: aCapacity({ peer: key.signer.publicKey, name: `hub${index}`, mode: 'hub', models: [] }, clock.now()), receivedAt: 0 }))
  const vendorOf = options.vendorOf ?? (() => 'openai')
  const clouds = cloudMarket(rows.map((row, index) => ({ row, models: [aCloudModel(`${vendorOf(index)}/gpt`), aCloudModel(`${vendorOf(index)}/llama-3.3-70b-versatile`)] })))
  const asked: string[] = []
  const opens: Open[] = []
  const hosts: ScriptedHost[] = []
  const dispatcher = createDispatcher({
    table, record: createHostRecord({ clock }), ledger, clock, random: fixedRandom(0), log: quietLog(), signer: turnSignerOf(testKey().signer), clouds, tierOf: planTiers, limits: noLimits,
    modelHosts: { find: () => Promise.resolve([]) }, isConnected: () => true, isSelf: () => false, privacyOf: () => () => 'any',
    lease(candidate: HostCandidate) {
      const index = keys.findIndex((key) => key.peerId === candidate.row.peer)
      asked.push(candidate.row.capacity.name)
      const host = scriptedHost(candidate.row.peer)
      hosts.push(host)
      void host.asked().then(async (open) => {
        opens.push(open as Open)
        await (index === -1 ? options.llama! : hubs[index]!)(host, open as Open)
      }).catch(() => {})
      return Promise.resolve(host.channel)
    },
    giveBack: () => {},
  }, { network: 'net', hubName: 'hub' })

  function run(part: Partial<JobOrder> = {}) {
    const leaving = new AbortController()
    const events: CompletionEvent[] = []
    const outcome = { code: undefined as string | undefined }
    void (async () => {
      try {
        for await (const event of dispatcher.run({ account, request: aRequest({ model: GPT, maxTokens: 50 }), tier: 'pro', signal: leaving.signal, ...part })) events.push(event)
      } catch (error) {
        outcome.code = (error as TriforceError).code
      }
    })()
    return {
      leaving, events, outcome, text: () => events.map((event) => event.type === 'text' ? event.text : '').join(''),
      placed: () => events.filter((event): event is PlacedEvent => event.type === 'placed'),
      finish: () => events.find((event) => event.type === 'finish'),
      served: () => (events.at(-1) as Extract<CompletionEvent, { type: 'settled' }>).served,
    }
  }
  return { clock, ledger, account, table, asked, opens, hosts, dispatcher, run }
}

describe('node/jobs/dispatcher, vendors', () => {
  it('holds before anything is sent, tells the price first, and charges what the vendor counted', async () => {
    const { ledger, opens, run } = setUp([says(['Hello', ' world'])])
    const job = run()
    await settled()
    const [hold, ...rest] = ledger.spending
    // For an answer of 50 tokens, and a quarter of the prompt beside it.
    expect(hold).to.equal('hold 9+61')
    expect(rest).to.deep.equal(['settle 5+2'])
    expect(job.events[0]).to.deep.include({
      type: 'placed', hostName: 'hub0', attempts: 1, model: GPT, vendor: 'openai', price: { promptMicroCredits: 1_000n, completionMicroCredits: 1_000n }, remainingMicroCredits: 77n,
    })
    expect(job.served()).to.include({ costMicroCredits: 7n, model: GPT, attempts: 1, remainingMicroCredits: 77n })
    expect(ledger.credits).to.equal(1_000_000_000n - 7n)
    const ticket = decode(ticketSchema, opens[0]!.ticket.body)
    expect(ticket).to.deep.include({ cloud: true, model: GPT, priceRev: 3 })
    expect(ledger.devices, 'a vendor earns nobody anything').to.deep.equal([undefined])
  })

  it('asks the next hub with the key where one fails before the first byte, and lets the first hold go', async () => {
    const { ledger, asked, run } = setUp([refuses('ENGINE_FAILED'), says(['Hi'])])
    const job = run()
    await settled()
    expect(asked).to.have.length(2)
    expect(job.text()).to.equal('Hi')
    expect(ledger.spending.map((entry) => entry.split(' ')[0])).to.deep.equal(['hold', 'expire', 'hold', 'settle'])
    expect(job.placed().map(({ attempts }) => attempts)).to.deep.equal([1, 2])
  })

  it('refuses before the first byte where the account cannot pay, and asks no hub', async () => {
    const { ledger, asked, run } = setUp([says(['Hi']), says(['Hi'])])
    ledger.credits = 10n
    const job = run()
    await settled()
    expect([job.outcome.code, asked, ledger.spending]).to.deep.equal(['INSUFFICIENT_CREDITS', [], []])
  })

  it('goes on to a model that is free where the account cannot pay, if the client named it', async () => {
    const { ledger, asked, opens, run } = setUp([says(['Hi'])], { llama: says(['free']) })
    ledger.credits = 0n
    const job = run({ routing: { fallbackModels: ['llama3.3:70b'] } })
    await settled()
    expect([job.text(), asked, job.served().model, job.served().costMicroCredits]).to.deep.equal(['free', ['llama'], 'llama3.3:70b', 0n])
    expect(decode(completionRequestSchema, opens[0]!.request).model).to.equal('llama3.3:70b')
  })

  it('ends with `length` and the reason where credits run out mid-stream, and stops the vendor', async () => {
    const words = Array.from({ length: 600 }, (_, index) => `w${index} `)
    const { ledger, hosts, run } = setUp([async (host) => {
      host.tell({ t: 'accept' })
      for (const [index, text] of words.entries()) {
        host.tell({ t: 'chunk', text, tokens: index + 1 })
        if (index % 50 === 0) await settled()
      }
      if ((await host.asked()).t === 'cancel') host.tell({ t: 'end', finish: 'cancelled', usage: { promptTokens: 5, completionTokens: 600 } })
    }])
    ledger.credits = 330n
    const job = run({ request: aRequest({ model: GPT, maxTokens: 4_000 }) })
    for (let turn = 0; turn < 40; turn += 1) await settled()
    expect(hosts).to.have.length(1)
    expect(job.finish()).to.deep.include({ finish: 'length' })
    expect(job.served().stoppedBy).to.equal('credits')
    const delivered = job.events.filter((event) => event.type === 'text').length
    expect(delivered).to.be.within(200, 330)
    expect(ledger.spending.at(-1)).to.equal(`settle 5+${delivered}`)
    expect(ledger.credits >= 0n).to.equal(true)
  })

  it('does not end an answer that is as long as the request allows', async () => {
    const { run, ledger } = setUp([says(Array.from({ length: 50 }, () => 'x'))])
    const job = run()
    await settled()
    expect(job.text()).to.have.length(50)
    expect(job.served()).to.not.have.property('stoppedBy')
    expect(ledger.spending.at(-1)).to.equal('settle 5+50')
  })

  it('charges what was delivered where the hub dies, and says so to nobody as a whole answer', async () => {
    const { ledger, asked, run } = setUp([(host) => {
      host.tell({ t: 'accept' })
      host.tell({ t: 'chunk', text: 'Hel', tokens: 1 })
      host.tell({ t: 'chunk', text: 'lo', tokens: 2 })
      host.serving.abort(new TriforceError('HOST_LOST'))
    }, says(['never'])])
    const job = run()
    await settled()
    expect([job.outcome.code, job.text(), asked.length]).to.deep.equal(['HOST_LOST', 'Hello', 1])
    expect(ledger.spending[1]).to.match(/^settle \d+\+2$/)
  })

  it('charges a client that left for what had come, and nothing where nothing had', async () => {
    const cancelled = (tokens: number): Behaviour => async (host) => {
      host.tell({ t: 'accept' })
      for (let n = 1; n <= tokens; n += 1) host.tell({ t: 'chunk', text: 'x', tokens: n })
      if ((await host.asked()).t === 'cancel') host.tell({ t: 'end', finish: 'cancelled', usage: { promptTokens: 5, completionTokens: tokens } })
    }
    for (const [tokens, entries] of [[3, ['settle 5+3']], [0, ['expire']]] as const) {
      const { ledger, run } = setUp([cancelled(tokens)])
      const job = run()
      await settled()
      job.leaving.abort()
      await settled()
      expect(job.outcome.code).to.equal('CANCELLED')
      expect(ledger.spending.slice(1)).to.deep.equal(entries)
    }
  })

  it('charges a client that left while it was behind for what it took, and for the vendor\'s count where that is of a whole answer', async () => {
    for (const [finish, entries] of [['cancelled', ['settle 5+2']], ['stop', ['settle 5+12']]] as const) {
      const { ledger, dispatcher, account } = setUp([async (host) => {
        host.tell({ t: 'accept' })
        for (let n = 1; n <= 12; n += 1) host.tell({ t: 'chunk', text: 'x', tokens: n })
        if ((await host.asked()).t === 'cancel') host.tell({ t: 'end', finish, usage: { promptTokens: 5, completionTokens: 12 } })
      }])
      const leaving = new AbortController()
      const events = dispatcher.run({ account, request: aRequest({ model: GPT, maxTokens: 50 }), tier: 'pro', signal: leaving.signal })[Symbol.asyncIterator]()
      for (let texts = 0; texts < 2;) texts += (await events.next()).value.type === 'text' ? 1 : 0
      await settled()
      leaving.abort()
      await settled()
      expect(ledger.spending.slice(1), finish).to.deep.equal(entries)
    }
  })

  it('charges nothing for an empty answer, and thoughts that the vendor counted where it ended well', async () => {
    const empty = setUp([says([], 0)])
    empty.run()
    await settled()
    expect(empty.ledger.spending.slice(1)).to.deep.equal(['expire'])
    const thought = setUp([says([], 40, { reasoningTokens: 40 })])
    thought.run()
    await settled()
    expect(thought.ledger.spending.slice(1)).to.deep.equal(['settle 5+40'])
  })

  it('reserves the rest before it charges more than was held, and believes no count that the text cannot have', async () => {
    const long = setUp([says(['Hello'], 3_000, { reasoningTokens: 2_999 })])
    long.run({ request: aRequest({ model: GPT, maxTokens: 4_000 }) })
    await settled()
    expect(long.ledger.spending.slice(1)).to.deep.equal(['extend 5+3000', 'settle 5+3000'])
    const liar = setUp([says(['Hello'], 3_000)])
    const job = liar.run({ request: aRequest({ model: GPT, maxTokens: 4_000 }) })
    await settled()
    expect(liar.ledger.spending.slice(1)).to.deep.equal(['settle 5+1'])
    expect(job.finish()).to.deep.include({ usage: { promptTokens: 5, completionTokens: 1 } })
  })

  it('asks a vendor for the same weights only where `cloud` was said: after a free host, before a queue', async () => {
    const free = setUp([says(['cloud'])], { llama: says(['pool']) })
    const request = aRequest({ model: 'llama3.3:70b' })
    const plain = free.run({ request, routing: { privacy: 'cloud' } })
    await settled()
    expect(plain.text()).to.equal('pool')
    const busy = setUp([says(['cloud'])], { llama: says(['pool']), llamaBusy: 1 })
    const [silent, said] = [busy.run({ request }), busy.run({ request, routing: { privacy: 'cloud' } })]
    await settled()
    expect([silent.text(), said.text(), said.served().model]).to.deep.equal(['pool', 'cloud', 'openai/llama-3.3-70b-versatile'])
  })

  it('tells a consumer to have a vendor\'s job relayed, and explains every decision', async () => {
    const { dispatcher } = setUp([says([])], { llama: says([]) })
    const order = { account: new Uint8Array(16), model: GPT, requestHash: new Uint8Array(32), tier: 'pro', needs: [], exclude: [] }
    expect(await dispatcher.place(order)).to.equal(undefined)
    expect(await dispatcher.place({ ...order, model: 'llama3.3:70b' })).to.not.equal(undefined)
    const { steps, leftOut } = await dispatcher.explain({ ...order, routing: { privacy: 'any', fallbackModels: ['llama3.3:70b'] } })
    expect(steps.map(({ name }) => name)).to.deep.equal(['llama'])
    expect(leftOut.map(({ name, vendor, reason }) => [name, vendor, reason])).to.deep.equal([['hub0', 'openai', 'privacy']])
  })

  it('says which wish or class left all hosts out', async () => {
    const { run } = setUp([says([])])
    const [privacy, narrow, unable] = [run({ privacy: 'any', routing: { privacy: 'cloud' } }), run({ routing: { only: ['groq'] } }), run({ request: aRequest({ model: GPT, continueLast: true, messages: [{ role: 'assistant', content: 'x' }] }) })]
    await settled()
    expect([privacy.outcome.code, narrow.outcome.code, unable.outcome.code]).to.deep.equal(['NO_ALLOWED_HOST', 'NO_ALLOWED_HOST', 'CAPABILITY_MISSING'])
  })
})
