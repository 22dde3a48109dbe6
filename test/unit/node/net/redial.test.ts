import { expect } from 'chai'
import { redialDefaults, startRedial } from '../../../../node/net/redial.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { fakeHost } from '../../../support/fake-host.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { fixedRandom } from '../../../support/seeded-random.ts'

const target = { name: 'hub1', peerId: 'P1', addresses: ['/ip4/10.0.0.1/tcp/1', '/ip4/10.0.0.2/tcp/1'], firstWaitMs: 0 }

function setUp(part: Partial<typeof target> = {}) {
  const clock = fakeClock()
  const host = fakeHost()
  // The middle of the jitter: waits are exactly the nominal ones.
  const redial = startRedial({ host, clock, random: fixedRandom(0.5), log: quietLog() }, [{ ...target, ...part }])
  async function pass(ms: number): Promise<void> {
    clock.advance(ms)
    await settled()
  }
  return { clock, host, redial, pass }
}

describe('node/net/redial', () => {
  it('dials every address with the peer id behind it', async () => {
    const { host, pass } = setUp()
    await pass(0)
    expect(host.dials).to.deep.equal([['/ip4/10.0.0.1/tcp/1/p2p/P1', '/ip4/10.0.0.2/tcp/1/p2p/P1']])
  })

  it('waits firstWaitMs before the first try, not one millisecond less', async () => {
    const { host, pass } = setUp({ firstWaitMs: 8_000 })
    await pass(7_999)
    expect(host.dials).to.have.length(0)
    await pass(1)
    expect(host.dials).to.have.length(1)
  })

  it('waits longer after each failure, up to a bound', async () => {
    const { host, clock, pass } = setUp()
    const at: number[] = []
    host.onDial = () => {
      at.push(clock.monotonicMs())
      return Promise.reject(new Error('nobody there'))
    }
    await pass(0)
    // Steps of 100 ms: that is how exact the gaps are.
    for (let n = 0; n < 4_000 && at.length < 12; n += 1) {
      clock.advance(100)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const gaps = at.slice(1).map((when, index) => when - at[index]!)
    expect(gaps[0]).to.be.within(redialDefaults.waitMsMin, redialDefaults.waitMsMin * redialDefaults.growth + 100)
    for (let n = 1; n < gaps.length; n += 1) expect(gaps[n]).to.be.at.least(gaps[n - 1]! - 100)
    expect(gaps.at(-1)).to.be.within(redialDefaults.waitMsMax, redialDefaults.waitMsMax + 100)
  })

  it('stays quiet while connected, and dials again soon after the connection is lost', async () => {
    const { host, pass } = setUp()
    host.onDial = () => {
      host.connect('P1')
      return Promise.resolve()
    }
    await pass(0)
    await pass(120_000)
    expect(host.dials).to.have.length(1)
    host.disconnect('P1')
    await pass(redialDefaults.waitMsMin)
    expect(host.dials).to.have.length(2)
  })

  it('notices a lost connection even where no event came', async () => {
    const { host, pass } = setUp()
    let isOpen = true
    host.onDial = () => Promise.resolve()
    host.isConnected = () => isOpen
    await pass(0)
    isOpen = false
    await pass(redialDefaults.checkMs)
    expect(host.dials).to.have.length(1)
  })

  it('never dials one hub twice at a time', async () => {
    const { host, pass } = setUp()
    const { promise, resolve } = Promise.withResolvers<void>()
    host.onDial = () => promise
    await pass(0)
    host.disconnect('P1')
    await pass(60_000)
    expect(host.dials).to.have.length(1)
    resolve()
    await settled()
    await pass(redialDefaults.checkMs)
    expect(host.dials).to.have.length(2)
  })

  it('ends with stop', async () => {
    const { host, redial, pass } = setUp()
    await pass(0)
    redial.stop()
    host.disconnect('P1')
    await pass(600_000)
    expect(host.dials).to.have.length(1)
  })
})
