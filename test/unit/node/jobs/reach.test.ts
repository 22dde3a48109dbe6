import { expect } from 'chai'
import { createReach, reachDefaults, type ReachTarget } from '../../../../node/jobs/reach.ts'
import { watched } from '../../../support/code-of.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { quietLog } from '../../../support/quiet-log.ts'

const target: ReachTarget = { peer: 'C', addresses: ['/ip4/10.0.0.1/tcp/1/p2p/C'], relay: 'HUB' }

/** Dials stay open until the test ends them. */
function setUp() {
  const clock = fakeClock()
  const dials: string[] = []
  const ends = { direct: Promise.withResolvers<void>(), circuit: Promise.withResolvers<void>() }
  const state = { way: undefined as 'direct' | 'relayed' | undefined }
  const reach = createReach({
    clock, log: quietLog(),
    host: {
      wayTo: () => state.way,
      dial(addresses) {
        dials.push(`direct ${addresses.join()}`)
        return ends.direct.promise
      },
      dialThrough(relay, peer) {
        dials.push(`through ${relay} to ${peer}`)
        return ends.circuit.promise
      },
    },
  })
  const leaving = new AbortController()
  return {
    clock, dials, ends, state, leaving,
    go: (part: Partial<ReachTarget> = {}) => watched(reach.to({ ...target, ...part }, { signal: leaving.signal })),
    again() {
      ends.direct = Promise.withResolvers<void>()
      ends.circuit = Promise.withResolvers<void>()
      dials.length = 0
    },
  }
}
const DIRECT = 'direct /ip4/10.0.0.1/tcp/1/p2p/C'
const CIRCUIT = 'through HUB to C'

describe('node/jobs/reach', () => {
  it('dials nothing where there is a direct connection', async () => {
    const { state, dials, go } = setUp()
    state.way = 'direct'
    const going = go()
    await settled()
    expect([going.state, going.value, dials]).to.deep.equal(['done', true, []])
  })

  it('takes a direct connection that comes within its lead, and opens no circuit', async () => {
    const { clock, ends, dials, go, state } = setUp()
    const going = go()
    clock.advance(reachDefaults.leadMs - 1)
    state.way = 'direct'
    ends.direct.resolve()
    await settled()
    clock.advance(reachDefaults.leadMs)
    await settled()
    expect([going.value, dials]).to.deep.equal([true, [DIRECT]])
  })

  it('opens a circuit beside a direct dial that takes longer, and takes whichever comes first', async () => {
    const { clock, ends, dials, go } = setUp()
    const going = go()
    clock.advance(reachDefaults.leadMs)
    await settled()
    expect([going.state, dials]).to.deep.equal(['pending', [DIRECT, CIRCUIT]])
    ends.circuit.resolve()
    await settled()
    expect(going.value).to.equal(true)
  })

  it('opens a circuit at once where the direct dial fails, or where there is nothing to dial', async () => {
    const { ends, dials, go } = setUp()
    go()
    ends.direct.reject(new Error('refused'))
    await settled()
    expect(dials).to.deep.equal([DIRECT, CIRCUIT])
    const other = setUp()
    other.go({ addresses: [] })
    await settled()
    expect(other.dials).to.deep.equal([CIRCUIT])
  })

  it('says no where neither works', async () => {
    const { ends, go } = setUp()
    const going = go()
    ends.direct.reject(new Error('refused'))
    ends.circuit.reject(new Error('no place there'))
    await settled()
    expect([going.state, going.value]).to.deep.equal(['done', false])
  })

  it('waits no longer than its patience for a router that says nothing, where there is no circuit', async () => {
    const { clock, ends, go } = setUp()
    const going = go()
    clock.advance(reachDefaults.leadMs)
    await settled()
    ends.circuit.reject(new Error('no place there'))
    clock.advance(reachDefaults.patienceMs - reachDefaults.leadMs - 1)
    await settled()
    expect(going.state).to.equal('pending')
    clock.advance(1)
    await settled()
    expect([going.state, going.value]).to.deep.equal(['done', false])
  })

  it('takes a direct connection that comes after the circuit was refused', async () => {
    const { clock, ends, go } = setUp()
    const going = go()
    clock.advance(reachDefaults.leadMs)
    await settled()
    ends.circuit.reject(new Error('no place there'))
    await settled()
    ends.direct.resolve()
    await settled()
    expect(going.value).to.equal(true)
  })

  it('goes on over a circuit without waiting, and tries the direct way again beside it, but not all the time', async () => {
    const { clock, ends, dials, go, state, again } = setUp()
    go()
    ends.direct.reject(new Error('refused'))
    ends.circuit.resolve()
    await settled()
    again()
    state.way = 'relayed'
    const soon = go()
    await settled()
    expect([soon.value, dials]).to.deep.equal([true, []])
    clock.advance(reachDefaults.againMs)
    const later = go()
    await settled()
    expect([later.value, dials]).to.deep.equal([true, [DIRECT]])
  })

  it('tries the direct way at once where the peer has got another address', async () => {
    const { ends, dials, go, state, again } = setUp()
    go()
    ends.direct.reject(new Error('refused'))
    ends.circuit.resolve()
    await settled()
    again()
    state.way = 'relayed'
    go({ addresses: [...target.addresses, '/ip4/5.9.1.22/tcp/1/p2p/C'] })
    await settled()
    expect(dials).to.deep.equal([`${DIRECT},/ip4/5.9.1.22/tcp/1/p2p/C`])
  })

  it('waits for nobody who has left', async () => {
    const { go, leaving } = setUp()
    const going = go()
    leaving.abort()
    await settled()
    expect(going.value).to.equal(false)
    const late = go()
    await settled()
    expect(late.value).to.equal(false)
  })
})
