import { expect } from 'chai'
import * as fc from 'fast-check'
import { createJobQueue, type JobQueueOptions } from '../../../../node/jobs/job-queue.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { codeOf, watched } from '../../../support/code-of.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'

const { signal } = new AbortController()

function setUp(options: Partial<JobQueueOptions> = {}) {
  const clock = fakeClock()
  return { clock, queue: createJobQueue({ clock }, { slots: () => 1, ...options }) }
}

describe('node/jobs/job-queue', () => {
  it('runs as many as there are slots; the rest wait', async () => {
    const { queue } = setUp({ slots: () => 2 })
    const free = await queue.enter({ priority: 0, signal })
    await queue.enter({ priority: 0, signal })
    const third = watched(queue.enter({ priority: 0, signal }))
    await settled()
    expect([third.state, queue.running, queue.waiting]).to.deep.equal(['pending', 2, 1])
    free()
    free()
    await settled()
    expect([third.state, queue.running, queue.waiting]).to.deep.equal(['done', 2, 0])
  })

  it('serves a smaller rank before all of a larger one, whatever their priority', async () => {
    const { queue } = setUp()
    const order: string[] = []
    const free = await queue.enter({ priority: 0, account: 'runs', rank: 2, signal })
    for (const [name, priority, rank] of [['other', 0, 2], ['friend', 3, 1], ['own', 3, 0], ['second friend', 0, 1], ['own again', 3, 0]] as const) {
      void queue.enter({ priority, rank, account: name, signal }).then((freeSlot) => {
        order.push(name)
        freeSlot()
      })
    }
    free()
    await settled()
    expect(order).to.deep.equal(['own', 'own again', 'second friend', 'friend', 'other'])
  })

  it('refuses those that wait when it is told to, and takes the next one', async () => {
    const { queue } = setUp()
    const free = await queue.enter({ priority: 0, signal })
    const waiting = watched(queue.enter({ priority: 0, signal }))
    queue.refuseWaiting(new TriforceError('LENDING_PAUSED'))
    await settled()
    expect([waiting.code, queue.running, queue.waiting]).to.deep.equal(['LENDING_PAUSED', 1, 0])
    free()
    expect(await codeOf(queue.enter({ priority: 0, signal }))).to.equal('none')
  })

  it('serves by the weight of the priority, then by arrival', async () => {
    const { queue } = setUp()
    const order: string[] = []
    const free = await queue.enter({ priority: 0, account: 'runs', signal })
    for (const [name, priority] of [['late', 3], ['first', 1], ['second', 1], ['top', 0]] as const) {
      void queue.enter({ priority, account: name, signal }).then((freeSlot) => {
        order.push(name)
        freeSlot()
      })
    }
    free()
    await settled()
    expect(order).to.deep.equal(['top', 'first', 'second', 'late'])
  })

  it('refuses a waiting job at waitMsMax and not one millisecond earlier', async () => {
    const { queue, clock } = setUp({ waitMsMax: 1_000 })
    await queue.enter({ priority: 0, signal })
    const waiting = watched(queue.enter({ priority: 0, signal }))
    clock.advance(999)
    await settled()
    expect(waiting.state).to.equal('pending')
    clock.advance(1)
    await settled()
    expect([waiting.code, queue.waiting]).to.deep.equal(['QUEUE_TIMEOUT', 0])
  })

  it('refuses the job after the last place at once', async () => {
    const { queue } = setUp({ waitingMax: 1 })
    await queue.enter({ priority: 0, signal })
    watched(queue.enter({ priority: 0, signal }))
    expect(await codeOf(queue.enter({ priority: 0, signal }))).to.equal('QUEUE_FULL')
  })

  it('lets a cancelled job go, also one that comes cancelled', async () => {
    const { queue } = setUp()
    await queue.enter({ priority: 0, signal })
    const leaving = new AbortController()
    const waiting = watched(queue.enter({ priority: 0, signal: leaving.signal }))
    leaving.abort()
    await settled()
    expect([waiting.code, queue.waiting]).to.deep.equal(['CANCELLED', 0])
    expect(await codeOf(queue.enter({ priority: 0, signal: leaving.signal }))).to.equal('CANCELLED')
  })

  it('tells each its place, and again when it changes', async () => {
    const { queue } = setUp()
    const places: Record<string, number[]> = { a: [], b: [], top: [] }
    const free = await queue.enter({ priority: 0, account: 'runs', signal })
    const leaving = new AbortController()
    watched(queue.enter({ priority: 1, account: 'a', signal: leaving.signal, onPlace: (place) => places['a']!.push(place) }))
    watched(queue.enter({ priority: 1, account: 'b', signal, onPlace: (place) => places['b']!.push(place) }))
    watched(queue.enter({ priority: 0, account: 'top', signal, onPlace: (place) => places['top']!.push(place) }))
    expect([places['a']!.at(-1), places['b']!.at(-1), places['top']!.at(-1)]).to.deep.equal([2, 3, 1])
    leaving.abort()
    expect(places['b']!.at(-1)).to.equal(2)
    free()
    expect(places['b']!.at(-1)).to.equal(1)
  })

  it('uses slots that come while jobs wait and nothing runs', async () => {
    let slots = 0
    const { queue } = setUp({ slots: () => slots })
    const first = watched(queue.enter({ priority: 0, signal }))
    await settled()
    expect(first.state).to.equal('pending')
    slots = 2
    const second = watched(queue.enter({ priority: 0, signal }))
    await settled()
    expect([first.state, second.state, queue.running]).to.deep.equal(['done', 'done', 2])
  })

  it('drains: refuses what waits and what comes, lets run what runs, and is idle after it', async () => {
    const { queue } = setUp()
    const free = await queue.enter({ priority: 0, signal })
    const waiting = watched(queue.enter({ priority: 0, signal }))
    queue.drain()
    const idle = watched(queue.idle())
    await settled()
    expect([waiting.code, idle.state]).to.deep.equal(['STOPPING', 'pending'])
    expect(await codeOf(queue.enter({ priority: 0, signal }))).to.equal('STOPPING')
    free()
    await settled()
    expect(idle.state).to.equal('done')
    await queue.idle()
  })

  it('never runs more than it has slots, loses no job and serves accounts that come together by their weight', async () => {
    await fc.assert(fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.record({ priority: fc.nat({ max: 3 }), action: fc.constantFrom('stay', 'cancel') }), { minLength: 1, maxLength: 40 }),
      async (slots, jobs) => {
        const { queue } = setUp({ slots: () => slots })
        const blockers = await Promise.all(Array.from({ length: slots }, () => queue.enter({ priority: 0, account: 'runs', signal })))
        const served: { priority: number; index: number }[] = []
        let refused = 0
        const all = jobs.map(({ priority, action }, index) => {
          const leaving = new AbortController()
          const entering = queue.enter({ priority, account: String(index), signal: leaving.signal }).then(async (free) => {
            expect(queue.running).to.be.at.most(slots)
            served.push({ priority, index })
            await new Promise((resolve) => setImmediate(resolve))
            free()
          }, () => { refused += 1 })
          if (action === 'cancel') leaving.abort()
          return entering
        })
        // All have taken their places before the first slot is freed.
        await settled()
        for (const free of blockers) free()
        await Promise.all(all)
        expect(served.length + refused).to.equal(jobs.length)
        expect(served).to.deep.equal([...served].sort((a, b) => a.priority - b.priority || a.index - b.index))
        expect([queue.running, queue.waiting]).to.deep.equal([0, 0])
      },
    ), { numRuns: 40 })
  })
})
