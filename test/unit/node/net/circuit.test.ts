import { expect } from 'chai'
import type { Stream } from '@libp2p/interface'
import { circuitDefaults, watchCircuit } from '../../../../node/net/circuit.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'

/** As much of a libp2p stream as a circuit uses. */
class FakeStream extends EventTarget {
  readStatus: 'readable' | 'paused' = 'readable'
  sentBytes = 0
  hasRoom = true
  send(data: Uint8Array): boolean {
    this.sentBytes += data.byteLength
    return this.hasRoom
  }
  pause(): void { this.readStatus = 'paused' }
  resume(): void { this.readStatus = 'readable' }
  receive(bytes: number): void { this.dispatchEvent(Object.assign(new Event('message'), { data: new Uint8Array(bytes) })) }
}

function setUp(pass: (bytes: number) => number = () => 0) {
  const clock = fakeClock()
  const source = new FakeStream()
  const destination = new FakeStream()
  const seen = { bytes: 0, ends: 0 }
  watchCircuit(clock, source as unknown as Stream, destination as unknown as Stream, {
    pass(bytes) {
      seen.bytes += bytes
      return pass(bytes)
    },
    onEnd: () => void (seen.ends += 1),
  })
  return { clock, source, destination, seen }
}

const { waitingBytesMax } = circuitDefaults

describe('node/net/circuit', () => {
  it('counts the bytes of both directions, and its end once', () => {
    const { source, destination, seen } = setUp()
    source.receive(10)
    destination.receive(7)
    source.dispatchEvent(new Event('close'))
    destination.dispatchEvent(new Event('close'))
    expect(seen).to.deep.equal({ bytes: 17, ends: 1 })
  })

  it('stops a sender whose bytes the other side does not take, and lets it go on at half of the bound', async () => {
    const { source, destination } = setUp()
    source.receive(waitingBytesMax)
    await settled()
    expect(source.readStatus).to.equal('readable')
    source.receive(1)
    await settled()
    expect([source.readStatus, destination.readStatus]).to.deep.equal(['paused', 'readable'])
    destination.send(new Uint8Array(waitingBytesMax / 2))
    expect(source.readStatus).to.equal('paused')
    destination.send(new Uint8Array(1))
    expect(source.readStatus).to.equal('readable')
  })

  it('does not pause for bytes that were taken before the turn was over', async () => {
    const { source, destination } = setUp()
    source.receive(waitingBytesMax + 1)
    destination.send(new Uint8Array(waitingBytesMax))
    await settled()
    expect(source.readStatus).to.equal('readable')
  })

  it('stops a sender for as long as the rate says, also where the other side takes everything', async () => {
    let waitMs = 500
    const { clock, source, destination } = setUp(() => waitMs)
    source.receive(10)
    destination.send(new Uint8Array(10))
    await settled()
    expect(source.readStatus).to.equal('paused')
    clock.advance(499)
    expect(source.readStatus).to.equal('paused')
    clock.advance(1)
    expect(source.readStatus).to.equal('readable')
    waitMs = 0
    source.receive(10)
    await settled()
    expect(source.readStatus).to.equal('readable')
  })

  it('touches nothing after its end', async () => {
    const { clock, source } = setUp(() => 100)
    source.receive(1)
    await settled()
    source.dispatchEvent(new Event('close'))
    clock.advance(1_000)
    expect(source.readStatus).to.equal('paused')
  })
})
