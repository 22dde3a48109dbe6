import { expect } from 'chai'
import { createHandoff } from '../../../../node/jobs/handoff.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { codeOf, watched } from '../../../support/code-of.ts'
import { settled } from '../../../support/fake-clock.ts'

describe('node/jobs/handoff', () => {
  it('holds the producer back while the consumer is behind', async () => {
    const handoff = createHandoff<number>({ waitingMax: 2 })
    expect(handoff.offer(1)).to.equal(undefined)
    const room = watched(handoff.offer(2)!)
    await settled()
    expect(room.state).to.equal('pending')
    const reader = handoff.events[Symbol.asyncIterator]()
    expect((await reader.next()).value).to.equal(1)
    await settled()
    expect(room.state).to.equal('done')
  })

  it('gives events in order to a reader that waits or comes later', async () => {
    const handoff = createHandoff<number>()
    const seen: number[] = []
    const reading = (async () => {
      for await (const event of handoff.events) seen.push(event)
    })()
    for (let n = 0; n < 100; n += 1) await handoff.offer(n)
    handoff.close()
    await reading
    expect(seen).to.deep.equal(Array.from({ length: 100 }, (_, n) => n))
  })

  it('says of each event when the reader has it, and says nothing of those that nobody came for', async () => {
    const handoff = createHandoff<number>({ waitingMax: 2 })
    const taken: number[] = []
    const offer = (event: number) => handoff.offer(event, () => taken.push(event))
    void offer(1)
    void offer(2)
    expect(taken).to.deep.equal([])
    const reader = handoff.events[Symbol.asyncIterator]()
    await reader.next()
    expect(taken).to.deep.equal([1])
    await reader.next()
    const third = reader.next()
    void offer(3)
    expect(taken).to.deep.equal([1, 2, 3])
    await third
    void offer(4)
    handoff.release()
    void offer(5)
    expect(taken).to.deep.equal([1, 2, 3])
  })

  it('tells news only to a reader that waits', async () => {
    const handoff = createHandoff<string>()
    handoff.offerIfIdle('too early')
    const reader = handoff.events[Symbol.asyncIterator]()
    const next = reader.next()
    handoff.offerIfIdle('now')
    handoff.offerIfIdle('too late')
    expect((await next).value).to.equal('now')
    handoff.close()
    expect((await reader.next()).done).to.equal(true)
  })

  it('gives what waited before the error, and the error once', async () => {
    const handoff = createHandoff<number>()
    void handoff.offer(1)
    handoff.close(new TriforceError('HOST_LOST'))
    handoff.close()
    const reader = handoff.events[Symbol.asyncIterator]()
    expect((await reader.next()).value).to.equal(1)
    expect(await codeOf(reader.next())).to.equal('HOST_LOST')
    expect((await reader.next()).done).to.equal(true)
  })

  it('fails a reader that waits', async () => {
    const handoff = createHandoff<number>()
    const next = handoff.events[Symbol.asyncIterator]().next()
    handoff.close(new TriforceError('HOST_SILENT'))
    expect(await codeOf(next)).to.equal('HOST_SILENT')
  })

  it('lets the producer run on alone after release', async () => {
    const handoff = createHandoff<number>({ waitingMax: 1 })
    const room = watched(handoff.offer(1)!)
    handoff.release()
    await settled()
    expect(room.state).to.equal('done')
    for (let n = 0; n < 10_000; n += 1) expect(handoff.offer(n)).to.equal(undefined)
  })

  it('tells when the consumer stops before the end', async () => {
    let calls = 0
    const handoff = createHandoff<number>({ waitingMax: 1, onReturn: () => { calls += 1 } })
    void handoff.offer(1)
    for await (const event of handoff.events) {
      expect(event).to.equal(1)
      break
    }
    expect(calls).to.equal(1)
    expect(handoff.offer(2)).to.equal(undefined)
  })
})
