import { expect } from 'chai'
import { startWake, wakeDefaults } from '../../../../node/net/wake.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { quietLog } from '../../../support/quiet-log.ts'

const { lookMs, jumpMs } = wakeDefaults

function setUp() {
  const clock = fakeClock()
  const skew = { wallMs: 0, monotonicMs: 0 }
  const events: string[] = []
  const machine = { addresses: ['127.0.0.1', '192.168.1.2'] }
  let probed = Promise.withResolvers<void>()
  const wake = startWake({
    clock: { now: () => clock.now() + skew.wallMs, monotonicMs: () => clock.monotonicMs() + skew.monotonicMs, after: (delayMs, run) => clock.after(delayMs, run) },
    log: quietLog(), addresses: () => machine.addresses,
    host: {
      probe() {
        events.push('probe')
        return probed.promise
      },
    },
  }, { onAwake: () => void events.push('awake') })
  async function finishProbe(): Promise<void> {
    probed.resolve()
    probed = Promise.withResolvers<void>()
    await settled()
  }
  return { clock, skew, events, machine, wake, finishProbe }
}

describe('node/net/wake', () => {
  it('does nothing while time goes by and addresses stay', () => {
    const { clock, events, machine } = setUp()
    clock.advance(600_000)
    // The same addresses in another order are the same.
    machine.addresses.reverse()
    clock.advance(600_000)
    expect(events).to.deep.equal([])
  })

  it('probes after a sleep, on whichever clock it shows, and dials when the probe is over', async () => {
    for (const which of ['wallMs', 'monotonicMs'] as const) {
      const { clock, skew, events, finishProbe } = setUp()
      clock.advance(10 * lookMs)
      skew[which] += jumpMs + 1
      clock.advance(lookMs)
      expect(events, which).to.deep.equal(['probe'])
      await finishProbe()
      expect(events, which).to.deep.equal(['probe', 'awake'])
      clock.advance(100 * lookMs)
      expect(events, which).to.have.length(2)
    }
  })

  it('takes a busy moment and a clock that is set back for no sleep', () => {
    const { clock, skew, events } = setUp()
    skew.wallMs += jumpMs
    clock.advance(lookMs)
    skew.wallMs -= 3_600_000
    clock.advance(lookMs)
    expect(events).to.deep.equal([])
  })

  it('probes when the addresses of the machine change, one probe at a time', async () => {
    const { clock, events, machine, finishProbe } = setUp()
    machine.addresses = ['127.0.0.1']
    clock.advance(lookMs)
    machine.addresses = ['127.0.0.1', '10.0.0.7']
    clock.advance(lookMs)
    expect(events).to.deep.equal(['probe'])
    await finishProbe()
    machine.addresses = ['127.0.0.1', '10.0.0.8']
    clock.advance(lookMs)
    expect(events).to.deep.equal(['probe', 'awake', 'probe'])
  })

  it('ends', () => {
    const { clock, events, machine, wake } = setUp()
    wake.stop()
    machine.addresses = []
    clock.advance(60_000)
    expect(events).to.deep.equal([])
  })
})
