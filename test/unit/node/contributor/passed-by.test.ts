import { expect } from 'chai'
import { createCapacityTable } from '../../../../node/capacity/table.ts'
import { createPassedBy } from '../../../../node/contributor/passed-by.ts'
import { createPlacementWatch } from '../../../../node/contributor/placement-watch.ts'
import { aCapacity, aModel } from '../../../support/completions.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { testKey } from '../../../support/federation.ts'

const HOUR = 3_600_000

describe('node/contributor/passed-by', () => {
  it('counts what was asked of a model, what a machine got, and why it got no more, most frequent first', () => {
    const clock = fakeClock()
    const table = createPassedBy({ clock })
    table.got('a', 'one')
    table.got('a', 'two')
    table.got('b', 'two')
    table.passed('one', 'busy', 2)
    table.passed('one', 'draining')
    expect(table.of('one', ['a', 'a'])).to.deep.equal({ sinceMs: clock.now(), asked: 2, got: 1, reasons: [{ reason: 'busy', count: 2 }, { reason: 'draining', count: 1 }] })
    expect(table.of('two', ['a', 'b'])).to.deep.include({ asked: 3, got: 2, reasons: [] })
    expect(table.of('three', [])).to.deep.include({ asked: 0, got: 0, reasons: [] })
  })

  it('forgets an hour after 24 hours, and not one hour earlier', () => {
    // A full hour, so that the steps below are whole ones.
    const clock = fakeClock(1_800_000_000_000)
    const table = createPassedBy({ clock })
    table.got('a', 'one')
    clock.advance(23 * HOUR)
    table.passed('one', 'busy')
    expect(table.of('one', ['a'])).to.deep.include({ asked: 1, got: 1 })
    clock.advance(HOUR)
    expect(table.of('one', ['a'])).to.deep.include({ asked: 0, got: 0, reasons: [{ reason: 'busy', count: 1 }] })
    clock.advance(23 * HOUR)
    expect(table.of('one', ['a']).reasons).to.deep.equal([])
    clock.advance(1_000 * HOUR)
    table.got('a', 'one')
    expect(table.of('one', ['a'])).to.deep.include({ asked: 1, got: 1, reasons: [] })
  })

  it('stays within its bounds, and keeps those that were counted last', () => {
    const clock = fakeClock()
    const table = createPassedBy({ clock }, { machinesMax: 2, modelsMax: 2 })
    for (const name of ['one', 'two', 'three']) table.got(name, name)
    expect(['one', 'two', 'three'].map((name) => table.of(name, [name]).got)).to.deep.equal([0, 1, 1])
    expect(['one', 'two', 'three'].map((name) => table.of('', [name]).asked)).to.deep.equal([0, 1, 1])
  })
})

describe('node/contributor/placement-watch', () => {
  function setUp() {
    const clock = fakeClock()
    const table = createCapacityTable({ clock }, { demoAllowed: true })
    const passedBy = createPassedBy({ clock })
    const cooling = new Set<string>()
    const away = new Set<string>()
    let reads = 0
    let readMs = 0
    let readingMs = 0
    const groups = (model: string) => {
      reads += 1
      readingMs += readMs
      return table.groups(model)
    }
    const watch = createPlacementWatch({ table: { isFresh: table.isFresh, groups }, passedBy, clock: { ...clock, monotonicMs: () => clock.monotonicMs() + readingMs }, coolingDown: (peer) => cooling.has(peer), distrusts: () => false, isReachable: (peer) => !away.has(peer) })
    const host = (part: Parameters<typeof aCapacity>[0] | object = {}): string => {
      const key = testKey()
      table.put(aCapacity({ peer: key.signer.publicKey, ...part }, clock.now()))
      return key.peerId
    }
    return { clock, passedBy, cooling, away, watch, host, reads: () => reads, slow: (ms: number) => { readMs = ms }, why: (peer: string) => passedBy.of(peer, ['tiny']).reasons }
  }

  it('gives each machine the reason that is true for it', () => {
    const { clock, watch, host, cooling, away, why, passedBy } = setUp()
    const [first, other, failed, full] = [host(), host(), host(), host({ slots: { total: 2, busy: 1, queued: 1 } })]
    const [draining, unable, unreached, elsewhere] = [host({ draining: true }), host({ models: [aModel({ capabilities: ['chat'] })] }), host(), host({ models: [aModel({ id: 'other' })] })]
    cooling.add(failed)
    away.add(unreached)
    watch.placed('tiny', ['chat', 'json'], [first, other])
    clock.advance(0)
    expect([first, other, failed, full, draining, unable, unreached, elsewhere].map((peer) => why(peer).map(({ reason }) => reason).join()))
      .to.deep.equal(['', 'others_were_freer', 'failed_lately', 'busy', 'draining', 'missing_capability', 'unreachable', ''])
    expect(passedBy.of(first, ['tiny'])).to.deep.include({ asked: 1, got: 1 })
    watch.failed(first)
    expect(why(first)).to.deep.equal([{ reason: 'refused', count: 1 }])
  })

  it('looks once for many placements, and counts them all', () => {
    const { clock, watch, host, why, reads, passedBy } = setUp()
    const [one, two] = [host(), host()]
    for (let count = 0; count < 1_000; count += 1) watch.placed('tiny', ['chat'], count % 4 === 0 ? [two, one] : [one, two])
    expect(reads()).to.equal(0)
    clock.advance(0)
    expect(reads()).to.equal(1)
    clock.advance(10_000)
    expect(reads()).to.equal(1)
    watch.placed('tiny', ['chat'], [one])
    watch.placed('tiny', ['chat'], [one])
    clock.advance(0)
    watch.placed('tiny', ['chat'], [one])
    clock.advance(99)
    expect(reads()).to.equal(2)
    clock.advance(1)
    expect(reads()).to.equal(3)
    expect([passedBy.of(one, ['tiny']).got, passedBy.of(two, ['tiny']).got]).to.deep.equal([753, 250])
    expect([why(one), why(two)]).to.deep.equal([[{ reason: 'others_were_freer', count: 250 }], [{ reason: 'others_were_freer', count: 753 }]])
  })

  it('rests for 50 times as long as a look has taken', () => {
    const { clock, watch, host, reads, slow } = setUp()
    const one = host()
    slow(20)
    watch.placed('tiny', ['chat'], [one])
    clock.advance(0)
    expect(reads()).to.equal(1)
    watch.placed('tiny', ['chat'], [one])
    clock.advance(999)
    expect(reads()).to.equal(1)
    clock.advance(1)
    expect(reads()).to.equal(2)
  })

  it('says nothing where nobody can take the job', () => {
    const { watch, passedBy } = setUp()
    watch.placed('tiny', [], [])
    expect(passedBy.of('', ['tiny']).asked).to.equal(0)
  })
})
