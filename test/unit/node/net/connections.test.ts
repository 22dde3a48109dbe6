import { expect } from 'chai'
import type { Connection, Libp2p } from '@libp2p/interface'
import { directConnections, trackConnections } from '../../../../node/net/connections.ts'
import { CIRCUIT_BYTES_MAX, CIRCUIT_MS_MAX, JOB_MS_MAX } from '../../../../protocol/limits.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { quietLog } from '../../../support/quiet-log.ts'

interface FakeConnection {
  readonly id: string
  readonly direct: boolean
  readonly direction: 'inbound' | 'outbound'
  readonly remotePeer: { toString(): string }
  readonly timeline: { readonly open: number }
  limits?: { bytes: bigint }
  status: 'open' | 'closed'
  abort(): void
  close(): Promise<void>
}

function setUp() {
  const clock = fakeClock()
  const events = new EventTarget()
  const all: FakeConnection[] = []
  const connections = trackConnections({ clock, log: quietLog() }, {
    addEventListener: events.addEventListener.bind(events),
    getConnections: (peer: { toString(): string }) => all.filter((one) => one.remotePeer.toString() === peer.toString()),
  } as unknown as Libp2p)
  connections.start()
  const tell = (type: string, detail: FakeConnection) => events.dispatchEvent(Object.assign(new Event(type), { detail }))

  function open(part: Partial<Pick<FakeConnection, 'direct' | 'direction' | 'limits'>> = {}, peer = 'P'): FakeConnection {
    clock.advance(1)
    const end = () => {
      one.status = 'closed'
      tell('connection:close', one)
    }
    const one: FakeConnection = {
      id: `c${all.length}`, direct: true, direction: 'outbound', remotePeer: { toString: () => peer }, timeline: { open: clock.now() }, status: 'open', ...part,
      abort: end,
      async close() { end() },
    }
    all.push(one)
    tell('connection:open', one)
    return one
  }
  const best = (peer = 'P') => connections.best(peer) as unknown as FakeConnection | undefined
  const isGood = (one: FakeConnection) => connections.isGood(one as unknown as Connection)
  return { clock, connections, open, best, isGood }
}

describe('node/net/connections', () => {
  it('prefers a direct connection to a circuit, and the newest of each', () => {
    const { open, best, connections, isGood } = setUp()
    expect([best(), connections.wayTo('P')]).to.deep.equal([undefined, undefined])
    const circuit = open({ direct: false })
    expect([best(), connections.wayTo('P')]).to.deep.equal([circuit, 'relayed'])
    const newer = open({ direct: false })
    expect([best(), isGood(circuit), isGood(newer)]).to.deep.equal([newer, false, true])
    const direct = open()
    expect([best(), connections.wayTo('P'), isGood(newer)]).to.deep.equal([direct, 'direct', false])
    open({}, 'Q')
    direct.abort()
    expect(best()).to.equal(newer)
    newer.abort()
    circuit.abort()
    expect(connections.wayTo('P')).to.equal(undefined)
    expect(directConnections([])).to.deep.equal([])
  })

  it('cuts the older inbound connection of a peer that has come back, and nothing else', () => {
    const { open, best } = setUp()
    const mine = open()
    const other = open({ direction: 'inbound' }, 'Q')
    const circuit = open({ direction: 'inbound', direct: false })
    const dead = open({ direction: 'inbound' })
    const live = open({ direction: 'inbound' })
    expect([mine, other, circuit, dead, live].map((one) => one.status)).to.deep.equal(['open', 'open', 'open', 'closed', 'open'])
    expect(best()).to.equal(live)
  })

  it('takes no circuit for new work that could end within a job, by time or by bytes', () => {
    const { clock, open, connections, isGood } = setUp()
    const circuit = open({ direct: false, limits: { bytes: BigInt(CIRCUIT_BYTES_MAX) } })
    const keepUsed = (ms: number) => {
      for (let passed = 0; passed < ms; passed += 60_000) {
        clock.advance(Math.min(60_000, ms - passed))
        connections.used(circuit as unknown as Connection)
      }
    }
    keepUsed(CIRCUIT_MS_MAX - JOB_MS_MAX - 300_000)
    expect([isGood(circuit), connections.wayTo('P')]).to.deep.equal([true, 'relayed'])
    keepUsed(60_000)
    expect([isGood(circuit), connections.wayTo('P'), circuit.status]).to.deep.equal([false, undefined, 'open'])
    const full = open({ direct: false, limits: { bytes: BigInt(CIRCUIT_BYTES_MAX) / 2n - 1n } }, 'Q')
    expect([isGood(full), connections.wayTo('Q')]).to.deep.equal([false, undefined])
  })

  it('closes a circuit that carries no job for two minutes, and no direct connection', () => {
    const { clock, open, connections } = setUp()
    const direct = open({}, 'Q')
    const busy = open({ direct: false }, 'B')
    const idle = open({ direct: false })
    for (let second = 0; second < 160; second += 1) {
      clock.advance(1_000)
      connections.used(busy as unknown as Connection)
    }
    expect([direct.status, busy.status, idle.status]).to.deep.equal(['open', 'open', 'closed'])
    connections.stop()
    clock.advance(1_000_000)
    expect(busy.status).to.equal('open')
  })
})
