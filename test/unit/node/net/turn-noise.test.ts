import type { MessageStream } from '@libp2p/interface'
import { expect } from 'chai'
import { createTurnEnd } from '../../../../node/net/turn-end.ts'
import { collectSends } from '../../../../node/net/turn-noise.ts'
import { settled } from '../../../support/fake-clock.ts'

/** As much of an encrypted stream as matters: it may be full, and it may have ended. */
class FakeStream extends EventTarget {
  status = 'open'
  writable = true
  broken: Error | undefined
  aborted: Error | undefined
  readonly sent: Uint8Array[] = []
  closedAfter: number | undefined
  send(bytes: Uint8Array): boolean {
    if (this.broken !== undefined) throw this.broken
    if (this.status !== 'open') throw new Error('it has ended')
    this.sent.push(new Uint8Array(bytes))
    return this.writable
  }
  close(): Promise<void> {
    this.status = 'closed'
    this.closedAfter = this.sent.length
    return Promise.resolve()
  }
  abort(error: Error): void { this.aborted = error }
}

function open() {
  const fake = new FakeStream()
  const stream = fake as unknown as MessageStream
  collectSends(stream, createTurnEnd())
  let drains = 0
  fake.addEventListener('drain', () => { drains += 1 })
  return { fake, stream, drains: () => drains }
}

describe('node/net/turn-noise', () => {
  it('sends all of a turn as one piece, in order', async () => {
    const { fake, stream } = open()
    for (let n = 0; n < 4; n += 1) expect(stream.send(Uint8Array.of(n, n))).to.equal(true)
    expect(fake.sent).to.have.length(0)
    await settled()
    expect(fake.sent).to.deep.equal([Uint8Array.of(0, 0, 1, 1, 2, 2, 3, 3)])
  })

  it('asks senders to wait when a turn has much, and tells them when it has left', async () => {
    const { fake, stream, drains } = open()
    expect(stream.send(new Uint8Array(64 * 1024 - 1))).to.equal(true)
    expect(stream.send(new Uint8Array(1))).to.equal(false)
    expect(stream.send(new Uint8Array(1))).to.equal(false)
    await settled()
    expect(fake.sent.map((piece) => piece.byteLength)).to.deep.equal([64 * 1024 + 1])
    expect(drains()).to.equal(1)
    expect(stream.send(new Uint8Array(1))).to.equal(true)
  })

  it('asks them to wait while the socket is full, and leaves it to the socket to tell', async () => {
    const { fake, stream, drains } = open()
    fake.writable = false
    stream.send(new Uint8Array(70_000))
    await settled()
    expect(drains()).to.equal(0)
    expect(stream.send(new Uint8Array(1))).to.equal(false)
    fake.writable = true
    fake.dispatchEvent(new Event('drain'))
    expect(stream.send(new Uint8Array(1))).to.equal(true)
    await settled()
    expect(fake.sent.map((piece) => piece.byteLength)).to.deep.equal([70_000, 2])
    expect(drains()).to.equal(1)
  })

  it('sends what waits before it closes, and nothing after', async () => {
    const { fake, stream } = open()
    stream.send(Uint8Array.of(1))
    await stream.close()
    expect(fake.closedAfter).to.equal(1)
    expect(() => stream.send(Uint8Array.of(2))).to.throw('it has ended')
    await settled()
    expect(fake.sent).to.have.length(1)
  })

  it('drops what waits when the stream was cut meanwhile', async () => {
    const { fake, stream } = open()
    stream.send(Uint8Array.of(1))
    fake.status = 'aborted'
    await settled()
    expect(fake.sent).to.have.length(0)
    expect(fake.aborted).to.equal(undefined)
  })

  it('cuts a stream that does not take it', async () => {
    const { fake, stream } = open()
    fake.broken = new Error('no room')
    stream.send(Uint8Array.of(1))
    await settled()
    expect(fake.aborted).to.equal(fake.broken)
  })
})
