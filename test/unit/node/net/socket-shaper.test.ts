import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { expect } from 'chai'
import * as fc from 'fast-check'
import { createSocketShaper } from '../../../../node/net/socket-shaper.ts'
import { fakeClock } from '../../../support/fake-clock.ts'

/** 2 Mbit/s. */
const PER_SECOND = 250_000

/** As much of a socket as is shaped; keeps what was written with its time. */
function aSocket(now: () => number) {
  const written: { readonly atMs: number; readonly bytes: Uint8Array }[] = []
  const state = { paused: false, ended: false, sentBytes: 0 }
  const socket = Object.assign(new EventEmitter(), {
    destroyed: false, writableNeedDrain: false,
    write(bytes: Uint8Array) {
      written.push({ atMs: now(), bytes })
      state.sentBytes += bytes.byteLength
      return true
    },
    pause() { state.paused = true },
    resume() { state.paused = false },
    destroySoon() { state.ended = true },
  })
  return { socket: socket as unknown as Socket, written, state, sent: () => Buffer.concat(written.map(({ bytes }) => bytes)) }
}

function setUp(bounds: { send?: number; read?: number } = {}) {
  const clock = fakeClock()
  const shaper = createSocketShaper({ clock })
  shaper.bound({ sendPerSecond: bounds.send, readPerSecond: bounds.read })
  const make = () => {
    const one = aSocket(() => clock.monotonicMs())
    shaper.shape(one.socket)
    return one
  }
  return { clock, shaper, make }
}

const bytesOf = (length: number, seed = 0) => Uint8Array.from({ length }, (_, index) => (index * 7 + seed) % 251)

describe('node/net/socket-shaper', () => {
  it('sends at 2 Mbit/s, within 10 %, over all sockets together, whatever is written when', () => {
    fc.assert(fc.property(fc.array(fc.record({ socket: fc.nat(2), bytes: fc.integer({ min: 1, max: 200_000 }) }), { minLength: 3, maxLength: 10 }), (writes) => {
      const { clock, make } = setUp({ send: PER_SECOND })
      const sockets = [make(), make(), make()]
      const total = writes.reduce((sum, { bytes }) => sum + bytes, 0)
      fc.pre(total > PER_SECOND)
      for (const { socket, bytes } of writes) sockets[socket]!.socket.write(bytesOf(bytes))
      const sent = () => sockets.reduce((sum, { state }) => sum + state.sentBytes, 0)
      while (sent() < total) {
        const [beforeMs, before] = [clock.monotonicMs(), sent()]
        clock.advance(500)
        // In no half second more than 2 Mbit/s and 10 %.
        expect((sent() - before) / (clock.monotonicMs() - beforeMs) * 1_000).to.be.at.most(PER_SECOND * 1.1)
      }
      const lastMs = Math.max(...sockets.flatMap(({ written }) => written.map(({ atMs }) => atMs)))
      expect(total / lastMs * 1_000).to.be.within(PER_SECOND * 0.9, PER_SECOND * 1.1)
    }), { numRuns: 10 })
  })

  it('loses and reorders nothing, also when the bound changes or is taken away', () => {
    const { clock, shaper, make } = setUp({ send: PER_SECOND })
    const { socket, sent } = make()
    const pieces = [bytesOf(100_000, 1), bytesOf(3, 2), bytesOf(70_000, 3), bytesOf(50_000, 4)]
    socket.write(pieces[0]!)
    clock.advance(100)
    socket.write(pieces[1]!)
    shaper.bound({ sendPerSecond: PER_SECOND / 2, readPerSecond: undefined })
    socket.write(pieces[2]!)
    clock.advance(100)
    expect(sent().byteLength).to.be.within(30_000, 60_000)
    shaper.bound({ sendPerSecond: undefined, readPerSecond: undefined })
    expect(sent().byteLength).to.equal(170_003)
    socket.write(pieces[3]!)
    expect(sent().equals(Buffer.concat(pieces))).to.equal(true)
  })

  it('tells the writer to wait while much waits, and to go on when it is gone', () => {
    const { clock, make } = setUp({ send: PER_SECOND })
    const { socket } = make()
    let drains = 0
    socket.on('drain', () => { drains += 1 })
    expect(socket.write(bytesOf(1_000))).to.equal(true)
    expect(socket.write(bytesOf(100_000))).to.equal(false)
    clock.advance(200)
    expect(drains).to.equal(0)
    clock.advance(400)
    expect(drains).to.equal(1)
    expect(socket.write(bytesOf(100))).to.equal(true)
  })

  it('sends what waits before an orderly end', () => {
    const { clock, make } = setUp({ send: PER_SECOND })
    const { socket, state, sent } = make()
    socket.write(bytesOf(50_000))
    socket.destroySoon()
    expect(state.ended).to.equal(false)
    clock.advance(500)
    expect([state.ended, sent().byteLength]).to.deep.equal([true, 50_000])
  })

  it('reads at 2 Mbit/s, within 10 %, and keeps to what the owner of the socket wants', () => {
    const { clock, make } = setUp({ read: PER_SECOND })
    const { socket, state } = make()
    let read = 0
    // The other side always has more.
    for (let stepMs = 0; stepMs < 10_000; stepMs += 5) {
      if (!state.paused) {
        socket.emit('data', bytesOf(16_384))
        read += 16_384
      }
      clock.advance(5)
    }
    expect(read / 10).to.be.within(PER_SECOND * 0.9, PER_SECOND * 1.1)
    socket.pause()
    clock.advance(10_000)
    expect(state.paused).to.equal(true)
    socket.resume()
    expect(state.paused).to.equal(false)
    socket.emit('data', bytesOf(65_536))
    socket.resume()
    expect(state.paused).to.equal(true)
    clock.advance(1_000)
    expect(state.paused).to.equal(false)
  })

  it('is not there without a bound', () => {
    const { make } = setUp()
    const { socket, state, sent } = make()
    expect(socket.write(bytesOf(1_000_000))).to.equal(true)
    socket.emit('data', bytesOf(1_000_000))
    socket.destroySoon()
    expect([sent().byteLength, state.paused, state.ended]).to.deep.equal([1_000_000, false, true])
  })
})
