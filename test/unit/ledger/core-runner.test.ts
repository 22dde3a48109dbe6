/** The runner carries effects out in order, and never runs the core inside itself. */
import { expect } from 'chai'
import { createCoreRunner, type CoreRunner, type CoreRunnerComponents } from '../../../ledger/core-runner.ts'
import { createState } from '../../../ledger/fold/state.ts'
import type { HubEffect, HubEvent } from '../../../ledger/hub/events.ts'
import { createHub } from '../../../ledger/hub/step.ts'
import { fakeClock } from '../../support/fake-clock.ts'
import { testWorld } from '../../support/ledger-world.ts'
import { quietLog } from '../../support/quiet-log.ts'

const world = testWorld()
const hubKeys = world.hubs.map(({ signer }) => signer.publicKey)

/** A core with one machine that answers events as the test says. */
function runnerWorld(answer: (event: HubEvent) => readonly HubEffect[], shell: Partial<CoreRunnerComponents> = {}) {
  const clock = fakeClock()
  const done: string[] = []
  const events: string[] = []
  const hub = createHub({
    network: world.federation.network, me: 0, state: createState(world.federation.network, hubKeys),
    machines: [(_, event) => {
      events.push(event.type)
      return answer(event)
    }],
  })
  const note = (what: string) => () => { done.push(what) }
  const runner: CoreRunner = createCoreRunner({
    clock, log: quietLog('core'), hub, send: note('send'), append: note('append'), keep: (key) => { done.push(`keep ${key}`) }, putBlob: note('blob'),
    retry: note('retry'), truncate: note('truncate'), load: note('load'), loadOrphans: note('orphans'), compare: note('compare'), heard: note('heard'), proved: note('proved'), ...shell,
  })
  return { runner, clock, done, events }
}

const keep = (key: string): HubEffect => ({ type: 'persist', key, value: new Uint8Array() })

describe('ledger/core-runner', () => {
  it('carries effects out in their order', () => {
    const log = { hub: 1, epoch: 1 }
    const { runner, done } = runnerWorld((event) => event.type === 'seal'
      ? [keep('a'), { type: 'retry' }, { type: 'truncate', log, frame: 3 }, { type: 'compare', hub: 1, log, no: 2 }, { type: 'blob', key: 'b', value: undefined }, keep('c')] : [])
    runner.run({ type: 'seal', log })
    expect(done).to.deep.equal(['keep a', 'retry', 'truncate', 'compare', 'blob', 'keep c'])
  })

  it('deals with what an effect causes only after all effects of the first event', () => {
    const order: string[] = []
    const { runner, events } = runnerWorld((event) => event.type === 'persisted' ? [] : event.type === 'seal' ? [keep('a'), keep('b')] : [], {
      keep: (key) => {
        order.push(`keep ${key}`)
        runner.run({ type: 'persisted', key })
        order.push(`kept ${key}`)
      },
    })
    runner.run({ type: 'seal', log: { hub: 1, epoch: 1 } })
    expect(order).to.deep.equal(['keep a', 'kept a', 'keep b', 'kept b'])
    expect(events).to.deep.equal(['seal', 'persisted', 'persisted'])
  })

  it('ticks at least once a second while it runs, evenly, and not before or after', () => {
    const { runner, clock, events } = runnerWorld(() => [])
    clock.advance(5_000)
    expect(events).to.deep.equal([])
    runner.start()
    runner.start()
    clock.advance(4_000)
    expect(new Set(events)).to.deep.equal(new Set(['tick']))
    expect(events.length).to.be.within(4, 40)
    const count = events.length
    clock.advance(4_000)
    expect(events).to.have.length(2 * count)
    runner.stop()
    clock.advance(5_000)
    runner.run({ type: 'tick' })
    expect(events).to.have.length(2 * count)
  })

  it('says so when the core goes round in a circle', () => {
    const { runner } = runnerWorld((event) => event.type === 'persisted' ? [keep('again')] : [], { keep: (key) => { runner.run({ type: 'persisted', key }) } })
    expect(() => { runner.run({ type: 'persisted', key: 'x' }) }).to.throw('circle')
  })
})
