import { expect } from 'chai'
import { reservationsDefaults, startReservations } from '../../../../node/net/reservations.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { fixedRandom } from '../../../support/seeded-random.ts'

const relays = [{ name: 'hub1', peerId: 'P1' }, { name: 'hub2', peerId: 'P2' }]
const { firstMs, checkMsMax } = reservationsDefaults

function setUp() {
  const clock = fakeClock()
  const connected = new Set<string>()
  const reserved = new Set<string>()
  const asked: string[] = []
  let onConnect: (peer: string) => void = () => {}
  const reservations = startReservations({
    clock, random: fixedRandom(0.5), log: quietLog(),
    host: {
      isConnected: (peer) => connected.has(peer), reserve: (peer) => void asked.push(peer), reservedAt: () => [...reserved],
      onConnect: (listener) => void (onConnect = listener),
    },
  }, relays)
  function connect(peer: string): void {
    connected.add(peer)
    onConnect(peer)
  }
  return { clock, connected, reserved, asked, reservations, connect }
}

describe('node/net/reservations', () => {
  it('asks connected hubs only, a moment after they are connected, and again while one has none', () => {
    const { clock, reserved, asked, connect } = setUp()
    clock.advance(20_000)
    expect(asked).to.deep.equal([])
    connect('P2')
    connect('somebody else')
    clock.advance(firstMs - 1)
    expect(asked).to.deep.equal([])
    clock.advance(1)
    expect(asked).to.deep.equal(['P2'])
    clock.advance(2 * firstMs)
    expect(asked).to.deep.equal(['P2', 'P2'])
    reserved.add('P2')
    clock.advance(60_000)
    expect(asked).to.have.length(2)
  })

  it('asks again within the longest wait where a place was lost', () => {
    const { clock, reserved, asked, connect } = setUp()
    connect('P1')
    reserved.add('P1')
    clock.advance(60_000)
    reserved.delete('P1')
    clock.advance(checkMsMax)
    expect(asked).to.deep.equal(['P1'])
  })

  it('asks nobody after its end', () => {
    const { clock, asked, connect, reservations } = setUp()
    connect('P1')
    reservations.stop()
    clock.advance(60_000)
    expect(asked).to.deep.equal([])
  })
})
