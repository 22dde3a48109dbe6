import { expect } from 'chai'
import { createCheckSchedule } from '../../../../node/honesty/check-schedule.ts'
import { runCheck, type CheckOrder } from '../../../../node/honesty/check-run.ts'
import { createDrawBook } from '../../../../node/honesty/draw-book.ts'
import { createHouse } from '../../../../node/honesty/house.ts'
import { outcomesOf } from '../../../../node/honesty/job-outcomes.ts'
import { watchAnswers, type EndedJob } from '../../../../node/honesty/job-watch.ts'
import { newStanding, SERIES_CHECKS } from '../../../../node/honesty/standing.ts'
import { createQuietTurns } from '../../../../node/honesty/quiet-turns.ts'
import { openStandings, type StandingStore } from '../../../../node/honesty/standings.ts'
import { createVerdictExchange } from '../../../../node/honesty/verdict-exchange.ts'
import type { CompletionEvent } from '../../../../node/gateway.ts'
import type { JobOrder } from '../../../../node/jobs/job-order.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { decode } from '../../../../protocol/codec.ts'
import { checksTellSchema } from '../../../../protocol/messages/checks.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { codeOf } from '../../../support/code-of.ts'
import { aCapacity, aModel, aRequest } from '../../../support/completions.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { testKey } from '../../../support/federation.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const log = quietLog()
const key = new Uint8Array(32).fill(4)
const machine = toHex(key)
const bad = { kind: 'answer', bad: true } as const

function memoryStore(): StandingStore & { readonly values: Map<string, Uint8Array> } {
  const values = new Map<string, Uint8Array>()
  return { values, load: () => Promise.resolve([...values.values()]), put: (id, bytes) => void values.set(id, bytes), remove: (id) => void values.delete(id) }
}

describe('node/honesty/standings', () => {
  it('keeps how a machine stands over a restart, and starts anew where it cannot be read', async () => {
    const store = memoryStore()
    const clock = fakeClock()
    const first = await openStandings({ store, clock, log }, { mustPass: true })
    for (let check = 0; check < 12; check += 1) first.judge(machine, [bad], { isCheck: true })
    expect(first.of(machine).state).to.equal('failed')
    const second = await openStandings({ store, clock, log }, { mustPass: true })
    expect(second.of(machine)).to.deep.equal(first.of(machine))
    expect([second.again(machine), second.again(machine), second.of(machine).state]).to.deep.equal([true, false, 'again'])
    store.values.set('x', new Uint8Array([1, 2, 3]))
    expect((await openStandings({ store, clock, log }, { mustPass: true })).known()).to.deep.equal([machine])
  })

  it('pays who passed here or at another hub, and nobody who failed anywhere; a word that is not repeated lapses', async () => {
    const clock = fakeClock()
    const standings = await openStandings({ store: memoryStore(), clock, log }, { mustPass: true })
    const say = (hub: string, state: 'passed' | 'failed') => standings.heard(hub, { v: 1, network: 'net', contributor: key, state, sentAt: clock.now() })
    expect(standings.mayPay(machine)).to.equal(false)
    say('b', 'passed')
    expect(standings.mayPay(machine)).to.equal(true)
    say('c', 'failed')
    expect([standings.mayPay(machine), standings.othersSay(machine)]).to.deep.equal([false, 'failed'])
    standings.heard('c', { v: 1, network: 'net', contributor: key, state: 'passed', sentAt: clock.now() - 1 })
    expect(standings.othersSay(machine), 'an older word').to.equal('failed')
    clock.advance(86_400_001)
    expect([standings.mayPay(machine), standings.othersSay(machine)]).to.deep.equal([false, undefined])
    for (let check = 0; check < SERIES_CHECKS; check += 1) standings.judge(machine, [{ kind: 'answer', bad: false }], { isCheck: true })
    expect(standings.mayPay(machine)).to.equal(true)
    const local = await openStandings({ store: memoryStore(), clock, log }, { mustPass: false })
    expect(local.mayPay(machine)).to.equal(true)
  })

  it('is bounded, and forgets one that failed last', async () => {
    const store = memoryStore()
    const standings = await openStandings({ store, clock: fakeClock(), log }, { mustPass: false, machinesMax: 3 })
    for (let check = 0; check < 12; check += 1) standings.judge(machine, [bad], { isCheck: true })
    for (let other = 10; other < 20; other += 1) standings.judge(toHex(new Uint8Array(32).fill(other)), [], { isCheck: true })
    expect(standings.known()).to.have.length(3).and.to.include(machine)
    expect(store.values.size).to.equal(3)
  })
})

describe('node/honesty/check-schedule', () => {
  it('plans a series soon, a passed machine rarely, one that failed never, and joins drawn jobs', () => {
    const clock = fakeClock()
    const schedule = createCheckSchedule({ clock, random: seededRandom(1) })
    const passed = { ...newStanding(), state: 'passed' as const }
    schedule.present('new', newStanding())
    schedule.present('passed', passed)
    schedule.present('failed', { ...newStanding(), state: 'failed' })
    expect(schedule.due(9, () => true)).to.deep.equal([])
    schedule.drawn('passed', key.subarray(0, 16))
    schedule.drawn('passed', key.subarray(0, 16))
    clock.advance(90_000)
    const due = schedule.due(9, () => true)
    expect(due.map(({ contributor }) => contributor).sort()).to.deep.equal(['new', 'passed'])
    expect(due.find(({ contributor }) => contributor === 'passed')!.jobIds).to.have.length(2)
    schedule.present('gone', newStanding())
    clock.advance(90_000)
    expect(schedule.due(9, () => false)).to.deep.equal([])
    expect(schedule.forget('gone')).to.deep.equal([])
  })
})

describe('node/honesty/check-run', () => {
  const clock = fakeClock()
  const large = 'It depends on the tide, on the moon, and on who is asked.'
  const small = 'No idea at all, sorry; ask somebody else about this one.'

  function world(says: Readonly<Record<string, string>>) {
    const orders: JobOrder[] = []
    async function* run(order: JobOrder): AsyncGenerator<CompletionEvent> {
      orders.push(order)
      const peer = order.routing!.only![0]!
      const text = says[peer]
      await Promise.resolve()
      if (text === undefined) throw new Error('gone')
      yield { type: 'placed', host: peer === 'thief' ? 'another' : peer, hostName: 'x', attempts: 1, model: 'm' }
      yield { type: 'text', text, tokens: 12 }
      yield { type: 'finish', finish: 'stop', usage: { promptTokens: 1, completionTokens: 12 } }
    }
    return { orders, components: { run, house: createHouse({ random: seededRandom(2) }), turns: createQuietTurns({ table: { get: () => undefined, onChange: () => () => false }, clock }), clock, log } }
  }
  const witness = (peer: string, account: string) => ({ peer, account, own: false, trusted: true })
  const order: CheckOrder = {
    peer: 'host', account: 'me', trusted: false, tier: 'free', comparable: true, request: aRequest({ model: 'm' }), witnesses: [witness('a', 'a'), witness('b', 'b')],
  }

  it('asks the machine first and a witness after it, each for itself, as an account like any other', async () => {
    const { orders, components } = world({ host: large, a: large, b: large })
    expect(await runCheck(components, order)).to.deep.include({ answer: 'good', count: 'good', agreed: ['a'] })
    expect(orders.map(({ routing }) => routing!.only)).to.deep.equal([['host'], ['a']])
    for (const { request, account, apiKey } of orders) expect([request.maxTokens! <= 384, account.length, apiKey!.length]).to.deep.equal([true, 16, 16])
  })

  it('asks a second witness where one is not enough, and no more', async () => {
    const { orders, components } = world({ host: small, a: large, b: large })
    expect(await runCheck(components, { ...order, trusted: true })).to.deep.include({ answer: 'bad' })
    expect(orders).to.have.length(3)
  })

  it('takes the answer of an ordinary job as it was, and asks only others', async () => {
    const { orders, components } = world({ a: large })
    expect((await runCheck(components, { ...order, answered: { text: small, tokens: 9 } })).answer).to.equal('bad')
    expect(orders.map(({ routing }) => routing!.only)).to.deep.equal([['a']])
  })

  it('says nothing where the machine does not answer, nobody else does, or another one took the question', async () => {
    expect((await runCheck(world({ a: large }).components, order)).said).to.equal(undefined)
    expect(await runCheck(world({ host: large }).components, order)).to.deep.include({ answer: 'unknown' })
    expect((await runCheck(world({ thief: large }).components, { ...order, peer: 'thief' })).said).to.equal(undefined)
  })
})

describe('node/honesty/job-watch', () => {
  const clock = fakeClock()
  const model = aModel({ id: 'm', parameters: 8e9, quantization: 'Q4_K_M', tokensPerSecond: 0 })
  const host = { peer: 'p', capacity: aCapacity({ peer: key, models: [model], gpus: [{ name: 'A100', vramBytes: 80 * 2 ** 30, vramFreeBytes: 0 }] }, 1), isHub: false }
  const order = { account: key.subarray(0, 16), tier: 'free' }
  const usage = { promptTokens: 1, completionTokens: 64 }
  const ended: EndedJob[] = []
  const begin = watchAnswers({ clock }, { keepsText: (_, { tier }) => tier === 'free', onEnded: (job) => void ended.push(job) })

  function job(ms: number, tokens = 64, text = 'word '.repeat(100)): EndedJob {
    const watched = begin(host, aRequest({ model: 'm' }), order)!
    clock.advance(ms)
    watched.delta({ type: 'text', text, tokens })
    watched.ended(key.subarray(0, 16), { usage: { ...usage, completionTokens: tokens }, error: undefined, finish: 'stop' })
    return ended.at(-1)!
  }

  it('measures a job, keeps its text only where that is wanted, and leaves out hubs, vectors and what did not end well', () => {
    expect(job(2_000)).to.deep.include({ wholeMs: 2_000, tokens: 64, bytes: 500, waited: false, text: 'word '.repeat(100) })
    const other = begin(host, aRequest({ model: 'm' }), { ...order, tier: 'pro' })!
    other.delta({ type: 'text', text: 'secret', tokens: 1 })
    other.ended(key.subarray(0, 16), { usage, error: undefined, finish: 'stop' })
    expect(ended.at(-1)!.text).to.equal(undefined)
    const count = ended.length
    begin(host, aRequest({ model: 'm' }), order)!.ended(key.subarray(0, 16), { usage, error: undefined, finish: 'cancelled' })
    expect(ended).to.have.length(count)
    expect(begin({ ...host, isHub: true }, aRequest({ model: 'm' }), order)).to.equal(undefined)
    expect(begin(host, { kind: 'embedding', model: 'm', inputs: ['x'] }, order)).to.equal(undefined)
    expect(begin(host, aRequest({ model: 'another' }), order)).to.equal(undefined)
  })

  it('judges speed by what runs there, counts by the text, and pace by the class', () => {
    const classes = ['a100-80']
    const kinds = (ended: EndedJob, streams?: number) => Object.fromEntries(outcomesOf(ended, { classes, streams }).map(({ kind, bad: isBad }) => [kind, isBad]))
    expect(kinds(job(2_000), 1)).to.deep.equal({ excess: false, pace: false, speed: true })
    expect(kinds(job(2_000), 4), 'shared by four').to.deep.equal({ excess: false, pace: false, speed: false })
    expect(kinds(job(2_000), 5), 'too busy').to.deep.equal({ excess: false, pace: false })
    expect(kinds(job(2_000)), 'not a check').to.deep.equal({ excess: false, pace: false })
    expect(kinds(job(500, 64, 'x'.repeat(450)), 1)['excess']).to.equal(false)
    expect(kinds(job(500, 480, 'x'.repeat(450)), 1)['excess']).to.equal(true)
    expect(kinds(job(1, 64), 1)['pace']).to.equal(true)
  })
})

describe('node/honesty/verdict-exchange', () => {
  it('takes verdicts of the hub that signed them, and nobody else\'s; shows an hour that is over', async () => {
    const clock = fakeClock(1_800_000_000_000)
    const hubs = [testKey(), testKey(), testKey()]
    const standings = await openStandings({ store: memoryStore(), clock, log }, { mustPass: false })
    const book = createDrawBook({ signer: hubs[0]!.signer, clock }, { network: 'net' })
    const exchange = createVerdictExchange({
      standings, book, ledger: { receipts: () => Promise.resolve([]) }, requests: { ask: () => Promise.reject(new Error('unused')) }, isConnected: () => true,
      signer: hubs[0]!.signer, clock, random: seededRandom(1), log,
    }, { network: 'net', hubs: hubs.map(({ peerId }, index) => ({ name: `hub${index}`, peerId })), me: 0 })
    const verdict = { v: 1, network: 'net', contributor: key, state: 'failed', why: 'answer', sentAt: clock.now() }
    const question = (signer = hubs[1]!.signer, part = {}) => ({
      t: 'checks' as const, hour: book.nextHour - 2, nextHour: book.nextHour, commitment: key, verdicts: [signDocument(signer, 'checkVerdict', { ...verdict, ...part })],
    })
    expect(await codeOf(() => exchange.answer('a stranger', question()))).to.equal('NOT_A_HUB')
    expect(await codeOf(async () => exchange.answer(hubs[1]!.peerId, question(hubs[2]!.signer)))).to.equal('SIGNATURE_INVALID')
    await exchange.answer(hubs[1]!.peerId, question(hubs[1]!.signer, { network: 'another' }))
    expect(standings.othersSay(machine)).to.equal(undefined)
    const answer = decode(checksTellSchema, await exchange.answer(hubs[1]!.peerId, question()))
    expect(standings.othersSay(machine)).to.equal('failed')
    expect(answer.report, 'it was not there in that hour').to.equal(undefined)
    clock.advance(2 * 3_600_000)
    const later = decode(checksTellSchema, await exchange.answer(hubs[1]!.peerId, { ...question(), hour: book.nextHour - 2 }))
    expect(later.report!.checked).to.deep.equal([])
  })
})
