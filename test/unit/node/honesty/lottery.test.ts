import { expect } from 'chai'
import { auditDraws, chanceOfAtMost } from '../../../../node/honesty/draw-audit.ts'
import { createDrawBook } from '../../../../node/honesty/draw-book.ts'
import { commitmentOf, DRAW_HOUR_MS, drawOf, drawSeed, hourOf, isSeedOf } from '../../../../node/honesty/lottery.ts'
import { BASE_RATE } from '../../../../node/honesty/standing.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { testKey } from '../../../support/federation.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const hub = testKey(new Uint8Array(32).fill(7)).signer
const other = testKey(new Uint8Array(32).fill(8)).signer
const random = seededRandom(3)
const contributor = new Uint8Array(32).fill(1)
const ids = (count: number) => Array.from({ length: count }, () => random.bytes(16))

describe('node/honesty/lottery', () => {
  it('draws the same jobs each time, at about its rate, and others with another secret', () => {
    const seed = drawSeed(hub, 'net', 12)
    expect(drawSeed(hub, 'net', 12)).to.deep.equal(seed)
    const jobs = ids(4_000)
    const drawn = jobs.filter((id) => drawOf(seed, id) < 0.25)
    expect(drawn.length).to.be.within(880, 1_120)
    const elsewhere = new Set(jobs.filter((id) => drawOf(drawSeed(other, 'net', 12), id) < 0.25))
    expect(drawn.filter((id) => elsewhere.has(id)).length).to.be.within(150, 350)
    for (const id of jobs) expect(drawOf(seed, id)).to.be.within(0, 1)
  })

  it('takes a secret for that hub, network and hour only', () => {
    const seed = drawSeed(hub, 'net', 12)
    const named = { hub: hub.publicKey, network: 'net', hour: 12 }
    expect(isSeedOf(seed, named)).to.equal(true)
    for (const wrong of [{ hub: other.publicKey }, { network: 'ten' }, { hour: 13 }]) expect(isSeedOf(seed, { ...named, ...wrong })).to.equal(false)
    expect(isSeedOf({ ...seed, signature: seed.signature.map((byte) => byte ^ 1) }, named)).to.equal(false)
  })
})

describe('node/honesty/draw-book', () => {
  it('tells of an hour when it is over, with each drawn job and how its check ended', () => {
    const clock = fakeClock(100 * DRAW_HOUR_MS)
    const book = createDrawBook({ signer: hub, clock }, { network: 'net' })
    clock.advance(DRAW_HOUR_MS)
    const [one, two] = ids(2) as [Uint8Array, Uint8Array]
    expect(book.draw(one, contributor, 1)).to.equal(true)
    expect(book.draw(two, contributor, 0)).to.equal(false)
    book.ended(one, 'good')
    expect(book.report(101)).to.equal(undefined)
    clock.advance(DRAW_HOUR_MS)
    expect(book.report(101)!.checked).to.deep.equal([{ jobId: one, contributor, end: 'good' }])
    expect(book.report(100), 'it began in this hour').to.equal(undefined)
    clock.advance(4 * DRAW_HOUR_MS)
    expect(book.report(101), 'long over').to.equal(undefined)
  })
})

describe('node/honesty/draw-audit', () => {
  const hour = 500
  const seed = drawSeed(hub, 'net', hour)
  const jobs = ids(2_000).map((jobId) => ({ jobId, contributor }))
  const drawn = jobs.filter(({ jobId }) => drawOf(seed, jobId) < BASE_RATE)
  const order = { hub: hub.publicKey, network: 'net', hour, commitment: commitmentOf(seed), jobs }
  const checked = drawn.map((job) => ({ ...job, end: 'good' as const }))

  it('finds nothing wrong with a hub that checked whom it had to', () => {
    expect(auditDraws({ ...order, report: { seed, checked } })).to.deep.equal({ drawn: drawn.length, skipped: [], problems: [] })
  })

  it('finds jobs that were spared', () => {
    const found = auditDraws({ ...order, report: { seed, checked: checked.slice(2) } })
    expect(found.skipped).to.deep.equal(drawn.slice(0, 2).map(({ jobId }) => jobId))
    expect(found.problems[0]).to.include('2 of')
  })

  it('finds job ids that were made until they were not drawn', () => {
    const chosen = jobs.filter(({ jobId }) => drawOf(seed, jobId) >= BASE_RATE)
    expect(auditDraws({ ...order, jobs: chosen, report: { seed, checked: [] } }).problems.join()).to.include('their ids were chosen')
  })

  it('finds a secret of another hub or hour, and one that was not committed to', () => {
    expect(auditDraws({ ...order, report: { seed: drawSeed(other, 'net', hour), checked } }).problems).to.have.length(1)
    expect(auditDraws({ ...order, report: { seed: drawSeed(hub, 'net', hour + 1), checked } }).problems).to.have.length(1)
    expect(auditDraws({ ...order, commitment: new Uint8Array(32), report: { seed, checked } }).problems.join()).to.include('committed')
  })

  it('knows the chance of few hits', () => {
    expect(chanceOfAtMost(0, 10, 0.5)).to.be.closeTo(1 / 1_024, 1e-9)
    expect(chanceOfAtMost(10, 10, 0.5)).to.be.closeTo(1, 1e-9)
    expect(chanceOfAtMost(0, 0, 0.05)).to.equal(1)
    expect(hourOf(2 * DRAW_HOUR_MS + 1)).to.equal(2)
  })
})
