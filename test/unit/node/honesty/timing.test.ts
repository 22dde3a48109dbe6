import { expect } from 'chai'
import { createCheckSchedule } from '../../../../node/honesty/check-schedule.ts'
import { createQuietTurns } from '../../../../node/honesty/quiet-turns.ts'
import {
  afterOutcomes, checkRateOf, isHidden, isNarrow, newStanding, SERIES_CHECKS, SERIES_TIMED, SUSPECTED_RATE, UNTIMED_MAX, type Standing,
} from '../../../../node/honesty/standing.ts'
import { openStandings } from '../../../../node/honesty/standings.ts'
import { createTimedQuestions } from '../../../../node/honesty/timed-questions.ts'
import { createTimings } from '../../../../node/honesty/timings.ts'
import { checkStateOf } from '../../../../node/honesty/words.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { peerIdOf } from '../../../../protocol/peer-key.ts'
import { aCapacity } from '../../../support/completions.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const key = new Uint8Array(32).fill(4)
const machine = toHex(key)
const answer = { kind: 'answer', bad: false } as const
const quick = { kind: 'speed', bad: false } as const

/** A table of machines whose slots a test sets. */
function world(options: { readonly roomMs?: number } = {}) {
  const clock = fakeClock()
  const slots = new Map<string, { total: number; busy: number; queued: number }>()
  const listeners = new Set<() => void>()
  const turns = createQuietTurns({
    clock, table: {
      get: (peer) => slots.has(peer) ? { peer, contributor: machine, receivedAt: 0, capacity: aCapacity({ peer: key, slots: slots.get(peer)! }, 1) } : undefined,
      onChange(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
  }, options)
  return {
    clock, turns, listeners,
    announce(peer: string, busy: number, { total = 4, queued = 0 } = {}) {
      slots.set(peer, { total, busy, queued })
      for (const listener of listeners) listener()
    },
  }
}

/** A question that ends when the test says so. */
function question() {
  const { promise, resolve } = Promise.withResolvers<string>()
  return { ask: () => promise, end: () => resolve('done') }
}

describe('node/honesty/quiet-turns', () => {
  it('asks a machine one question at a time, and others beside it', async () => {
    const { turns } = world()
    const [first, second, other] = [question(), question(), question()]
    const asked: string[] = []
    const ask = (name: string, peer: string, one: { ask: () => Promise<string> }) => turns.ask(peer, () => {
      asked.push(name)
      return one.ask()
    })
    const answers = [ask('first', 'a', first), ask('second', 'a', second), ask('other', 'b', other)]
    await settled()
    expect(asked).to.deep.equal(['first', 'other'])
    first.end()
    await settled()
    expect(asked).to.deep.equal(['first', 'other', 'second'])
    second.end()
    other.end()
    expect(await Promise.all(answers)).to.deep.equal(['done', 'done', 'done'])
  })

  it('goes on after a question that broke', async () => {
    const { turns } = world()
    const broken = turns.ask('a', () => Promise.reject(new Error('gone')))
    const next = turns.ask('a', () => Promise.resolve('said'))
    expect(await broken.catch((reason: Error) => reason.message)).to.equal('gone')
    expect(await next).to.equal('said')
  })

  it('waits for a free place and not one millisecond longer than it may; ordinary jobs go elsewhere meanwhile', () => {
    const { turns, announce, clock } = world({ roomMs: 10_000 })
    announce('free', 3)
    expect([turns.ready('free'), turns.isHeld('free')]).to.deep.equal([true, false])
    announce('full', 4)
    expect([turns.ready('full'), turns.isHeld('full')]).to.deep.equal([false, true])
    announce('full', 3, { queued: 1 })
    clock.advance(9_999)
    expect(turns.ready('full')).to.equal(false)
    clock.advance(1)
    expect(turns.ready('full')).to.equal(true)
    announce('large', 4, { total: 16 })
    expect(turns.ready('large'), 'more streams than can be told apart').to.equal(false)
    announce('large', 3, { total: 16 })
    expect(turns.ready('large')).to.equal(true)
    expect(turns.ready('unknown')).to.equal(true)
  })

  it('holds a machine 15 s at most and a tenth of the time, and lets it go when the question has ended', async () => {
    const { turns, clock } = world()
    turns.hold('a')
    clock.advance(14_999)
    expect(turns.isHeld('a')).to.equal(true)
    clock.advance(1)
    expect(turns.isHeld('a')).to.equal(false)
    turns.hold('a')
    expect(turns.isHeld('a'), 'at once again').to.equal(false)
    clock.advance(9 * 15_000)
    turns.hold('a')
    expect(turns.isHeld('a')).to.equal(true)
    const one = question()
    const asked = turns.ask('a', one.ask)
    await settled()
    clock.advance(1_000)
    one.end()
    await asked
    expect(turns.isHeld('a')).to.equal(false)
    clock.advance(8_999)
    turns.hold('a')
    expect(turns.isHeld('a')).to.equal(false)
    clock.advance(1)
    turns.hold('a')
    expect(turns.isHeld('a')).to.equal(true)
  })

  it('never holds one for more than a tenth of an hour, however often it is full', () => {
    const { turns, announce, clock } = world()
    announce('a', 4)
    let held = 0
    for (let second = 0; second < 3_600; second += 1) {
      turns.ready('a')
      if (turns.isHeld('a')) held += 1
      clock.advance(1_000)
    }
    expect(held).to.be.within(300, 375)
  })

  it('averages over the question what ran beside it, so that one that is shared all the time is not called slow', async () => {
    const { turns, announce, clock, listeners } = world()
    announce('a', 3)
    const one = question()
    const asked = turns.ask('a', one.ask)
    await settled()
    expect(turns.streams('a'), 'itself is not announced yet').to.equal(4)
    clock.advance(3_000)
    announce('a', 4)
    clock.advance(3_000)
    announce('a', 1)
    clock.advance(2_000)
    expect(turns.streams('a')).to.equal((6 * 4 + 2 * 1) / 8)
    one.end()
    await asked
    expect([turns.streams('a'), listeners.size]).to.deep.equal([undefined, 0])
  })
})

describe('node/honesty/timings', () => {
  it('blames nobody where most machines are busy, and forgets after half an hour', () => {
    const clock = fakeClock()
    const timings = createTimings({ clock })
    timings.note('a', 'busy')
    timings.note('b', 'busy')
    expect(timings.isCommon(), 'two are no crowd').to.equal(false)
    timings.note('c', 'busy')
    expect(timings.isCommon()).to.equal(true)
    for (const other of ['d', 'e', 'f']) timings.note(other, 'told')
    expect(timings.isCommon(), 'half of them').to.equal(false)
    timings.note('d', 'busy')
    expect(timings.isCommon()).to.equal(true)
    clock.advance(1_800_001)
    timings.note('g', 'told')
    expect(timings.isCommon()).to.equal(false)
  })
})

describe('node/honesty: a machine that cannot be timed', () => {
  const at = 1_000_000
  const check = (standing: Standing, timing: 'told' | 'busy' | undefined, { mustShow = true } = {}) => {
    const judged = afterOutcomes(standing, timing === 'told' ? [quick] : [], { at, isCheck: false, timing })
    return afterOutcomes(judged, [answer], { at, isCheck: true, mustShow })
  }
  const times = (count: number, standing: Standing, ...how: Parameters<typeof check> extends [unknown, ...infer Rest] ? Rest : never) => {
    let now = standing
    for (let time = 0; time < count; time += 1) now = check(now, ...how)
    return now
  }
  const told = (standing: Standing) => checkStateOf(standing, { elsewhere: undefined, nowMs: at })

  it('does not pass, however many answers are right, until enough were timed', () => {
    const busy = times(100, newStanding(), 'busy')
    expect([busy.state, isNarrow(busy)]).to.deep.equal(['new', true])
    expect(told(busy)).to.deep.include({ state: 'running', text: '100 checks are done, and it was free enough to be timed in 0 of the 4 that it takes to pass; answers 100 of 100 good' })
    expect(times(100, newStanding(), undefined).state, 'too short to be timed').to.equal('new')
    const almost = times(SERIES_TIMED - 1, busy, 'told')
    expect(almost.state).to.equal('new')
    expect([check(almost, 'told').state, isNarrow(check(almost, 'told'))]).to.deep.equal(['passed', false])
  })

  it('passes as before where no speed is asked of it', () => {
    expect(times(SERIES_CHECKS, newStanding(), undefined, { mustShow: false }).state).to.equal('passed')
  })

  it('gets fewer jobs at once after a while, then no pay and more checks, and all of it back with one that could be timed; it never fails', () => {
    const passed = times(SERIES_CHECKS, newStanding(), 'told')
    expect([passed.state, isNarrow(passed), isNarrow(times(3, passed, 'busy')), isNarrow(times(4, passed, 'busy'))]).to.deep.equal(['passed', false, false, true])
    expect(isHidden(times(UNTIMED_MAX - 1, passed, 'busy'))).to.equal(false)
    const hidden = times(UNTIMED_MAX, passed, 'busy')
    expect([hidden.state, isHidden(hidden), checkRateOf(hidden)]).to.deep.equal(['passed', true, SUSPECTED_RATE])
    expect(told(hidden)).to.deep.include({ state: 'suspected', text: 'it was too busy for each of the last 16 questions that should have been timed: its pay waits until one can be' })
    expect(times(500, passed, 'busy').state).to.equal('passed')
    const shown = check(hidden, 'told')
    expect([isHidden(shown), isNarrow(shown)]).to.deep.equal([false, false])
    expect(isHidden(check(hidden, undefined, { mustShow: false })), 'nothing is asked of it any more').to.equal(false)
  })

  async function standingsAt(clock: ReturnType<typeof fakeClock>, values = new Map<string, Uint8Array>()) {
    const store = { load: () => Promise.resolve([...values.values()]), put: (id: string, bytes: Uint8Array) => void values.set(id, bytes), remove: (id: string) => void values.delete(id) }
    return openStandings({ store, clock, log: quietLog() }, { mustPass: true })
  }

  it('is not paid, over a restart too, and no hub says of it that it passed', async () => {
    const clock = fakeClock()
    const values = new Map<string, Uint8Array>()
    const standings = await standingsAt(clock, values)
    const judge = (timing: 'told' | 'busy') => {
      standings.judge(machine, timing === 'told' ? [quick] : [], { isCheck: false, timing })
      standings.judge(machine, [answer], { isCheck: true, mustShow: true })
    }
    for (let time = 0; time < SERIES_CHECKS; time += 1) judge('told')
    expect([standings.mayPay(machine), standings.decided().length]).to.deep.equal([true, 1])
    for (let time = 0; time < UNTIMED_MAX; time += 1) judge('busy')
    expect([standings.mayPay(machine), standings.decided().length]).to.deep.equal([false, 0])
    const later = await standingsAt(clock, values)
    expect(later.mayPay(machine)).to.equal(false)
    later.judge(machine, [quick], { isCheck: false, timing: 'told' })
    expect(later.mayPay(machine)).to.equal(true)
  })

  it('is asked again, the later the more often that failed, and leaves a place free until it worked; nothing of it where most are busy', async () => {
    const clock = fakeClock()
    const standings = await standingsAt(clock)
    const planned: number[] = []
    const held = new Set<string>()
    const timed = createTimedQuestions({ standings, clock, turns: { isHeld: (peer) => held.has(peer) }, schedule: { untimed: (_, count) => void planned.push(count) } })
    const peer = peerIdOf(key)
    expect(timed.placesAt(peer, 16)).to.equal(16)
    timed.judge(machine, [], 'busy')
    expect([planned, timed.placesAt(peer, 16), timed.placesAt(peer, 1)], 'a series goes on by itself').to.deep.equal([[], 3, 1])
    for (let time = 0; time < SERIES_CHECKS; time += 1) standings.judge(machine, [answer], { isCheck: true, mustShow: true })
    timed.judge(machine, [], 'busy')
    timed.judge(machine, [], 'busy')
    expect(planned).to.deep.equal([2, 3])
    for (let time = 0; time < SERIES_TIMED; time += 1) timed.judge(machine, [quick], 'told')
    expect([timed.placesAt(peer, 16), standings.of(machine).untimed]).to.deep.equal([16, 0])
    held.add(peer)
    expect(timed.placesAt(peer, 16)).to.equal(0)
    for (const other of [1, 2, 3]) timed.judge(toHex(new Uint8Array(32).fill(other)), [], 'busy')
    timed.judge(machine, [], 'busy')
    expect(standings.of(machine).untimed, 'all are busy').to.equal(0)
  })

  it('is asked at half a minute on the average after the first time, and every eight minutes at last', () => {
    const clock = fakeClock()
    const schedule = createCheckSchedule({ clock, random: seededRandom(3) })
    const waitOf = (count: number) => {
      const before = clock.monotonicMs()
      schedule.untimed('a', count)
      while (schedule.due(1, () => true).length === 0) clock.advance(1_000)
      return (clock.monotonicMs() - before) / 1_000
    }
    const average = (count: number) => Array.from({ length: 400 }, () => waitOf(count)).reduce((sum, one) => sum + one) / 400
    expect(average(1)).to.be.within(24, 37)
    expect(average(100)).to.be.within(390, 570)
  })
})
