import { expect } from 'chai'
import { compareTexts, weighWitnesses, type Witness } from '../../../../node/honesty/compare.ts'
import { createHouse } from '../../../../node/honesty/house.ts'
import { createIncidents } from '../../../../node/honesty/incidents.ts'
import { createOwnPrompts } from '../../../../node/honesty/own-prompts.ts'
import { ceilingOf, classFloor, floorOf, weightBytes } from '../../../../node/honesty/pace.ts'
import { isComparable, probeRequest } from '../../../../node/honesty/prompts.ts'
import { isSameCount, recount } from '../../../../node/honesty/recount.ts'
import { createReplays } from '../../../../node/honesty/replays.ts'
import { createShapes } from '../../../../node/honesty/shapes.ts'
import { completionRequestSchema } from '../../../../protocol/completion.ts'
import { aRequest } from '../../../support/completions.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const GIB = 1024 ** 3
const text = 'The tide is made by the moon, which draws the water towards itself, and by the sun.'
const otherText = 'Tides depend on many things. First, one must know what the sea is and what it is not.'

describe('node/honesty/compare', () => {
  it('takes texts that part late for alike, those that part early for different, and short ones for neither', () => {
    expect(compareTexts(text, text)).to.equal('alike')
    expect(compareTexts(text, text.slice(0, 60) + ' and more of it')).to.equal('alike')
    expect(compareTexts(text, text.slice(0, 30)), 'cut by a smaller limit').to.equal('alike')
    expect(compareTexts(text, otherText)).to.equal('different')
    expect(compareTexts(text, '')).to.equal('different')
    expect(compareTexts('Yes.', 'Yes.')).to.equal('unknown')
    expect(compareTexts('Yes.', 'No.')).to.equal('unknown')
  })

  const witness = (part: Partial<Witness> & { readonly says?: string; readonly tokens?: number }): Witness => ({
    answer: { text: part.says ?? text, tokens: part.tokens ?? 20 }, trusted: part.trusted ?? true, own: part.own ?? false, account: part.account ?? 'a',
  })
  const host = (says = text, trusted = false, tokens = 20) => ({ answer: { text: says, tokens }, trusted, account: 'me' })
  const verdict = (...args: Parameters<typeof weighWitnesses>) => weighWitnesses(...args).answer

  it('believes the hub\'s own engine before everybody', () => {
    const own = witness({ own: true, account: 'hub' })
    expect(verdict(host(), [own, witness({ says: otherText, account: 'a' }), witness({ says: otherText, account: 'b' })])).to.equal('good')
    expect(verdict(host(otherText, true), [own, witness({ says: otherText })])).to.equal('bad')
  })

  it('believes two trusted hosts of two other accounts against anyone, one against a newcomer, and nobody else', () => {
    const [a, b] = [witness({ account: 'a' }), witness({ account: 'b' })]
    expect(verdict(host(otherText, true), [a, b])).to.equal('bad')
    expect(verdict(host(otherText, true), [a])).to.equal('unknown')
    expect(verdict(host(otherText, true), [a, witness({ account: 'a' })]), 'one account twice').to.equal('unknown')
    expect(verdict(host(otherText), [a])).to.equal('bad')
    expect(verdict(host(otherText), [witness({ trusted: false }), witness({ trusted: false, account: 'b' })])).to.equal('unknown')
    expect(verdict(host(otherText), [witness({ account: 'me' })]), 'its own account').to.equal('unknown')
    expect(verdict(host(otherText), [])).to.equal('unknown')
  })

  it('lets no newcomer agree with an accomplice against two trusted ones', () => {
    const accomplice = witness({ says: otherText, trusted: false, account: 'c' })
    expect(verdict(host(otherText), [accomplice])).to.equal('good')
    expect(verdict(host(otherText), [accomplice, witness({ account: 'a' }), witness({ account: 'b' })])).to.equal('bad')
  })

  it('finds who counts more in an equal text, and does not blame who counts less', () => {
    expect(weighWitnesses(host(text, false, 28), [witness({})]).count).to.equal('bad')
    expect(weighWitnesses(host(text, false, 21), [witness({})]).count).to.equal('good')
    expect(weighWitnesses(host(text, false, 12), [witness({})]).count).to.equal('unknown')
    expect(weighWitnesses(host(text, false, 28), [witness({ trusted: false })]).count).to.equal('unknown')
    expect(weighWitnesses(host(text.slice(0, 60), false, 90), [witness({})]), 'texts that are not equal').to.deep.equal({ answer: 'good', count: 'unknown' })
  })
})

describe('node/honesty/recount', () => {
  it('knows what no text can have', () => {
    expect(recount({ tokens: 500, bytes: 400, toolCalls: 0 })).to.equal('impossible')
    expect(recount({ tokens: 400, bytes: 440, toolCalls: 0 })).to.equal('dense')
    expect(recount({ tokens: 150, bytes: 440, toolCalls: 0 })).to.equal('plausible')
    expect(recount({ tokens: 10, bytes: 12, toolCalls: 0 }), 'too short to tell').to.equal('unknown')
    expect(recount({ tokens: 120, bytes: 60, toolCalls: 2 }), 'calls cost tokens without text').to.equal('unknown')
    expect(isSameCount(100, 102)).to.equal(true)
    expect(isSameCount(100, 110)).to.equal(false)
  })
})

describe('node/honesty/pace', () => {
  const model = { parameters: 8e9, quantization: 'Q4_K_M', tokensPerSecond: 0 }
  const a100 = { classes: ['a100-80'], vramBytes: 80 * GIB }
  const cpu = { classes: ['cpu'], vramBytes: 0 }

  it('knows the size of weights', () => {
    expect(weightBytes({ parameters: 8e9, quantization: 'F16' })).to.equal(16e9)
    expect(weightBytes({ parameters: 8e9, quantization: 'q8_0' })).to.equal(8.5e9)
    expect(weightBytes({ parameters: 8e9, quantization: '' })).to.equal(4.8e9)
  })

  it('asks of a card what its memory gives, and nothing of a processor, an unknown card, or a model that does not fit', () => {
    expect(classFloor(model, a100)).to.equal(100)
    expect(classFloor(model, { classes: ['rtx-3060'], vramBytes: 12 * GIB })).to.be.within(20, 25)
    expect(classFloor({ ...model, parameters: 70e9 }, { classes: ['rtx-4090'], vramBytes: 24 * GIB })).to.equal(0)
    expect(classFloor(model, cpu)).to.equal(0)
    expect(classFloor(model, { classes: ['rtx-9999'], vramBytes: 48 * GIB })).to.equal(0)
    expect(classFloor({ ...model, parameters: 0 }, a100)).to.equal(0)
  })

  it('takes a machine by its own word, with room', () => {
    expect(floorOf({ ...model, tokensPerSecond: 100 }, cpu)).to.equal(25)
    expect(floorOf({ ...model, tokensPerSecond: 100_000 }, cpu)).to.equal(40)
  })

  it('has a ceiling that experts and drafts stay below, and none where nothing is known', () => {
    expect(ceilingOf(model, a100)).to.be.above(10_000)
    expect(ceilingOf(model, cpu)).to.be.within(2_000, 4_000)
    expect(ceilingOf({ ...model, parameters: 0 }, cpu)).to.equal(Infinity)
    expect(ceilingOf(model, { classes: ['rtx-9999'], vramBytes: 0 })).to.equal(Infinity)
    expect(ceilingOf({ ...model, parameters: 900_000 }, cpu)).to.be.at.least(10_000)
  })
})

describe('node/honesty/incidents', () => {
  it('throws away what was measured while the process stood still or was alone, and for a moment after', () => {
    const clock = fakeClock()
    const incidents = createIncidents({ clock })
    clock.advance(5_000)
    expect(incidents.touches(0)).to.equal(false)
    incidents.alone(true)
    clock.advance(1_000)
    expect(incidents.touches(5_900)).to.equal(true)
    incidents.alone(false)
    expect(incidents.touches(6_000)).to.equal(true)
    clock.advance(10_000)
    expect(incidents.touches(9_000)).to.equal(false)
    expect(incidents.touches(5_500), 'began in it').to.equal(true)
    expect(incidents.counts.alone).to.equal(1)
    incidents.stop()
  })

  it('sees that a timer came late', () => {
    let nowMs = 0
    let due = (): void => {}
    const incidents = createIncidents({ clock: { now: () => nowMs, monotonicMs: () => nowMs, after: (_ms, run) => { due = run; return () => {} } } })
    nowMs = 500
    due()
    expect(incidents.touches(0)).to.equal(false)
    nowMs = 2_000
    expect(incidents.touches(1_900), 'the look is overdue').to.equal(true)
    due()
    nowMs = 2_400
    expect(incidents.touches(1_000)).to.equal(true)
    expect(incidents.counts.overloaded).to.equal(1)
    incidents.stop()
  })

  it('blames itself where many hosts are slow at once, not where few of many are', () => {
    const clock = fakeClock()
    const incidents = createIncidents({ clock })
    for (let host = 0; host < 10; host += 1) incidents.checked(`host ${host}`, host >= 6)
    expect(incidents.touches(0)).to.equal(false)
    for (let host = 0; host < 10; host += 1) incidents.checked(`host ${host}`, host >= 3)
    expect(incidents.touches(0)).to.equal(true)
    incidents.stop()
  })
})

describe('node/honesty questions', () => {
  it('makes valid requests in the form of ordinary jobs, no two alike', () => {
    const random = seededRandom(5)
    const shapes = createShapes({ random })
    for (let job = 0; job < 20; job += 1) shapes.saw(aRequest({ messages: [{ role: 'system', content: 'x' }, { role: 'user', content: 'secret words' }], maxTokens: 100, temperature: 0.3 }), 'pro')
    const shape = shapes.next()
    expect(shape).to.deep.equal({ system: true, turns: 1, maxTokens: 100, temperature: 0.3, tier: 'pro' })
    const requests = Array.from({ length: 400 }, () => probeRequest('m', shapes.next(), random))
    for (const request of requests) completionRequestSchema.parse(request)
    expect(new Set(requests.map(({ messages }) => JSON.stringify(messages))).size).to.be.above(395)
    expect(JSON.stringify(requests)).not.to.include('secret words')
    const greedy = requests.filter(isComparable).length
    expect(greedy).to.be.within(200, 290)
    expect(requests.filter(({ temperature, seed }) => temperature !== 0 && seed === undefined)).to.deep.equal([])
    const talk = probeRequest('m', { system: false, turns: 3, tier: 'free' }, random)
    expect(talk.messages.map(({ role }) => role)).to.deep.equal(['user', 'assistant', 'user'])
  })

  it('asks in names that come more than once and that it knows again', () => {
    const house = createHouse({ random: seededRandom(9) })
    const names = Array.from({ length: 1_000 }, () => house.next('free').account.join())
    expect(new Set(names).size).to.be.within(80, 260)
    expect(house.has(house.next('pro').account)).to.equal(true)
    expect(house.has(new Uint8Array(16))).to.equal(false)
  })

  it('keeps few prompts of those who allow it, for an hour, and asks each twice at most', () => {
    const clock = fakeClock()
    const prompts = createOwnPrompts({ clock, random: seededRandom(2) })
    prompts.add(aRequest({ model: 'a' }))
    expect(prompts.next('b')).to.equal(undefined)
    expect([prompts.next('a'), prompts.next('a')].every((one) => one !== undefined)).to.equal(true)
    expect(prompts.next('a')).to.equal(undefined)
    prompts.add(aRequest({ model: 'a', messages: [{ role: 'user', content: 'x'.repeat(9_000) }] }))
    expect(prompts.size, 'too long').to.equal(0)
    for (let index = 0; index < 300; index += 1) prompts.add(aRequest({ model: 'a' }))
    expect(prompts.size).to.equal(256)
    clock.advance(3_600_000)
    expect(prompts.next('a')).to.equal(undefined)
    expect(prompts.size).to.equal(0)
  })

  it('finds an answer that was given to another question before', () => {
    const replays = createReplays()
    const long = 'a'.repeat(150)
    const ask = (content: string) => [{ role: 'user' as const, content }]
    expect(replays.look('one', ask('p'), long)).to.equal('new')
    expect(replays.look('one', ask('p'), long), 'the same question').to.equal('new')
    expect(replays.look('two', ask('q'), long), 'another machine').to.equal('new')
    expect(replays.look('one', ask('q'), long)).to.equal('replayed')
    expect(replays.look('one', ask('r'), 'short')).to.equal('unknown')
  })
})
