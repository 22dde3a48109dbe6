import { expect } from 'chai'
import { createSlotQueue } from '../../../providers/slot-queue.ts'
import { settled } from '../../support/fake-clock.ts'
import { codeOf } from '../../support/provider-world.ts'

describe('providers/slot-queue', () => {
  const never = new AbortController().signal
  const silent = (): void => undefined

  it('runs as many as it has slots and the rest in order of arrival, who hear their place', async () => {
    const queue = createSlotQueue({ slots: 1 })
    const order: string[] = []
    const first = await queue.acquire({ signal: never, onPosition: silent })
    const waiting = ['b', 'c'].map((name) => queue.acquire({ signal: never, onPosition: (position) => order.push(`${name} at ${position}`) }).then((release) => {
      order.push(`${name} runs`)
      return release
    }))
    expect(queue).to.include({ busy: 1, waiting: 2 })
    first()
    await settled()
    expect(order).to.deep.equal(['b at 1', 'c at 2', 'c at 1', 'b runs'])
    ;(await waiting[0]!)()
    ;(await waiting[1]!)()
    expect(queue).to.include({ busy: 0, waiting: 0 })
  })

  it('frees a slot once, however often it is released', async () => {
    const queue = createSlotQueue({ slots: 2 })
    const release = await queue.acquire({ signal: never, onPosition: silent })
    await queue.acquire({ signal: never, onPosition: silent })
    release()
    release()
    expect(queue.busy).to.equal(1)
  })

  it('refuses the job that would be one too many', async () => {
    const queue = createSlotQueue({ slots: 1, waitingMax: 1 })
    await queue.acquire({ signal: never, onPosition: silent })
    void queue.acquire({ signal: never, onPosition: silent })
    expect(await codeOf(queue.acquire({ signal: never, onPosition: silent }))).to.equal('QUEUE_FULL')
  })

  it('lets a job leave the queue, and the others move up', async () => {
    const queue = createSlotQueue({ slots: 1 })
    const release = await queue.acquire({ signal: never, onPosition: silent })
    const leaving = new AbortController()
    const places: number[] = []
    const left = codeOf(queue.acquire({ signal: leaving.signal, onPosition: silent }))
    const next = queue.acquire({ signal: never, onPosition: (position) => places.push(position) })
    leaving.abort()
    expect(await left).to.equal('CANCELLED')
    expect(places).to.deep.equal([2, 1])
    release()
    await next
    expect(await codeOf(queue.acquire({ signal: AbortSignal.abort(), onPosition: silent }))).to.equal('CANCELLED')
  })
})
