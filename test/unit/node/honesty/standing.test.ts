import { expect } from 'chai'
import { badRates, checkKinds, PROOF, scoreAfter, SUSPICION, weightOf, type CheckKind, type Outcome } from '../../../../node/honesty/evidence.ts'
import {
  afterOutcomes, AGAIN_CHECKS, againFrom, BASE_RATE, checkedAgain, checkRateOf, isReference, isSuspected, newStanding, NEWCOMER_RATE, SERIES_CHECKS, SUSPECTED_RATE, type Standing,
} from '../../../../node/honesty/standing.ts'
import { checkStateOf } from '../../../../node/honesty/words.ts'

const good = (kind: CheckKind): Outcome => ({ kind, bad: false })
const bad = (kind: CheckKind): Outcome => ({ kind, bad: true })

function after(standing: Standing, outcomes: readonly Outcome[], times: number, stepMs = 200_000): Standing {
  let now = standing
  for (let time = 0; time < times; time += 1) now = afterOutcomes(now, outcomes, { at: 1_000_000 + (time + 1) * stepMs, isCheck: true })
  return now
}

describe('node/honesty/standing', () => {
  it('weighs a bad outcome up and a good one down, and never saves up a good time', () => {
    for (const kind of checkKinds) {
      expect(badRates[kind].honest).to.be.below(badRates[kind].cheat)
      expect(weightOf(bad(kind))).to.be.above(1)
      expect(weightOf(good(kind))).to.be.below(0)
      expect(scoreAfter(0.1, good(kind))).to.equal(0)
    }
  })

  it('lets a new host pass after its series, and one with nothing to compare it with too', () => {
    expect(after(newStanding(), [good('answer'), good('count')], SERIES_CHECKS - 1).state).to.equal('new')
    expect(after(newStanding(), [good('answer'), good('count')], SERIES_CHECKS).state).to.equal('passed')
    expect(after(newStanding(), [], SERIES_CHECKS).state).to.equal('passed')
  })

  for (const kind of checkKinds) {
    it(`calls a host a cheat by ${kind} alone, and no other kind makes up for it`, () => {
      const others = checkKinds.filter((other) => other !== kind).map(good)
      let standing = after(newStanding(), [good('speed'), ...others], SERIES_CHECKS)
      let outcomes = 0
      while (standing.state !== 'failed' && outcomes < 20) {
        outcomes += 1
        standing = afterOutcomes(standing, [bad(kind), ...others], { at: 10_000_000 + outcomes * 200_000, isCheck: false })
      }
      expect(standing).to.deep.include({ state: 'failed', failedBy: kind, failures: 1, checks: 0 })
      expect(outcomes).to.be.within(4, 11)
    })
  }

  it('counts one slow answer in two minutes of a host that was quick before, and each of one that never was', () => {
    const never = after(newStanding(), [bad('speed')], 11, 1_000)
    expect(never).to.deep.include({ state: 'failed', failedBy: 'speed' })
    const before = after(newStanding(), [good('speed')], SERIES_CHECKS)
    const busy = after(before, [bad('speed')], 60, 1_000)
    expect(busy.state).to.equal('passed')
    expect(busy.scores.speed).to.be.below(weightOf(bad('speed')) * 1.01)
    expect(after(before, [bad('speed')], 11, 120_000).state).to.equal('failed')
  })

  it('checks newcomers and suspects more often, those that failed not at all, and nobody less than all hubs may expect', () => {
    expect(checkRateOf(newStanding())).to.equal(NEWCOMER_RATE)
    const suspect = after(newStanding(), [bad('answer')], Math.ceil(SUSPICION / weightOf(bad('answer'))))
    expect([suspect.state, isSuspected(suspect), checkRateOf(suspect)]).to.deep.equal(['new', true, SUSPECTED_RATE])
    const passed = after(newStanding(), [good('answer')], SERIES_CHECKS)
    expect(checkRateOf(passed)).to.equal(NEWCOMER_RATE)
    expect(checkRateOf(after(passed, [good('answer')], 50))).to.equal(BASE_RATE)
    expect(checkRateOf(after(newStanding(), [bad('answer')], 20))).to.equal(0)
  })

  it('clears one that failed after a clean second series of what it failed by, sooner fails it again, and makes it wait longer each time', () => {
    const failed = after(newStanding(), [bad('answer')], 20)
    expect(failed.state).to.equal('failed')
    expect(after(failed, [good('answer')], 100).state).to.equal('failed')
    const again = checkedAgain(failed, 5)
    expect(again).to.deep.include({ state: 'again', checks: 0 })
    // Other results say nothing of its answers.
    expect(after(again, [good('speed')], 100)).to.deep.include({ state: 'again', checks: 0 })
    expect(after(again, [good('answer')], AGAIN_CHECKS - 1).state).to.equal('again')
    expect(after(again, [good('answer')], AGAIN_CHECKS).state).to.equal('passed')
    const twice = after(again, [bad('answer')], Math.ceil(PROOF / 2 / weightOf(bad('answer'))))
    expect(twice).to.deep.include({ state: 'failed', failures: 2 })
    expect(againFrom(twice) - twice.since!).to.equal(2 * (againFrom(failed) - failed.since!))
    expect(checkedAgain(newStanding(), 5)).to.deep.equal(newStanding())
  })

  it('measures others by hosts whose answers were found right', () => {
    expect(isReference(after(newStanding(), [good('answer')], SERIES_CHECKS))).to.equal(true)
    expect(isReference(after(newStanding(), [good('speed')], SERIES_CHECKS))).to.equal(false)
    expect(isReference(newStanding())).to.equal(false)
  })

  it('says in words how a machine stands', () => {
    const told = (standing: Standing, elsewhere?: 'failed') => checkStateOf(standing, { elsewhere, nowMs: 2_000_000 })
    expect(told(newStanding()).state).to.equal('claimed')
    expect(told(after(newStanding(), [good('answer')], 3))).to.deep.include({ state: 'running', text: '3 of the first 8 checks are done: answers 3 of 3 good' })
    const passed = after(newStanding(), [good('answer'), good('count')], SERIES_CHECKS)
    expect(told(passed)).to.deep.include({ state: 'passed', text: 'answers 8 of 8 good, token counts 8 of 8 good' })
    expect(told(passed, 'failed').state).to.equal('suspected')
    const failed = after(newStanding(), [bad('answer')], 20)
    expect(told(failed).state).to.equal('failed')
    expect(told(failed).text).to.match(/^its answers are not those of the model that it offers; it gets no jobs and no pay; "triforce contributor recheck" .* in \d+ min$/)
    expect(told(checkedAgain(failed, 5)).state).to.equal('running')
    for (const kind of checkKinds) expect(told({ ...failed, failedBy: kind }).text.length).to.be.below(256)
  })
})
